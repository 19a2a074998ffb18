//! `cargo xtask chaos`: real faults on real processes. What is done and what must hold stands in the
//! `chaos` package; this builds what it is done to.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::local::Kind;
use crate::report;
use crate::repository::Repository;
use crate::toolchain::{Toolchain, packages, run as run_to_its_end};

const PACKAGE: &str = "chaos";
const BINARY: &str = "vectorgate-chaos";

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// To name the scenarios and do nothing.
    pub list: bool,
    /// To do as much as a release has to stand.
    pub long: bool,
    /// To play only these.
    pub only: Vec<String>,
    /// To play them with binaries as tests build them, and not to judge figures of time.
    pub dev: bool,
    /// Whether a machine that lacks what scenarios need is no failure.
    pub where_possible: bool,
}

/// Builds and runs it.
///
/// # Errors
/// When the build or a scenario fails.
pub fn run(repository: &Repository, options: &Options) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    if options.list {
        let mut chaos = Command::new(toolchain.build_dev(PACKAGE, BINARY)?);
        chaos.arg("--list");
        return run_to_its_end(chaos);
    }
    if options.where_possible && !rustix::process::geteuid().is_root() {
        report::line("NOT DONE, because network namespaces, mounts and signals take root");
        return Ok(());
    }
    match packages::ensure(packages::TO_DO_HARM) {
        Ok(()) => {}
        Err(error) if options.where_possible => report::line(format_args!(
            "What scenarios need cannot all be installed here, so those are skipped: {error:#}"
        )),
        Err(error) => return Err(error),
    }
    let (harness, built) = build(&toolchain, options.dev)?;
    let mut chaos = Command::new(harness);
    chaos.current_dir(repository.root());
    chaos.arg("--binaries").arg(built);
    if options.long {
        chaos.arg("--long");
    }
    if options.dev {
        chaos.arg("--untimed");
    }
    if !options.only.is_empty() {
        chaos.args(["--only", &options.only.join(",")]);
    }
    run_to_its_end(chaos)
}

/// The harness, and the folder with what it plays with. The harness itself is always built as tests are: it depends on the
/// simulation, whose features nodes in production must not have.
fn build(toolchain: &Toolchain, dev: bool) -> Result<(PathBuf, PathBuf)> {
    if dev {
        report::step("Building as for tests");
        let built = toolchain.build_tested()?;
        return Ok((built.join(BINARY), built));
    }
    report::step("Building nodes and edges (release)");
    let binaries = [Kind::Node, Kind::Edge].map(|kind| (kind.package(), kind.binary()));
    let built = toolchain.build_release(&binaries)?;
    Ok((toolchain.build_dev(PACKAGE, BINARY)?, built))
}
