//! Configurations of nginx: as the origin, and as a proxy.

use std::net::SocketAddr;
use std::path::Path;

use super::{ANSWER_BYTES, KEPT_PATH};

/// How many connections to the origin are kept: more than ever are under way.
const KEPT: usize = 512;

/// How many requests a connection takes: no end, as far as a benchmark sees.
const REQUESTS: u64 = 1_000_000_000;

/// An origin that answers everything alike, from memory.
pub(super) fn origin(folder: &Path, http1: SocketAddr) -> String {
    let answer = "x".repeat(ANSWER_BYTES);
    let server = format!(
        "server {{
            listen {http1} backlog=4096;
            location / {{
                default_type text/plain;
                # Nobody answers from a cache but for what is asked for to be kept.
                add_header Cache-Control no-store;
                return 200 \"{answer}\";
            }}
            location {KEPT_PATH} {{
                default_type text/plain;
                add_header Cache-Control \"public, max-age=3600\";
                return 200 \"{answer}\";
            }}
        }}"
    );
    process(folder, &server)
}

/// A proxy.
pub(super) fn proxy(folder: &Path, [http1, http2]: [SocketAddr; 2], origin: SocketAddr) -> String {
    let servers = format!(
        "upstream origin {{
            server {origin};
            keepalive {KEPT};
            keepalive_requests {REQUESTS};
        }}
        server {{
            listen {http1} backlog=4096;
            listen {http2} http2 backlog=4096;
            location / {{
                proxy_pass http://origin;
                proxy_http_version 1.1;
                proxy_set_header Connection \"\";
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Proto $scheme;
            }}
        }}"
    );
    process(folder, &servers)
}

/// A cache.
pub(super) fn cache(folder: &Path, http1: SocketAddr, origin: SocketAddr) -> String {
    let kept = folder.join("kept");
    let kept = kept.display();
    let server = format!(
        "proxy_cache_path {kept} levels=1:2 keys_zone=kept:16m max_size=256m inactive=1h use_temp_path=off;
        open_file_cache max=10000 inactive=1h;
        upstream origin {{
            server {origin};
            keepalive {KEPT};
            keepalive_requests {REQUESTS};
        }}
        server {{
            listen {http1} backlog=4096;
            location / {{
                proxy_pass http://origin;
                proxy_http_version 1.1;
                proxy_set_header Connection \"\";
                proxy_set_header Host $host;
                proxy_cache kept;
                proxy_cache_lock on;
            }}
        }}"
    );
    process(folder, &server)
}

/// One process that serves, without a second that watches over it.
fn process(folder: &Path, http: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
        master_process off;
        worker_processes 1;
        worker_rlimit_nofile 65536;
        pid {folder}/pid;
        error_log stderr error;
        events {{ worker_connections 16384; }}
        http {{
            access_log off;
            keepalive_requests {REQUESTS};
            client_body_temp_path {folder}/client;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            {http}
        }}
        "
    )
}
