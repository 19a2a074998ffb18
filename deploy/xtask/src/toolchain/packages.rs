//! Debian packages: which are needed for what, how one tells that they are there, and installing
//! them. Only what is missing is installed, and it is said before it is done. Nothing is ever
//! removed or upgraded on purpose.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::{announce, find_program, find_server};
use crate::report;

/// Something the machine must have, and the Debian package that brings it.
pub struct Need {
    package: &'static str,
    purpose: &'static str,
    is_there: fn() -> bool,
}

impl Need {
    /// A package, what for, and how one tells that what it brings is there.
    pub(super) const fn new(
        package: &'static str,
        purpose: &'static str,
        is_there: fn() -> bool,
    ) -> Self {
        Self {
            package,
            purpose,
            is_there,
        }
    }
}

/// What building VectorGate takes.
pub const TO_BUILD: &[Need] = &[
    Need {
        package: "g++",
        purpose: "compiles and links RocksDB",
        is_there: || find_program("c++").is_some(),
    },
    Need {
        package: "make",
        purpose: "builds jemalloc",
        is_there: || find_program("make").is_some(),
    },
    Need {
        package: "libclang-dev",
        purpose: "reads RocksDB's C header (bindgen)",
        is_there: has_libclang,
    },
];

/// What the tests take besides: they do what clients do, with clients' programs.
pub const TO_TEST: &[Need] = &[
    Need {
        package: "curl",
        purpose: "sends the requests that the API's documentation shows",
        is_there: || find_program("curl").is_some(),
    },
    Need {
        package: "python3",
        purpose: "verifies webhooks as receivers do",
        is_there: || find_program("python3").is_some(),
    },
    Need {
        package: "openssl",
        purpose: "makes the certificates of containers",
        is_there: || find_program("openssl").is_some(),
    },
];

/// Reads Prometheus' rules; the server that comes with it is not used.
pub const PROMTOOL: &[Need] = &[Need {
    package: "prometheus",
    purpose: "checks and tests alerts (promtool)",
    is_there: || find_program("promtool").is_some(),
}];

/// Reads systemd's units.
pub const SYSTEMD_ANALYZE: &[Need] = &[Need {
    package: "systemd",
    purpose: "checks units (systemd-analyze)",
    is_there: || find_program("systemd-analyze").is_some(),
}];

/// Reads shell scripts.
pub const SHELLCHECK: &[Need] = &[Need {
    package: "shellcheck",
    purpose: "checks shell scripts",
    is_there: || find_program("shellcheck").is_some(),
}];

/// What making Debian packages takes besides.
pub const TO_PACKAGE: &[Need] = &[Need {
    package: "dpkg-dev",
    purpose: "finds the libraries that a program needs (dpkg-shlibdeps)",
    is_there: || find_program("dpkg-shlibdeps").is_some(),
}];

/// What the benchmarks that compare with etcd take besides.
pub const TO_COMPARE_WITH_ETCD: &[Need] = &[Need {
    package: "etcd-server",
    purpose: "the neighbour that writes and reads are compared with",
    is_there: || find_program("etcd").is_some(),
}];

/// What the benchmark that compares an edge with other proxies takes besides.
pub const TO_COMPARE_WITH_PROXIES: &[Need] = &[
    Need {
        package: "nginx-light",
        purpose: "a proxy to compare with, and the origin behind all of them",
        is_there: || find_server("nginx").is_some(),
    },
    Need {
        package: "haproxy",
        purpose: "another proxy to compare with",
        is_there: || find_server("haproxy").is_some(),
    },
    Need {
        package: "varnish",
        purpose: "a cache to compare with",
        is_there: || find_server("varnishd").is_some(),
    },
    Need {
        package: "wrk",
        purpose: "sends HTTP/1.1 requests",
        is_there: || find_program("wrk").is_some(),
    },
    Need {
        package: "nghttp2-client",
        purpose: "sends HTTP/2 requests (h2load)",
        is_there: || find_program("h2load").is_some(),
    },
    Need {
        package: "util-linux",
        purpose: "keeps programs on one core each (taskset)",
        is_there: || find_program("taskset").is_some(),
    },
];

/// What the comparison of HTTP caches takes besides.
pub const TO_COMPARE_CACHES: &[Need] = &[
    Need {
        package: "nginx-light",
        purpose: "a cache that the edge's is compared with",
        is_there: || find_server("nginx").is_some(),
    },
    Need {
        package: "varnish",
        purpose: "another",
        is_there: || find_server("varnishd").is_some(),
    },
];

