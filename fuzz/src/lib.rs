//! Ten targets, each a function that is given bytes and panics when a property of the code that reads such
//! bytes does not hold; and what tries them with the inputs of a corpus and with mutations of these.
//!
//! - [`targets`] has the functions, one file each.
//! - [`corpus`] has the inputs that are kept, in `fuzz/corpus/<target>/`.
//! - [`mutate`] makes new inputs of others.
//! - [`campaign`] runs a target, for a number of inputs or for a time, and says what failed.
//!
//! It runs on stable Rust and sees no branches of what it runs. What leads it on is that each target says
//! what an input led to ([`Seen`]): inputs that led to something new are mutated further.
#![forbid(unsafe_code)]

pub mod campaign;
pub mod choices;
pub mod corpus;
pub mod mutate;
mod seen;
pub mod targets;

pub use seen::Seen;
pub use targets::{TARGETS, Target};
