//! The process around a node: arguments, files, logging, signals, exit codes.

mod audit;
mod authority;
mod backup;
mod operators;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use node::assembly::{self, Ports, Running, StartError};
use node::backup::BackupError;
use node::bootstrap::command::{self, BootstrapError};
use node::ca::CaError;
use node::consensus::membership::command::OperatorError;
use node::enrolment::{EdgeAuthority, Enrolment};
use node::halt::FatalReason;
use node::keys::KeyRing;
use node::sealing::KekRing;
use node::settings::{LogFormat, LogSettings, SecuritySettings, Settings, SettingsError};
use platform::certificate::{self, Term};
use platform::process::{Process, Who};
use platform::renewal::{self, OwnCertificate};
use platform::tls::{Identity, Peer, PublicCertificate};
use platform::trace::{Export, Lines, SpanCounts};
use platform::{SystemClock, SystemEntropy, TokioNetwork};
use platform::{notify, secret_file};
use raft_store::Storage;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use audit::{AuditError, AuditTask};
use authority::CaTask;
use backup::{BackupTask, Create, Recover, Restore};
use operators::OperatorTask;

/// Exit code for wrong arguments and settings (`EX_USAGE`).
const USAGE: u8 = 64;

/// Exit code for what the operating system refused (`EX_OSERR`).
const OS_ERROR: u8 = 71;

/// Exit code for what may be over in a moment (`EX_TEMPFAIL`), so that a service manager starts the process again.
const TRY_AGAIN: u8 = 75;

/// What is wrong with an authority for edges that can sign for nodes.
const SHARED_AUTHORITY: &str = "it holds an authority of tls.ca_file; edges have an authority of their own, which signs for no node: make one with vectorgate-node ca init --dir DIR";

/// A VectorGate control-plane node.
#[derive(Debug, Parser)]
#[command(name = "vectorgate-node", version)]
pub(crate) struct Arguments {
    /// The settings file.
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Prints the OpenAPI document of the REST API. Needs no settings.
    Openapi,
    /// Makes the first workspace of a running cluster and prints its keys, once.
    Bootstrap {
        /// The workspace's name.
        #[arg(long, default_value = "Default")]
        workspace_name: String,
    },
    /// Makes an authority, issues certificates for nodes and edges, and replaces it. Needs no settings.
    #[command(subcommand)]
    Ca(CaTask),
    /// Looks into what was exported of the audit log. Needs no settings.
    #[command(subcommand)]
    Audit(AuditTask),
    /// Makes, verifies and restores backups.
    #[command(subcommand)]
    Backup(BackupTask),
    /// Makes a cluster of one voter of what this stopped node has, where most voters are gone for good.
    Recover(Recover),
    #[command(flatten)]
    Operator(OperatorTask),
}

/// What is asked of a cluster, by the settings of one of its nodes.
enum AtCluster {
    Bootstrap { workspace_name: String },
    Backup(Create),
    Restore(Restore),
    Recover(Recover),
    Operator(OperatorTask),
}

