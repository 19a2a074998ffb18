//! The environment that cargo is called with: which variables are taken away, and why.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::report;

/// Each of these replaces the flags of `.cargo/config.toml` as a whole, and without a word; among
/// them `--cfg tokio_unstable`, without which the simulation is not deterministic.
const FLAG_VARIABLES: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "CARGO_BUILD_RUSTDOCFLAGS",
];

/// What `cargo run` sets for the program that it runs, which is this one. Build scripts watch some
/// of them (ring's does) and would run again each time we call cargo and a person does in turn.
const SET_BY_CARGO_RUN: &[&str] = &[
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// Says which variables of the caller are not passed on.
pub fn warn_of_ignored_flags() {
    for name in FLAG_VARIABLES
        .iter()
        .filter(|name| std::env::var_os(name).is_some())
    {
        report::warn(format_args!(
            "{name} is set and would replace the flags in .cargo/config.toml, which the simulation depends on; \
             it is ignored here"
        ));
    }
}

/// The cargo that runs us, with a clean environment.
#[must_use]
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_removed) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn is_removed(name: &str) -> bool {
    FLAG_VARIABLES.contains(&name)
        || SET_BY_CARGO_RUN
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Cargo's target directory: the caller's, or the one in the cache.
///
/// # Errors
/// When a relative one cannot be resolved.
pub fn target_directory(cache: &Cache) -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(chosen) => std::path::absolute(chosen).context("CARGO_TARGET_DIR cannot be resolved"),
        None => Ok(cache.target()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_would_replace_ours_are_removed_and_other_variables_are_not() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
        ] {
            assert!(is_removed(name), "{name}");
        }
        for name in [
            "PATH",
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "RUSTUP_TOOLCHAIN",
            "CARGO_BUILD_JOBS",
        ] {
            assert!(!is_removed(name), "{name}");
        }
    }
}
