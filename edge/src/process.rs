//! The process around an edge: arguments, files, logging, signals, exit codes.

mod verify;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use edge::access_log::{AccessLog, Writing};
use edge::assembly::{self, Own, OwnHttps, Ports, StartError};
use edge::enrolment::{self, EnrolError, Enrolled, Folder};
use edge::network::SharedPorts;
use edge::nodes::KnownNodes;
use edge::settings::{AccessLogSettings, LogFormat, LogSettings, Settings, SettingsError};
use edge::store::{DiskDirectory, StoreKey};
use edge::workers::Placement;
use platform::certificate::Term;
use platform::process::{Process, Who};
use platform::renewal::{self, OwnCertificate};
use platform::tls::{Identity, Peer, PublicCertificate, TlsError};
use platform::trace::{Export, Lines, SpanCounts, Tracer};
use platform::{Clock, Entropy, SystemClock, SystemEntropy, notify, secret_file};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;
use verify::VerifyError;

/// Exit code for wrong arguments and settings (`EX_USAGE`).
const USAGE: u8 = 64;

/// Exit code for a fault of ours (`EX_SOFTWARE`).
const SOFTWARE: u8 = 70;

/// Exit code for what the operating system refused (`EX_OSERR`).
const OS_ERROR: u8 = 71;

/// Exit code for an edge that the cluster does not let in (`EX_NOPERM`).
const NO_PERMISSION: u8 = 77;
/// How long an edge whose certificate has ended tries to come by another before it serves without: what it has on its
/// disk is good, and nobody waits for the control plane.
const ENROLLED_WITHIN: Duration = Duration::from_secs(20);

/// The file of the key in the data directory, where the settings name no other.
const KEY: &str = "key";

