//! Holds an exported audit log to its chain, line by line and with the memory of one line: whether an
//! entry was changed, left out, moved or put in, and which one it is.
//!
//! The log by itself tells everything but what is missing at its ends, and whether all of it was made
//! anew from some entry on. That takes a [`Proof`], which names entries at both ends; several proofs,
//! kept from different days, name entries between.

use serde_json::Value;

use super::{CHAIN, link};
use crate::content::strict_json;
use crate::model::{AuditLink, AuditPoint};
use crate::tree::Hash;

/// The longest line that is read: many times what the biggest request can change.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How deep an entry may be nested: what clients send is up to 32 deep, and is some levels down in it.
const DEPTH_MAX: usize = 48;

/// What a node said of an environment's audit log at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The environment's name.
    pub environment: String,
    /// The entry behind which the kept ones began.
    pub base: AuditPoint,
    /// The newest entry.
    pub head: AuditPoint,
}

impl Proof {
    /// Reads a proof as the API gives it.
    ///
    /// # Errors
    /// With a sentence that says why it is none.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value = strict_json(text, DEPTH_MAX).map_err(|error| error.to_string())?;
        let point = |name: &str| {
            let point = value.get(name);
            point
                .and_then(|point| read_point(point, "hash"))
                .ok_or_else(|| format!("it has no {name:?} with an index and a hash"))
        };
        if value.get("object") != Some(&Value::from("audit_proof")) {
            return Err("it is no object \"audit_proof\"".to_owned());
        }
        let environment = value.get("environment").and_then(Value::as_str);
        let (base, head) = (point("base")?, point("head")?);
        if base.index > head.index {
            return Err("it begins behind its end".to_owned());
        }
        Ok(Self {
            environment: environment.ok_or("it names no environment")?.to_owned(),
            base,
            head,
        })
    }
}

/// An entry by the number that it has in its log, with its name and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub index: u64,
    /// Its name.
    pub id: String,
    /// Its line, counted from 1.
    pub line: u64,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {} ({}, line {})", self.index, self.id, self.line)
    }
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A line that is no entry.
    #[error("line {line} is no entry of an audit log: {reason}; it stands behind entry {behind}")]
    NoEntry {
        /// Which line.
        line: u64,
        /// Why.
        reason: String,
        /// The last entry before it; 0 if there is none.
        behind: u64,
    },
    /// An entry of another environment.
    #[error("{entry} is of the environment {found:?}, not of {expected:?}")]
    OtherEnvironment {
        /// Which.
        entry: Named,
        /// The environment that it names.
        found: String,
        /// The one that the log or the proof is of.
        expected: String,
    },
    /// An entry that is in no chain, behind one that is.
    #[error("line {line} ({id}) is in no chain: it was put in behind entry {behind}")]
    PutIn {
        /// Its name.
        id: String,
        /// Its line.
        line: u64,
        /// The last entry before it; 0 if there is none.
        behind: u64,
    },
    /// An entry does not say what its hash was made of.
    #[error("{0} was changed: its hash is of something else")]
    Changed(Named),
    /// An entry's successor was written behind another one.
    #[error("{0} was made anew: the entry behind it was written behind another one")]
    MadeAnew(Named),
    /// An entry is not the one that a proof names.
    #[error("{0} is not the one that the proof names: the log was made anew up to it")]
    NotProven(Named),
    /// An entry stands where it does not belong.
    #[error("{entry} is out of order: it stands behind entry {behind}")]
    Moved {
        /// Which.
        entry: Named,
        /// The entry before it.
        behind: u64,
    },
    /// Another entry stands where one belongs, which comes further down.
    #[error("entry {index} is out of order: where it belongs stands {found}")]
    Displaced {
        /// Which.
        index: u64,
        /// What stands there.
        found: Named,
    },
    /// Entries are not there.
    #[error("entries {from} to {to} are missing: line {line} goes on with entry {}", to + 1)]
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
        /// The line that has the entry behind them.
        line: u64,
    },
    /// Entries at the end are not there.
    #[error("entries {from} to {to} are missing at the end: the proof names the last of them")]
    CutOff {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// Nothing to verify.
    #[error("there is no entry that is in a chain")]
    Empty,
}

