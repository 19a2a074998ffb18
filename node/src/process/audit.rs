//! `vectorgate-node audit verify`: holds an exported audit log to its chain, offline. What is judged is
//! the domain's; here stand arguments, files and output.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use domain::audit::{Finding, LINE_BYTES_MAX, Proof, Report, Verifier};
use serde_json::json;

const EXITS: &str = "Exit codes: 0 the log is whole; 1 it is not, and the first entry that is wrong is named; \
2 wrong arguments; 65 a proof is none; 66 a file cannot be read.";

/// The biggest proof: it has few members.
const PROOF_BYTES_MAX: u64 = 64 * 1024;

/// What is done with an exported log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditTask {
    /// Says whether an audit log, exported with `GET /v2/audit_log?format=ndjson` and without filters, is
    /// whole: no entry changed, left out, moved or put in.
    #[command(after_help = EXITS)]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The exported log.
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// What `GET /v2/audit_log/proof` said when the log was exported, or before; several times for
    /// several of them. Without any, entries missing at the end do not show.
    #[arg(long, value_name = "FILE")]
    proof: Vec<PathBuf>,
    /// Prints JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Why a log is not verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error("{} is no proof: {reason}", path.display())]
    NoProof { path: PathBuf, reason: String },
    #[error("the proofs are of several environments")]
    SeveralEnvironments,
    #[error("{}: {finding}", path.display())]
    NotWhole { path: PathBuf, finding: Finding },
}

impl AuditError {
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::NotWhole { .. } => 1,
            Self::NoProof { .. } | Self::SeveralEnvironments => 65,
            Self::Read { .. } => 66,
        }
    }
}

/// Does it, and gives what is to be printed.
pub(crate) fn run(AuditTask::Verify(asked): &AuditTask) -> Result<String, AuditError> {
    let proofs: Vec<_> = asked
        .proof
        .iter()
        .map(|path| proof(path))
        .collect::<Result<_, _>>()?;
    if proofs
        .windows(2)
        .any(|pair| pair[0].environment != pair[1].environment)
    {
        return Err(AuditError::SeveralEnvironments);
    }
    let report = verify(&asked.log, proofs)?;
    Ok(if asked.json {
        shown(&report)
    } else {
        told(&report)
    })
}

fn proof(path: &Path) -> Result<Proof, AuditError> {
    let mut text = Vec::new();
    let file = open(path)?;
    file.take(PROOF_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| unread(path, error))?;
    Proof::parse(&text).map_err(|reason| AuditError::NoProof {
        path: path.to_owned(),
        reason,
    })
}

fn verify(path: &Path, proofs: Vec<Proof>) -> Result<Report, AuditError> {
    let not_whole = |finding| AuditError::NotWhole {
        path: path.to_owned(),
        finding,
    };
    let mut file = BufReader::new(open(path)?);
    let mut verifier = Verifier::new(proofs);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = file.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|error| unread(path, error))? == 0 {
            return verifier.finish().map_err(not_whole);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        verifier.line(text).map_err(not_whole)?;
    }
}

fn open(path: &Path) -> Result<File, AuditError> {
    File::open(path).map_err(|error| unread(path, error))
}

fn unread(path: &Path, error: std::io::Error) -> AuditError {
    AuditError::Read {
        path: path.to_owned(),
        error,
    }
}

fn told(report: &Report) -> String {
    let Report {
        environment,
        first,
        last,
        unchained,
        proven,
    } = report;
    let mut text = format!("The audit log of {environment} is whole from {first} to {last}.\n");
    if first.index > 1 {
        text.push_str(
            "Entries before the first one are not kept any more, or were not exported.\n",
        );
    }
    if *unchained > 0 {
        text.push_str(&format!(
            "{unchained} entries before it are older than the chain; nothing vouches for them.\n"
        ));
    }
    text.push_str(&match proven {
        None => "There was no proof: entries missing at the end would not show.\n".to_owned(),
        Some(proven) if *proven == last.index => {
            "The last one is the one that the proof names.\n".to_owned()
        }
        Some(proven) => format!(
            "A proof vouches for all up to entry {proven}; later ones were written after it.\n"
        ),
    });
    text
}

fn shown(report: &Report) -> String {
    let named = |named: &domain::audit::Named| json!({"index": named.index, "id": named.id, "line": named.line});
    let report = json!({
        "environment": report.environment,
        "first": named(&report.first),
        "last": named(&report.last),
        "unchained": report.unchained,
        "proven": report.proven,
    });
    report.to_string()
}
