//! A cluster of processes on this machine: three nodes, two edges and two origins unless asked
//! otherwise. One folder holds everything it is:
//!
//! | file                        | what                                                          |
//! |-----------------------------|---------------------------------------------------------------|
//! | `topology.json`             | how many of what, on which ports                              |
//! | `NAME.toml`                 | settings of `node-1` …, `edge-1` …, `origin-1` …              |
//! | `NAME.pid`, `NAME.log`      | its process id and what it said                               |
//! | `data/NAME/`                | its data                                                      |
//! | `bin/`                      | the binaries that run, so that a later build leaves them be   |
//! | `pki/`                      | the development CA, a certificate and key per node and edge   |
//! | `pepper`                    | the key that API keys are hashed with                         |
//! | `bootstrap.json`            | what bootstrap printed, API keys among it                     |
//! | `demonstration.json`        | the idempotency keys of the demonstration's requests          |
//! | `env`                       | a shell file: API keys and addresses                          |
//!
//! Files with secrets are readable by their owner alone.

pub mod api;
pub mod cluster;
pub mod demonstration;
pub mod files;
pub mod pki;
pub mod process;
pub mod settings;
pub mod shell;
pub mod topology;
pub mod traffic;

pub use cluster::Cluster;
pub use topology::{Kind, Name, Topology};