/// What real faults on real processes take besides.
pub const TO_DO_HARM: &[Need] = &[
    Need {
        package: "iproute2",
        purpose: "makes hosts out of network namespaces (ip)",
        is_there: || find_server("ip").is_some(),
    },
    Need {
        package: "nftables",
        purpose: "loses packets (nft)",
        is_there: || find_server("nft").is_some(),
    },
    Need {
        package: "mount",
        purpose: "makes disks out of files (mount, losetup)",
        is_there: || find_server("losetup").is_some() && find_program("mount").is_some(),
    },
    Need {
        package: "e2fsprogs",
        purpose: "makes the disks' file systems (mkfs.ext4)",
        is_there: || find_server("mkfs.ext4").is_some(),
    },
    Need {
        package: "python3",
        purpose: "cuts disks' power",
        is_there: || find_program("python3").is_some(),
    },
    Need {
        package: "strace",
        purpose: "makes syncs fail or slow",
        is_there: || find_program("strace").is_some(),
    },
    Need {
        package: "libfaketime",
        purpose: "shows processes another time",
        is_there: has_libfaketime,
    },
];

/// Installs what of `needs` is missing.
///
/// # Errors
/// When that cannot be done here; the message names the packages.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    report::step("Missing system packages, about to be installed with apt-get");
    for need in &missing {
        report::fact(format_args!("{:<14} {}", need.package, need.purpose));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    install(&packages)?;
    let still: Vec<&str> = missing
        .iter()
        .filter(|need| !(need.is_there)())
        .map(|need| need.package)
        .collect();
    if !still.is_empty() {
        bail!(
            "apt-get succeeded, but what {} should have brought is not found",
            still.join(", ")
        );
    }
    Ok(())
}

/// Where there is no network, apt-get is to say so soon; another apt-get is waited for.
const PATIENCE: [&str; 8] = [
    "-o",
    "Acquire::Retries=1",
    "-o",
    "Acquire::http::Timeout=15",
    "-o",
    "Acquire::https::Timeout=15",
    "-o",
    "DPkg::Lock::Timeout=120",
];

fn install(packages: &[&str]) -> Result<()> {
    let by_hand = format!(
        "install these packages by hand and start again: {}",
        packages.join(" ")
    );
    if find_program("apt-get").is_none() {
        bail!("this machine has no apt-get; {by_hand}");
    }
    let Some(become_root) = become_root() else {
        bail!("apt-get needs root and there is no sudo; {by_hand}");
    };
    let apt_get = |arguments: &[&str]| {
        let mut words =
            become_root
                .iter()
                .copied()
                .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let mut command = Command::new(words.next().unwrap_or("env"));
        command.args(words).args(PATIENCE).args(arguments);
        command.stdin(Stdio::null());
        command
    };
    announce(apt_get(&["update", "--quiet"]))?;
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend_from_slice(packages);
    announce(apt_get(&arguments))
}

/// The words to put before a command so that it runs as root; `None` where there are none.
fn become_root() -> Option<Vec<&'static str>> {
    if rustix::process::geteuid().is_root() {
        return Some(Vec::new());
    }
    find_program("sudo")?;
    // Without a terminal nobody can type a password: fail at once instead of waiting for one.
    Some(if std::io::stdin().is_terminal() {
        vec!["sudo"]
    } else {
        vec!["sudo", "--non-interactive"]
    })
}

fn has_libfaketime() -> bool {
    let libraries = folders("/usr/lib");
    let mut places = libraries
        .iter()
        .map(|folder| format!("{folder}/faketime/libfaketime.so.1"));
    places.any(|library| Path::new(&library).is_file())
}

/// Whether bindgen will find libclang, and libclang its own C headers. `LIBCLANG_PATH` is the
/// caller's word that it will.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    folders("/usr/lib")
        .iter()
        .filter(|folder| folder.contains("/llvm-"))
        .any(|llvm| {
            let library = names(&format!("{llvm}/lib"))
                .iter()
                .any(|name| is_libclang(name));
            let headers = folders(&format!("{llvm}/lib/clang"))
                .iter()
                .any(|version| Path::new(version).join("include/stddef.h").is_file());
            library && headers
        })
}

/// `libclang.so`, `libclang-14.so.1`; not `libclang-cpp.so`, which is another library.
fn is_libclang(name: &str) -> bool {
    let version = name.strip_prefix("libclang").unwrap_or_default();
    let numbered = version
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    version.contains(".so") && (version.starts_with(".so") || numbered)
}

fn folders(parent: &str) -> Vec<String> {
    names(parent)
        .into_iter()
        .map(|name| format!("{parent}/{name}"))
        .filter(|path| Path::new(path).is_dir())
        .collect()
}

fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        for yes in ["libclang.so", "libclang.so.14", "libclang-14.so.1"] {
            assert!(is_libclang(yes), "{yes}");
        }
        for no in [
            "libclang-cpp.so.14",
            "libclang.a",
            "libclang_rt.asan.so",
            "libLLVM-14.so",
            "clang",
        ] {
            assert!(!is_libclang(no), "{no}");
        }
    }
}
