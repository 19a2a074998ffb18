//! A simulated world that runs the real node and edge, on turmoil's network and virtual time,
//! under faults drawn from one seed, and the checks on what its clients saw.
#![forbid(unsafe_code)]

pub mod checks;
pub mod collect;
pub mod fail_points;
pub mod faults;
pub mod gate;
pub mod history;
pub mod http;
pub mod network;
pub mod observer;
pub mod options;
pub mod ports;
pub mod run;
pub mod workload;
pub mod world;
