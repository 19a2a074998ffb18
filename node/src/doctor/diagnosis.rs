//! From what was found out to what is wrong: pure, and without a word of advice that was not earned by a fact.

mod states;

use std::collections::BTreeSet;
use std::fmt;

use raft_store::types::NodeId;
use serde::Serialize;

use self::states::states;
use super::facts::{Examined, Facts};
use crate::consensus::membership::Condition;

/// Entries that a node may lack without a word, as is the case with promotions.
const LAG_MAX: u64 = 1000;

/// How far clocks of nodes may be apart, in milliseconds: what is shown of times, and when keys and certificates end,
/// differs by as much from node to node.
const CLOCKS_APART_MAX_MS: u64 = 500;

/// A certificate that ends sooner should have been renewed, in seconds.
const CERTIFICATE_SOON_S: u64 = 7 * DAY_S;
const DAY_S: u64 = 24 * 60 * 60;

/// How full a disk is, in percent, when that is worth a word, when it is time to act, and when it is late.
const DISK_PERCENT: [(u64, Severity); 3] = [
    (95, Severity::Critical),
    (85, Severity::Warning),
    (70, Severity::Note),
];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or is about to stop.
    Critical,
    /// It works, and one more fault is too many.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word for programs.
    pub code: &'static str,
    /// The node that it is about, if it is about one.
    pub node: Option<NodeId>,
    /// What is so, and what that means.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    fn new(
        severity: Severity,
        code: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code,
            node: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn of(self, node: NodeId) -> Self {
        Self {
            node: Some(node),
            ..self
        }
    }
}

/// Everything that is wrong, the worst first.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    let patient = Patient::of(facts);
    let mut found = Vec::new();
    patient.whether_it_works(&mut found);
    patient.who_is_missing(&mut found);
    patient.what_may_go_wrong(&mut found);
    patient.clocks(&mut found);
    patient.versions(&mut found);
    patient.stale_settings(&mut found);
    states(&patient, &mut found);
    for (examined, condition) in patient.answering() {
        lag(&patient, condition, &mut found);
        disk(condition, &mut found);
        certificate(examined, condition, &mut found);
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

struct Patient<'a> {
    facts: &'a Facts,
    /// As the node has it whose log has come furthest.
    voters: BTreeSet<NodeId>,
    /// How many of them have to agree.
    quorum: usize,
    committed: u64,
}

impl<'a> Patient<'a> {
    fn of(facts: &'a Facts) -> Self {
        let conditions = facts
            .examined
            .iter()
            .filter_map(|examined| examined.answer.as_ref().ok());
        let furthest = conditions
            .clone()
            .max_by_key(|condition| (condition.term, condition.last));
        let voters: BTreeSet<NodeId> =
            furthest.map_or_else(BTreeSet::new, |it| it.voters.iter().copied().collect());
        Self {
            facts,
            quorum: voters.len() / 2 + 1,
            voters,
            committed: conditions.map(|it| it.committed).max().unwrap_or_default(),
        }
    }

    fn answering(&self) -> impl Iterator<Item = (&'a Examined, &'a Condition)> {
        let examined = self.facts.examined.iter();
        examined.filter_map(|examined| Some((examined, examined.answer.as_ref().ok()?)))
    }

    fn silent(&self) -> impl Iterator<Item = (&'a Examined, &'a str)> {
        let examined = self.facts.examined.iter();
        examined.filter_map(|examined| Some((examined, examined.answer.as_ref().err()?.as_str())))
    }

    fn voters_answering(&self) -> usize {
        self.answering()
            .filter(|(_, condition)| self.voters.contains(&condition.id))
            .count()
    }

    fn has_quorum(&self) -> bool {
        self.voters_answering() >= self.quorum
    }

