//! etcd, the neighbour that writes and reads are compared with: its messages, a client, and a
//! cluster of local processes with its defaults (each write is synced before it is acknowledged).

mod client;
mod cluster;
mod messages;

pub use client::EtcdClient;
pub use cluster::EtcdCluster;
