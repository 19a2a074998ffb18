//! Files that are replaced under a process: what is taken, what is refused, and that somebody goes on looking.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;

use super::*;
use crate::SystemClock;
use crate::testing::{PemFiles, Pems, TestAuthority, dns};
use crate::tls::NODE_SERVER_NAME;

/// How often files are looked at here.
const PERIOD: Duration = Duration::from_millis(2);

/// By when something that has to happen has happened, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An identity whose files are followed.
struct Followed {
    identity: Identity,
    own: Arc<OwnCertificate>,
    paths: PemFiles,
    folder: tempfile::TempDir,
}

impl Followed {
    fn new(first: &Pems) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = first.write(folder.path(), "own").unwrap();
        let identity = first.identity();
        let own = OwnCertificate::new("internal", identity.term().unwrap());
        Self {
            identity,
            own: Arc::new(own),
            paths,
            folder,
        }
    }

    /// Begins to follow the files.
    fn start(&self) -> tokio::task::JoinHandle<()> {
        let files = Files {
            public: vec![self.paths.ca.clone(), self.paths.cert.clone()],
            secret: vec![self.paths.key.clone()],
        };
        let identity = self.identity.clone();
        let take: Take = Arc::new(move |contents| {
            let other = other(&contents[0], &contents[1], &contents[2])?;
            take_identity(&identity, &other, &SystemClock)
        });
        tokio::spawn(keep_current(files, Arc::clone(&self.own), PERIOD, take))
    }

    fn write(&self, pems: &Pems) {
        pems.write(self.folder.path(), "own").unwrap();
    }

    async fn until(&self, what: &str, done: impl Fn(&Standing) -> bool) {
        let mut standing = self.own.subscribe();
        let waiting = timeout(PATIENCE, standing.wait_for(done)).await;
        assert!(waiting.is_ok(), "never {what}: {:?}", self.own);
    }
}

#[tokio::test]
async fn what_others_would_not_believe_changes_nothing_and_is_told() {
    let authority = TestAuthority::default();
    let ours = authority.node_between(1, (2001, 4001));
    let trusting_us = |pems: Pems| Pems {
        ca: ours.ca.clone(),
        ..pems
    };
    let followed = Followed::new(&ours);
    let following = followed.start();
    let before = followed.identity.certificate();
    let bad = [
        Pems {
            cert: "no certificate".to_owned(),
            ..ours.clone()
        },
        Pems {
            key: authority.node(1).key,
            ..ours.clone()
        },
        authority.node(2),
        authority.edge("1"),
        authority.issue("nobody", vec![dns(NODE_SERVER_NAME)]),
        authority.node_between(1, (2001, 2002)),
        authority.node_between(1, (4000, 4001)),
        trusting_us(TestAuthority::new("another").node(1)),
    ];
    for (number, pems) in bad.iter().enumerate() {
        let refused = followed.own.standing().refused;
        followed.write(pems);
        followed
            .until("refused", |standing| standing.refused > refused)
            .await;
        assert!(followed.own.standing().is_unusable, "{number}");
        assert_eq!(followed.identity.certificate(), before, "{number}");
    }
    assert_eq!(followed.own.standing().taken, 0);
    let renewed = authority.node_between(1, (2001, 4002));
    followed.write(&renewed);
    followed
        .until("taken", |standing| standing.taken >= 1)
        .await;
    let standing = followed.own.standing();
    assert!(!standing.is_unusable);
    assert!(standing.term.until_s > 4_000_000_000);
    assert_ne!(followed.identity.certificate(), before);
    // Another authority may come along with what it has signed.
    followed.write(&TestAuthority::new("another").node(1));
    followed
        .until("taken again", |standing| standing.taken >= 2)
        .await;
    following.abort();
}

#[tokio::test]
async fn an_edge_is_renewed_for_its_own_environment_alone() {
    let authority = TestAuthority::default();
    let followed = Followed::new(&authority.edge_of("edge-1", "production"));
    let following = followed.start();
    followed.write(&authority.edge_of("edge-1", "sandbox"));
    followed
        .until("refused", |standing| standing.refused >= 1)
        .await;
    assert_eq!(followed.own.standing().taken, 0);
    following.abort();
}

#[tokio::test]
async fn files_that_change_before_they_are_first_looked_at_are_taken_and_others_are_known() {
    let authority = TestAuthority::default();
    let followed = Followed::new(&authority.node_between(1, (2001, 4001)));
    followed.write(&authority.node_between(1, (2001, 4002)));
    let following = followed.start();
    followed
        .until("taken", |standing| standing.taken >= 1)
        .await;
    following.abort();
    // Whoever starts with them finds nothing new.
    let again = followed.start();
    let mut standing = followed.own.subscribe();
    timeout(PATIENCE, standing.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(followed.own.standing().taken, 1);
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn what_panics_is_counted_and_starts_anew() {
    let own = Arc::new(OwnCertificate::new("internal", Term::default()));
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let make = move || {
        let count = counted.fetch_add(1, Ordering::Relaxed);
        async move { assert!(count == 2, "it is meant to panic") }
    };
    restarted(Arc::clone(&own), make).await;
    assert_eq!(begun.load(Ordering::Relaxed), 3);
    assert_eq!(own.standing().refused, 2);
}
