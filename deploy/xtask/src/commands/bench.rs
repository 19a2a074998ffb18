//! `cargo xtask bench NAME`: builds everything in release and runs one benchmark. What it measures
//! and how stands in the `bench` package.

use std::process::Command;

use anyhow::Result;

use crate::local::Kind;
use crate::report;
use crate::repository::Repository;
use crate::toolchain::guided::Guided;
use crate::toolchain::{Toolchain, packages, run as run_to_its_end};

const PACKAGE: &str = "bench";
const BINARY: &str = "vectorgate-bench";

/// The benchmarks that start no processes.
const ALONE: &[&str] = &["matching", "signatures", "trust"];

/// The benchmarks that have etcd beside them.
const AGAINST_ETCD: &[&str] = &["writes", "reads"];

/// The benchmarks that have nginx and `HAProxy` beside them.
const AGAINST_PROXIES: &[&str] = &["edge"];

/// Builds and runs a benchmark with the arguments that were given; with the edge as it was packaged, if
/// that is what is to be measured.
///
/// # Errors
/// When the build or the benchmark fails, or no edge was packaged.
pub fn run(
    repository: &Repository,
    name: &str,
    as_packaged: bool,
    arguments: &[String],
) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    if AGAINST_ETCD.contains(&name) {
        packages::ensure(packages::TO_COMPARE_WITH_ETCD)?;
    }
    if AGAINST_PROXIES.contains(&name) {
        packages::ensure(packages::TO_COMPARE_WITH_PROXIES)?;
    }
    let all = [
        (PACKAGE, BINARY),
        Kind::Node.names(),
        Kind::Origin.names(),
        Kind::Edge.names(),
    ];
    let binaries = if ALONE.contains(&name) {
        &all[..1]
    } else {
        &all
    };
    report::step("Building what is measured (release)");
    let mut built = toolchain.build_release(binaries)?;
    if as_packaged {
        let others = [BINARY, Kind::Node.binary(), Kind::Origin.binary()];
        built = Guided::new(&toolchain).beside(&built, &others)?;
    }
    let mut bench = Command::new(built.join(BINARY));
    bench
        .arg(name)
        .arg("--binaries")
        .arg(&built)
        .args(arguments)
        .current_dir(repository.root());
    run_to_its_end(bench)
}
