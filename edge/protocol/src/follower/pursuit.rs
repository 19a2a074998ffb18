//! From an offered manifest to one that is handed over to be applied, or refused: the part of the
//! machine that decides. Connections and time are the parent's matter.

use bytes::Bytes;
use domain::model::SigningKeyId;
use domain::tree::Hash;

use super::fetch::Fetch;
use super::{Action, CloseReason, Event, Follower, Link, Work};
use crate::manifest::Standing;
use crate::message::reason as cut;
use crate::patch::Patch;
use crate::signing::{Followed, Trust, Untrusted};
use crate::{ManifestRef, Moment, Report, ReportState, SignedManifest, SignedTrust, ToNode};

impl Follower {
    /// Whom to trust comes before what. A set that does not follow from what is trusted is not taken over;
    /// what is signed by those who are trusted goes on to be followed.
    pub(super) fn handle_trust(&mut self, given: &SignedTrust) {
        let followed = match &mut self.trust {
            Some(trust) => trust.follow(given),
            None => Trust::first(given).map(|first| {
                self.trust = Some(first);
                Followed::Anew {
                    without: Vec::new(),
                }
            }),
        };
        match (followed, &self.trust) {
            (Ok(Followed::Anew { without }), Some(trust)) => {
                let set = trust.set().clone();
                self.event(Event::Trusts {
                    cluster_id: set.cluster_id.clone(),
                    serial: set.serial,
                });
                self.actions.push_back(Action::Trust(set));
                self.leave_out(&without);
            }
            (Ok(Followed::Anew { without } | Followed::Already { without }), _) => {
                self.leave_out(&without);
            }
            (Ok(Followed::Not), _) => self.report_trust(None),
            (Err(untrusted), _) => self.distrust_node(untrusted),
        }
    }

    /// Those keys of the set are not trusted, and the rest of it is.
    fn leave_out(&mut self, without: &[SigningKeyId]) {
        let untrusted = without.iter().map(|key| Untrusted::Unvouched(*key));
        for untrusted in untrusted {
            self.event(Event::Untrusted {
                word: untrusted.word(),
            });
        }
        if without.is_empty() {
            return self.report_trust(None);
        }
        let keys: Vec<_> = without.iter().map(ToString::to_string).collect();
        let problem = format!(
            "unvouched_key: no key that this edge trusts vouches for {}; the others are trusted",
            keys.join(", ")
        );
        self.event(Event::LeftOut {
            reason: problem.clone(),
        });
        self.report_trust(Some(problem));
    }

    fn distrust_node(&mut self, untrusted: Untrusted) {
        self.event(Event::Untrusted {
            word: untrusted.word(),
        });
        let reason = format!("{}: {untrusted}", untrusted.word());
        self.report_trust(Some(reason.clone()));
        match untrusted {
            Untrusted::ForeignCluster { followed, found } => {
                self.close(CloseReason::ForeignCluster {
                    followed,
                    offered: found,
                });
            }
            _ => self.event(Event::Distrusted { reason }),
        }
    }

    /// What is offered has to be signed for this cluster and environment by somebody who is trusted. Nothing
    /// of what is not is looked at any further.
    pub(super) fn handle_offer(&mut self, offered: SignedManifest) {
        match self.verify(&offered) {
            Ok(()) => self.consider(offered),
            Err(Untrusted::OlderVersion { current }) => self.event(Event::IgnoredOlder {
                offered: offered.manifest,
                current,
            }),
            Err(untrusted) => self.refuse(offered.manifest, &untrusted),
        }
    }

    fn verify(&self, offered: &SignedManifest) -> Result<(), Untrusted> {
        let (trust, environment) = self
            .trust
            .as_ref()
            .zip(self.environment_id.as_ref())
            .ok_or(Untrusted::NoTrust)?;
        trust.verify(environment, self.current.as_ref(), offered)
    }

    /// The root may be a good one that somebody else offers with a signature that holds, so it is not
    /// remembered. A node that says what its cluster never signed is left; one that is merely behind, or
    /// ahead of what this edge trusts, is not.
    fn refuse(&mut self, offered: ManifestRef, untrusted: &Untrusted) {
        self.event(Event::Untrusted {
            word: untrusted.word(),
        });
        let reason = format!("{}: {untrusted}", untrusted.word());
        self.note_rejection(rejection(offered, reason.clone()));
        match untrusted {
            Untrusted::BadSignature(_)
            | Untrusted::ForeignCluster { .. }
            | Untrusted::ForeignEnvironment { .. }
            | Untrusted::NoTrust => self.violation(reason),
            _ => {}
        }
    }

    fn consider(&mut self, signed: SignedManifest) {
        let offered = signed.manifest;
        if matches!(&self.link, Link::Up { gone: Some(root), .. } if *root == offered.root) {
            return self.violation("it offers a manifest whose chunks it does not have");
        }
        if let Work::Applying { .. } = self.work {
            let next = self.next.as_ref().map(|next| next.manifest);
            // The same comes again by another key once the one that signed it is retired.
            if matches!(
                offered.standing(next.as_ref()),
                Standing::Newer | Standing::Same
            ) {
                self.next = Some(signed);
            }
            return;
        }
        match (offered.standing(self.current.as_ref()), self.current) {
            (Standing::Newer, _) => self.follow(signed),
            (Standing::Conflicting, Some(current)) => {
                let reason = format!(
                    "manifest {offered} has root {}, and {} is applied",
                    offered.root, current.root
                );
                self.note_rejection(rejection(offered, reason));
            }
            (Standing::Same | Standing::Older | Standing::Conflicting, _) => {}
        }
    }

