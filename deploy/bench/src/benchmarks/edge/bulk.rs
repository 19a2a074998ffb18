//! What an edge holds in memory while much is sent through one connection, down and up. Client and
//! origin are plain sockets of this process: neither holds more than a buffer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Options;
use super::ground::Ground;
use crate::figures::{Table, number};

const GIBIBYTE: u64 = 1024 * 1024 * 1024;

/// What is written and read at a time.
const PIECE: usize = 256 * 1024;

const HOST: &str = "bulk.bench.example";

/// Longer heads are no heads.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The figures of one direction.
#[derive(Debug, Serialize)]
struct Row {
    direction: &'static str,
    gibibytes: u64,
    mib_per_second: f64,
    memory_before_mib: f64,
    memory_peak_mib: f64,
    memory_after_mib: f64,
}

/// Measures.
pub(super) async fn measure(ground: &mut Ground, options: &Options) -> Result<Value> {
    let length = options.gibibytes * GIBIBYTE;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).await.context("a port")?;
    let upstream = ground.upstream(listener.local_addr()?.port()).await?;
    let origin = tokio::spawn(serve(listener, length));
    ground.route(HOST, &upstream, 0).await?;
    let rows = [
        row(ground, "down", options, download(ground.address()?, length)).await?,
        row(ground, "up", options, upload(ground.address()?, length)).await?,
    ];
    origin.abort();
    print!("\n{}", table(&rows));
    Ok(json!(rows))
}

async fn row(
    ground: &Ground,
    direction: &'static str,
    options: &Options,
    transfer: impl Future<Output = Result<()>>,
) -> Result<Row> {
    let edge = ground.edge()?;
    let before = edge.resident_bytes()?;
    edge.forget_peak()?;
    let began = Instant::now();
    transfer.await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Row {
        direction,
        gibibytes: options.gibibytes,
        mib_per_second: mebibytes(options.gibibytes * GIBIBYTE) / seconds,
        memory_before_mib: mebibytes(before),
        memory_peak_mib: mebibytes(edge.peak_bytes()?),
        memory_after_mib: mebibytes(edge.resident_bytes()?),
    })
}

/// A number of bytes in MiB.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0
}

/// An origin: gives `length` bytes to `GET /bulk`, takes as many with `PUT`, and answers anything
/// else with nothing.
async fn serve(listener: TcpListener, length: u64) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context("no connection")?;
        // Whoever breaks a connection fails the transfer on the other side.
        tokio::spawn(async move { drop(answer(stream, length).await) });
    }
}

async fn answer(mut stream: TcpStream, length: u64) -> Result<()> {
    loop {
        let (head, rest) = read_head(&mut stream).await?;
        if head.starts_with("GET /bulk") {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            write_zeroes(&mut stream, length).await?;
            continue;
        }
        if head.starts_with("PUT") {
            read_body(&mut stream, length, rest).await?;
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await?;
    }
}

async fn download(edge: SocketAddr, length: u64) -> Result<()> {
    let mut stream = TcpStream::connect(edge).await.context("no edge")?;
    let head = format!("GET /bulk HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let (head, rest) = read_head(&mut stream).await?;
    ensure!(head.starts_with("HTTP/1.1 200"), "no success: {head}");
    read_body(&mut stream, length, rest).await
}

async fn upload(edge: SocketAddr, length: u64) -> Result<()> {
    let mut stream = TcpStream::connect(edge).await.context("no edge")?;
    let head = format!("PUT /bulk HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    write_zeroes(&mut stream, length).await?;
    let (head, _) = read_head(&mut stream).await?;
    ensure!(head.starts_with("HTTP/1.1 200"), "no success: {head}");
    Ok(())
}

/// A head, and how many bytes came behind it.
async fn read_head(stream: &mut TcpStream) -> Result<(String, u64)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok((head, (bytes.len() - end - 4) as u64));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            bail!("no head");
        }
    }
}

async fn read_body(stream: &mut TcpStream, length: u64, mut read: u64) -> Result<()> {
    let mut piece = vec![0; PIECE];
    while read < length {
        let count = stream.read(&mut piece).await?;
        ensure!(count > 0, "the body ends after {read} of {length} bytes");
        read += count as u64;
    }
    ensure!(read == length, "{read} bytes instead of {length}");
    Ok(())
}

async fn write_zeroes(stream: &mut TcpStream, length: u64) -> Result<()> {
    let piece = vec![0; PIECE];
    let mut left = length;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream.write_all(&piece[..count]).await?;
        left -= count as u64;
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new([
        "one connection",
        "GiB",
        "MiB/s",
        "memory before MiB",
        "peak",
        "after",
    ]);
    for row in rows {
        table.row([
            row.direction.to_owned(),
            row.gibibytes.to_string(),
            number(row.mib_per_second),
            number(row.memory_before_mib),
            number(row.memory_peak_mib),
            number(row.memory_after_mib),
        ]);
    }
    table.render()
}
