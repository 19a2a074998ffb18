//! Tells a manifest that ends the process from one that does not: after [`CRASHES_MAX`] crashes on
//! one manifest in short order, the edge starts on the one before and refuses this one.
//!
//! The edge writes down, in the store's journal of starts, by which manifest it is about to serve,
//! before it does; that this went well for [`SETTLED_AFTER`]; and that it ended as it was told to.
//! A run that has no such end is a crash, whatever the reason: a fault of the edge that the manifest
//! brings out, memory that it takes, somebody's `kill -9`. When it crashed is not known, only when
//! the next start noticed.
//!
//! ```text
//!  the last three runs                                     the next start
//!  all crashed on the manifest, noticed within a minute     refuses it
//!  all crashed on it, none of them had settled              refuses it, however long the pauses were
//!  anything else                                            uses it
//! ```
//!
//! The second row is for supervisors that wait longer after each crash. What is refused stays so,
//! across restarts, until another content is published; the last [`REFUSED_MAX`] are remembered.
//!
//! Pure decisions; where the journal stands is [`crate::store`]'s matter.

use std::time::Duration;

use domain::time::Timestamp;
use edge_protocol::ManifestRef;
use serde::{Deserialize, Serialize};

/// After so many crashes on a manifest it is refused.
pub const CRASHES_MAX: usize = 3;

/// Within how long these must be noticed.
pub const WINDOW: Duration = Duration::from_secs(60);

/// A run that lasted so long on a manifest was not ended by starting on it.
pub const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Refused manifests that are remembered: those that could be offered again are the newest few.
pub const REFUSED_MAX: usize = 8;

/// What is remembered of the process's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// The oldest first; the last one may be the one that is running. At most [`CRASHES_MAX`].
    runs: Vec<Run>,
    /// The oldest first; at most [`REFUSED_MAX`].
    refused: Vec<Refused>,
}

/// A stretch of time in which a process served by one manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// None while it served by nothing.
    manifest: Option<ManifestRef>,
    /// When the process started, by the wall clock.
    began: Timestamp,
    end: End,
}

/// How a run ended, as far as it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    /// It began, and perhaps still runs.
    Open,
    /// It went well for a while, and perhaps still runs.
    Settled,
    /// It ended as it was told to.
    Clean,
}

/// A manifest that is not served by any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub manifest: ManifestRef,
    /// Why, for people.
    pub reason: String,
}

impl Starts {
    /// The process is about to serve by `manifest`, or by nothing. Gives the reason, if it is not
    /// to do that; the manifest is refused from then on.
    pub fn begin(&mut self, manifest: Option<ManifestRef>, now: Timestamp) -> Result<(), Refused> {
        if let Some(known) = manifest.and_then(|manifest| self.refusal(&manifest)) {
            return Err(known.clone());
        }
        if let Some(refused) = manifest.and_then(|manifest| self.judge(manifest, now)) {
            self.refuse(refused.clone());
            return Err(refused);
        }
        if self.runs.len() == CRASHES_MAX {
            self.runs.remove(0);
        }
        self.runs.push(Run {
            manifest,
            began: now,
            end: End::Open,
        });
        Ok(())
    }

    /// The process does not serve by the manifest with which it began: it cannot be used.
    pub fn retract(&mut self) {
        self.runs.pop();
    }

    /// The running process is about to serve by another manifest, or again by the one before.
    pub fn change(&mut self, manifest: Option<ManifestRef>) {
        if let Some(run) = self.runs.last_mut() {
            run.manifest = manifest;
            run.end = End::Open;
        }
    }

