//! The subcommands for operators who have no certificate authority of their own: arguments and output.
//! What they do is the library's.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use node::ca::{CaError, Folder, Order};
use platform::authority::Subject;
use platform::{SystemClock, SystemEntropy};

const EXITS: &str = "Exit codes: 0 done; 1 refused, and nothing was changed; 2, 64 wrong arguments; 71 a file \
cannot be read or written.";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where an authority is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The authority's folder: `ca.pem`, which all nodes and edges get, and `ca.key`, which none of them
    /// gets.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

/// What is done with an authority. No settings are needed, and no node.
#[derive(Debug, Subcommand)]
pub(crate) enum CaTask {
    /// Makes an authority, once. Keep its key off the machines of nodes and edges.
    #[command(after_help = EXITS)]
    Init {
        #[command(flatten)]
        place: Place,
        /// What the authority is called in certificates.
        #[arg(long, default_value = "VectorGate")]
        name: String,
        /// For how many days it holds.
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Issues a certificate, with a key of its own, for a node or an edge: NAME.pem and NAME.key.
    #[command(after_help = EXITS)]
    Issue {
        #[command(flatten)]
        place: Place,
        /// The number of the node that it is for.
        #[arg(
            long,
            value_name = "ID",
            conflicts_with = "edge",
            required_unless_present = "edge"
        )]
        node: Option<u64>,
        /// Names or addresses by which clients ask for the node besides, where its API shows the same
        /// certificate. May be given several times.
        #[arg(long, value_name = "NAME", conflicts_with = "edge")]
        also: Vec<String>,
        /// The id of the edge that it is for.
        #[arg(long, value_name = "ID", requires = "environment")]
        edge: Option<String>,
        /// The environment whose configuration the edge may have.
        #[arg(long, value_name = "NAME", conflicts_with = "node")]
        environment: Option<String>,
        /// Where the files go; without it, beside the authority.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// For how many days it holds.
        #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// Replaces the files that are there: a running process takes them into use by itself.
        #[arg(long)]
        replace: bool,
    },
    /// Replaces the authority, in two steps. First `ca.pem` gets the new one beside the old: put it in place
    /// everywhere, then issue all certificates anew. When all are in use, `--finish` drops the old one:
    /// put `ca.pem` in place everywhere once more.
    #[command(after_help = EXITS)]
    Rotate {
        #[command(flatten)]
        place: Place,
        /// Drops the old authority.
        #[arg(long)]
        finish: bool,
        /// What the new authority is called in certificates.
        #[arg(long, default_value = "VectorGate", conflicts_with = "finish")]
        name: String,
        /// For how many days it holds.
        #[arg(long, default_value_t = 3650, conflicts_with = "finish", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
}

/// Does it, and says what was done.
pub(crate) fn run(task: CaTask) -> Result<String, CaError> {
    match task {
        CaTask::Init { place, name, days } => {
            place.folder().init(&name, DAY * days)?;
            Ok(format!(
                "made {0}/ca.pem, which all nodes and edges get, and {0}/ca.key, which none of them gets",
                place.dir.display()
            ))
        }
        CaTask::Issue {
            place,
            node,
            also,
            edge,
            environment,
            out,
            days,
            replace,
        } => {
            let subject = match (node, edge.zip(environment)) {
                (Some(id), _) => Subject::Node { id, names: also },
                (None, Some((id, environment))) => Subject::Edge { id, environment },
                // The arguments' rules leave no other case.
                (None, None) => return Ok(String::new()),
            };
            let order = Order {
                subject,
                to: out.unwrap_or_else(|| place.dir.clone()),
                lasts: DAY * days,
                replace,
            };
            let issued = place.folder().issue(&order)?;
            Ok(format!(
                "issued {} with {}",
                issued.cert.display(),
                issued.key.display()
            ))
        }
        CaTask::Rotate {
            place,
            finish: true,
            ..
        } => {
            place.folder().finish_rotation()?;
            Ok(format!(
                "the old authority is gone from {}/ca.pem: put it in place everywhere",
                place.dir.display()
            ))
        }
        CaTask::Rotate {
            place, name, days, ..
        } => {
            place.folder().rotate(&name, DAY * days)?;
            Ok(format!(
                "{}/ca.pem holds both authorities: put it in place everywhere, then issue all certificates anew with --replace",
                place.dir.display()
            ))
        }
    }
}

impl Place {
    fn folder(&self) -> Folder<'_> {
        Folder {
            path: &self.dir,
            clock: &SystemClock,
            entropy: &SystemEntropy,
        }
    }
}
