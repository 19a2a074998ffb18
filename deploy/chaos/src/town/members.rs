//! Who belongs to a town's cluster, and how its operator changes that: by the node's subcommands, or on the socket that each
//! node has for operators. As the runbook says, what is not decided now is asked for again.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use xtask::local::{Kind, Name, settings};

use super::{POLL, READY_WITHIN, Town, append};
use crate::blocking;
use crate::client::{self, Answer};
use crate::machine::namespaces;

/// Where a node's operators ask, on its own host.
pub(super) const SOCKET: &str = "127.0.0.1:7401";

/// How long the operator waits before asking again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long one request may take: `members replace` waits until the new node has caught up.
const ASKED_WITHIN: Duration = Duration::from_secs(120);

/// The exit code of a process that finds out that it was removed.
pub const REMOVED: Option<i32> = Some(77);

/// How the operator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `vectorgate-node members`.
    Subcommand,
    /// JSON on the socket.
    Socket,
}

/// A member, as the cluster tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MemberSeen {
    /// Its number.
    pub id: u16,
    /// What it does.
    pub role: String,
    /// Whether it answers the leader.
    pub alive: Option<bool>,
    /// How many entries it lacks.
    pub lag: Option<u64>,
}

/// What came of a request.
enum Told {
    Done,
    /// It was refused, or is to be asked for again.
    Otherwise(String),
}

