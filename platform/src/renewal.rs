//! Certificates on the disk that are renewed while a process runs. Their files are looked at again and
//! again; once they have changed, and stand still, they are taken into use. Files that cannot be used
//! change nothing but what the log and the metrics say.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use crate::certificate;
use crate::clock::Clock;
use crate::secret_file;
use crate::tls::{Identity, PublicCertificate};

/// How often files are looked at. Two looks have to find the same, so what is renewed is in use within
/// twice this.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// The longest file that is read: sixteen certificates with large keys have a tenth.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A certificate of the process's own, as its metrics show it.
#[derive(Debug)]
pub struct OwnCertificate {
    /// What it is for.
    pub use_for: &'static str,
    until_s: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    /// Whether what lies on the disk now was refused.
    unusable: AtomicBool,
}

impl OwnCertificate {
    /// One that holds until then, in seconds since the Unix epoch.
    #[must_use]
    pub fn new(use_for: &'static str, until_s: u64) -> Self {
        Self {
            use_for,
            until_s: AtomicU64::new(until_s),
            taken: AtomicU64::default(),
            refused: AtomicU64::default(),
            unusable: AtomicBool::default(),
        }
    }

    /// Until when it holds, in seconds since the Unix epoch.
    #[must_use]
    pub fn until_s(&self) -> u64 {
        self.until_s.load(Ordering::Relaxed)
    }

    /// How often other files were taken into use.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How often other files could not be used.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether the files hold something that cannot be used, while something else is in use.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        self.unusable.load(Ordering::Relaxed)
    }

    /// Another one is in use, until then.
    pub fn renewed(&self, until_s: u64) {
        self.until_s.store(until_s, Ordering::Relaxed);
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.unusable.store(false, Ordering::Relaxed);
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.unusable.store(true, Ordering::Relaxed);
    }
}

/// Keeps what a process has towards the others of its cluster as its files say, for as long as it is
/// polled. What they hold now is in use already; what comes has to name the same process.
pub fn keep_identity_current(
    identity: Identity,
    [ca_file, cert_file, key_file]: [PathBuf; 3],
    own: Arc<OwnCertificate>,
    clock: Arc<dyn Clock>,
) -> impl Future<Output = ()> + Send {
    let watching = Watching::from_now(Files {
        public: vec![ca_file, cert_file],
        secret: vec![key_file],
    });
    let take = move |contents: &Contents| {
        let [ca, cert, key] = &contents[..] else {
            return Err("a file is missing".to_owned());
        };
        let other = Identity::from_pem(ca, cert, key).map_err(|error| with_causes(&error))?;
        let until_s = check_end(other.not_after_s(), &*clock)?;
        identity
            .replace(&other)
            .map_err(|error| error.to_string())?;
        Ok(until_s)
    };
    async move { watching.run(&own, LOOK_PERIOD, take).await }
}

/// Keeps what clients are shown as its files say, for as long as it is polled. What they hold now is in
/// use already.
pub fn keep_public_current(
    certificate: PublicCertificate,
    [cert_file, key_file]: [PathBuf; 2],
    own: Arc<OwnCertificate>,
    clock: Arc<dyn Clock>,
) -> impl Future<Output = ()> + Send {
    let watching = Watching::from_now(Files {
        public: vec![cert_file],
        secret: vec![key_file],
    });
    let take = move |contents: &Contents| {
        let [cert, key] = &contents[..] else {
            return Err("a file is missing".to_owned());
        };
        let other = PublicCertificate::from_pem(cert, key).map_err(|error| with_causes(&error))?;
        let until_s = check_end(other.not_after_s(), &*clock)?;
        certificate.replace(&other);
        Ok(until_s)
    };
    async move { watching.run(&own, LOOK_PERIOD, take).await }
}

