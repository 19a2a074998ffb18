//! From an offered manifest to one that is handed over to be applied, or refused: the part of the
//! machine that decides. Connections and time are the parent's matter.

use bytes::Bytes;
use domain::tree::Hash;

use super::fetch::Fetch;
use super::{Action, Event, Follower, Link, Work};
use crate::manifest::Standing;
use crate::message::reason as cut;
use crate::patch::Patch;
use crate::{ManifestRef, Moment, Report, ReportState, ToNode};

impl Follower {
    pub(super) fn handle_offer(&mut self, offered: ManifestRef) {
        if matches!(&self.link, Link::Up { gone: Some(root), .. } if *root == offered.root) {
            return self.violation("it offers a manifest whose chunks it does not have");
        }
        if let Work::Applying { .. } = self.work {
            if offered.standing(self.next.as_ref()) == Standing::Newer {
                self.next = Some(offered);
            }
            return;
        }
        match (offered.standing(self.current.as_ref()), self.current) {
            (Standing::Newer, _) => self.follow(offered),
            (Standing::Older, Some(current)) => {
                self.event(Event::IgnoredOlder { offered, current })
            }
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

    fn follow(&mut self, offered: ManifestRef) {
        if let Some(reason) = self.rejected.reason(&offered.root) {
            let reason = reason.to_owned();
            self.work = Work::Idle;
            return self.note_rejection(rejection(offered, reason));
        }
        if let Some(fetch) = self.fetch_mut() {
            match offered.standing(Some(fetch.manifest())) {
                Standing::Newer => {}
                Standing::Same => return,
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
                Work::Fetching(fetch.redirect(offered, self.current.as_ref()))
            }
            _ => Work::Fetching(Fetch::new(offered, self.current.as_ref())),
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
        let Some(environment_id) = self.environment_id.clone() else {
            return;
        };
        let Work::Fetching(fetch) = std::mem::replace(&mut self.work, Work::Idle) else {
            return;
        };
        let manifest = *fetch.manifest();
        let (chunks_fetched, bytes_fetched) = fetch.received();
        self.work = Work::Applying {
            manifest,
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
            manifest,
            environment_id,
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
