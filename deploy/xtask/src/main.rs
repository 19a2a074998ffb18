//! Builds, runs, tests and measures VectorGate.
fn main() {}