/// Keeps an authority that signs as its files say, for as long as it is polled, with what is trusted along
/// with it: `ca_files` one after the other, of which the last is the authority's own bundle. What the files
/// hold now is in use already.
pub fn keep_authority_current(
    identity: Identity,
    (ca_files, cert_file): ([PathBuf; 2], PathBuf),
    [key_file, signing_key_file]: [PathBuf; 2],
    sign_by: impl Fn(&str, &str) -> Result<(), String> + Send + Sync,
    own: Arc<OwnCertificate>,
    clock: Arc<dyn Clock>,
) -> impl Future<Output = ()> + Send {
    let [ca_file, own_ca_file] = ca_files;
    let watching = Watching::from_now(Files {
        public: vec![ca_file, own_ca_file, cert_file],
        secret: vec![key_file, signing_key_file],
    });
    let take = move |contents: &Contents| {
        let [ca, own_ca, cert, key, signing_key] = &contents[..] else {
            return Err("a file is missing".to_owned());
        };
        let both = [ca.as_slice(), b"\n", own_ca.as_slice()].concat();
        let other = Identity::from_pem(&both, cert, key).map_err(|error| with_causes(&error))?;
        let until_s = check_end(certificate::pem_not_after_s(own_ca), &*clock)?;
        sign_by(text(own_ca)?, text(signing_key)?)?;
        identity
            .replace(&other)
            .map_err(|error| error.to_string())?;
        Ok(until_s)
    };
    async move { watching.run(&own, LOOK_PERIOD, take).await }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

/// What has ended already is no renewal.
fn check_end(until_s: Option<u64>, clock: &dyn Clock) -> Result<u64, String> {
    match until_s {
        Some(until_s) if until_s > clock.now().0 / 1000 => Ok(until_s),
        Some(_) => Err("the certificate has expired".to_owned()),
        None => Err("it is not told until when the certificate holds".to_owned()),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The files that belong together. Of those that are secret, nobody else may read one.
#[derive(Clone, Debug)]
struct Files {
    public: Vec<PathBuf>,
    secret: Vec<PathBuf>,
}

/// What the files hold, in their order, those that are public first.
type Contents = Vec<Zeroizing<Vec<u8>>>;

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
}

fn read_bounded(path: &std::path::Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    std::fs::read(path).map(Zeroizing::new)
}

/// What a look at the files found. Contents are told apart by a hash: keys need not be remembered.
type Found = Result<[u8; 32], String>;

/// Tells when files have changed and stand still: several files are not replaced in one moment.
#[derive(Debug)]
struct Watch {
    /// What was taken or refused last.
    known: Found,
    /// What the last look found, if that was something else.
    moving: Option<Found>,
}

impl Watch {
    /// Whether what was found is to be taken now.
    fn look(&mut self, found: Found) -> bool {
        if self.known == found {
            self.moving = None;
            return false;
        }
        if self.moving.as_ref() != Some(&found) {
            self.moving = Some(found);
            return false;
        }
        self.moving = None;
        self.known = found;
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

/// Files that are followed.
struct Watching {
    files: Files,
    watch: Watch,
}

impl Watching {
    /// What the files hold now counts as taken.
    fn from_now(files: Files) -> Self {
        let known = files.read().map(|contents| digest(&contents));
        let watch = Watch {
            known,
            moving: None,
        };
        Self { files, watch }
    }

    /// Looks every `period` for as long as it is polled, and has `take` take what is new. That says until
    /// when it holds, or why it cannot be used.
    async fn run(
        mut self,
        own: &OwnCertificate,
        period: Duration,
        take: impl Fn(&Contents) -> Result<u64, String>,
    ) {
        let mut looks = interval(period);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else {
                // The runtime is ending.
                return;
            };
            let found = read.as_deref().map(digest).map_err(Clone::clone);
            if !self.watch.look(found) {
                continue;
            }
            match read.and_then(|contents| take(&contents)) {
                Ok(until_s) => {
                    own.renewed(until_s);
                    tracing::info!(
                        certificate = own.use_for,
                        until_s,
                        "another certificate is in use"
                    );
                }
                Err(reason) => {
                    own.refuse();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(byte: u8) -> Found {
        Ok([byte; 32])
    }

    #[test]
    fn files_are_taken_once_they_stand_still_and_once_only() {
        let mut watch = Watch {
            known: found(1),
            moving: None,
        };
        let looks = [
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

    /// Looks at files again and again until `done`.
    #[cfg(feature = "testing")]
    async fn until(own: &OwnCertificate, what: &str, done: impl Fn(&OwnCertificate) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !done(own) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "never {what}: {own:?}"
            );
            tokio::task::yield_now().await;
        }
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn what_cannot_be_used_changes_nothing_and_is_told() {
        use crate::testing::TestAuthority;

        let authority = TestAuthority::default();
        let folder = tempfile::tempdir().unwrap();
        let first = authority.node_between(1, (2001, 4001));
        let second = authority.node_between(1, (2001, 4002));
        let paths = first.write(folder.path(), "node-1").unwrap();
        let identity = first.identity();
        let own = OwnCertificate::new("internal", 1);
        let files = Files {
            public: vec![paths.ca.clone(), paths.cert.clone()],
            secret: vec![paths.key.clone()],
        };
        let take = |contents: &Contents| {
            let other = Identity::from_pem(&contents[0], &contents[1], &contents[2]);
            let other = other.map_err(|error| error.to_string())?;
            identity
                .replace(&other)
                .map_err(|error| error.to_string())?;
            Ok(other.not_after_s().unwrap())
        };
        let before = identity.certificate();
        let watching = Watching::from_now(files);
        let changes = async {
            let write = |pem: &str| std::fs::write(&paths.cert, pem).unwrap();
            write("no certificate");
            until(&own, "refused", |own| own.refused() == 1).await;
            assert!(own.is_unusable());
            assert_eq!(identity.certificate(), before);
            write(&authority.node(2).cert);
            until(&own, "refused again", |own| own.refused() == 2).await;
            write(&second.cert);
            until(&own, "taken", |own| own.taken() == 1).await;
            assert!(!own.is_unusable());
            assert_ne!(identity.certificate(), before);
            assert!(own.until_s() > 4_000_000_000);
        };
        tokio::select! {
            () = watching.run(&own, Duration::from_millis(2), take) => {}
            () = changes => {}
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