    /// The running process has served by its manifest for [`SETTLED_AFTER`].
    pub fn settle(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.end = End::Settled;
        }
    }

    /// The running process ends as it was told to.
    pub fn end(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.end = End::Clean;
        }
    }

    /// The manifests that are refused, the oldest first.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn refusal(&self, manifest: &ManifestRef) -> Option<&Refused> {
        self.refused
            .iter()
            .find(|refused| refused.manifest.root == manifest.root)
    }

    fn judge(&self, manifest: ManifestRef, now: Timestamp) -> Option<Refused> {
        let crashed = |run: &Run| run.manifest == Some(manifest) && run.end != End::Clean;
        if self.runs.len() < CRASHES_MAX || !self.runs.iter().all(crashed) {
            return None;
        }
        // A crash is noticed by the start that comes next.
        let first_noticed = self.runs.get(1)?.began;
        let window_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        let soon = now
            .0
            .checked_sub(first_noticed.0)
            .is_some_and(|passed| passed <= window_ms);
        let unsettled = self.runs.iter().all(|run| run.end == End::Open);
        (soon || unsettled).then(|| Refused {
            manifest,
            reason: format!(
                "the edge crashed {CRASHES_MAX} times in short order while it served by this manifest"
            ),
        })
    }

    fn refuse(&mut self, refused: Refused) {
        if self.refused.len() == REFUSED_MAX {
            self.refused.remove(0);
        }
        self.refused.push(refused);
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use domain::model::{Epoch, ManifestVersion};
    use domain::tree::Hash;

    use super::*;

    fn manifest(version: u8) -> ManifestRef {
        ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(version.into()),
            root: Hash([version; 32]),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000 + seconds * 1000)
    }

    /// What an edge does, in seconds of the wall clock.
    enum Does {
        Starts(u64),
        Changes(u8),
        Settles,
        Ends,
    }
    use Does::{Changes, Ends, Settles, Starts as Start};

    /// Every start is on the newest of manifests 2 and 1 that is not refused.
    #[track_caller]
    fn check(story: &[Does], last_start_on: u8) {
        let mut starts = Starts::default();
        let (mut newest, mut on) = (2, 0);
        for step in story {
            match step {
                Start(seconds) => {
                    on = newest;
                    while starts.begin(Some(manifest(on)), at(*seconds)).is_err() {
                        on -= 1;
                    }
                }
                Changes(version) => {
                    newest = *version;
                    starts.change(Some(manifest(newest)));
                }
                Settles => starts.settle(),
                Ends => starts.end(),
            }
        }
        assert_eq!(on, last_start_on, "{starts:?}");
    }

    #[test]
    fn three_crashes_in_short_order_and_nothing_less() {
        // Two are not enough.
        check(&[Start(0), Start(1), Start(2)], 2);
        check(&[Start(0), Start(1), Start(2), Start(3)], 1);
        check(&[Start(0), Start(1), Start(30), Start(61)], 1);
        // It is refused at the next start, too, and the one before is judged by itself.
        check(
            &[Start(0), Start(1), Start(2), Start(3), Start(4), Start(5)],
            1,
        );
        // The pauses grow, and no run lasted.
        check(&[Start(0), Start(10), Start(100), Start(400)], 1);
        // Each run lasted a while, and the crashes were far apart.
        check(
            &[
                Start(0),
                Settles,
                Start(100),
                Settles,
                Start(200),
                Settles,
                Start(300),
            ],
            2,
        );
        // They lasted, and then crashed one after the other.
        check(
            &[Start(0), Settles, Start(3600), Start(3601), Start(3602)],
            1,
        );
        // One of three lasted, and the others were noticed more than a minute apart.
        check(&[Start(0), Settles, Start(100), Start(130), Start(161)], 2);
        // Somebody stopped it in between.
        check(&[Start(0), Start(1), Ends, Start(2), Start(3)], 2);
        check(&[Start(0), Start(1), Start(2), Ends, Start(3)], 2);
        check(
            &[Start(0), Ends, Start(1), Ends, Start(2), Ends, Start(3)],
            2,
        );
        // Ten crashes with clean ends before them.
        check(&[Start(0), Ends, Start(1), Start(2), Start(3), Start(4)], 1);
        // The clock was set back: what is noticed in the future says nothing of time.
        check(&[Start(0), Settles, Start(500), Start(501), Start(100)], 2);
        check(&[Start(0), Start(500), Start(501), Start(100)], 1);
    }

    #[test]
    fn crashes_count_for_the_manifest_that_was_in_use_at_last() {
        check(&[Start(0), Changes(3), Start(1), Start(2), Start(3)], 2);
        check(&[Start(0), Start(1), Changes(3), Start(2), Start(3)], 3);
        // A manifest that is taken into use has yet to settle.
        check(
            &[
                Start(0),
                Settles,
                Changes(3),
                Start(100),
                Start(300),
                Start(900),
            ],
            2,
        );
    }

    #[test]
    fn a_refused_manifest_stays_refused_under_any_version_of_the_same_content() {
        let mut starts = Starts::default();
        for second in 0..3 {
            starts.begin(Some(manifest(1)), at(second)).unwrap();
        }
        let refused = starts.begin(Some(manifest(1)), at(3)).unwrap_err();
        assert_eq!(starts.refused(), std::slice::from_ref(&refused));
        assert!(refused.reason.contains("3 times"));
        let again = ManifestRef {
            version: ManifestVersion(9),
            ..manifest(1)
        };
        assert_eq!(starts.begin(Some(again), at(9000)), Err(refused));
        assert!(starts.begin(None, at(9001)).is_ok(), "without any manifest");
        for version in 2..20 {
            for second in 0..3 {
                starts.begin(Some(manifest(version)), at(second)).unwrap();
            }
            assert!(starts.begin(Some(manifest(version)), at(3)).is_err());
        }
        assert_eq!(starts.refused().len(), REFUSED_MAX);
    }

    #[test]
    fn serving_by_nothing_is_refused_to_nobody() {
        let mut starts = Starts::default();
        for second in 0..10 {
            assert_eq!(starts.begin(None, at(second)), Ok(()));
        }
    }
}