impl Finding {
    /// The number of the entry that it names, or of the one that is found missing first.
    #[must_use]
    pub fn index(&self) -> u64 {
        match self {
            Self::NoEntry { behind, .. } | Self::PutIn { behind, .. } => behind + 1,
            Self::OtherEnvironment { entry, .. }
            | Self::Changed(entry)
            | Self::MadeAnew(entry)
            | Self::NotProven(entry)
            | Self::Moved { entry, .. } => entry.index,
            Self::Displaced { index, .. } => *index,
            Self::Missing { from, .. } | Self::CutOff { from, .. } => *from,
            Self::Empty => 0,
        }
    }
}

/// A log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// The first entry of the chain.
    pub first: Named,
    /// The last one.
    pub last: Named,
    /// How many entries from before the chain began stand before it: nothing vouches for them.
    pub unchained: u64,
    /// The newest entry that a proof names; nothing vouches for what is behind it. Without one, nothing
    /// tells whether entries are missing at the end.
    pub proven: Option<u64>,
}

/// Entries that were not where they belong; perhaps they are further down.
#[derive(Clone, Debug)]
struct Gap {
    from: u64,
    /// What stands in their place.
    found: Named,
}

/// Reads a log. Each line is given to [`Self::line`], then [`Self::finish`] tells.
#[derive(Debug)]
pub struct Verifier {
    proofs: Vec<Proof>,
    environment: Option<String>,
    lines: u64,
    unchained: u64,
    first: Option<Named>,
    last: Option<(Named, Hash)>,
    gap: Option<Gap>,
}

