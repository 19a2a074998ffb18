//! The data plane: subscriber, last-good store and HTTP proxy.
//!
//! [`assembly`] puts it together; `main` adds a process around it. A serving thread
//! ([`workers`]) runs the [`proxy`] over its own [`upstream`] connections and reads the
//! configuration in use from [`active`]; [`configuration`] makes it from a manifest, of
//! [`route`]s; [`cache`] keeps origins' answers; [`health`] knows which targets are fit, [`pace`] which
//! clients are too slow; [`enrolment`] comes by what nodes know it by, [`nodes`] says where those are; `http1` reads and writes what HTTP/1.1 is made of; [`store`] keeps the last good one.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod active;
mod admin;
pub mod assembly;
pub mod balance;
pub mod breaker;
pub mod cache;
pub mod certificates;
pub mod configuration;
pub mod enrolment;
pub mod health;
mod http1;
pub mod metrics;
pub mod names;
pub mod network;
pub mod nodes;
pub mod pace;
pub mod proxy;
mod retired;
pub mod route;
pub mod settings;
pub mod store;
pub mod subscriber;
pub mod telemetry;
mod turn;
pub mod upstream;
pub mod workers;
