//! Hosts: a network namespace each, joined by one bridge, which lies in a namespace, too. The machine's own network is not
//! touched, and nothing in there reaches beyond it.
//!
//! ```text
//!   vg-chaos-node-1 [eth0] ─── [node-1]┐
//!   vg-chaos-node-2 [eth0] ─── [node-2]┤ br0 in vg-chaos-bridge
//!   vg-chaos-client [eth0] ─── [client]┘
//! ```
//!
//! This process itself moves to the client's host; the tools that it calls, `ip` among them, still
//! reach all others by name.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::tools;

/// What names of our namespaces begin with.
const PREFIX: &str = "vg-chaos-";

/// Where `ip` keeps namespaces.
const FOLDER: &str = "/run/netns";

/// The host of this process.
pub const CLIENT: &str = "client";

/// The client's address.
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// How long killed processes may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// The table that faults of a host's network stand in.
const TABLE: &str = "chaos";

/// Makes the bridge and the client's host, and moves this thread, and with it those that it starts, there.
///
/// # Errors
/// When the kernel or `ip` refuses.
pub fn make() -> Result<()> {
    add(BRIDGE)?;
    ip_in(BRIDGE, &["link", "add", "br0", "type", "bridge"])?;
    ip_in(BRIDGE, &["link", "set", "br0", "up"])?;
    ensure(CLIENT, CLIENT_ADDRESS)?;
    enter(CLIENT)
}

const BRIDGE: &str = "bridge";

/// Makes a host, unless there is one of that name.
///
/// # Errors
/// When the kernel or `ip` refuses.
pub fn ensure(name: &str, address: Ipv4Addr) -> Result<()> {
    if Path::new(FOLDER).join(full(name)).exists() {
        return Ok(());
    }
    add(name)?;
    let namespace = full(name);
    ip_in(
        BRIDGE,
        &[
            "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
        ],
    )?;
    ip_in(BRIDGE, &["link", "set", name, "master", "br0", "up"])?;
    let address = format!("{address}/16");
    ip_in(name, &["addr", "add", &address, "dev", "eth0"])?;
    ip_in(name, &["link", "set", "eth0", "up"])?;
    ip_in(name, &["link", "set", "lo", "up"])
}

/// Takes a host away, with what runs there.
///
/// # Errors
/// When something does not go.
pub fn remove(name: &str) -> Result<()> {
    let namespace = full(name);
    end_processes(&namespace)?;
    tools::run("ip", &["netns", "delete", &namespace]).map(drop)
}

fn add(name: &str) -> Result<()> {
    tools::run("ip", &["netns", "add", &full(name)]).map(drop)
}

fn ip_in(name: &str, arguments: &[&str]) -> Result<()> {
    let namespace = full(name);
    tools::run("ip", &[&["-n", &namespace][..], arguments].concat()).map(drop)
}

fn full(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Moves this thread to a host.
fn enter(name: &str) -> Result<()> {
    let path = format!("{FOLDER}/{}", full(name));
    let namespace = File::open(&path).with_context(|| format!("{path} cannot be opened"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("the host {name} cannot be moved to"))
}

/// Does something on a host: on a thread that moves there and ends. Processes that it starts stay.
///
/// # Errors
/// When there is no such host, or the work fails.
pub fn on<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            enter(name)?;
            work()
        });
        worker
            .join()
            .map_err(|_| anyhow!("the work on {name} panicked"))?
    })
}

/// From now on, packets from a host to an address are lost, and only those.
///
/// # Errors
/// When `nft` refuses.
pub fn cut(from: &str, to: Ipv4Addr) -> Result<()> {
    rule(from, "out", &format!("ip daddr {to} drop"))
}

/// From now on, packets to a host are lost at random.
///
/// # Errors
/// When `nft` refuses.
pub fn lose(to: &str, percent: u8) -> Result<()> {
    let rule_text = format!("iifname \"eth0\" numgen random mod 100 < {percent} drop");
    rule(to, "in", &rule_text)
}

/// Undoes all faults of a host's network.
///
/// # Errors
/// When `nft` refuses.
pub fn heal(name: &str) -> Result<()> {
    nft(name, "flush ruleset\n")
}

fn rule(name: &str, chain: &str, rule: &str) -> Result<()> {
    nft(
        name,
        &format!(
            "add table inet {TABLE}\n\
             add chain inet {TABLE} in {{ type filter hook input priority 0; }}\n\
             add chain inet {TABLE} out {{ type filter hook output priority 0; }}\n\
             add rule inet {TABLE} {chain} {rule}\n"
        ),
    )
}

fn nft(name: &str, script: &str) -> Result<()> {
    on(name, || tools::feed("nft", &["-f", "-"], script).map(drop))
}

/// Whether there are namespaces at all.
///
/// # Errors
/// When there are not.
pub(super) fn try_out() -> Result<()> {
    add("trial")?;
    let works = ip_in("trial", &["link", "set", "lo", "up"])
        .and_then(|()| nft("trial", "add table inet chaos\n"));
    tools::run("ip", &["netns", "delete", &full("trial")])?;
    works
}

/// Whether packets can be dropped at random.
///
/// # Errors
/// When they cannot.
pub(super) fn random_drop() -> Result<()> {
    add("trial")?;
    let works = lose("trial", 1);
    tools::run("ip", &["netns", "delete", &full("trial")])?;
    works
}

/// Ends all processes on our hosts but this one, and takes the hosts away.
///
/// # Errors
/// When something does not go.
pub(super) fn clear() -> Result<()> {
    let Ok(entries) = fs::read_dir(FOLDER) else {
        return Ok(());
    };
    let ours: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .collect();
    for namespace in &ours {
        end_processes(namespace)?;
    }
    for namespace in &ours {
        tools::run("ip", &["netns", "delete", namespace])?;
    }
    Ok(())
}

fn end_processes(namespace: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let left = processes(namespace)?;
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() > GONE_WITHIN {
            bail!("processes {left:?} in {namespace} do not end");
        }
        for pid in left {
            // It may have ended since.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes on a host but this one. Not asked of `ip`, which would be one of them.
fn processes(namespace: &str) -> Result<Vec<Pid>> {
    let path = format!("{FOLDER}/{namespace}");
    let wanted = fs::metadata(&path)
        .with_context(|| format!("{path} cannot be looked at"))?
        .ino();
    let own = rustix::process::getpid();
    let all = fs::read_dir("/proc").context("no list of processes")?;
    let pids = all
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    Ok(pids
        .filter(|pid| *pid != own && !is_zombie(*pid))
        .filter(|pid| {
            let namespace = fs::metadata(format!("/proc/{}/ns/net", pid.as_raw_nonzero()));
            namespace.is_ok_and(|namespace| namespace.ino() == wanted)
        })
        .collect())
}

/// Whether a process has ended, and only its parent has not noticed.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    })
}
