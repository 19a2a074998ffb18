//! The clone of the repository that is worked in: its root and the folders that tools write to.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A clone of the repository.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The clone that the current directory is in.
    ///
    /// # Errors
    /// When the current directory is in none.
    pub fn here() -> Result<Self> {
        let start = std::env::current_dir().context("the current directory cannot be read")?;
        let root = start
            .ancestors()
            .find(|folder| folder.join("deploy/xtask/Cargo.toml").is_file())
            .with_context(|| format!("{} is not inside a clone of VectorGate", start.display()))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Its root folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `cargo xtask up` keeps its cluster. It stays in the clone, whatever cargo's target
    /// directory is: two clones have two clusters (of which one at a time gets the ports).
    #[must_use]
    pub fn local(&self) -> PathBuf {
        self.root.join("target/local")
    }

    /// Where `cargo xtask conformance` keeps its cluster.
    #[must_use]
    pub fn conformance(&self) -> PathBuf {
        self.root.join("target/conformance")
    }

    /// Where `cargo xtask conformance-cache` keeps its cluster and the edge's neighbours.
    #[must_use]
    pub fn caches(&self) -> PathBuf {
        self.root.join("target/caches")
    }

    /// Where `cargo xtask chaos` keeps its clusters and leaves its results.
    #[must_use]
    pub fn chaos(&self) -> PathBuf {
        self.root.join("target/chaos")
    }

    /// Where benchmarks keep their clusters and leave their results.
    #[must_use]
    pub fn bench(&self) -> PathBuf {
        self.root.join("target/bench")
    }

    /// A path as people type it: relative to the root where it lies below it.
    #[must_use]
    pub fn shorten<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
