//! `vectorgate-edge verify`: whether what a file says was signed, and by whom. It asks nobody. What counts as
//! proven is the protocol's matter.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use domain::tree::Hash;
use edge::settings::read_trust;
use edge_protocol::signing::{Scope, SignatureDocument, Statement, Unproven};

use super::{OS_ERROR, USAGE};

/// Exit code for data that is not what it has to be (`EX_DATAERR`).
const BAD_DATA: u8 = 65;

/// Exit code for an input file that is not there (`EX_NOINPUT`).
const NO_INPUT: u8 = 66;

pub(super) const EXITS: &str = "Exit codes: 0 verified; 64 wrong arguments, or a file of keys that is none; 65 not \
proven, and why; 66 the file cannot be read.";

/// The largest file: an answer has some two thousand bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is to be verified.
#[derive(Clone, Debug, Args)]
pub(super) struct Verification {
    /// The file: the answer of the API, JSON.
    file: PathBuf,
    /// The keys to believe, as `vectorgate-node signing-keys list --json` prints them. Without it, it is only shown
    /// that the key in the file has signed the rest of it.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Why it is not verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("--keys: {0}")]
    Keys(String),
    #[error("cannot read {path}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not a snapshot's signature: {reason}")]
    Form { path: String, reason: String },
    #[error("NOT VERIFIED")]
    Unproven(#[from] Unproven),
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
}

impl VerifyError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Keys(_) => USAGE,
            Self::Read { .. } => NO_INPUT,
            Self::Form { .. } | Self::Unproven(_) => BAD_DATA,
            Self::Output(_) => OS_ERROR,
        }
    }
}

impl Verification {
    /// Verifies, and says what was.
    pub(super) fn run(&self) -> Result<(), VerifyError> {
        let keys = self.keys.as_deref().map(read_trust).transpose();
        let keys = keys.map_err(VerifyError::Keys)?;
        let document = self.document()?;
        let statement = document.verify(keys.as_ref())?;
        let text = shown(&document, &statement, keys.is_some());
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(VerifyError::Output)
    }

    fn document(&self) -> Result<SignatureDocument, VerifyError> {
        let path = self.file.display().to_string();
        let read = std::fs::metadata(&self.file).and_then(|found| {
            if found.len() > FILE_BYTES_MAX {
                return Err(io::Error::other("it is far too large"));
            }
            std::fs::read(&self.file)
        });
        let bytes = read.map_err(|source| VerifyError::Read {
            path: path.clone(),
            source,
        })?;
        serde_json::from_slice(&bytes).map_err(|error| VerifyError::Form {
            path,
            reason: error.to_string(),
        })
    }
}

fn shown(document: &SignatureDocument, statement: &Statement, by_known_key: bool) -> String {
    let scope = match &statement.scope {
        Scope::Environment => "all of the environment".to_owned(),
        Scope::Route {
            route_id,
            snapshot_id,
        } => format!("{snapshot_id} of {route_id}"),
    };
    let previous = if statement.previous == Hash([0; 32]) {
        "none".to_owned()
    } else {
        statement.previous.to_string()
    };
    let believed = if by_known_key {
        "one of the keys that were given"
    } else {
        "NOT COMPARED with any that is known: give --keys"
    };
    format!(
        "verified\n\
         cluster      {}\n\
         environment  {}\n\
         of           {scope}\n\
         epoch        {}\n\
         version      {}\n\
         content      {}\n\
         previous     {previous}\n\
         at           {} (Unix milliseconds)\n\
         signed by    {}\n\
         key          {believed}\n",
        statement.cluster_id,
        statement.environment_id,
        statement.epoch.0,
        statement.version,
        statement.root,
        statement.at.0,
        document.key_id,
    )
}
