//! Certificates on the disk that are renewed while a process runs. Their files are looked at again and
//! again; once they have changed, and stand still, they are taken into use, if what they hold is what the process could have been
//! started with and what others would believe. Files that cannot be used change nothing but what the log and the metrics say.

mod files;
mod own;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use self::files::{Files, Take, Taken};
use crate::certificate::{self, Term};
use crate::clock::Clock;
use crate::tls::{Identity, PublicCertificate};

pub use own::{OwnCertificate, Standing};

/// How often files are looked at. Two looks have to find the same, so what is renewed is in use within
/// twice this.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// How long what renews a certificate rests after it has panicked.
const RESTART_PAUSE: Duration = Duration::from_secs(10);

/// Has what `make` makes run for as long as the process does. If it panics, that is counted as a renewal that was refused and told in the log, and another one goes on:
/// a certificate that nobody renews any more would be noticed when it ends.
pub async fn restarted<F: Future<Output = ()> + Send + 'static>(
    own: Arc<OwnCertificate>,
    make: impl Fn() -> F + Send,
) {
    // It ends with this.
    let mut running = JoinSet::new();
    loop {
        running.spawn(make());
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                own.refused();
                tracing::error!(
                    certificate = own.use_for,
                    "what renews the certificate has panicked; it starts anew"
                );
                sleep(RESTART_PAUSE).await;
            }
            // It has ended, or the runtime is ending.
            _ => return,
        }
    }
}

/// Keeps what a process has towards the others of its cluster as its files say, for as long as it is
/// polled. What they hold now is in use already; what comes has to name the same process and environment, to hold now, and to lead to an authority of
/// the bundle that comes with it.
pub async fn keep_identity_current(
    identity: Identity,
    [ca_file, cert_file, key_file]: [PathBuf; 3],
    own: Arc<OwnCertificate>,
    clock: Arc<dyn Clock>,
) {
    let files = Files {
        public: vec![ca_file, cert_file],
        secret: vec![key_file],
    };
    let take: Take = Arc::new(move |contents| {
        let [ca, cert, key] = &contents[..] else {
            return Err("a file is missing".to_owned());
        };
        take_identity(&identity, &other(ca, cert, key)?, &*clock)
    });
    keep_current(files, own, LOOK_PERIOD, take).await;
}

/// Keeps what clients are shown as its files say, for as long as it is polled. What they hold now is in
/// use already; what comes has to hold now, each certificate issued by the next one.
pub async fn keep_public_current(
    certificate: PublicCertificate,
    [cert_file, key_file]: [PathBuf; 2],
    own: Arc<OwnCertificate>,
    clock: Arc<dyn Clock>,
) {
    let files = Files {
        public: vec![cert_file],
        secret: vec![key_file],
    };
    let take: Take = Arc::new(move |contents| {
        let [cert, key] = &contents[..] else {
            return Err("a file is missing".to_owned());
        };
        let other = PublicCertificate::from_pem(cert, key).map_err(|error| with_causes(&error))?;
        if other.current().cert == certificate.current().cert {
            return Ok(Taken::Known);
        }
        let facts =
            certificate::read(text(cert)?, text(key)?).map_err(|error| error.to_string())?;
        let term = Term {
            since_s: facts.not_before_s,
            until_s: facts.not_after_s,
        };
        check_term(term, &*clock)?;
        certificate.replace(&other);
        Ok(Taken::Renewed(term))
    });
    keep_current(files, own, LOOK_PERIOD, take).await;
}

/// Keeps an authority that signs as its files say, for as long as it is polled, with what is trusted along
/// with it: `ca_files` one after the other, of which the last is the authority's own bundle. What the files
/// hold now is in use already.
pub async fn keep_authority_current(
    identity: Identity,
    (ca_files, cert_file): ([PathBuf; 2], PathBuf),
    [key_file, signing_key_file]: [PathBuf; 2],
    sign_by: impl Fn(&str, &str) -> Result<(), String> + Send + Sync + 'static,
    own: Arc<OwnCertificate>,
    clock: Arc<dyn Clock>,
) {
    let [ca_file, own_ca_file] = ca_files;
    let files = Files {
        public: vec![ca_file, own_ca_file, cert_file],
        secret: vec![key_file, signing_key_file],
    };
    let take: Take = Arc::new(move |contents| {
        let [ca, own_ca, cert, key, signing_key] = &contents[..] else {
            return Err("a file is missing".to_owned());
        };
        if certificate::share_authority(ca, own_ca) {
            return Err("an authority of nodes would sign for edges".to_owned());
        }
        let both = [ca.as_slice(), b"\n", own_ca.as_slice()].concat();
        let other = other(&both, cert, key)?;
        let term = certificate::pem_term(own_ca).ok_or("the authority cannot be read")?;
        if !identity.is(&other) {
            check_term(term, &*clock)?;
        }
        sign_by(text(own_ca)?, text(signing_key)?)?;
        Ok(match take_identity(&identity, &other, &*clock)? {
            Taken::Known => Taken::Known,
            Taken::Renewed(_) => Taken::Renewed(term),
        })
    });
    keep_current(files, own, LOOK_PERIOD, take).await;
}

async fn keep_current(files: Files, own: Arc<OwnCertificate>, period: Duration, take: Take) {
    let make = || {
        files
            .clone()
            .follow(Arc::clone(&own), period, Arc::clone(&take))
    };
    restarted(Arc::clone(&own), make).await;
}

fn other(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Identity, String> {
    Identity::from_pem(ca, cert, key).map_err(|error| with_causes(&error))
}

/// Takes another identity into use, if others believe it now.
fn take_identity(
    identity: &Identity,
    other: &Identity,
    clock: &dyn Clock,
) -> Result<Taken, String> {
    if identity.is(other) {
        return Ok(Taken::Known);
    }
    let outcome = other
        .verify(clock.now())
        .and_then(|()| identity.replace(other));
    outcome.map_err(|error| with_causes(&error))?;
    let term = other.term();
    Ok(Taken::Renewed(
        term.ok_or("the certificate cannot be read")?,
    ))
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

/// What has ended already is no renewal, and neither is what does not hold yet.
fn check_term(term: Term, clock: &dyn Clock) -> Result<(), String> {
    let now_s = clock.now().0 / 1000;
    if term.until_s <= now_s {
        return Err("the certificate has expired".to_owned());
    }
    if term.since_s > now_s {
        return Err("the certificate does not hold yet".to_owned());
    }
    Ok(())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
