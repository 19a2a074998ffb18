//! The process around an edge: arguments, files, logging, signals, exit codes.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use edge::access_log::{AccessLog, Writing};
use edge::assembly::{self, Own, OwnHttps, Ports, StartError};
use edge::network::SharedPorts;
use edge::settings::{AccessLogSettings, LogFormat, LogSettings, Settings, SettingsError};
use edge::store::{DiskDirectory, StoreKey};
use edge::workers::Placement;
use platform::process::{Process, Who};
use platform::tls::{Identity, Peer, certified_key};
use platform::{SystemClock, SystemEntropy, certificate, notify, secret_file};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;

/// Exit code for wrong arguments and settings (`EX_USAGE`).
const USAGE: u8 = 64;

/// Exit code for a fault of ours (`EX_SOFTWARE`).
const SOFTWARE: u8 = 70;

/// Exit code for what the operating system refused (`EX_OSERR`).
const OS_ERROR: u8 = 71;

/// The file of the key in the data directory, where the settings name no other.
const KEY: &str = "key";

/// A VectorGate edge: an HTTP proxy that follows the control plane.
#[derive(Debug, Parser)]
#[command(name = "vectorgate-edge", version)]
pub(crate) struct Arguments {
    /// The settings file (TOML). Variables named `VECTORGATE_SECTION__FIELD` go before it.
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
}

/// Why the process ends before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("a serving thread has ended")]
    Thread,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => USAGE,
            Self::Runtime(_) | Self::Start(_) => OS_ERROR,
            Self::Thread => SOFTWARE,
        }
    }

    /// Says it on standard error, causes included.
    pub(crate) fn report(&self) {
        // When standard error is gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "vectorgate-edge: {}", with_causes(self));
    }
}

/// Answers `--help` and `--version`, and says what is wrong with other arguments.
pub(crate) fn explain(told: &clap::Error) -> ExitCode {
    // When the terminal is gone there is nobody to tell.
    let _ = told.print();
    ExitCode::from(if told.use_stderr() { USAGE } else { 0 })
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::load(&arguments.settings)?;
    start_logging(&settings.log)?;
    raise_descriptor_limit();
    let writing = access_log(&settings.access_log)?;
    // The directory first: it is this process's alone from then on, its key as well.
    let directory = directory(&settings)?;
    let key = store_key(&settings)?;
    let own = Own {
        identity: identity(&settings)?,
        https: https(&settings, &key)?,
        directory: Box::new(directory.sealed(&key, "configurations")),
        access_log: writing.as_ref().map(Writing::log),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let outcome = LocalSet::new().block_on(&runtime, serve(settings, own));
    if let Some(writing) = writing {
        writing.close();
    }
    outcome
}

async fn serve(settings: Settings, own: Own) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    claim(&settings)?;
    let ports = Ports {
        network: SharedPorts::default(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let id = settings.edge.id.clone();
    let process = process(&settings, &own.identity)?;
    let mut edge = assembly::start(settings, ports, own, Placement::Threads).await?;
    edge.metrics().show_process(process);
    let addresses = edge.addresses();
    tracing::info!(edge = id, http = %addresses.http, https = addresses.https.map(tracing::field::display), http3 = addresses.http3.map(tracing::field::display), admin = addresses.admin.map(tracing::field::display), "the edge is running");
    // Whether there is a configuration is `/readyz`' matter: without one this edge still answers.
    notify::tell(notify::READY);
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        () = edge.failed() => return Err(Failure::Thread),
    }
    tracing::info!(edge = id, "stopping");
    notify::tell(notify::STOPPING);
    edge.shut_down().await;
    tracing::info!(edge = id, "stopped");
    Ok(())
}

/// This process, as its metrics show it.
fn process(settings: &Settings, identity: &Identity) -> Result<Process, SettingsError> {
    let mut certificates = Vec::new();
    if let Some(until_s) = identity.not_after_s() {
        certificates.push(("internal", until_s));
    }
    let own = settings
        .https
        .as_ref()
        .and_then(|https| https.cert_file.as_ref());
    if let Some(path) = own {
        let pem =
            std::fs::read(path).map_err(|error| SettingsError::field("https.cert_file", error))?;
        certificates.extend(certificate::pem_not_after_s(&pem).map(|until_s| ("https", until_s)));
    }
    Ok(Process {
        who: Who {
            component: "edge",
            name: settings.edge.id.clone(),
            region: settings.edge.region.clone(),
            environment: settings.edge.environment.clone(),
            version: env!("CARGO_PKG_VERSION"),
        },
        data_dir: settings.edge.data_dir.clone(),
        certificates,
    })
}

/// Takes as many file descriptors as the system lets the process have: each connection is one, and
/// the limit that shells set by default is reached by a thousand clients.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = limit.current, "the limit of file descriptors could not be raised");
    }
}

