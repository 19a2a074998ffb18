//! Fail points: places with names, where the process dies, waits, or meets an error if whoever
//! decides says so. What is decided is a matter of the thread: all processes of a simulation run
//! on one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// What can be made to happen at a point, besides the death of the process, which always can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Can {
    /// The point is passed asynchronously, so that time can pass there.
    pub wait: bool,
    /// The place has a way to report an input/output error.
    pub fail: bool,
}

const DIE: Can = Can {
    wait: false,
    fail: false,
};
const FAIL: Can = Can {
    wait: false,
    fail: true,
};
const WAIT: Can = Can {
    wait: true,
    fail: false,
};
const WAIT_OR_FAIL: Can = Can {
    wait: true,
    fail: true,
};

/// The table of all points: each line makes two, before and after.
macro_rules! points {
    ($($before:ident, $after:ident, $name:literal, $can:expr, $then:expr, $what:literal;)*) => {
        /// A named place in the product.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $(
                #[doc = concat!("Before ", $what, ".")]
                $before,
                #[doc = concat!("After ", $what, ".")]
                $after,
            )*
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$before, Self::$after),*];

            /// The name by which it is counted and chosen.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(
                        Self::$before => concat!("before_", $name),
                        Self::$after => concat!("after_", $name),
                    )*
                }
            }

            /// What can be made to happen there.
            #[must_use]
            pub const fn can(self) -> Can {
                match self {
                    $(
                        Self::$before => $can,
                        Self::$after => $then,
                    )*
                }
            }
        }
    };
}

points! {
    BeforeWalAppend, AfterWalAppend, "wal_append", WAIT_OR_FAIL, WAIT_OR_FAIL, "entries are written to the log";
    BeforeWalFsync, AfterWalFsync, "wal_fsync", FAIL, FAIL, "the log is synced";
    BeforeVoteSave, AfterVoteSave, "vote_save", WAIT_OR_FAIL, WAIT_OR_FAIL, "a vote is written and synced";
    BeforeApplyBatch, AfterApplyBatch, "apply_batch", WAIT_OR_FAIL, WAIT_OR_FAIL, "a batch of entries is applied";
    BeforeCommittedSave, AfterCommittedSave, "committed_save", FAIL, FAIL, "the committed log id is noted";
    BeforeCheckpointBuild, AfterCheckpointBuild, "checkpoint_build", WAIT_OR_FAIL, WAIT_OR_FAIL, "a checkpoint is made";
    BeforeCheckpointChunk, AfterCheckpointChunk, "checkpoint_chunk", FAIL, FAIL, "a part of a received checkpoint is written";
    BeforeCheckpointAdopt, AfterCheckpointAdopt, "checkpoint_adopt", FAIL, FAIL, "the files of a received checkpoint become a generation of the state";
    BeforeCheckpointInstallMeta, AfterCheckpointInstallMeta, "checkpoint_install_meta", FAIL, FAIL, "an installed checkpoint gets its place among those kept";
    BeforeCheckpointInstallSwap, AfterCheckpointInstallSwap, "checkpoint_install_swap", FAIL, FAIL, "an installed checkpoint becomes the state";
    BeforePurge, AfterPurge, "purge", WAIT_OR_FAIL, WAIT_OR_FAIL, "entries that a checkpoint covers are removed";
    BeforeMembershipApply, AfterMembershipApply, "membership_apply", FAIL, FAIL, "a membership is applied";
    BeforeRpcSend, AfterRpcSend, "rpc_send", WAIT, WAIT, "a node asks another one something";
    BeforeRpcReply, AfterRpcReply, "rpc_reply", WAIT, WAIT, "a node is asked by another one, as seen by who answers: before it thinks, and before the answer leaves";
    BeforeHttpReply, AfterHttpReply, "http_reply", WAIT, WAIT, "an answer of the REST API is sent";
    BeforeIdempotencyStore, AfterIdempotencyStore, "idempotency_store", FAIL, FAIL, "the answer to an idempotency key joins its entry's write";
    BeforeAuditAppend, AfterAuditAppend, "audit_append", FAIL, FAIL, "a row of the journal joins its entry's write";
    BeforeWebhookDequeue, AfterWebhookDequeue, "webhook_dequeue", WAIT_OR_FAIL, WAIT_OR_FAIL, "work is taken for a webhook endpoint";
    BeforeWebhookMark, AfterWebhookMark, "webhook_mark", WAIT_OR_FAIL, WAIT_OR_FAIL, "what came of webhook deliveries is recorded";
    BeforeEdgeReceive, AfterEdgeReceive, "edge_receive", WAIT, WAIT, "an edge takes in what a node sent";
    BeforeEdgeValidate, AfterEdgeValidate, "edge_validate", FAIL, FAIL, "an edge reads and compiles a manifest";
    BeforeEdgeSwap, AfterEdgeSwap, "edge_swap", DIE, DIE, "an edge swaps its configuration";
    BeforeEdgePersist, AfterEdgePersist, "edge_persist", FAIL, DIE, "an edge writes a manifest to its disk";
}

