//! The scenarios: one kind of fault a file. Each plays in a town of its own under a load, and says what it found.
//! They are numbered as in the project's matrix of faults; a number that is missing is proved elsewhere or not at all.

mod clocks;
mod damage;
mod edges;
mod full_disks;
mod kills;
mod members;
mod partitions;
mod pauses;
mod power;
mod pressure;
mod quorum;
mod syncs;
mod webhooks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::BoxFuture;
use xtask::report::fact;

use crate::findings::Findings;
use crate::machine::tools::Need;
use crate::report::{self, Played};
use crate::town::{Plan, Site, Town};

/// A scenario that has not ended by then never will. The long ones take hours.
const SHORT_WITHIN: Duration = Duration::from_secs(15 * 60);
const LONG_WITHIN: Duration = Duration::from_secs(3 * 60 * 60);

/// A scenario.
pub struct Scenario {
    /// Its name.
    pub id: &'static str,
    /// What is done, in a few words.
    pub title: &'static str,
    /// What is done and what must hold, in a sentence.
    pub about: &'static str,
    needs: &'static [Need],
    play: fn(&Stage) -> BoxFuture<'_, Result<Findings>>,
}

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        id: "P1",
        title: "leader killed",
        about: "The leader is killed (-9) again and again: writes go on within 3 s, none is lost or made twice.",
        needs: &[],
        play: |stage| Box::pin(kills::leader(stage)),
    },
    Scenario {
        id: "P2",
        title: "all nodes killed",
        about: "All nodes are killed (-9) at the same moment: they serve again within 10 s, and nothing is lost.",
        needs: &[],
        play: |stage| Box::pin(kills::all(stage)),
    },
    Scenario {
        id: "P3",
        title: "power cut",
        about: "One node, then all of them lose power and what was not synced: back within 10 s by themselves, and nothing is lost.",
        needs: &[],
        play: |stage| Box::pin(power::cuts(stage)),
    },
    Scenario {
        id: "P4",
        title: "rolling restart",
        about: "Nodes are stopped (SIGTERM) and started one after the other: no request fails, one retry at most, 99 of 100 within 1 s.",
        needs: &[],
        play: |stage| Box::pin(kills::rolling(stage)),
    },
    Scenario {
        id: "P5",
        title: "leader paused",
        about: "The leader stands still, another takes over, and the old one is read the moment it goes on: no read is stale.",
        needs: &[],
        play: |stage| Box::pin(pauses::leader(stage)),
    },
    Scenario {
        id: "P6",
        title: "leader in a minority",
        about: "The leader is cut off from the other nodes: asked, it answers 503 with Retry-After within 2 s, and acknowledges nothing.",
        needs: &[],
        play: |stage| Box::pin(partitions::minority(stage)),
    },
    Scenario {
        id: "P7",
        title: "one-way cuts",
        about: "Each pair of nodes is cut in one direction: never without a leader for more than 5 s, two elections at most.",
        needs: &[],
        play: |stage| Box::pin(partitions::one_way(stage)),
    },
    Scenario {
        id: "P8",
        title: "lossy network",
        about: "Every host loses 30 % of what is sent to it: of a hundred operations, 99 succeed with retries.",
        needs: &[Need::RandomDrop],
        play: |stage| Box::pin(partitions::lossy(stage)),
    },
    Scenario {
        id: "P9",
        title: "full disk",
        about: "The disk of a follower, then of the leader fills up: the node leaves, writes go on within 3 s; freed, it serves within 30 s.",
        needs: &[],
        play: |stage| Box::pin(full_disks::both(stage)),
    },
    Scenario {
        id: "P10",
        title: "failing sync",
        about: "A sync of the leader's fails once: it exits with 74 within 1 s and acknowledges nothing any more; another leads within 3 s.",
        needs: &[Need::Strace],
        play: |stage| Box::pin(syncs::failing(stage)),
    },
    Scenario {
        id: "P11",
        title: "slow sync",
        about: "Each sync of the leader's takes 500 ms: another one leads within 10 s, or 99 of 100 writes take 2 s at most.",
        needs: &[Need::Strace],
        play: |stage| Box::pin(syncs::slow(stage)),
    },
    Scenario {
        id: "P12",
        title: "damaged log",
        about: "The log of a node that is down gets a byte flipped, is halved or removed: it refuses with 65 and names the file, or nothing is missing.",
        needs: &[],
        play: |stage| Box::pin(damage::logs(stage)),
    },
    Scenario {
        id: "P13",
        title: "damaged tables",
        about: "The same with table files and checkpoints: found at the start or when read, and never shown or passed on.",
        needs: &[],
        play: |stage| Box::pin(damage::tables(stage)),
    },
    Scenario {
        id: "P15",
        title: "clocks that jump",
        about: "Nodes' wall clocks jump by an hour and flap by ten minutes: reads stay linearizable, times of creation never go back.",
        needs: &[Need::Faketime],
        play: |stage| Box::pin(clocks::jumps(stage)),
    },
    Scenario {
        id: "P17",
        title: "members come and go",
        about: "Members are added, replaced and removed, the leader too: no request fails, writes go on within 1 s, and who was removed ends.",
        needs: &[],
        play: |stage| Box::pin(members::changed(stage)),
    },
    Scenario {
        id: "P20",
        title: "edges alone",
        about: "All nodes are away while edges are restarted: they serve what they last had within 2 s, and never a 5xx.",
        needs: &[],
        play: |stage| Box::pin(edges::alone(stage)),
    },
    Scenario {
        id: "P23",
        title: "webhook sender killed",
        about: "The leader is killed between sending an event and writing that down: each arrives, under one id, once more per change of leader at most.",
        needs: &[],
        play: |stage| Box::pin(webhooks::sender(stage)),
    },
    Scenario {
        id: "P25",
        title: "maximum load",
        about: "As many writes as the machine takes, with a checkpoint every thousand entries, 5 000 in the long form: consensus stays alive on all nodes.",
        needs: &[],
        play: |stage| Box::pin(pressure::writes(stage)),
    },
    Scenario {
        id: "P26",
        title: "quorum lost",
        about: "All nodes but one are gone for a while: it answers 503 within 2 s, stale reads go on; they serve within 10 s of their return.",
        needs: &[],
        play: |stage| Box::pin(quorum::lost(stage)),
    },
];

