//! What tests do to the product from within: at named [points](point) something can be made to go
//! wrong, and [mutants](mutant) are bugs that the tests must find.
//!
//! Both are behind features that the simulation alone turns on. Without them every function here
//! is a constant that the compiler removes together with what depends on it, and [`ENABLED`], which
//! the heads of the product's programs look at, is false. Who decides what happens at a point, and
//! which mutant is looked for, is the simulation's matter.
#![forbid(unsafe_code)]

pub mod mutant;
pub mod point;

pub use mutant::Mutant;
pub use point::{Broken, Point};

/// Whether this build can be made to fail or to be wrong. No release of the product's programs
/// compiles where it is true.
pub const ENABLED: bool = cfg!(any(feature = "fail-points", feature = "mutants"));
