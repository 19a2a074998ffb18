//! What an edge came by, on its disk: one file, mode 0600, replaced whole; and before it came by anything, the key that it asks with, in
//! another one.

use std::fmt;
use std::io;
use std::sync::Arc;

use domain::id::EnvironmentId;
use edge_protocol::enrolment::Papers;
use platform::certificate::Term;
use platform::tls::{Identity, TlsError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::Directory;

/// The form of the file that is written.
const FORMAT: u8 = 2;

/// The form before: it does not say which environment is meant by the name.
const FORMAT_NAMELESS: u8 = 1;

/// The form of the file of a key that waits for its certificate.
const FORMAT_PENDING: u8 = 1;

/// More than the file has.
const FILE_BYTES_MAX: usize = 256 * 1024;

const FILE: &str = "identity";
const UNFINISHED: &str = "identity.new";
const PENDING: &str = "identity.pending";

/// Where it is kept. Clones share it.
#[derive(Clone)]
pub struct Folder(pub Arc<dyn Directory>);

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").finish_non_exhaustive()
    }
}

/// What an edge came by.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Its name.
    pub edge_id: String,
    /// Its private key in PEM.
    pub key: Zeroizing<String>,
    /// When it came by its certificate, by its own clock, in seconds since the Unix epoch.
    pub obtained_s: u64,
    /// Its certificate, and what it is by that.
    pub papers: Papers,
    /// Which environment is meant by the name in its papers, as the join token said. It is not there for who was
    /// let in by a token that did not say it.
    pub environment_id: Option<EnvironmentId>,
}

impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolled")
            .field("edge_id", &self.edge_id)
            .field("until_s", &self.papers.until_s)
            .finish_non_exhaustive()
    }
}

/// Why it is not there, or not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The disk does not take it, or give it.
    #[error("the disk fails")]
    Disk(#[from] io::Error),
    /// The file is not one of ours.
    #[error("the file is damaged")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    edge_id: String,
    key: String,
    obtained_s: u64,
    papers: Papers,
}

impl Stored {
    fn enrolled(self, environment_id: Option<EnvironmentId>) -> Enrolled {
        Enrolled {
            edge_id: self.edge_id,
            key: Zeroizing::new(self.key),
            obtained_s: self.obtained_s,
            papers: self.papers,
            environment_id,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Pending {
    edge_id: String,
    key: String,
}

impl Folder {
    /// What is kept, if anything is.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn find(&self) -> Result<Option<Enrolled>, KeepError> {
        if !self.has(FILE)? {
            return Ok(None);
        }
        let bytes = Zeroizing::new(self.0.read(FILE, 0, FILE_BYTES_MAX)?);
        decode(&bytes).map(Some).ok_or(KeepError::Damaged)
    }

    /// Keeps it instead of what was there.
    ///
    /// # Errors
    /// When the disk does not take it; what was there stays.
    pub fn keep(&self, enrolled: &Enrolled) -> Result<(), KeepError> {
        let bytes = encode(enrolled)?;
        self.0.write(UNFINISHED, &bytes)?;
        self.0.rename(UNFINISHED, FILE)?;
        self.0.sync()?;
        if self.has(PENDING)? {
            self.0.remove(PENDING)?;
            self.0.sync()?;
        }
        Ok(())
    }

    /// The key, in PEM, that this edge asked with and has no certificate for yet.
    ///
    /// # Errors
    /// When it cannot be read. One that is damaged, or another edge's, is none: nobody asks with it.
    pub fn pending(&self, edge_id: &str) -> Result<Option<Zeroizing<String>>, KeepError> {
        if !self.has(PENDING)? {
            return Ok(None);
        }
        let bytes = Zeroizing::new(self.0.read(PENDING, 0, FILE_BYTES_MAX)?);
        let Some((&FORMAT_PENDING, content)) = bytes.split_first() else {
            return Ok(None);
        };
        let Ok(Pending { edge_id: of, key }) = postcard::from_bytes(content) else {
            return Ok(None);
        };
        Ok(Some(Zeroizing::new(key)).filter(|_| of == edge_id))
    }

    /// Keeps the key, in PEM, that this edge is about to ask with.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn keep_pending(&self, edge_id: &str, key: &Zeroizing<String>) -> Result<(), KeepError> {
        let pending = Pending {
            edge_id: edge_id.to_owned(),
            key: key.as_str().to_owned(),
        };
        let bytes = postcard::to_extend(&pending, vec![FORMAT_PENDING]).map(Zeroizing::new);
        drop(Zeroizing::new(pending.key));
        self.0
            .write(PENDING, &bytes.map_err(|_| KeepError::Damaged)?)?;
        self.0.sync()?;
        Ok(())
    }

    fn has(&self, file: &str) -> Result<bool, KeepError> {
        Ok(self.0.list()?.iter().any(|name| name == file))
    }
}

fn encode(enrolled: &Enrolled) -> Result<Zeroizing<Vec<u8>>, KeepError> {
    let stored = Stored {
        edge_id: enrolled.edge_id.clone(),
        key: enrolled.key.as_str().to_owned(),
        obtained_s: enrolled.obtained_s,
        papers: enrolled.papers.clone(),
    };
    let stored = (stored, &enrolled.environment_id);
    let bytes = postcard::to_extend(&stored, vec![FORMAT]).map_err(|_| KeepError::Damaged)?;
    drop(Zeroizing::new(stored.0.key));
    Ok(Zeroizing::new(bytes))
}

fn decode(bytes: &[u8]) -> Option<Enrolled> {
    let (&form, content) = bytes.split_first()?;
    let (stored, environment_id): (Stored, _) = match form {
        FORMAT => postcard::from_bytes(content).ok()?,
        FORMAT_NAMELESS => (postcard::from_bytes(content).ok()?, None),
        _ => return None,
    };
    Some(stored.enrolled(environment_id))
}

impl Enrolled {
    /// What it is towards nodes.
    ///
    /// # Errors
    /// When the certificate, its key or the authorities cannot be used.
    pub fn identity(&self) -> Result<Identity, TlsError> {
        Identity::from_pem(
            self.papers.authorities.as_bytes(),
            self.papers.certificate.as_bytes(),
            self.key.as_bytes(),
        )
    }

