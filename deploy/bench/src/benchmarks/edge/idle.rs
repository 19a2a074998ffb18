//! What connections cost an edge that have had a request and wait for the next.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use http::Request;
use http::header::HOST;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Options;
use super::bulk::mebibytes;
use super::ground::Ground;
use crate::client::Connection;
use crate::figures::number;
use crate::processes::raise_descriptor_limit;

const IDLE: &str = "idle.bench.example";

/// How many connect at once.
const CONNECTING_MAX: usize = 64;

/// How an answer ends: the origin's body.
const ANSWER_END: &[u8] = b"xxxx";

/// Measures.
pub(super) async fn measure(ground: &mut Ground, options: &Options) -> Result<Value> {
    let descriptors = raise_descriptor_limit()?;
    ensure!(
        descriptors > options.idle as u64 + 100,
        "{} connections take more descriptors than the {descriptors} that may be had",
        options.idle
    );
    let upstream = ground.upstream_id.clone();
    ground.route(IDLE, &upstream, 0).await?;
    let edge = ground.edge()?;
    let before = edge.resident_bytes()?;
    let connections = connect(ground.address()?, options.idle).await?;
    let open = open_connections(ground).await?;
    ensure!(
        open >= options.idle as u64,
        "the edge holds {open} connections of {}",
        options.idle
    );
    let with = edge.resident_bytes()?;
    drop(connections);
    let each = with.saturating_sub(before) / options.idle.max(1) as u64;
    println!(
        "\n{} idle connections: {} MiB in memory, {} MiB before, {} KiB each",
        options.idle,
        number(mebibytes(with)),
        number(mebibytes(before)),
        number(mebibytes(each * 1024)),
    );
    Ok(json!({
        "connections": options.idle,
        "memory_before_mib": mebibytes(before),
        "memory_mib": mebibytes(with),
        "bytes_each": each,
    }))
}

async fn connect(edge: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut connections = Vec::with_capacity(count);
    let mut connecting = JoinSet::new();
    for _ in 0..count {
        if connecting.len() == CONNECTING_MAX {
            connections.push(next(&mut connecting).await?);
        }
        connecting.spawn(used(edge));
    }
    while !connecting.is_empty() {
        connections.push(next(&mut connecting).await?);
    }
    Ok(connections)
}

async fn next(connecting: &mut JoinSet<Result<TcpStream>>) -> Result<TcpStream> {
    let ended = connecting.join_next().await.context("nobody connects")?;
    ended.context("a client panicked")?
}

/// A connection that has had a request.
async fn used(edge: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(edge).await.context("no edge")?;
    let head = format!("GET / HTTP/1.1\r\nHost: {IDLE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(ANSWER_END) {
        if stream.read_buf(&mut answer).await? == 0 {
            bail!("no answer: {}", String::from_utf8_lossy(&answer));
        }
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "no success");
    Ok(stream)
}

/// What the edge says.
async fn open_connections(ground: &Ground) -> Result<u64> {
    let admin = ground.admin();
    let request = Request::get("/metrics")
        .header(HOST, &admin)
        .body(Full::default())?;
    let said = Connection::open(&admin).await?.send(request).await?;
    let text = String::from_utf8_lossy(said.body()).into_owned();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("vectorgate_edge_connections_open "));
    let value = value.context("the edge does not count connections")?;
    value.parse().context("a number of connections")
}