impl Verifier {
    /// Holds a log to its chain and to these proofs.
    #[must_use]
    pub fn new(proofs: Vec<Proof>) -> Self {
        Self {
            environment: proofs.first().map(|proof| proof.environment.clone()),
            proofs,
            lines: 0,
            unchained: 0,
            first: None,
            last: None,
            gap: None,
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn line(&mut self, text: &[u8]) -> Result<(), Finding> {
        self.lines += 1;
        let (mut entry, id) = self.read(text)?;
        let chain = entry.as_object_mut().and_then(|entry| entry.remove(CHAIN));
        if matches!(chain, None | Some(Value::Null)) {
            return self.unchained(id);
        }
        let written = chain.as_ref().and_then(read_link);
        let written = written.ok_or_else(|| self.no_entry("its chain is none"))?;
        let named = Named {
            index: written.point.index,
            id,
            line: self.lines,
        };
        let before = AuditPoint {
            index: named.index - 1,
            hash: written.previous,
        };
        self.check_environment(&named, &entry)?;
        if link(before, entry) != written {
            return Err(Finding::Changed(named));
        }
        if self.stands_apart(&named)? {
            return Ok(());
        }
        self.check_previous(&named, &written)?;
        self.check_proofs(&named, written.point)?;
        if self.first.is_none() {
            self.first = Some(named.clone());
        }
        self.last = Some((named, written.point.hash));
        Ok(())
    }

    /// What can be said once all lines were read.
    ///
    /// # Errors
    /// With what is missing.
    pub fn finish(self) -> Result<Report, Finding> {
        if let Some(Gap { from, found }) = self.gap {
            return Err(Finding::Missing {
                from,
                to: found.index - 1,
                line: found.line,
            });
        }
        let heads = self.proofs.iter().map(|proof| proof.head.index);
        let proven = heads.max();
        let last = self.last.as_ref().map(|(named, _)| named.index);
        let end = last.unwrap_or_else(|| self.begins_behind());
        if let Some(to) = proven.filter(|proven| *proven > end) {
            let from = end + 1;
            return Err(Finding::CutOff { from, to });
        }
        let (Some(first), Some((last, _))) = (self.first, self.last) else {
            return Err(Finding::Empty);
        };
        Ok(Report {
            environment: self.environment.unwrap_or_default(),
            first,
            last,
            unchained: self.unchained,
            proven,
        })
    }

    fn read(&self, text: &[u8]) -> Result<(Value, String), Finding> {
        let entry = strict_json(text, DEPTH_MAX).map_err(|error| self.no_entry(&error))?;
        if entry.get("object") != Some(&Value::from("audit_entry")) {
            return Err(self.no_entry(&"it is no object \"audit_entry\""));
        }
        let id = entry.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = id.ok_or_else(|| self.no_entry(&"it has no \"id\""))?;
        Ok((entry, id))
    }

    fn no_entry(&self, reason: &(impl std::fmt::Display + ?Sized)) -> Finding {
        Finding::NoEntry {
            line: self.lines,
            reason: reason.to_string(),
            behind: self.behind(),
        }
    }

    /// The number of the last entry; 0 before the first.
    fn behind(&self) -> u64 {
        self.last.as_ref().map_or(0, |(last, _)| last.index)
    }

    /// Behind which entry the kept ones begin, as the youngest proof has it.
    fn begins_behind(&self) -> u64 {
        let bases = self.proofs.iter().map(|proof| proof.base.index);
        bases.max().unwrap_or(0)
    }

    /// Entries from before there was a chain stand before its first one and nowhere else.
    fn unchained(&mut self, id: String) -> Result<(), Finding> {
        if self.last.is_some() || self.gap.is_some() || self.begins_behind() > 0 {
            return Err(Finding::PutIn {
                id,
                line: self.lines,
                behind: self.behind(),
            });
        }
        self.unchained += 1;
        Ok(())
    }

    /// Whether an entry is not the one that comes next. If entries are missing before it, they may still
    /// come, and nothing else is of interest from then on.
    fn stands_apart(&mut self, named: &Named) -> Result<bool, Finding> {
        let moved = |behind| Finding::Moved {
            entry: named.clone(),
            behind,
        };
        if let Some(gap) = &self.gap {
            if (gap.from..gap.found.index).contains(&named.index) {
                return Err(Finding::Displaced {
                    index: gap.from,
                    found: gap.found.clone(),
                });
            }
            return Ok(true);
        }
        let expected = match &self.last {
            Some((last, _)) => last.index + 1,
            // Without a proof nobody knows with which entry the kept ones begin. With one, older ones may
            // have been exported before they went.
            None if self.unchained > 0 => 1,
            None if self.proofs.is_empty() => named.index.max(1),
            None => named.index.clamp(1, self.begins_behind() + 1),
        };
        if named.index < expected {
            return Err(moved(self.behind()));
        }
        if named.index > expected {
            self.gap = Some(Gap {
                from: expected,
                found: named.clone(),
            });
        }
        Ok(named.index > expected)
    }

    fn check_environment(&mut self, named: &Named, entry: &Value) -> Result<(), Finding> {
        let found = entry.get("environment").and_then(Value::as_str);
        let found = found.unwrap_or_default();
        let expected = self.environment.get_or_insert_with(|| found.to_owned());
        if expected == found {
            return Ok(());
        }
        Err(Finding::OtherEnvironment {
            entry: named.clone(),
            found: found.to_owned(),
            expected: expected.clone(),
        })
    }

    fn check_previous(&self, named: &Named, link: &AuditLink) -> Result<(), Finding> {
        match &self.last {
            Some((last, hash)) if *hash != link.previous => Err(Finding::MadeAnew(last.clone())),
            Some(_) => Ok(()),
            None => self.check_first(named, link),
        }
    }

    /// What the first entry hangs on: the start, or what a proof says.
    fn check_first(&self, named: &Named, link: &AuditLink) -> Result<(), Finding> {
        let bases = self.proofs.iter().map(|proof| proof.base);
        let known = std::iter::once(AuditPoint::START).chain(bases);
        let mut before = known.filter(|point| point.index + 1 == named.index);
        if before.all(|point| point.hash == link.previous) {
            return Ok(());
        }
        Err(Finding::NotProven(named.clone()))
    }

    fn check_proofs(&self, named: &Named, point: AuditPoint) -> Result<(), Finding> {
        let points = self
            .proofs
            .iter()
            .flat_map(|proof| [proof.base, proof.head]);
        let mut same = points.filter(|proven| proven.index == point.index);
        if same.all(|proven| proven == point) {
            return Ok(());
        }
        Err(Finding::NotProven(named.clone()))
    }
}

fn read_link(chain: &Value) -> Option<AuditLink> {
    let previous = read_hash(chain.get("previous_hash")?)?;
    let point = read_point(chain, "hash").filter(|point| point.index > 0)?;
    (chain.as_object()?.len() == 3).then_some(AuditLink { previous, point })
}

fn read_point(value: &Value, hash: &str) -> Option<AuditPoint> {
    Some(AuditPoint {
        index: value
            .get("index")?
            .as_u64()
            .filter(|index| *index < u64::MAX)?,
        hash: read_hash(value.get(hash)?)?,
    })
}

fn read_hash(value: &Value) -> Option<Hash> {
    let digits = value.as_str()?.strip_prefix("sha256:")?;
    let lower = !digits.bytes().any(|byte| byte.is_ascii_uppercase());
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    lower.then_some(Hash(hash))
}