    /// For how long it holds, by its own clock: what a renewal is due by.
    #[must_use]
    pub fn term(&self) -> Term {
        Term {
            since_s: self.obtained_s,
            until_s: self.papers.until_s,
        }
    }

    /// When it is to be renewed: after two thirds of the time for which it holds.
    #[must_use]
    pub fn due_s(&self) -> u64 {
        let lasts_s = self.papers.until_s.saturating_sub(self.obtained_s);
        self.obtained_s + lasts_s / 3 * 2
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::id::Seed;

    use super::*;
    use crate::store::MemoryDirectory;

    fn enrolled() -> Enrolled {
        Enrolled {
            edge_id: "edge-1".to_owned(),
            key: Zeroizing::new("key".to_owned()),
            obtained_s: 1_000,
            papers: Papers {
                certificate: "cert".to_owned(),
                authorities: "ca".to_owned(),
                until_s: 4_000,
                environment: "production".to_owned(),
                region: "eu".to_owned(),
                labels: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
                nodes: vec!["node-1:7300".to_owned()],
            },
            environment_id: Some(EnvironmentId::new(Seed {
                unix_ms: 0,
                random: 0,
            })),
        }
    }

    #[test]
    fn golden_the_file_has_its_bytes_and_those_of_the_form_before_are_read() {
        let bytes = encode(&enrolled()).unwrap();
        let content = "06656467652d31 036b6579 e807 0463657274 026361 a01f 0a70726f64756374696f6e \
                       026575 01 047261636b 0137 01 0b6e6f64652d313a37333030";
        let content = content.replace(' ', "");
        let id = format!("0e{}", "00".repeat(14));
        assert_eq!(hex::encode(&bytes[..]), format!("02{content}01{id}"));
        let before = hex::decode(format!("01{content}")).unwrap();
        let nameless = Enrolled {
            environment_id: None,
            ..enrolled()
        };
        assert_eq!(decode(&before), Some(nameless));
        assert_eq!(decode(b"\x03rest"), None);
    }

    #[test]
    fn a_key_is_kept_until_there_is_a_certificate_for_it() {
        let folder = Folder(Arc::new(MemoryDirectory::default()));
        assert_eq!(folder.pending("edge-1").unwrap(), None);
        let key = Zeroizing::new("key".to_owned());
        folder.keep_pending("edge-1", &key).unwrap();
        assert_eq!(folder.pending("edge-1").unwrap(), Some(key));
        assert_eq!(folder.pending("edge-2").unwrap(), None);
        let bytes = folder.0.read(PENDING, 0, FILE_BYTES_MAX).unwrap();
        assert_eq!(bytes, b"\x01\x06edge-1\x03key");
        folder.keep(&enrolled()).unwrap();
        assert_eq!(folder.pending("edge-1").unwrap(), None);
        assert_eq!(folder.0.list().unwrap(), [FILE]);
        folder.0.write(PENDING, b"\x01\x06ed").unwrap();
        assert_eq!(folder.pending("edge-1").unwrap(), None);
    }

    #[test]
    fn what_is_kept_is_found_and_does_not_show() {
        let folder = Folder(Arc::new(MemoryDirectory::default()));
        assert_eq!(folder.find().unwrap(), None);
        folder.keep(&enrolled()).unwrap();
        assert_eq!(folder.find().unwrap(), Some(enrolled()));
        let other = Enrolled {
            obtained_s: 2_000,
            ..enrolled()
        };
        folder.keep(&other).unwrap();
        assert_eq!(folder.find().unwrap(), Some(other));
        assert!(!format!("{:?}", enrolled()).contains("\"key\""));
    }

    #[test]
    fn a_damaged_file_is_told_from_none() {
        let directory = MemoryDirectory::default();
        directory.write(FILE, b"\x02rest").unwrap();
        let folder = Folder(Arc::new(directory));
        assert!(matches!(folder.find(), Err(KeepError::Damaged)));
    }

    #[test]
    fn it_is_renewed_after_two_thirds_of_its_time() {
        assert_eq!(enrolled().due_s(), 3_000);
    }
}
