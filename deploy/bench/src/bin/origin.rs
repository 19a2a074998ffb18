//! The demonstration's origin server: `vectorgate-origin --settings FILE`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bench::origin::{Settings, serve};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A small HTTP origin for demonstrations and benchmarks.
#[derive(Parser)]
struct Arguments {
    /// TOML: a section `origin` with `name` and `listen`
    #[arg(long)]
    settings: PathBuf,
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vectorgate-origin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<()> {
    let path = arguments.settings.display();
    let text = std::fs::read_to_string(&arguments.settings)
        .with_context(|| format!("{path} cannot be read"))?;
    let settings: Settings =
        toml::from_str(&text).with_context(|| format!("{path} is not as it should be"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(run(settings))
}

async fn run(settings: Settings) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?;
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(settings.origin, stopped));
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.send_replace(true);
    });
    serving.await.context("the server panicked")?
}
