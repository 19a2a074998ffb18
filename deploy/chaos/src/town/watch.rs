//! What a town's processes say of themselves, and waiting until they say something else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::local::{Kind, Name};

use super::{POLL, READY_WITHIN, Town};
use crate::client::{self, Answer, Call};

/// How long a process may take to say how it is; one that takes longer is as good as silent.
const ANSWER: Duration = Duration::from_secs(1);

/// How long a process is watched that answers slowly although nothing is asked of it.
const UNHURRIED: Duration = Duration::from_secs(10);

/// How a node says that it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether writes and linearizable reads may be sent to it.
    pub ready: bool,
    /// Whether it takes itself for the leader.
    pub leading: bool,
    /// The Raft term.
    pub term: u64,
    /// Up to which revision it has applied.
    pub applied: u64,
}

impl Standing {
    fn read(answer: &Answer) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let number = |before: &str| {
            let (_, rest) = text.split_once(before)?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        Self {
            ready: answer.status.is_success(),
            leading: text.contains("leader leading"),
            term: number(", term ").unwrap_or_default(),
            applied: number("applied ").unwrap_or_default(),
        }
    }
}

impl Town {
    /// How a node says that it stands; nothing if it does not answer.
    pub async fn standing(&self, node: Name) -> Option<Standing> {
        let call = Call::get("/readyz?verbose");
        let answer = self
            .target
            .call(self.http(node), &call, ANSWER)
            .await
            .ok()?;
        Some(Standing::read(&answer))
    }

    /// Which node leads: of those that say so and have a quorum, the one of the highest term.
    pub async fn current_leader(&self) -> Option<(Name, Standing)> {
        let mut best: Option<(Name, Standing)> = None;
        for node in self.nodes() {
            if !self.is_running(node).unwrap_or(false) {
                continue;
            }
            if let Some(standing) = self.standing(node).await
                && standing.leading
                && standing.ready
                && best.is_none_or(|(_, other)| other.term < standing.term)
            {
                best = Some((node, standing));
            }
        }
        best
    }

    /// The leader, waited for.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn leader(&self) -> Result<Name> {
        self.leader_but(None, READY_WITHIN).await
    }

    /// A leader that is not this one, waited for.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn leader_but(&self, not: Option<Name>, within: Duration) -> Result<Name> {
        let began = Instant::now();
        loop {
            if let Some((leader, _)) = self.current_leader().await
                && Some(leader) != not
            {
                return Ok(leader);
            }
            if began.elapsed() > within {
                bail!("no node leads within {} s", within.as_secs_f64());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A node that follows.
    ///
    /// # Errors
    /// When none leads in time.
    pub async fn follower(&self) -> Result<Name> {
        let leader = self.leader().await?;
        self.nodes()
            .find(|node| *node != leader)
            .context("there is no other node")
    }

    /// Waits until a process says that it is ready. Says how long that took.
    ///
    /// # Errors
    /// When it ends, or is not ready in time, with the end of its log.
    pub async fn wait_ready(&self, name: Name, within: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            if self.is_ready(name).await {
                return Ok(began.elapsed());
            }
            if let Some(status) = self.ended(name)? {
                bail!("{name} ended ({status}):\n{}", self.log(name));
            }
            if began.elapsed() > within {
                bail!(
                    "{name} is not ready after {:.1} s:\n{}",
                    within.as_secs_f64(),
                    self.log(name)
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn is_ready(&self, name: Name) -> bool {
        if name.kind == Kind::Node {
            return self
                .standing(name)
                .await
                .is_some_and(|standing| standing.ready);
        }
        let admin = (name.host(), self.topology.ports.admin).into();
        client::get(admin, "/readyz", ANSWER)
            .await
            .is_ok_and(|answer| answer.status.is_success())
    }

    /// How long a node takes to say that it is alive, for which it needs nobody: what the machine adds to any answer.
    /// Nothing if it does not say so.
    pub async fn breath(&self, node: Name) -> Option<Duration> {
        let began = Instant::now();
        let call = Call::get("/livez");
        let asked = self.target.call(self.http(node), &call, UNHURRIED).await;
        asked.ok().map(|_| began.elapsed())
    }

    /// Waits until a node has applied a revision.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn wait_applied(&self, node: Name, revision: u64, within: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            let standing = self.standing(node).await;
            let applied = standing.map_or(0, |standing| standing.applied);
            if applied >= revision {
                return Ok(());
            }
            if began.elapsed() > within {
                bail!("{node} has applied {applied} of {revision} only");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until a process has ended by itself, and says with which code.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait_ended(&self, name: Name, within: Duration) -> Result<Option<i32>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended(name)? {
                return Ok(status.code());
            }
            if began.elapsed() > within {
                bail!("{name} has not ended after {:.1} s", within.as_secs_f64());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts all that is down, and waits until all are ready.
    ///
    /// # Errors
    /// When one is not in time.
    pub async fn bring_up(&self, within: Duration) -> Result<()> {
        for name in self.names() {
            self.start(name)?;
        }
        for name in self.names() {
            self.wait_ready(name, within).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_understood_when_it_says_how_it_stands() {
        let said = "[+]leader leading, term 7\n[+]applied 41 of 42 committed\nready\n";
        let answer = Answer {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: said.into(),
        };
        let expected = Standing {
            ready: true,
            leading: true,
            term: 7,
            applied: 41,
        };
        assert_eq!(Standing::read(&answer), expected);
    }
}
