//! Arbitrary commands on few objects, so that they collide: whatever is asked in whatever order,
//! the state keeps its invariants, and what happened can be told again.

mod access;
mod certificates;
mod cluster;
mod commands;
mod costs;
mod edges;
mod golden;
mod history;
mod pepper;
mod properties;
mod replies;
mod samples;
mod sealing;
mod several;
mod shifts;
mod signing;
mod webhooks;
mod weights;
