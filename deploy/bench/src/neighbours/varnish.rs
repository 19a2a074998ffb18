//! The configuration of Varnish as a cache in front of the origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How much it may keep: far more than is asked for.
const MEMORY: &str = "malloc,256m";

/// Where answers come from.
pub(super) fn cache(origin: SocketAddr) -> String {
    let (host, port) = (origin.ip(), origin.port());
    format!(
        "vcl 4.1;
backend origin {{
    .host = \"{host}\";
    .port = \"{port}\";
}}
"
    )
}

/// Its arguments: in the foreground, with one pool of threads, since it has one core.
pub(super) fn arguments(file: &Path, http1: SocketAddr) -> Vec<PathBuf> {
    let folder = file.with_file_name("work");
    let mut arguments: Vec<PathBuf> = ["-F", "-j", "none", "-p", "thread_pools=1"]
        .into_iter()
        .map(PathBuf::from)
        .collect();
    arguments.extend(["-a".into(), http1.to_string().into()]);
    arguments.extend(["-s".into(), MEMORY.into()]);
    arguments.extend(["-n".into(), folder, "-f".into(), file.into()]);
    arguments
}
