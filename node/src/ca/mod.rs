//! The folder of a certificate authority, for operators who have none of their own:
//!
//! | file | what |
//! |---|---|
//! | `ca.pem` | what everybody trusts: the authority that signs first, and the one before it while it is replaced |
//! | `ca.key` | the key of the first, mode 0600. Keep it off the machines of nodes and edges |
//! | `ca.key.next` | the same, while a replacement is being written |
//!
//! Nothing that is there is ever overwritten unless that is asked for in so many words. A certificate that
//! is issued gets a key of its own, drawn here.

mod files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use platform::authority::{Authority, AuthorityError, NewKey, Subject, Validity};
use platform::{Clock, Entropy};
use zeroize::Zeroizing;

use files::Write;

/// The authorities in a bundle, at most: one and the one before it.
const BUNDLE_MAX: usize = 2;

/// Why a folder's authority does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Something is there already.
    #[error("{0} exists already, and is not overwritten")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key can be read by others.
    #[error(transparent)]
    Exposed(#[from] platform::secret_file::SecretFileError),
    /// The authority does not sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Another authority takes the place of this one's already.
    #[error(
        "{0} holds two authorities already: once all have certificates of the first, run `ca rotate --finish`"
    )]
    Rotating(PathBuf),
    /// An edge cannot have this name: its files would be those of another, or elsewhere.
    #[error(
        "`{0}` is no name for an edge: up to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, not a dot first, neither `ca` nor `node-` and a number"
    )]
    EdgeName(String),
    /// There is nothing to be finished.
    #[error("{0} holds one authority: nothing is being replaced")]
    NotRotating(PathBuf),
}

impl CaError {
    /// The exit code: 1 for a refusal, 64 for names, 71 for files.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Exists(_) | Self::Rotating(_) | Self::NotRotating(_) => 1,
            Self::Authority(AuthorityError::Name(_)) | Self::EdgeName(_) => 64,
            Self::Authority(_) | Self::File { .. } | Self::Exposed(_) => 71,
        }
    }
}

/// Whether an edge's files can have this name beside the authority's own and those of nodes.
fn names_an_edge(id: &str) -> bool {
    let is_number = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&id.len())
        && id.bytes().all(is_plain)
        && !id.starts_with('.')
        && id != "ca"
        && !id.strip_prefix("node-").is_some_and(is_number)
}

/// Where an authority is.
pub struct Folder<'a> {
    /// The folder.
    pub path: &'a Path,
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
}

/// What is issued.
#[derive(Clone, Debug)]
pub struct Order {
    /// For whom.
    pub subject: Subject,
    /// Where the files go.
    pub to: PathBuf,
    /// For how long it holds.
    pub lasts: Duration,
    /// Whether files that are there are replaced.
    pub replace: bool,
}

/// Where what was issued is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Folder<'_> {
    fn bundle_file(&self) -> PathBuf {
        self.path.join("ca.pem")
    }

    fn key_file(&self) -> PathBuf {
        self.path.join("ca.key")
    }

    fn next_key_file(&self) -> PathBuf {
        self.path.join("ca.key.next")
    }

    fn validity(&self, lasts: Duration) -> Validity {
        Validity {
            now: self.clock.now(),
            lasts,
        }
    }

    /// Makes an authority where none is.
    ///
    /// # Errors
    /// When one is there, or files cannot be written.
    pub fn init(&self, name: &str, lasts: Duration) -> Result<(), CaError> {
        files::make_folder(self.path)?;
        for file in [self.key_file(), self.bundle_file()] {
            if file.exists() {
                return Err(CaError::Exists(file));
            }
        }
        let made = Authority::create(name, self.validity(lasts), self.entropy)?;
        files::write(&self.key_file(), made.key.as_bytes(), Write::Secret)?;
        files::write(&self.bundle_file(), made.cert.as_bytes(), Write::Public)
    }

    /// Issues a certificate with a key of its own: `NAME.pem` and `NAME.key`.
    ///
    /// # Errors
    /// When such files are there and are not to be replaced, the name is none, or the authority cannot sign.
    pub fn issue(&self, order: &Order) -> Result<Issued, CaError> {
        if let Subject::Edge { id, .. } = &order.subject
            && !names_an_edge(id)
        {
            return Err(CaError::EdgeName(id.clone()));
        }
        let authority = self.open()?;
        files::make_folder(&order.to)?;
        let name = match &order.subject {
            Subject::Node { id, .. } => format!("node-{id}"),
            Subject::Edge { id, .. } => id.clone(),
        };
        let issued = Issued {
            cert: order.to.join(format!("{name}.pem")),
            key: order.to.join(format!("{name}.key")),
        };
        let key = NewKey::draw(self.entropy)?;
        let validity = self.validity(order.lasts);
        let cert = authority.issue(&order.subject, &key.public, validity, self.entropy)?;
        for file in [&issued.key, &issued.cert] {
            if file.exists() && !order.replace {
                return Err(CaError::Exists(file.clone()));
            }
        }
        // A process that looks at them in between waits until they stand still.
        files::replace(&issued.key, key.pem.as_bytes(), Write::Secret)?;
        files::replace(&issued.cert, cert.as_bytes(), Write::Public)?;
        Ok(issued)
    }

    /// Begins to replace the authority by another one: both are trusted where the bundle is put in
    /// place, and the new one signs.
    ///
    /// # Errors
    /// When one is being replaced already, or files cannot be written.
    pub fn rotate(&self, name: &str, lasts: Duration) -> Result<(), CaError> {
        self.open()?;
        let before = self.bundle()?;
        if before.len() >= BUNDLE_MAX {
            return Err(CaError::Rotating(self.bundle_file()));
        }
        let made = Authority::create(name, self.validity(lasts), self.entropy)?;
        let both = [made.cert, before.concat()].concat();
        files::write(&self.next_key_file(), made.key.as_bytes(), Write::Secret)?;
        files::replace(&self.bundle_file(), both.as_bytes(), Write::Public)?;
        files::rename(&self.next_key_file(), &self.key_file())
    }

    /// Ends what [`Self::rotate`] began: only the authority that signs is trusted any more.
    ///
    /// # Errors
    /// When none is being replaced, or files cannot be written.
    pub fn finish_rotation(&self) -> Result<(), CaError> {
        self.open()?;
        let bundle = self.bundle()?;
        match bundle.as_slice() {
            [first, _, ..] => files::replace(&self.bundle_file(), first.as_bytes(), Write::Public),
            _ => Err(CaError::NotRotating(self.bundle_file())),
        }
    }

    /// The certificates of the bundle.
    fn bundle(&self) -> Result<Vec<String>, CaError> {
        const END: &str = "-----END CERTIFICATE-----";
        let text = files::read(&self.bundle_file())?;
        let parts = text.split_inclusive(END).filter(|part| part.contains(END));
        Ok(parts.map(|part| format!("{}\n", part.trim())).collect())
    }

    /// The authority that signs. What was interrupted is brought to its end first.
    fn open(&self) -> Result<Authority, CaError> {
        let bundle = files::read(&self.bundle_file())?;
        let next = self.next_key_file();
        if next.exists() {
            let key = Zeroizing::new(platform::secret_file::read(&next)?);
            if Authority::read(&bundle, &key).is_ok() {
                files::rename(&next, &self.key_file())?;
            } else {
                files::remove(&next)?;
            }
        }
        let key = Zeroizing::new(platform::secret_file::read(&self.key_file())?);
        Ok(Authority::read(&bundle, &key)?)
    }
}

#[cfg(test)]
mod tests;