impl Point {
    /// Whether an error there is one of a node's disk, which it stops over.
    #[must_use]
    pub const fn ends_the_process(self) -> bool {
        !matches!(
            self,
            Self::BeforeWebhookDequeue
                | Self::AfterWebhookDequeue
                | Self::BeforeWebhookMark
                | Self::AfterWebhookMark
                | Self::BeforeEdgeValidate
                | Self::AfterEdgeValidate
                | Self::BeforeEdgePersist
        ) && self.can().fail
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why what follows a point must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// An input/output error was injected.
    Io,
    /// The process has died here. Nothing it does from now on may be seen by anybody.
    Dead,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "injected input/output error",
            Self::Dead => "the process died at a fail point",
        })
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for std::io::Error {
    fn from(broken: Broken) -> Self {
        Self::other(broken)
    }
}

/// A wait that whoever decides makes, in the time that it knows.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What happens at a point.
pub enum Verdict {
    /// Nothing.
    Pass,
    /// An error, where the point [can](Can::fail).
    Fail,
    /// A wait, where the point [can](Can::wait).
    Wait(Wait),
    /// The process is dead; whoever decides has already taken from it what dies with it.
    Die,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::Wait(_) => "Wait",
            Self::Die => "Die",
        })
    }
}

/// Decides what happens at points.
pub trait Decide {
    /// What happens at `point`, now, in the process that is running.
    fn decide(&self, point: Point) -> Verdict;
}

pub use switch::{hit, pass};

#[cfg(feature = "fail-points")]
pub use switch::install;

#[cfg(feature = "fail-points")]
mod switch {
    //! With fail points: each is decided.

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::{Broken, Decide, Point, Verdict};

    thread_local! {
        static DECIDER: RefCell<Option<Rc<dyn Decide>>> = const { RefCell::new(None) };
    }

    /// From now on `decider` decides on this thread, or nobody does.
    pub fn install(decider: Option<Rc<dyn Decide>>) {
        DECIDER.with(|slot| *slot.borrow_mut() = decider);
    }

    fn decide(point: Point) -> Verdict {
        // It is let go of before it decides: what it does may come by a point itself.
        let decider = DECIDER.with(|slot| slot.borrow().clone());
        decider.map_or(Verdict::Pass, |decider| decider.decide(point))
    }

    /// Passes a point where time cannot pass.
    ///
    /// # Errors
    /// When what follows must not happen.
    pub fn hit(point: Point) -> Result<(), Broken> {
        match decide(point) {
            Verdict::Pass | Verdict::Wait(_) => Ok(()),
            Verdict::Fail => Err(Broken::Io),
            Verdict::Die => Err(Broken::Dead),
        }
    }

    /// Passes a point where time can pass. If the process dies here, this never returns.
    ///
    /// # Errors
    /// When what follows must not happen.
    pub async fn pass(point: Point) -> Result<(), Broken> {
        match decide(point) {
            Verdict::Pass => {}
            Verdict::Fail => return Err(Broken::Io),
            Verdict::Wait(wait) => wait.await,
            Verdict::Die => std::future::pending().await,
        }
        Ok(())
    }
}

#[cfg(not(feature = "fail-points"))]
mod switch {
    //! Without fail points: nothing.

    use std::future::{Ready, ready};

    use super::{Broken, Point};

    /// Nothing happens.
    ///
    /// # Errors
    /// Never.
    #[inline(always)]
    pub const fn hit(_: Point) -> Result<(), Broken> {
        Ok(())
    }

    /// Nothing happens.
    ///
    /// # Errors
    /// Never.
    #[inline(always)]
    pub fn pass(_: Point) -> Ready<Result<(), Broken>> {
        ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_as_many_points_as_the_fault_model_asks_for_and_each_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(names.len() >= 40, "{}", names.len());
    }

    #[test]
    fn nothing_happens_where_nobody_decides() {
        for point in Point::ALL {
            assert_eq!(hit(*point), Ok(()));
        }
    }

    #[cfg(feature = "fail-points")]
    #[test]
    fn what_is_decided_happens() {
        struct Only(Point, fn() -> Verdict);
        impl Decide for Only {
            fn decide(&self, point: Point) -> Verdict {
                if point == self.0 {
                    (self.1)()
                } else {
                    Verdict::Pass
                }
            }
        }
        let expect = |verdict: fn() -> Verdict, expect| {
            install(Some(std::rc::Rc::new(Only(Point::BeforePurge, verdict))));
            assert_eq!(hit(Point::BeforePurge), expect);
            assert_eq!(hit(Point::AfterPurge), Ok(()));
        };
        expect(|| Verdict::Fail, Err(Broken::Io));
        expect(|| Verdict::Die, Err(Broken::Dead));
        expect(|| Verdict::Pass, Ok(()));
        install(None);
        assert_eq!(hit(Point::BeforePurge), Ok(()));
    }
}
