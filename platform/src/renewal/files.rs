//! Files that belong together, looked at again and again: once they have changed, and stand still, somebody takes what they hold. What that
//! means is for whoever takes it to say.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::own::OwnCertificate;
use crate::certificate::Term;
use crate::secret_file;

/// The longest file that is read: sixteen certificates with large keys have a tenth.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The files that belong together. Of those that are secret, nobody else may read one.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) public: Vec<PathBuf>,
    pub(super) secret: Vec<PathBuf>,
}

/// What the files hold, in their order, those that are public first.
pub(super) type Contents = Vec<Zeroizing<Vec<u8>>>;

/// What became of files that were looked at.
pub(super) enum Taken {
    /// They hold what was in use already.
    Known,
    /// What they hold is in use from now on, and holds for so long.
    Renewed(Term),
}

/// Takes what files hold, or says why that cannot be used.
pub(super) type Take = Arc<dyn Fn(&Contents) -> Result<Taken, String> + Send + Sync>;

impl Files {
    fn read(&self) -> Result<Contents, String> {
        for path in &self.secret {
            secret_file::refuse_exposed(path).map_err(|error| error.to_string())?;
        }
        let paths = self.public.iter().chain(&self.secret);
        let contents = paths.map(|path| {
            read_bounded(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        });
        contents.collect()
    }

    /// Looks every `period` for as long as it is polled, and has `take` take what is new. What the files hold at first is shown to it, too:
    /// they may have changed since somebody read them.
    pub(super) async fn follow(self, own: Arc<OwnCertificate>, period: Duration, take: Take) {
        let mut looks = interval(period);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::default();
        loop {
            looks.tick().await;
            let files = self.clone();
            let read = match tokio::task::spawn_blocking(move || files.read()).await {
                Ok(read) => read,
                Err(error) if error.is_panic() => Err("reading the files panicked".to_owned()),
                // The runtime is ending.
                Err(_) => return,
            };
            let found = read.as_deref().map(digest).map_err(Clone::clone);
            if !watch.look(found) {
                continue;
            }
            match read.and_then(|contents| take(&contents)) {
                Ok(Taken::Known) => own.files_known(),
                Ok(Taken::Renewed(term)) => {
                    own.renewed(term);
                    tracing::info!(
                        certificate = own.use_for,
                        until_s = term.until_s,
                        "another certificate is in use"
                    );
                }
                Err(reason) => {
                    own.files_refused();
                    tracing::error!(
                        certificate = own.use_for,
                        reason,
                        "the certificate's files have changed and cannot be used; what was in use stays"
                    );
                }
            }
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    std::fs::read(path).map(Zeroizing::new)
}

/// What a look at the files found. Contents are told apart by a hash: keys need not be remembered.
type Found = Result<[u8; 32], String>;

/// Tells when files have changed and stand still: several files are not replaced in one moment.
#[derive(Debug, Default)]
struct Watch {
    /// What was taken or refused last.
    known: Option<Found>,
    /// What the last look found, if that was something else.
    moving: Option<Found>,
}

impl Watch {
    /// Whether what was found is to be taken now.
    fn look(&mut self, found: Found) -> bool {
        if self.known.as_ref() == Some(&found) {
            self.moving = None;
            return false;
        }
        if self.moving.as_ref() != Some(&found) {
            self.moving = Some(found);
            return false;
        }
        self.moving = None;
        self.known = Some(found);
        true
    }
}

fn digest(contents: &[Zeroizing<Vec<u8>>]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for content in contents {
        context.update(&(content.len() as u64).to_be_bytes());
        context.update(content);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(byte: u8) -> Found {
        Ok([byte; 32])
    }

    #[test]
    fn files_are_taken_once_they_stand_still_and_once_only() {
        let mut watch = Watch::default();
        let looks = [
            (found(1), false),
            (found(1), true),
            (found(1), false),
            (found(2), false),
            (found(3), false),
            (found(3), true),
            (found(3), false),
            (Err("gone".to_owned()), false),
            (found(3), false),
            (Err("gone".to_owned()), false),
            (Err("gone".to_owned()), true),
            (Err("gone".to_owned()), false),
            (found(3), false),
            (found(3), true),
        ];
        for (step, (found, taken)) in looks.into_iter().enumerate() {
            assert_eq!(watch.look(found), taken, "step {step}");
        }
    }

    #[test]
    fn contents_that_are_cut_elsewhere_are_other_contents() {
        let contents = |texts: [&str; 2]| -> Contents {
            let texts = texts.map(|text| Zeroizing::new(text.as_bytes().to_vec()));
            texts.into_iter().collect()
        };
        assert_ne!(
            digest(&contents(["ab", "c"])),
            digest(&contents(["a", "bc"]))
        );
    }
}