/// A VectorGate edge: an HTTP proxy that follows the control plane.
#[derive(Debug, Parser)]
#[command(name = "vectorgate-edge", version)]
pub(crate) struct Arguments {
    /// The settings file (TOML). Variables named `VECTORGATE_SECTION__FIELD` go before it.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Clone, Debug, Subcommand)]
enum Task {
    /// Comes by a certificate with the join token of the settings, keeps it in `edge.data_dir`, and ends. An edge
    /// that is started without one does the same first.
    Enrol,
    /// Verifies a snapshot's signature, as `GET /v2/snapshots/{id}/signature` gives it, without any node. Needs no
    /// settings.
    #[command(after_help = verify::EXITS)]
    Verify(verify::Verification),
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
    #[error(transparent)]
    Enrolment(#[from] EnrolError),
    #[error("--settings FILE is missing")]
    NoSettings,
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::NoSettings => USAGE,
            Self::Verify(error) => error.exit_code(),
            Self::Runtime(_) | Self::Start(_) | Self::Enrolment(EnrolError::Keep(_)) => OS_ERROR,
            Self::Enrolment(EnrolError::Token(_)) => USAGE,
            Self::Enrolment(_) => NO_PERMISSION,
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
    if let Some(Task::Verify(verification)) = &arguments.task {
        return Ok(verification.run()?);
    }
    let file = arguments.settings.as_ref().ok_or(Failure::NoSettings)?;
    let mut settings = Settings::load(file)?;
    start_logging(&settings.log)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let only_enrols = matches!(arguments.task, Some(Task::Enrol));
    let enrolled = LocalSet::new().block_on(&runtime, enrolled(&mut settings, !only_enrols))?;
    if only_enrols {
        return Ok(());
    }
    let writing = access_log(&settings.access_log)?;
    // The directory first: it is this process's alone from then on, its key as well.
    let directory = directory(&settings)?;
    let key = store_key(&settings)?;
    let own = Own {
        identity: identity(&settings, enrolled.as_ref())?,
        nodes: nodes(&settings, enrolled.as_ref()),
        https: https(&settings, &key)?,
        directory: Box::new(directory.sealed(&key, "configurations")),
        access_log: writing.as_ref().map(Writing::log),
        trust: settings.trusted()?,
        environment_id: settings.environment_id(
            enrolled
                .as_ref()
                .and_then(|(enrolled, _)| enrolled.environment_id.as_ref()),
        )?,
    };
    let export = Export::start(&settings.tracing, &who(&settings));
    let export = export.map_err(|error| SettingsError::field(error.field, error.reason))?;
    let (tracer, export) = export.unzip();
    let tracing = (
        tracer.unwrap_or_default(),
        export.as_ref().map(Export::counts).unwrap_or_default(),
    );
    let outcome = LocalSet::new().block_on(&runtime, serve(settings, own, enrolled, tracing));
    if let Some(writing) = writing {
        writing.close();
    }
    if let Some(export) = export {
        export.close();
    }
    outcome
}

/// What the edge came by with a join token, now or before, unless its certificate is its operator's. The
/// settings say from then on what that says.
/// An edge that `may_wait` for that has a configuration to serve by, and does so without a certificate as well.
async fn enrolled(
    settings: &mut Settings,
    may_wait: bool,
) -> Result<Option<(Enrolled, Folder)>, Failure> {
    if settings.enrolment.is_none() {
        return Ok(None);
    }
    let folder = DiskDirectory::open(&settings.edge.data_dir.join("identity"))
        .map_err(|error| SettingsError::field("edge.data_dir", error))?;
    let folder = Folder(Arc::new(folder));
    let now_s = SystemClock.now().0 / 1000;
    let kept = folder.find().map_err(EnrolError::Keep)?;
    let kept = kept.filter(|kept| kept.edge_id == settings.edge.id);
    let enrolled = match kept.filter(|kept| is_for(kept, settings) || !has_token(settings)) {
        Some(kept) if kept.papers.until_s > now_s => {
            tell_of_token(settings, &kept);
            kept
        }
        Some(kept) if may_wait => {
            let again = timeout(ENROLLED_WITHIN, enrol(settings, &folder));
            match again.await {
                Ok(Ok(came)) => came,
                failed => {
                    let reason = match failed {
                        Ok(Err(error)) => with_causes(&error),
                        _ => "no node has answered in time".to_owned(),
                    };
                    tracing::error!(%reason, "the edge's certificate has ended and it came by no other; it serves by what it has");
                    kept
                }
            }
        }
        _ => enrol(settings, &folder).await?,
    };
    settings.take_papers(&enrolled.papers)?;
    Ok(Some((enrolled, folder)))
}

/// Whether what is kept is for the environment that the settings name, if they name one. With a token, the edge comes by another certificate
/// for another one.
fn is_for(kept: &Enrolled, settings: &Settings) -> bool {
    let environment = &settings.edge.environment;
    environment.is_empty() || *environment == kept.papers.environment
}

/// Whether there is a token, whatever it is worth.
fn has_token(settings: &Settings) -> bool {
    settings.enrolment.as_ref().is_some_and(|enrolment| {
        let file = enrolment.token_file.as_ref();
        enrolment.token.is_some() || file.is_some_and(|path| path.exists())
    })
}

/// A token that is left over does nothing while the certificate holds. Whoever has just put it there would wait for it.
fn tell_of_token(settings: &Settings, kept: &Enrolled) {
    if has_token(settings) {
        tracing::info!(
            edge = kept.edge_id,
            environment = kept.papers.environment,
            until_s = kept.papers.until_s,
            "the join token is not used: the edge has a certificate that holds; to come by another one, remove edge.data_dir/identity first"
        );
    }
}

/// Comes by a certificate with the join token of the settings.
async fn enrol(settings: &Settings, folder: &Folder) -> Result<Enrolled, Failure> {
    let token = match &settings.enrolment {
        Some(enrolment) => enrolment.token()?,
        None => None,
    };
    let Some(token) = token else {
        let what = "there is no token, and the edge has no certificate that is valid";
        return Err(SettingsError::field("enrolment", what).into());
    };
    let id = &settings.edge.id;
    let outside = (
        &SystemClock as &dyn Clock,
        Arc::new(SystemEntropy) as Arc<dyn Entropy>,
    );
    let network = SharedPorts::default();
    let came = enrolment::enrol(&network, outside, folder, (&token, id)).await?;
    tracing::info!(
        edge = id,
        until_s = came.papers.until_s,
        "the edge came by a certificate"
    );
    Ok(came)
}

async fn serve(
    settings: Settings,
    own: Own,
    enrolled: Option<(Enrolled, Folder)>,
    (tracer, spans): (Tracer, Arc<SpanCounts>),
) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    claim(&settings)?;
    let ports = Ports {
        network: SharedPorts::default(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        tracer,
    };
    let id = settings.edge.id.clone();
    let shown = own
        .https
        .as_ref()
        .and_then(|https| https.certificate.clone());
    let process = process(
        &settings,
        keep_certificates_current(&settings, (&own.identity, &own.nodes), shown, enrolled),
        spans,
    );
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

/// This process, as its metrics and traces name it.
fn who(settings: &Settings) -> Who {
    Who {
        component: "edge",
        name: settings.edge.id.clone(),
        region: settings.edge.region.clone(),
        environment: settings.edge.environment.clone(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// This process, as its metrics show it.
fn process(
    settings: &Settings,
    certificates: Vec<Arc<OwnCertificate>>,
    spans: Arc<SpanCounts>,
) -> Process {
    Process {
        who: who(settings),
        data_dir: settings.edge.data_dir.clone(),
        certificates,
        spans,
    }
}

/// Follows the certificates' files for as long as the process runs.
fn keep_certificates_current(
    settings: &Settings,
    (identity, nodes): (&Identity, &KnownNodes),
    shown: Option<PublicCertificate>,
    enrolled: Option<(Enrolled, Folder)>,
) -> Vec<Arc<OwnCertificate>> {
    let own = |use_for, term: Option<Term>| {
        Arc::new(OwnCertificate::new(use_for, term.unwrap_or_default()))
    };
    let mut certificates = Vec::new();
    if let Some(tls) = &settings.tls {
        let internal = own("internal", identity.term());
        certificates.push(Arc::clone(&internal));
        tokio::spawn(renewal::keep_identity_current(
            identity.clone(),
            [&tls.ca_file, &tls.cert_file, &tls.key_file].map(Clone::clone),
            internal,
            Arc::new(SystemClock),
        ));
    }
    if let Some((enrolled, folder)) = enrolled {
        let renewed = own("enrolled", Some(enrolled.term()));
        certificates.push(Arc::clone(&renewed));
        let (identity, nodes) = (identity.clone(), nodes.clone());
        let counted = Arc::clone(&renewed);
        let renewing = move || {
            // What was kept since counts.
            let kept = folder.find().ok().flatten();
            enrolment::keep_renewed(
                SharedPorts::default(),
                (Arc::new(SystemClock), Arc::new(SystemEntropy)),
                folder.clone(),
                (kept.unwrap_or_else(|| enrolled.clone()), identity.clone()),
                (Arc::clone(&counted), nodes.clone()),
            )
        };
        tokio::spawn(renewal::restarted(renewed, renewing));
    }
    let files = settings
        .https
        .as_ref()
        .and_then(|https| https.cert_file.clone().zip(https.key_file.clone()));
    if let Some((shown, (cert_file, key_file))) = shown.zip(files) {
        let https = own("https", shown.term());
        certificates.push(Arc::clone(&https));
        tokio::spawn(renewal::keep_public_current(
            shown,
            [cert_file, key_file],
            https,
            Arc::new(SystemClock),
        ));
    }
    certificates
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
fn identity(
    settings: &Settings,
    enrolled: Option<&(Enrolled, Folder)>,
) -> Result<Identity, SettingsError> {
    let (field, identity) = match (&settings.tls, enrolled) {
        (Some(tls), _) => {
            secret_file::refuse_exposed(&tls.key_file)
                .map_err(|error| SettingsError::field("tls.key_file", with_causes(&error)))?;
            let identity = Identity::load(&tls.ca_file, &tls.cert_file, &tls.key_file);
            let identity = identity.map_err(|error| {
                let field = match error {
                    TlsError::Rustls(_) => "tls.cert_file",
                    _ => "tls",
                };
                SettingsError::field(field, with_causes(&error))
            })?;
            ("tls.cert_file", identity)
        }
        (None, Some((enrolled, _))) => {
            let identity = enrolled.identity();
            let identity =
                identity.map_err(|error| SettingsError::field("enrolment", with_causes(&error)))?;
            ("enrolment", identity)
        }
        (None, None) => return Err(SettingsError::field("tls", "it is missing")),
    };
    let id = &settings.edge.id;
    match identity.peer() {
        Some(Peer::Edge(named)) if named == *id => Ok(identity),
        found => {
            let found =
                found.map_or_else(|| "nobody of ours".to_owned(), |peer| format!("{peer:?}"));
            Err(SettingsError::field(
                field,
                format!("the certificate names {found}, not edge {id}"),
            ))
        }
    }
}

/// Where nodes are: those of the settings first, and behind them those that came with the certificate.
fn nodes(settings: &Settings, enrolled: Option<&(Enrolled, Folder)>) -> KnownNodes {
    let told = enrolled.map(|(enrolled, _)| enrolled.papers.nodes.clone());
    KnownNodes::new(settings.control.nodes.clone(), told.unwrap_or_default())
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
fn certificate(settings: &Settings) -> Result<Option<PublicCertificate>, SettingsError> {
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
    PublicCertificate::from_pem(&cert, key.as_bytes())
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
        LogFormat::Json => lines.json().event_format(Lines::default()).init(),
    }
    Ok(())
}