/// Why the process ends before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("--settings FILE is missing")]
    NoSettings,
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("setting {field}: {reason}")]
    File { field: &'static str, reason: String },
    #[error("setting {field}: {reason}")]
    Passing { field: &'static str, reason: String },
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What `doctor` found, which is to be printed.
    #[error("the cluster is not well")]
    Unwell(String),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("cannot write the answer")]
    Output(#[source] std::io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        let code = match self {
            Self::NoSettings | Self::Settings(_) | Self::File { .. } => return USAGE,
            Self::Passing { .. } => return TRY_AGAIN,
            Self::Runtime(_) | Self::Output(_) => return OS_ERROR,
            Self::Start(error) => error.exit_code(),
            Self::Bootstrap(error) => error.exit_code(),
            Self::Operator(error) => error.exit_code(),
            Self::Ca(error) => error.exit_code(),
            Self::Audit(error) => error.exit_code(),
            Self::Unwell(_) => 1,
            Self::Backup(error) => error.exit_code(),
        };
        u8::try_from(code).unwrap_or(1)
    }

    /// Says it on standard error, causes included; what somebody asked to be told, on standard output.
    pub(crate) fn report(&self) {
        if let Self::Unwell(found) = self {
            // When standard output is gone there is nobody to tell.
            let _ = print(found);
            return;
        }
        let mut line = format!("vectorgate-node: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(&format!(": {error}"));
            cause = error.source();
        }
        // When standard error is gone there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    fn file(field: &'static str, error: impl std::fmt::Display) -> Self {
        Self::File {
            field,
            reason: error.to_string(),
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let task = match arguments.task {
        Some(Task::Openapi) => return print(node::rest::openapi::text().trim_end()),
        Some(Task::Ca(task)) => return print(&authority::run(task)?),
        Some(Task::Audit(task)) => return print(audit::run(&task)?.trim_end()),
        Some(Task::Backup(BackupTask::Verify(asked))) => return print(&backup::verify(&asked)?),
        Some(Task::Backup(BackupTask::Create(asked))) => Some(AtCluster::Backup(asked)),
        Some(Task::Backup(BackupTask::Restore(asked))) => Some(AtCluster::Restore(asked)),
        Some(Task::Recover(asked)) => Some(AtCluster::Recover(asked)),
        Some(Task::Bootstrap { workspace_name }) => Some(AtCluster::Bootstrap { workspace_name }),
        Some(Task::Operator(task)) => Some(AtCluster::Operator(task)),
        None => None,
    };
    let file = arguments.settings.ok_or(Failure::NoSettings)?;
    let settings = Settings::load(&file, std::env::vars())?;
    start_logging(&settings.log)?;
    let identity = identity(&settings)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = settings.node.worker_threads {
        runtime.worker_threads(threads.get());
    }
    let runtime = runtime.enable_all().build().map_err(Failure::Runtime)?;
    match task {
        None => runtime.block_on(serve(settings, identity)),
        Some(AtCluster::Bootstrap { workspace_name }) => {
            let made = runtime.block_on(command::run(
                TokioNetwork,
                &identity,
                &settings,
                &workspace_name,
            ))?;
            let text =
                serde_json::to_string(&made).map_err(|error| Failure::Output(error.into()))?;
            print(&text)
        }
        Some(AtCluster::Backup(asked)) => {
            print(&runtime.block_on(backup::create(&asked, &identity, &settings))?)
        }
        Some(AtCluster::Restore(asked)) => {
            print(&runtime.block_on(backup::restore(&asked, &settings))?)
        }
        Some(AtCluster::Recover(asked)) => {
            print(&runtime.block_on(backup::recover(&asked, &settings))?)
        }
        Some(AtCluster::Operator(task)) => {
            let text = runtime.block_on(operators::run(task, &identity, &settings))?;
            print(text.trim_end())
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(Failure::Output)
}

async fn serve(settings: Settings, identity: Identity) -> Result<(), Failure> {
    let keys = keys(&settings.security).await?;
    let public = public(&settings)?;
    let rest_tls = public.as_ref().map(PublicCertificate::server).transpose();
    let rest_tls = rest_tls.map_err(|error| Failure::file("rest", with_cause(&error)))?;
    let enrolment = enrolment(&settings)?;
    let mut certificates = keep_certificates_current(&settings, &identity, public);
    certificates.extend(keep_enrolment_current(&settings, enrolment.as_ref()));
    let export = Export::start(&settings.tracing, &who(&settings));
    let export = export.map_err(|error| Failure::File {
        field: error.field,
        reason: error.reason,
    })?;
    let (tracer, export) = export.unzip();
    let spans = export.as_ref().map(Export::counts).unwrap_or_default();
    let process = process(&settings, certificates, spans);
    let ports = Ports {
        network: TokioNetwork,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        storage: Storage::Rocks {
            dir: settings.node.data_dir.clone(),
        },
        identity,
        enrolment,
        keys,
        rest_tls,
        fatal: Arc::new(end),
        tracer: tracer.unwrap_or_default(),
    };
    let mut terminated = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let id = settings.node.id;
    let running: Running = assembly::start(settings, ports).await?;
    running.metrics().show_process(process);
    let assembly::Addresses {
        rest,
        internal,
        publisher,
        admin,
        metrics,
    } = running.addresses();
    tracing::info!(node = id, %rest, %internal, %publisher, ?admin, ?metrics, "the node is running");
    // Whether there is a leader is `/readyz`' matter: without one this node still answers.
    notify::tell(notify::READY);
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!(node = id, "stopping");
    notify::tell(notify::STOPPING);
    running.shut_down().await;
    if let Some(export) = export {
        export.close();
    }
    tracing::info!(node = id, "stopped");
    Ok(())
}

/// The secrets that all nodes share: the pepper, and key-encryption keys where there are any.
async fn keys(security: &SecuritySettings) -> Result<KeyRing, Failure> {
    let keys = KeyRing::load(&security.pepper_file)
        .map_err(|error| Failure::file("security.pepper_file", with_cause(&error)))?;
    let peppers: Vec<_> = keys.peppers().map(|pepper| pepper.id()).collect();
    tracing::info!(?peppers, "this node has peppers to hash keys under");
    let keks = match (&security.kek_file, security.kek_command.as_slice()) {
        (Some(file), _) => KekRing::load(file)
            .map_err(|error| Failure::file("security.kek_file", with_cause(&error)))?,
        (None, []) => {
            tracing::info!(
                "secrets are sealed under a key that is made of the pepper; security.kek_file or \
                 security.kek_command gives them a key of their own"
            );
            return Ok(keys);
        }
        (None, command) => KekRing::ask(command).await.map_err(|error| {
            let (field, reason) = ("security.kek_command", with_cause(&error));
            if error.is_passing() {
                Failure::Passing { field, reason }
            } else {
                Failure::file(field, reason)
            }
        })?,
    };
    tracing::info!(keys = ?keks, "this node has keys to seal secrets under");
    Ok(keys.with_keks(keks))
}

/// This process, as its metrics and traces name it.
fn who(settings: &Settings) -> Who {
    Who {
        component: "node",
        name: settings.node.id.to_string(),
        region: settings.node.region.clone(),
        environment: String::new(),
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
        data_dir: settings.node.data_dir.clone(),
        certificates,
        spans,
    }
}

/// Follows the certificates' files for as long as the process runs.
fn keep_certificates_current(
    settings: &Settings,
    identity: &Identity,
    public: Option<PublicCertificate>,
) -> Vec<Arc<OwnCertificate>> {
    let own = |use_for, term: Option<Term>| {
        Arc::new(OwnCertificate::new(use_for, term.unwrap_or_default()))
    };
    let internal = own("internal", identity.term());
    let tls = &settings.tls;
    tokio::spawn(renewal::keep_identity_current(
        identity.clone(),
        [&tls.ca_file, &tls.cert_file, &tls.key_file].map(Clone::clone),
        Arc::clone(&internal),
        Arc::new(SystemClock),
    ));
    let mut certificates = vec![internal];
    let rest = &settings.rest;
    if let Some(((public, cert_file), key_file)) = public
        .zip(rest.cert_file.clone())
        .zip(rest.key_file.clone())
    {
        let shown = own("rest", public.term());
        certificates.push(Arc::clone(&shown));
        tokio::spawn(renewal::keep_public_current(
            public,
            [cert_file, key_file],
            shown,
            Arc::new(SystemClock),
        ));
    }
    certificates
}

/// Ends the process at once: what is in memory must not be acknowledged any more.
fn end(reason: &FatalReason) {
    tracing::error!(%reason, "the node cannot go on");
    leave(reason.exit_code());
}

/// Ends the process with this exit code and without C++'s destructors of static objects: where a
/// database is still open, RocksDB's threads go on using theirs and would abort. Nothing is lost
/// by it, because nothing is acknowledged before it is synced.
pub(crate) fn leave(code: i32) -> ! {
    // When standard output is gone there is nobody to tell.
    let _ = std::io::stdout().flush();
    signal_hook::low_level::exit(code)
}

/// The node's certificate, which must be this node's.
fn identity(settings: &Settings) -> Result<Identity, Failure> {
    let tls = &settings.tls;
    secret_file::refuse_exposed(&tls.key_file)
        .map_err(|error| Failure::file("tls.key_file", error))?;
    let identity = Identity::load(&tls.ca_file, &tls.cert_file, &tls.key_file)
        .map_err(|error| Failure::file("tls", with_cause(&error)))?;
    let id = settings.node.id;
    match identity.peer() {
        Some(Peer::Node(named)) if named == id => Ok(identity),
        found => {
            let found =
                found.map_or_else(|| "nobody of ours".to_owned(), |peer| format!("{peer:?}"));
            Err(Failure::file(
                "tls.cert_file",
                format!("the certificate names {found}, not node {id}"),
            ))
        }
    }
}

/// What lets edges in by join tokens, if anything does.
fn enrolment(settings: &Settings) -> Result<Option<Enrolment>, Failure> {
    let Some(enrolment) = &settings.enrolment else {
        return Ok(None);
    };
    let tls = &settings.tls;
    let key = secret_file::read(&enrolment.key_file)
        .map_err(|error| Failure::file("enrolment.key_file", with_cause(&error)))?;
    let key = Zeroizing::new(key);
    let bundle = read("enrolment.ca_file", &enrolment.ca_file)?;
    let fails = |error: &dyn Error| Failure::file("enrolment.ca_file", with_cause(error));
    let text = std::str::from_utf8(&bundle).map_err(|error| fails(&error))?;
    let nodes = read("tls.ca_file", &tls.ca_file)?;
    if certificate::share_authority(&nodes, &bundle) {
        return Err(Failure::file("enrolment.ca_file", SHARED_AUTHORITY));
    }
    let authority = EdgeAuthority::read(text, &key).map_err(|error| fails(&error))?;
    let both = [&nodes[..], b"\n", &bundle].concat();
    let cert = read("tls.cert_file", &tls.cert_file)?;
    let key = Zeroizing::new(read("tls.key_file", &tls.key_file)?);
    let identity = Identity::from_pem(&both, &cert, &key).map_err(|error| fails(&error))?;
    Ok(Some(Enrolment {
        authority,
        identity,
        lasts: Duration::from_secs(u64::from(enrolment.certificate_hours) * 60 * 60),
    }))
}

/// Follows the files of what lets edges in for as long as the process runs.
fn keep_enrolment_current(
    settings: &Settings,
    enrolment: Option<&Enrolment>,
) -> Option<Arc<OwnCertificate>> {
    let (files, enrolment) = settings.enrolment.as_ref().zip(enrolment)?;
    let bundle = std::fs::read(&files.ca_file).ok();
    let term = bundle.and_then(|pem| certificate::pem_term(&pem));
    let own = Arc::new(OwnCertificate::new("enrolment", term.unwrap_or_default()));
    let tls = &settings.tls;
    let authority = enrolment.authority.clone();
    tokio::spawn(renewal::keep_authority_current(
        enrolment.identity.clone(),
        (
            [&tls.ca_file, &files.ca_file].map(Clone::clone),
            tls.cert_file.clone(),
        ),
        [&tls.key_file, &files.key_file].map(Clone::clone),
        move |bundle, key| {
            let outcome = authority.replace(bundle, key);
            outcome.map_err(|error| error.to_string())
        },
        Arc::clone(&own),
        Arc::new(SystemClock),
    ));
    Some(own)
}

/// The certificate for REST clients, if there is one.
fn public(settings: &Settings) -> Result<Option<PublicCertificate>, Failure> {
    let (Some(cert), Some(key)) = (&settings.rest.cert_file, &settings.rest.key_file) else {
        return Ok(None);
    };
    secret_file::refuse_exposed(key).map_err(|error| Failure::file("rest.key_file", error))?;
    let (cert, key) = (read("rest.cert_file", cert)?, read("rest.key_file", key)?);
    let certificate = PublicCertificate::from_pem(&cert, &key);
    let certificate = certificate.map_err(|error| Failure::file("rest", with_cause(&error)))?;
    Ok(Some(certificate))
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::file(field, format!("cannot read {}: {error}", path.display())))
}

fn with_cause(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn start_logging(settings: &LogSettings) -> Result<(), Failure> {
    // openraft tells every step at this level; whoever asks for a level of its own gets all of it.
    let directives = match settings.level.as_str() {
        "info" => "info,openraft=warn",
        other => other,
    };
    let filter =
        EnvFilter::try_new(directives).map_err(|error| Failure::file("log.level", error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().event_format(Lines::default()).init(),
    }
    Ok(())
}
