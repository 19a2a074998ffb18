//! The edge as packages hold it: compiled once so that it counts where it goes under load, then again
//! by what was counted (profile-guided optimisation), as one unit with all that it is made of. The
//! load is the `edge` benchmark's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Toolchain, find_program, packages, run};
use crate::local::Kind;
use crate::report;

/// What is built for the load besides.
const BENCH: (&str, &str) = ("bench", "vectorgate-bench");

/// The flags that all builds have; see `.cargo/config.toml`, which flags of our own replace.
const FLAGS: &str = "--cfg tokio_unstable";

/// The load: what edges do most, a little of each. The last part stops the edge in good order, which is
/// when it writes down what it counted.
const LOAD: &[&str] = &[
    "edge",
    "--part",
    "http1",
    "--part",
    "http2",
    "--part",
    "cache",
    "--part",
    "rules",
    "--rules",
    "1,100,10000",
    "--rounds",
    "2",
    "--seconds",
    "2",
];

/// Where the parts of such a build are.
#[derive(Debug)]
pub struct Guided<'a> {
    toolchain: &'a Toolchain,
    folder: PathBuf,
}

impl<'a> Guided<'a> {
    /// Within the target directory.
    #[must_use]
    pub fn new(toolchain: &'a Toolchain) -> Self {
        Self {
            toolchain,
            folder: toolchain.target.join("guided"),
        }
    }

    /// A target directory that holds the edge in release as it came out last, and nothing else.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.folder
    }

    /// A folder with the edge that came out last and all else that is measured, as `built` has it.
    ///
    /// # Errors
    /// When none was built, or a link cannot be made.
    pub fn beside(&self, built: &Path, others: &[&str]) -> Result<PathBuf> {
        let edge = self.product();
        if !edge.is_file() {
            bail!("no edge was packaged yet: `cargo xtask package` does that");
        }
        self.stage("measured", &edge, built, others)
    }

    /// Builds it: some twenty minutes on two cores.
    ///
    /// # Errors
    /// When a build or the load fails, or the compiler's tools cannot be had.
    pub fn build(&self) -> Result<()> {
        let profdata = profdata()?;
        packages::ensure(packages::TO_COMPARE_WITH_PROXIES)?;
        report::step("Building what makes load (release)");
        let others = [BENCH, Kind::Node.names(), Kind::Origin.names()];
        let built = self.toolchain.build_release(&others)?;
        let counts = self.empty_folder("counts")?;
        report::step("Building an edge that counts where it goes (1 of 2)");
        let flag = format!("-Cprofile-generate={}", counts.display());
        let counting = self.compile("counting", &flag)?;
        report::step("Putting it under load (two minutes)");
        let names = others.map(|(_, binary)| binary);
        let stage = self.stage("loaded", &counting, &built, &names)?;
        self.load(&stage)?;
        let profile = self.merge(&profdata, &counts)?;
        report::step("Building the edge by what was counted (2 of 2)");
        let flag = format!("-Cprofile-use={}", profile.display());
        let guided = self.compile("counted", &flag)?;
        let product = self.product();
        let folder = product.parent().context("a folder for the edge")?;
        fs::create_dir_all(folder).with_context(|| cannot("make", folder))?;
        fs::copy(&guided, &product).with_context(|| cannot("write", &product))?;
        Ok(())
    }

    fn product(&self) -> PathBuf {
        self.folder.join("release").join(Kind::Edge.binary())
    }

    /// Builds the edge with one flag more. What runs at build time has none of the flags, since it is
    /// not what is built for.
    fn compile(&self, folder: &str, flag: &str) -> Result<PathBuf> {
        let host = host()?;
        let target = self.folder.join(folder);
        let (package, binary) = Kind::Edge.names();
        let mut cargo = self.toolchain.cargo();
        cargo
            .args(["build", "--locked", "--profile", "dist"])
            .args(["--target", &host, "--package", package, "--bin", binary])
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", format!("{FLAGS} {flag}"));
        run(cargo)?;
        Ok(target.join(host).join("dist").join(binary))
    }

    fn load(&self, stage: &Path) -> Result<()> {
        let mut bench = Command::new(stage.join(BENCH.1));
        bench
            .args(LOAD)
            .arg("--binaries")
            .arg(stage)
            .current_dir(self.toolchain.repository.root());
        run(bench)
    }

    /// Makes one profile of all counts. Its name says when, so that cargo sees that it is another.
    fn merge(&self, profdata: &Path, counts: &Path) -> Result<PathBuf> {
        let merged = self.folder.join("edge.profdata");
        let mut command = Command::new(profdata);
        command.arg("merge").arg("-o").arg(&merged).arg(counts);
        run(command)?;
        let taken = fs::metadata(&merged)
            .and_then(|metadata| metadata.modified())
            .with_context(|| cannot("read", &merged))?
            .duration_since(std::time::UNIX_EPOCH)
            .context("a clock before 1970")?;
        let named = self
            .empty_folder("profile")?
            .join(format!("edge-{}.profdata", taken.as_millis()));
        fs::rename(&merged, &named).with_context(|| cannot("write", &named))?;
        Ok(named)
    }

    /// A folder with links to one edge and to others' binaries.
    fn stage(&self, name: &str, edge: &Path, built: &Path, others: &[&str]) -> Result<PathBuf> {
        let folder = self.empty_folder(name)?;
        let link = |from: &Path, name: &str| {
            let to = folder.join(name);
            std::os::unix::fs::symlink(from, &to).with_context(|| cannot("write", &to))
        };
        link(edge, Kind::Edge.binary())?;
        for name in others {
            link(&built.join(name), name)?;
        }
        Ok(folder)
    }

    fn empty_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| cannot("empty", &folder))?;
        }
        fs::create_dir_all(&folder).with_context(|| cannot("make", &folder))?;
        Ok(folder)
    }
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} {}", path.display())
}

/// What a compiler says when asked to print something.
fn rustc(asked: &str) -> Result<String> {
    let output = Command::new("rustc")
        .args(["--print", asked])
        .output()
        .context("`rustc` could not be started")?;
    if !output.status.success() {
        bail!("`rustc --print {asked}` failed");
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn host() -> Result<String> {
    rustc("host-tuple")
}

/// The compiler's own tool for profiles, whose format changes with the compiler; installed if it has to
/// be.
fn profdata() -> Result<PathBuf> {
    let folder = format!("{}/lib/rustlib/{}/bin", rustc("sysroot")?, host()?);
    let tool = Path::new(&folder).join("llvm-profdata");
    if !tool.is_file() {
        let rustup = find_program("rustup").context(
            "the compiler's llvm-profdata is not there, nor is rustup, which installs it as `llvm-tools`",
        )?;
        report::step("Installing the compiler's tools for profiles (rustup component llvm-tools)");
        let mut command = Command::new(rustup);
        command.args(["component", "add", "llvm-tools"]);
        run(command)?;
    }
    if !tool.is_file() {
        bail!("{} is not there", tool.display());
    }
    Ok(tool)
}
