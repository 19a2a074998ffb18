//! Whole nodes in one process: each on its own runtime, which is dropped to kill it, over loopback
//! sockets that can be cut. What a node promises its clients is asked of it here; what it keeps
//! through any sequence of faults is the simulation's matter.

mod backup;
mod check;
mod commands;
mod document;
mod failures;
mod formation;
mod fullness;
mod keks;
mod leading;
mod limits;
mod members;
mod membership;
mod metrics;
mod network;
mod peppers;
mod shifts;
mod signing;
mod webhooks;
mod world;