    /// Whether writes can be made at all.
    fn whether_it_works(&self, found: &mut Vec<Finding>) {
        let leaders: BTreeSet<NodeId> = self
            .answering()
            .filter_map(|(_, condition)| condition.leader)
            .collect();
        if self.answering().next().is_none() {
            found.push(Finding::new(
                Severity::Critical,
                "no_node_answers",
                "No node answers. Edges go on by what they have; nothing can be read or changed.",
                "Start the nodes. If they run, look from here whether their internal addresses can be reached, and whether \
                 the certificate of these settings is of the same authority as theirs.",
            ));
        } else if self.voters.is_empty() {
            found.push(Finding::new(
                Severity::Critical,
                "no_cluster",
                "The nodes that answer belong to no cluster yet.",
                "A node with `join = true` waits until it is added: `members add`. Without it, a cluster is formed as soon \
                 as most of the nodes of `cluster.members` run.",
            ));
        } else if !self.has_quorum() {
            let missing: Vec<String> = self.missing_voters().map(|id| id.to_string()).collect();
            found.push(Finding::new(
                Severity::Critical,
                "no_quorum",
                format!(
                    "{} of {} voters answer, and {} have to agree: nothing can be changed, and nothing read but what may be \
                     stale. Edges go on by what they have.",
                    self.voters_answering(),
                    self.voters.len(),
                    self.quorum
                ),
                format!(
                    "Start voters until {} run; missing are {}. Their data directories hold what was acknowledged: start \
                     them with these, and do not empty any.",
                    self.quorum,
                    missing.join(", ")
                ),
            ));
        } else if leaders.is_empty() {
            found.push(Finding::new(
                Severity::Critical,
                "no_leader",
                "Enough voters answer, and none of them knows a leader: nothing can be changed now.",
                "If it stays so for more than some seconds, the nodes do not reach one another although they are reached \
                 from here: look at the network between their internal addresses, and at their logs for refused \
                 certificates.",
            ));
        } else if leaders.len() > 1 {
            let leaders: Vec<String> = leaders.iter().map(ToString::to_string).collect();
            found.push(Finding::new(
                Severity::Warning,
                "leaders_differ",
                format!(
                    "Nodes take different ones for the leader: {}. One of the terms has ended, which not all have heard.",
                    leaders.join(", ")
                ),
                "If it stays so, a part of the nodes is cut off from the others.",
            ));
        }
        self.whether_leadership_lasts(found);
    }

    fn whether_leadership_lasts(&self, found: &mut Vec<Finding>) {
        let term = self.answering().map(|(_, condition)| condition.term).max();
        let Some((term, later)) = term.zip(self.facts.later_term) else {
            return;
        };
        if later > term {
            found.push(Finding::new(
                Severity::Warning,
                "leader_changes",
                format!(
                    "The term went from {term} to {later} within two seconds: leadership does not last, and each change \
                     keeps writes waiting."
                ),
                "Unless somebody has just stopped the leader: links or disks are slower than `raft.election_timeout_min_ms` allows. \
                 Look at `vectorgate_raft_log_sync_seconds` and at the network between the nodes.",
            ));
        }
    }

    fn missing_voters(&self) -> impl Iterator<Item = NodeId> {
        let answering: BTreeSet<NodeId> = self.answering().map(|(_, it)| it.id).collect();
        self.voters
            .iter()
            .filter(move |id| !answering.contains(id))
            .copied()
    }

    fn who_is_missing(&self, found: &mut Vec<Finding>) {
        for (examined, reason) in self.silent() {
            let member = &examined.member;
            let severity = if self.has_quorum() {
                Severity::Warning
            } else {
                Severity::Critical
            };
            let what = format!(
                "Node {} in {} does not answer at {}: {reason}.",
                member.id, member.region, member.internal
            );
            let remedy = format!(
                "Look whether its process runs and what it logged last, and whether {} can be reached. If its disk is lost, \
                 replace it: `members replace {} --id NEW --internal HOST:PORT`.",
                member.internal, member.id
            );
            let finding = Finding::new(severity, "node_silent", what, remedy);
            found.push(finding.of(member.id));
        }
    }

    fn what_may_go_wrong(&self, found: &mut Vec<Finding>) {
        match self.voters.len() {
            0 => {}
            1 => found.push(Finding::new(
                Severity::Warning,
                "one_voter",
                "There is one voter: with its disk everything is lost, and with its process nothing can be changed.",
                "Add two nodes: `members add`, then `members promote`.",
            )),
            even if even % 2 == 0 => found.push(Finding::new(
                Severity::Note,
                "even_voters",
                format!(
                    "{even} voters stand the loss of {}, as {} would.",
                    (even - 1) / 2,
                    even - 1
                ),
                "Add a voter or take one's vote: `members promote`, `members demote`.",
            )),
            _ => {}
        }
        let Some(status) = self.facts.status.as_ref().filter(|it| it.leader.is_some()) else {
            return;
        };
        for risk in status.risks.iter().filter(|_| self.voters.len() > 1) {
            found.push(Finding::new(
                Severity::Warning,
                "risk",
                format!("{risk}."),
                "Start what does not run, or add a voter in another region.",
            ));
        }
        if let Some(under_way) = &status.under_way {
            found.push(Finding::new(
                Severity::Note,
                "change_under_way",
                format!("Under way: {under_way}."),
                "Wait for its end; the leader finishes what was interrupted.",
            ));
        }
    }

