//! `cargo xtask deploy-check`: what people install and watch, held against the tools that will read it: alerts with their
//! examples, dashboards, Kubernetes resources, systemd units, container files. Builds nothing. A check whose tool cannot
//! be had here is skipped, and it says why.

mod observability;
mod units;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::report;
use crate::repository::Repository;
use crate::toolchain::packages::{PROMTOOL, SHELLCHECK, SYSTEMD_ANALYZE};
use crate::toolchain::python::{DOCKER_COMPOSE, HADOLINT, KUBERNETES_VALIDATE};
use crate::toolchain::{announce, describe, find_program, kubectl, packages, python};

/// The version of Kubernetes whose schemas resources are held against.
const KUBERNETES_VERSION: &str = "1.35";

/// What is put together: one cluster, and each of three regions' clusters.
const KUSTOMIZATIONS: [&str; 4] = [
    "base",
    "regions/eu-central-1",
    "regions/us-east-1",
    "regions/ap-southeast-1",
];

/// The folders that are read, and where what is put together goes.
struct Ground {
    cache: Cache,
    deploy: PathBuf,
    scratch: PathBuf,
}

/// How a check ended.
enum Outcome {
    Held,
    Skipped(anyhow::Error),
    Failed(anyhow::Error),
}

/// Looks at one kind of file.
type Check = fn(&Ground) -> Outcome;

/// Runs every check.
///
/// # Errors
/// When one fails, after all have run.
pub fn run(repository: &Repository) -> Result<()> {
    let ground = Ground {
        cache: Cache::locate()?,
        deploy: repository.root().join("deploy"),
        scratch: repository.root().join("target/deploy-check"),
    };
    std::fs::create_dir_all(&ground.scratch)
        .with_context(|| format!("{} cannot be made", ground.scratch.display()))?;
    let checks: [(&str, Check); 6] = [
        ("alerts and dashboards", observability),
        ("Kubernetes", kubernetes),
        ("systemd", systemd),
        ("compose", compose),
        ("container files", container_files),
        ("shell scripts", shell_scripts),
    ];
    let outcomes: Vec<(&str, Outcome)> = checks
        .into_iter()
        .map(|(name, check)| (name, check(&ground)))
        .collect();
    report::line("");
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Outcome::Held => report::line(format_args!("held     {name}")),
            Outcome::Skipped(why) => report::line(format_args!("SKIPPED  {name}: {why:#}")),
            Outcome::Failed(why) => {
                report::line(format_args!("FAILED   {name}: {why:#}"));
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Gets the tool, or skips; then checks.
fn with<T>(tool: Result<T>, check: impl FnOnce(T) -> Result<()>) -> Outcome {
    match tool.map(check) {
        Ok(Ok(())) => Outcome::Held,
        Ok(Err(failed)) => Outcome::Failed(failed),
        Err(missing) => Outcome::Skipped(missing),
    }
}

/// A program of a Debian package.
fn debian(needs: &[packages::Need], program: &str) -> Result<PathBuf> {
    packages::ensure(needs)?;
    find_program(program).with_context(|| format!("{program} is not there"))
}

fn observability(ground: &Ground) -> Outcome {
    with(debian(PROMTOOL, "promtool"), |promtool| {
        observability::check(ground, &promtool)
    })
}

fn kubernetes(ground: &Ground) -> Outcome {
    let tools = kubectl::ensure(&ground.cache)
        .and_then(|kubectl| Ok((kubectl, python::ensure(&ground.cache, KUBERNETES_VALIDATE)?)));
    with(tools, |(kubectl, validate)| {
        for folder in KUSTOMIZATIONS {
            let resources = ground
                .scratch
                .join(format!("{}.yaml", folder.replace('/', "-")));
            let mut kustomize = Command::new(&kubectl);
            kustomize
                .arg("kustomize")
                .arg(ground.deploy.join("kubernetes").join(folder));
            into_file(kustomize, &resources)?;
            let mut command = Command::new(&validate);
            command
                .args(["--strict", "--quiet", "-k", KUBERNETES_VERSION])
                .arg(&resources);
            announce(command)?;
        }
        Ok(())
    })
}

fn systemd(ground: &Ground) -> Outcome {
    with(debian(SYSTEMD_ANALYZE, "systemd-analyze"), |analyze| {
        units::check(ground, &analyze)
    })
}

fn compose(ground: &Ground) -> Outcome {
    with(python::ensure(&ground.cache, DOCKER_COMPOSE), |compose| {
        let mut command = Command::new(compose);
        command
            .arg("--file")
            .arg(ground.deploy.join("compose.yaml"))
            .args(["config", "--quiet"]);
        announce(command)
    })
}

fn container_files(ground: &Ground) -> Outcome {
    with(python::ensure(&ground.cache, HADOLINT), |hadolint| {
        let mut command = Command::new(hadolint);
        command.arg(ground.deploy.join("container/Dockerfile"));
        announce(command)
    })
}

fn shell_scripts(ground: &Ground) -> Outcome {
    with(debian(SHELLCHECK, "shellcheck"), |shellcheck| {
        let mut command = Command::new(shellcheck);
        command.args([
            ground.deploy.join("container/entrypoint.sh"),
            ground.deploy.join("container/make-secrets.sh"),
        ]);
        for package in ["vectorgate-node", "vectorgate-edge"] {
            for script in ["postinst", "postrm"] {
                command.arg(ground.deploy.join("debian").join(package).join(script));
            }
        }
        announce(command)
    })
}

/// Runs a command whose output is a file.
fn into_file(mut command: Command, file: &Path) -> Result<()> {
    let shown = describe(&command);
    report::step(&shown);
    let output = std::fs::File::create(file)
        .with_context(|| format!("{} cannot be made", file.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .status()
        .with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}