    fn follow(&mut self, signed: SignedManifest) {
        let offered = signed.manifest;
        if let Some(reason) = self.rejected.reason(&offered.root) {
            let reason = reason.to_owned();
            self.work = Work::Idle;
            return self.note_rejection(rejection(offered, reason));
        }
        if let Some(fetch) = self.fetch_mut() {
            match offered.standing(Some(fetch.manifest())) {
                Standing::Newer => {}
                // By another key, perhaps, because the one that signed it is retired.
                Standing::Same => return fetch.prove(signed),
                Standing::Older => {
                    let current = *fetch.manifest();
                    return self.event(Event::IgnoredOlder { offered, current });
                }
                Standing::Conflicting => {
                    let reason = format!("two roots were offered as manifest {offered}");
                    return self.note_rejection(rejection(offered, reason));
                }
            }
        }
        self.work = match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Fetching(fetch) | Work::Waiting { fetch, .. } => {
                Work::Fetching(fetch.redirect(signed, self.current.as_ref()))
            }
            _ => Work::Fetching(Fetch::new(signed, self.current.as_ref())),
        };
        self.event(Event::Fetching(offered));
        self.send(ToNode::Report(Report {
            state: ReportState::Received,
            ..rejection(offered, String::new())
        }));
    }

    pub(super) fn handle_chunks(&mut self, now: Moment, chunks: Vec<Bytes>) {
        for chunk in chunks {
            let Link::Up { asked, .. } = &mut self.link else {
                return;
            };
            let hash = Hash::of(&chunk);
            if !asked.answer(now, &hash) {
                return self.handle_garbage(&hash);
            }
            if let Some(fetch) = self.fetch_mut() {
                fetch.handle_chunk(hash, chunk);
            }
        }
    }

    pub(super) fn handle_patches(&mut self, now: Moment, patches: Vec<Patch>) {
        for patch in patches {
            let Link::Up { asked, .. } = &mut self.link else {
                return;
            };
            let hash = patch.wanted.hash;
            if !asked.answer(now, &hash) {
                return self.handle_garbage(&hash);
            }
            if let Some(fetch) = self.fetch_mut() {
                fetch.handle_patch(patch);
            }
        }
    }

    /// Either nobody asked for the chunk, or its bytes are not those of the hash that was asked for.
    fn handle_garbage(&mut self, hash: &Hash) {
        let reason = format!("the node sent a chunk with hash {hash}, which was not asked for");
        if let Some(manifest) = self.fetch_mut().map(|fetch| *fetch.manifest()) {
            self.note_rejection(rejection(manifest, reason.clone()));
        }
        self.violation(reason);
    }

    /// A manifest's chunks are kept for a while after it was replaced. If they are gone, the
    /// newest manifest comes next; should it be the same one, this node is of no use.
    pub(super) fn handle_gone(&mut self, hashes: &[Hash]) {
        let Link::Up { asked, gone, .. } = &mut self.link else {
            return;
        };
        asked.forget(hashes);
        let Work::Fetching(fetch) = &self.work else {
            return;
        };
        if !fetch.needs_any(hashes) {
            return;
        }
        let manifest = *fetch.manifest();
        *gone = Some(manifest.root);
        self.work = Work::Idle;
        self.event(Event::Gone(manifest));
    }

    pub(super) fn hand_over(&mut self) {
        let Work::Fetching(fetch) = std::mem::replace(&mut self.work, Work::Idle) else {
            return;
        };
        let (manifest, signed) = (*fetch.manifest(), fetch.signed().clone());
        // Whom to trust may have changed since it was offered.
        if let Err(untrusted) = self.verify(&signed) {
            return self.refuse(manifest, &untrusted);
        }
        let (chunks_fetched, bytes_fetched) = fetch.received();
        self.work = Work::Applying {
            manifest: signed.clone(),
            chunks_fetched,
            bytes_fetched,
        };
        self.send(ToNode::Report(Report {
            manifest,
            state: ReportState::Verified,
            apply_ms: 0,
            chunks_fetched,
            bytes_fetched,
        }));
        self.actions.push_back(Action::Apply {
            manifest: signed,
            chunks: fetch.into_chunks(),
        });
    }

    pub(super) fn abandon(&mut self, reason: String) {
        let Work::Fetching(fetch) = std::mem::replace(&mut self.work, Work::Idle) else {
            return;
        };
        self.reject(rejection(*fetch.manifest(), reason));
    }

    pub(super) fn reject(&mut self, report: Report) {
        if let ReportState::Rejected { reason } = &report.state {
            self.rejected.insert(report.manifest.root, reason.clone());
        }
        self.note_rejection(report);
    }

    pub(super) fn note_rejection(&mut self, report: Report) {
        if let ReportState::Rejected { reason } = &report.state {
            self.event(Event::Rejected {
                manifest: report.manifest,
                reason: reason.clone(),
            });
        }
        self.conclude(report);
    }

    pub(super) fn conclude(&mut self, report: Report) {
        self.last_report = Some(report.clone());
        self.send(ToNode::Report(report));
    }
}

fn rejection(manifest: ManifestRef, reason: String) -> Report {
    let state = ReportState::Rejected {
        reason: cut(reason),
    };
    Report {
        manifest,
        state,
        apply_ms: 0,
        chunks_fetched: 0,
        bytes_fetched: 0,
    }
}
