//! The caches that the edge is compared with, as the suite and its published results set them up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Background;
use crate::local::files;
use crate::repository::Repository;
use crate::toolchain::find_server;

/// Where their settings are.
const SETTINGS: &str = "deploy/conformance/caches";

pub(super) fn nginx(
    repository: &Repository,
    folder: &Path,
    port: u16,
    origin: u16,
) -> Result<Background> {
    let home = folder.join("nginx");
    let settings = settings(repository, &home, "nginx.conf", port, origin)?;
    let mut nginx = Command::new(find_server("nginx").context("nginx is not installed")?);
    nginx.arg("-p").arg(&home).arg("-c").arg(settings);
    Background::start(nginx, &home.join("output.log"), port)
}

/// Its own time for answers that name none, and its own leave to serve stale, are off: with them
/// most tests could not be judged. Stale answers stay for a while to be confirmed.
pub(super) fn varnish(
    repository: &Repository,
    folder: &Path,
    port: u16,
    origin: u16,
) -> Result<Background> {
    let home = folder.join("varnish");
    let settings = settings(repository, &home, "varnish.vcl", port, origin)?;
    let mut varnish = Command::new(find_server("varnishd").context("Varnish is not installed")?);
    varnish
        .args([
            "-F",
            "-j",
            "none",
            "-T",
            "none",
            "-s",
            "malloc,64m",
            "-t",
            "0",
        ])
        .args(["-p", "default_grace=0", "-p", "default_keep=600"])
        .args(["-a", &format!("127.0.0.1:{port}")])
        .arg("-n")
        .arg(home.join("work"))
        .arg("-f")
        .arg(settings);
    Background::start(varnish, &home.join("output.log"), port)
}

fn settings(
    repository: &Repository,
    home: &Path,
    name: &str,
    port: u16,
    origin: u16,
) -> Result<PathBuf> {
    files::make_folder(home)?;
    let template = repository.root().join(SETTINGS).join(name);
    let text = fs::read_to_string(&template)
        .with_context(|| format!("{} cannot be read", template.display()))?;
    let text = text
        .replace("@PORT@", &port.to_string())
        .replace("@ORIGIN@", &origin.to_string());
    let path = home.join(name);
    files::write(&path, text)?;
    Ok(path)
}