    /// Nodes are compared with one another, and not with the clock here, which is nobody's.
    fn clocks(&self, found: &mut Vec<Finding>) {
        let offsets = self.answering().map(|(examined, condition)| {
            let middle = examined.asked_ms.midpoint(examined.answered_ms);
            let doubt = examined.answered_ms.saturating_sub(examined.asked_ms) / 2;
            let offset = i128::from(condition.at_ms) - i128::from(middle);
            (offset, i128::from(doubt), condition.id)
        });
        let offsets: Vec<_> = offsets.collect();
        let (Some(first), Some(last)) = (offsets.iter().min(), offsets.iter().max()) else {
            return;
        };
        let apart_ms = last.0 - first.0 - first.1 - last.1;
        if apart_ms > i128::from(CLOCKS_APART_MAX_MS) {
            found.push(Finding::new(
                Severity::Warning,
                "clocks_differ",
                format!(
                    "The clock of node {} is at least {} s ahead of that of node {}: times that are shown, and when keys and \
                     certificates end, differ by that.",
                    last.2,
                    seconds(apart_ms),
                    first.2
                ),
                "Have both follow the same time servers (NTP). Nothing has to be restarted.",
            ));
        }
    }

    fn versions(&self, found: &mut Vec<Finding>) {
        let versions: BTreeSet<&str> = self
            .answering()
            .map(|(_, condition)| condition.version.as_str())
            .collect();
        if versions.len() > 1 {
            let versions: Vec<&str> = versions.into_iter().collect();
            found.push(Finding::new(
                Severity::Note,
                "versions_differ",
                format!("Nodes run different versions: {}.", versions.join(", ")),
                "That is so while the cluster is upgraded; finish it.",
            ));
        }
    }

    fn stale_settings(&self, found: &mut Vec<Finding>) {
        let Some(status) = &self.facts.status else {
            return;
        };
        let members: BTreeSet<NodeId> = status.members.iter().map(|member| member.id).collect();
        let strangers = self
            .facts
            .settings
            .keys()
            .filter(|id| !members.contains(id));
        let strangers: Vec<String> = strangers.map(ToString::to_string).collect();
        if !strangers.is_empty() && !members.is_empty() {
            found.push(Finding::new(
                Severity::Note,
                "settings_stale",
                format!(
                    "`cluster.members` of these settings names nodes that do not belong to the cluster: {}.",
                    strangers.join(", ")
                ),
                "Take them out: subcommands ask the nodes that stand there.",
            ));
        }
    }
}

fn lag(patient: &Patient<'_>, condition: &Condition, found: &mut Vec<Finding>) {
    let lag = patient.committed.saturating_sub(condition.applied);
    if lag <= LAG_MAX {
        return;
    }
    let behind = patient.committed.saturating_sub(condition.last);
    let remedy = if behind > LAG_MAX {
        "Its log lacks them: the link from the leader is slow or was cut. It catches up by itself, by a checkpoint if need be."
    } else {
        "Its log has them and they are not applied: its disk or processor does not keep up. Look at \
         `vectorgate_storage_*` of this node."
    };
    let what = format!(
        "Node {} is {lag} entries behind: stale reads by it are old, and so is what its edges get.",
        condition.id
    );
    found.push(Finding::new(Severity::Warning, "behind", what, remedy).of(condition.id));
}

fn disk(condition: &Condition, found: &mut Vec<Finding>) {
    let Some(disk) = condition.disk else {
        return;
    };
    let percent = disk.percent();
    let Some((_, severity)) = DISK_PERCENT.iter().find(|(from, _)| percent >= *from) else {
        return;
    };
    let what = format!(
        "The disk of node {} is {percent} % full ({} MiB left). From 95 % of a voter's on the cluster takes nothing that grows, \
         and a node whose disk is full ends.",
        condition.id,
        disk.available_bytes / (1024 * 1024)
    );
    let remedy = "Make the file system larger, or remove what is not the node's. Never remove files of the data directory.";
    found.push(Finding::new(*severity, "disk_full", what, remedy).of(condition.id));
}

fn certificate(examined: &Examined, condition: &Condition, found: &mut Vec<Finding>) {
    let Some(until_s) = condition.certificate_until_s else {
        return;
    };
    let now_s = examined.answered_ms / 1000;
    let left_s = until_s.saturating_sub(now_s);
    if left_s >= CERTIFICATE_SOON_S {
        return;
    }
    let (severity, when) = match left_s {
        0 => (Severity::Critical, "has ended".to_owned()),
        left if left < DAY_S => (
            Severity::Critical,
            format!("ends in {} hours", left / (60 * 60)),
        ),
        left => (Severity::Warning, format!("ends in {} days", left / DAY_S)),
    };
    let what = format!(
        "The certificate of node {} {when}. Without a valid one it cannot talk to the other nodes.",
        condition.id
    );
    let remedy = "Put a new one in place of `tls.cert_file` and `tls.key_file`; it is taken without a restart. `vectorgate-node ca issue` \
                  makes one.";
    found.push(Finding::new(severity, "certificate_ends", what, remedy).of(condition.id));
}

/// With one digit behind the point.
fn seconds(ms: i128) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests;