/// Makes sure that the addresses are this process's alone.
fn claim(settings: &Settings) -> Result<(), StartError> {
    let addresses = [
        Some(settings.http.listen),
        settings.https.as_ref().map(|https| https.listen),
        settings.admin.as_ref().map(|admin| admin.listen),
    ];
    for address in addresses.into_iter().flatten() {
        SharedPorts::claim(address).map_err(|source| StartError::Listen { address, source })?;
    }
    if let Some(http3) = &settings.http3 {
        let address = http3.listen;
        SharedPorts::claim_datagrams(address)
            .map_err(|source| StartError::Listen { address, source })?;
    }
    Ok(())
}

/// The edge's certificate, which must be this edge's.
fn identity(settings: &Settings) -> Result<Identity, SettingsError> {
    let tls = &settings.tls;
    secret_file::refuse_exposed(&tls.key_file)
        .map_err(|error| SettingsError::field("tls.key_file", with_causes(&error)))?;
    let identity = Identity::load(&tls.ca_file, &tls.cert_file, &tls.key_file)
        .map_err(|error| SettingsError::field("tls", with_causes(&error)))?;
    let id = &settings.edge.id;
    match identity.peer() {
        Some(Peer::Edge(named)) if named == *id => Ok(identity),
        found => {
            let found =
                found.map_or_else(|| "nobody of ours".to_owned(), |peer| format!("{peer:?}"));
            Err(SettingsError::field(
                "tls.cert_file",
                format!("the certificate names {found}, not edge {id}"),
            ))
        }
    }
}

/// What clients are shown, where the edge speaks TLS with them.
fn https(settings: &Settings, key: &StoreKey) -> Result<Option<OwnHttps>, SettingsError> {
    if settings.https.is_none() {
        return Ok(None);
    }
    let vault = DiskDirectory::open(&settings.edge.data_dir.join("certificates"))
        .map_err(|error| SettingsError::field("edge.data_dir", error))?;
    Ok(Some(OwnHttps {
        certificate: certificate(settings)?,
        vault: Box::new(vault.sealed(key, "certificates")),
    }))
}

/// What clients are shown where no route says otherwise.
fn certificate(settings: &Settings) -> Result<Option<CertifiedKey>, SettingsError> {
    let Some((cert_file, key_file)) = settings
        .https
        .as_ref()
        .and_then(|https| https.cert_file.as_ref().zip(https.key_file.as_ref()))
    else {
        return Ok(None);
    };
    let key = secret_file::read(key_file)
        .map_err(|error| SettingsError::field("https.key_file", with_causes(&error)))?;
    let cert =
        std::fs::read(cert_file).map_err(|error| SettingsError::field("https.cert_file", error))?;
    certified_key(&cert, key.as_bytes())
        .map(Some)
        .map_err(|error| SettingsError::field("https.cert_file", with_causes(&error)))
}

fn directory(settings: &Settings) -> Result<DiskDirectory, SettingsError> {
    DiskDirectory::open(&settings.edge.data_dir)
        .map_err(|error| SettingsError::field("edge.data_dir", error))
}

/// The key that everything on the edge's disk is sealed with.
fn store_key(settings: &Settings) -> Result<StoreKey, SettingsError> {
    let edge = &settings.edge;
    let (field, path) = match &edge.data_key_file {
        Some(path) => ("edge.data_key_file", path.clone()),
        None => ("edge.data_dir", edge.data_dir.join(KEY)),
    };
    StoreKey::load_or_make(&path, &SystemEntropy).map_err(|error| {
        SettingsError::field(
            field,
            format!("{}: {}", path.display(), with_causes(&error)),
        )
    })
}

/// Starts the access log, if there is to be one.
fn access_log(settings: &AccessLogSettings) -> Result<Option<Writing>, SettingsError> {
    if !settings.is_on() {
        return Ok(None);
    }
    let sink: Box<dyn Write + Send> = match &settings.file {
        None => Box::new(io::stdout()),
        Some(path) => {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)
                .map_err(|error| SettingsError::field("access_log.file", error))?;
            Box::new(file)
        }
    };
    AccessLog::start(settings.sample, Box::new(BufWriter::new(sink)))
        .map(Some)
        .map_err(|error| SettingsError::field("access_log", error))
}

fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}

fn start_logging(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|error| SettingsError::field("log.level", error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match settings.format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