/// Where a scenario plays, and how much of it is done.
pub struct Stage {
    site: Site,
    id: &'static str,
    long: bool,
}

/// How scenarios are played.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// As much as a release has to stand.
    pub long: bool,
    /// Whether figures of time are judged. Where the machine is shared, they say more of it than of the cluster.
    pub timed: bool,
}

impl Stage {
    /// What the short or the long form has of something.
    pub(crate) fn choose<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> u16 {
        self.choose(3, 5)
    }

    /// A town with that many nodes.
    pub(crate) async fn town(&self) -> Result<Arc<Town>> {
        self.town_of(&Plan::nodes(self.nodes())).await
    }

    /// A town as planned.
    pub(crate) async fn town_of(&self, plan: &Plan) -> Result<Arc<Town>> {
        Ok(Arc::new(Town::build(&self.site, self.id, plan).await?))
    }

    /// Where towns are built.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The scenario's name.
    pub(crate) fn id(&self) -> &'static str {
        self.id
    }

    /// Says how far it is.
    pub(crate) fn say(&self, what: impl std::fmt::Display) {
        fact(what);
    }
}

/// Plays a scenario.
pub async fn play(scenario: &Scenario, site: &Site, form: Form) -> Played {
    let name = (scenario.id, scenario.title);
    report::announce(scenario.id, scenario.about);
    if let Some(reason) = scenario.needs.iter().find_map(|need| need.missing()) {
        return Played::skipped(name, reason);
    }
    let stage = Stage {
        site: site.clone(),
        id: scenario.id,
        long: form.long,
    };
    let began = Instant::now();
    let within = stage.choose(SHORT_WITHIN, LONG_WITHIN);
    let outcome = match tokio::time::timeout(within, (scenario.play)(&stage)).await {
        Ok(outcome) => outcome,
        Err(late) => Err(late.into()),
    };
    Played::new(name, outcome, began.elapsed(), form.timed)
}

/// Lets so much time pass.
pub(crate) async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}

/// So many milliseconds.
pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// So many seconds.
pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
