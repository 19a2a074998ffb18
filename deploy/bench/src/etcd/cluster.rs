//! Three local etcd processes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;

use super::EtcdClient;

const MEMBERS: u16 = 3;

/// Other ports than etcd's own, which Debian's service may have.
const CLIENT_PORT: u16 = 17401;
const PEER_PORT: u16 = 17501;

const READY_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// A cluster; its processes end with it.
pub struct EtcdCluster {
    members: Vec<Child>,
    /// What `etcd --version` says.
    pub version: String,
}

impl EtcdCluster {
    /// Starts a fresh cluster in a folder and waits until it takes writes.
    ///
    /// # Errors
    /// When etcd is not installed or does not start.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut cluster = Self {
            members: Vec::new(),
            version: version()?,
        };
        for member in 0..MEMBERS {
            cluster.members.push(spawn(folder, member)?);
        }
        cluster.wait_ready(folder).await?;
        Ok(cluster)
    }

    /// The client with this number: clients are spread evenly over the members.
    ///
    /// # Errors
    /// When its member cannot be reached.
    pub async fn client(number: usize) -> Result<EtcdClient> {
        let addresses = Self::addresses();
        EtcdClient::connect(&addresses[number % addresses.len()]).await
    }

    /// `host:port` of each member, for clients.
    fn addresses() -> Vec<String> {
        (0..MEMBERS)
            .map(|member| format!("127.0.0.1:{}", CLIENT_PORT + member))
            .collect()
    }

    async fn wait_ready(&mut self, folder: &Path) -> Result<()> {
        let began = Instant::now();
        for address in Self::addresses() {
            while let Err(error) = probe(&address).await {
                for member in &mut self.members {
                    if let Some(status) = member.try_wait().context("etcd cannot be waited for")? {
                        bail!("etcd ended ({status}); its log is in {}", folder.display());
                    }
                }
                if began.elapsed() > READY_DEADLINE {
                    return Err(error.context(format!(
                        "etcd is not ready; its log is in {}",
                        folder.display()
                    )));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It may have ended by itself; either way it is gone afterwards.
            drop(member.kill());
            drop(member.wait());
        }
    }
}

async fn probe(address: &str) -> Result<()> {
    let write = async {
        EtcdClient::connect(address)
            .await?
            .put("probe".into(), Bytes::from_static(b"1"))
            .await
    };
    tokio::time::timeout(Duration::from_secs(3), write)
        .await
        .context("no answer")?
}

fn version() -> Result<String> {
    let output = Command::new("etcd")
        .arg("--version")
        .output()
        .context("etcd is not installed")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("etcd Version: ")
        .to_owned())
}

fn spawn(folder: &Path, member: u16) -> Result<Child> {
    let name = format!("etcd-{}", member + 1);
    let client = format!("http://127.0.0.1:{}", CLIENT_PORT + member);
    let peer = |member: u16| format!("http://127.0.0.1:{}", PEER_PORT + member);
    let all: Vec<String> = (0..MEMBERS)
        .map(|member| format!("etcd-{}={}", member + 1, peer(member)))
        .collect();
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let log = File::create(folder.join(format!("{name}.log"))).context("a log for etcd")?;
    let errors = log.try_clone().context("a log for etcd")?;
    Command::new("etcd")
        .args(["--name", &name, "--data-dir"])
        .arg(folder.join(&name))
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer(member),
            "--initial-advertise-peer-urls",
            &peer(member),
        ])
        .args([
            "--initial-cluster",
            &all.join(","),
            "--initial-cluster-state",
            "new",
        ])
        .args(["--log-level", "warn"])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .context("etcd could not be started")
}
