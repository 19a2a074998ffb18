//! What stands around VectorGate when it is shown or measured: an origin server, load generators,
//! a client of etcd, other proxies, and the benchmarks.
//!
//! Every benchmark but `matching`, `signatures` and `trust`, which measure functions, starts a fresh cluster of local processes
//! under `target/bench/NAME/`, on ports of its own and on loopback alone, prints a table and writes the same figures to
//! `target/bench/NAME.json`. Where two systems are compared, both take the same load in turn, round
//! by round, in one run on one machine; the figures are medians over the rounds.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool speaks on its standard output"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time over real sockets; it never runs in the simulation"
)]

pub mod benchmarks;
pub mod client;
pub mod etcd;
pub mod figures;
pub mod load;
pub mod neighbours;
pub mod origin;
pub mod processes;
pub mod stage;
pub mod subscriber;
pub mod tools;
