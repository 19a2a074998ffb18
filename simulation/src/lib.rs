//! A simulated world that runs the real node and edge, on turmoil's network and virtual time,
//! under faults drawn from one seed, and the checks on what its clients saw.
//!
//! | | |
//! |---|---|
//! | `options` | what a seed's run does |
//! | `world` `hosts` `ports` `network` | the processes, on simulated ports |
//! | `faults` `fail_points` | what goes wrong, and who starts again what ended |
//! | `workload` | what clients do |
//! | `scenarios` | scripts that are played instead of random faults |
//! | `run` | one run, from its first tick to its verdict |
//! | `observer` `collect` `history` | what was seen |
//! | `checks` | what has to hold of it |
//! | `coverage` | how much of what was met |
//! | `story` | a run told in order |
//! | `campaign` `gate` | many runs, and whether they would find bugs |
#![forbid(unsafe_code)]

pub mod campaign;
pub mod checks;
pub mod collect;
pub mod coverage;
pub mod fail_points;
pub mod faults;
pub mod gate;
pub mod history;
pub mod hosts;
pub mod http;
pub mod network;
pub mod observer;
pub mod options;
pub mod ports;
pub mod run;
pub mod scenarios;
pub mod story;
pub mod workload;
pub mod world;