impl Town {
    /// Prepares a machine for a node that is to join, under a number that none has had, and starts it. It waits to be added.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn newcomer(&self) -> Result<Name> {
        let node = {
            let mut highest = self.highest.lock();
            *highest += 1;
            Name::node(*highest)
        };
        let members: Vec<Name> = self.staying().collect();
        blocking(|| {
            namespaces::ensure(&node.to_string(), node.host())?;
            self.make_disk(node)?;
            settings::write_newcomer(&self.folder, &self.topology, node, &members)?;
            append(&self.folder.settings(node), &self.more_settings())
        })?;
        self.start(node)?;
        let began = Instant::now();
        while self.breath(node).await.is_none() {
            self.check_runs(node)?;
            anyhow::ensure!(
                began.elapsed() < READY_WITHIN,
                "{node} does not wait to be added: {}",
                self.log(node)
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(node)
    }

    /// The members, as far as the operator knows, that are not on their way out.
    fn staying(&self) -> impl Iterator<Item = Name> + use<> {
        let leaving = self.leaving.lock().clone();
        self.nodes().filter(move |node| !leaving.contains(node))
    }

    fn check_runs(&self, node: Name) -> Result<()> {
        match self.ended(node)? {
            Some(status) => bail!("{node} ended ({status}): {}", self.log(node)),
            None => Ok(()),
        }
    }

    /// From now on clients ask this node, too.
    pub fn take_in(&self, node: Name) {
        self.nodes.lock().insert(node);
    }

    /// Waits until a node that was removed has found that out and ended, and takes its machine away. Says how long it took.
    ///
    /// # Errors
    /// When it does not end, or ends as if something else had happened.
    pub async fn dismiss(&self, node: Name) -> Result<Duration> {
        let began = Instant::now();
        let code = self.wait_ended(node, READY_WITHIN).await?;
        anyhow::ensure!(
            code == REMOVED,
            "{node} was removed and ended with {code:?}: {}",
            self.log(node)
        );
        let took = began.elapsed();
        self.nodes.lock().remove(&node);
        self.leaving.lock().remove(&node);
        self.processes.lock().remove(&node);
        let disk = self.disks.lock().remove(&node);
        blocking(|| {
            drop(disk);
            namespaces::remove(&node.to_string())
        })?;
        Ok(took)
    }

    /// Adds a node as a learner.
    ///
    /// # Errors
    /// When the cluster refuses for good.
    pub async fn add_member(&self, by: By, node: Name) -> Result<()> {
        self.change(by, &[node], &Change::Add(node)).await
    }

    /// Gives a learner a vote, once it has caught up.
    ///
    /// # Errors
    /// When the cluster refuses for good.
    pub async fn promote_member(&self, by: By, node: Name) -> Result<()> {
        self.change(by, &[node], &Change::Promote(node)).await
    }

    /// Removes a member.
    ///
    /// # Errors
    /// When the cluster refuses for good.
    pub async fn remove_member(&self, by: By, node: Name) -> Result<()> {
        self.leaving.lock().insert(node);
        self.change(by, &[node], &Change::Remove(node)).await
    }

    /// Has a new node take a member's place. The subcommand adds it first and waits until it has caught up; on the socket
    /// each step is the operator's.
    ///
    /// # Errors
    /// When the cluster refuses for good.
    pub async fn replace_member(&self, by: By, old: Name, new: Name) -> Result<()> {
        self.leaving.lock().insert(old);
        if by == By::Socket {
            self.add_member(by, new).await?;
        }
        self.change(by, &[old, new], &Change::Replace { old, new })
            .await
    }

    /// Asks for a change until it is done, through a member that it does not concern.
    async fn change(&self, by: By, concerned: &[Name], change: &Change) -> Result<()> {
        let mut members = self.staying().filter(|node| !concerned.contains(node));
        let at = members.next().context("there is no other member")?;
        let began = Instant::now();
        loop {
            let told = match by {
                By::Subcommand => self.run_subcommand(at, &change.words(self)).await?,
                By::Socket => self.ask_socket(at, change).await?,
            };
            match told {
                Told::Done => return Ok(()),
                Told::Otherwise(said) if began.elapsed() > READY_WITHIN => {
                    bail!("{change:?} is not done, asked of {at}: {said}")
                }
                Told::Otherwise(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Whether the cluster refuses to add a node under a number that was used before, by its exit code.
    ///
    /// # Errors
    /// When the subcommand cannot be run.
    pub async fn refuses_number(&self, number: u16) -> Result<bool> {
        let at = self.staying().next().context("there is no member")?;
        let words = Change::Add(Name::node(number)).words(self);
        let output = self.output(at, &words).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(output.status.code() == Some(1) && said.contains("never used again"))
    }

    /// The members, as a node tells.
    ///
    /// # Errors
    /// When it does not.
    pub async fn members(&self, at: Name) -> Result<Vec<MemberSeen>> {
        let answer = self
            .socket(at, (Method::GET, "/admin/cluster"), None)
            .await?;
        let status = answer.json();
        serde_json::from_value(status["members"].clone())
            .with_context(|| format!("{at} does not tell of members: {status}"))
    }

    async fn run_subcommand(&self, at: Name, words: &[String]) -> Result<Told> {
        let output = self.output(at, words).await?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(Told::Done),
            Some(1 | 69 | 75) => Ok(Told::Otherwise(said)),
            _ => bail!("`{}` failed ({}): {said}", words.join(" "), output.status),
        }
    }

    /// Runs a subcommand with a member's settings, as on its machine.
    async fn output(&self, at: Name, words: &[String]) -> Result<Output> {
        let mut command = Command::new(self.binary(Kind::Node));
        command
            .args(words)
            .arg("--settings")
            .arg(self.folder.settings(at))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let spawned = namespaces::on(&at.to_string(), || {
            command
                .spawn()
                .context("`vectorgate-node` could not be started")
        });
        let mut child = Asking(spawned?);
        let began = Instant::now();
        while child
            .0
            .try_wait()
            .context("a subcommand cannot be waited for")?
            .is_none()
        {
            anyhow::ensure!(
                began.elapsed() < ASKED_WITHIN,
                "`{}` does not end",
                words.join(" ")
            );
            tokio::time::sleep(POLL).await;
        }
        child.output()
    }

    async fn ask_socket(&self, at: Name, change: &Change) -> Result<Told> {
        let (method, path, body) = change.request(self);
        let asked = self.socket(at, (method, &path), body.as_ref()).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => return Ok(Told::Otherwise(format!("{error:#}"))),
        };
        match answer.status.as_u16() {
            200..300 => Ok(Told::Done),
            404 | 409 | 503 => Ok(Told::Otherwise(answer.json().to_string())),
            status => bail!("{change:?} was answered {status}: {}", answer.json()),
        }
    }

    async fn socket(
        &self,
        at: Name,
        request: (Method, &str),
        body: Option<&Value>,
    ) -> Result<Answer> {
        let stream = namespaces::on(&at.to_string(), || {
            let stream = std::net::TcpStream::connect(SOCKET)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        })?;
        client::operators(TcpStream::from_std(stream)?, request, body, ASKED_WITHIN).await
    }
}

/// What the operator wants.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(Name),
    Promote(Name),
    Remove(Name),
    Replace { old: Name, new: Name },
}

impl Change {
    /// As a subcommand.
    fn words(self, town: &Town) -> Vec<String> {
        let number = |node: Name| node.number.to_string();
        let new = |node: Name| {
            let internal = town.topology.internal(node);
            [
                "--id".to_owned(),
                number(node),
                "--internal".to_owned(),
                internal,
            ]
        };
        let (word, rest) = match self {
            Self::Add(node) => ("add", new(node).to_vec()),
            Self::Promote(node) => ("promote", vec![number(node)]),
            Self::Remove(node) => ("remove", vec![number(node)]),
            Self::Replace { old, new: node } => {
                ("replace", [&[number(old)][..], &new(node)].concat())
            }
        };
        [&["members".to_owned(), word.to_owned()][..], &rest].concat()
    }

    /// As a request to the socket.
    fn request(self, town: &Town) -> (Method, String, Option<Value>) {
        let path = |node: Name, rest: &str| format!("/admin/cluster/members/{}{rest}", node.number);
        match self {
            Self::Add(node) => {
                let body = json!({ "id": node.number, "internal": town.topology.internal(node) });
                (
                    Method::POST,
                    "/admin/cluster/members".to_owned(),
                    Some(body),
                )
            }
            Self::Promote(node) => (Method::POST, path(node, "/promote"), None),
            Self::Remove(node) => (Method::DELETE, path(node, ""), None),
            Self::Replace { old, new } => {
                let body = json!({ "with": new.number });
                (Method::POST, path(old, "/replace"), Some(body))
            }
        }
    }
}

/// A subcommand that runs; it is ended when nobody waits for it any more.
struct Asking(Child);

impl Asking {
    fn output(mut self) -> Result<Output> {
        let status = self.0.wait().context("a subcommand cannot be waited for")?;
        let mut output = Output {
            status,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        // They are short: nothing waited for being read.
        if let Some(mut pipe) = self.0.stdout.take() {
            std::io::Read::read_to_end(&mut pipe, &mut output.stdout)?;
        }
        if let Some(mut pipe) = self.0.stderr.take() {
            std::io::Read::read_to_end(&mut pipe, &mut output.stderr)?;
        }
        Ok(output)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // It may have ended; either way it is gone afterwards.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
