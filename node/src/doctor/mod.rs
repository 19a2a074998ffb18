//! Looks at a cluster from outside and says in plain words what is wrong with it, why that matters and what to do:
//! `vectorgate-node doctor`. Each node is asked by itself, so that a cluster without a leader can be looked at, too.
//!
//! Nothing is changed. Who is asked, and how, is [`Operator`](crate::consensus::membership::command::Operator)'s matter;
//! what a finding means to a terminal or a program, the subcommand's.

mod diagnosis;
mod facts;
mod text;

pub use diagnosis::{Finding, Severity, diagnose};
pub use facts::{Examined, Facts, examine};
pub use text::report;
