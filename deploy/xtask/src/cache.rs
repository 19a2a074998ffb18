//! The cache outside the clone: what is expensive to build and may be thrown away. It is shared
//! by all clones of one user.
//!
//! | path                               | holds                                               |
//! |------------------------------------|-----------------------------------------------------|
//! | `target/`                          | cargo's target directory                            |
//! | `rocksdb/VERSION/librocksdb.a`     | RocksDB, compiled once per `librocksdb-sys` version |
//! | `rocksdb-build/`                   | scratch while that is being made                    |
//! | `tools/bin/`                       | tools installed for the project (`cargo-deny`)      |
//! | `tools/NAME-VERSION/`              | one written in Python or from npm, in a folder of its own |

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$XDG_CACHE_HOME/vectorgate`, or `~/.cache/vectorgate`.
    ///
    /// # Errors
    /// When neither variable says where that is.
    pub fn locate() -> Result<Self> {
        Self::from_variables(variable("XDG_CACHE_HOME"), variable("HOME"))
    }

    fn from_variables(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<Self> {
        // The XDG specification has relative paths ignored.
        let base = xdg
            .filter(|path| path.is_absolute())
            .or_else(|| home.map(|home| home.join(".cache")))
            .context("neither XDG_CACHE_HOME nor HOME is set; one of them must say where the build cache goes")?;
        Ok(Self {
            root: base.join("vectorgate"),
        })
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// The folder of the RocksDB library for a version of `librocksdb-sys`.
    #[must_use]
    pub fn rocksdb(&self, version: &str) -> PathBuf {
        self.root.join("rocksdb").join(version)
    }

    /// Scratch space for compiling RocksDB.
    #[must_use]
    pub fn rocksdb_build(&self) -> PathBuf {
        self.root.join("rocksdb-build")
    }

    /// Where tools are installed to.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_xdg_then_home_and_ignores_relative_paths() {
        let locate = |xdg: Option<&str>, home: Option<&str>| {
            Cache::from_variables(xdg.map(PathBuf::from), home.map(PathBuf::from))
                .map(|cache| cache.root)
        };
        let found = |path: &str| Some(PathBuf::from(path));
        assert_eq!(
            locate(Some("/x"), Some("/home/me")).ok(),
            found("/x/vectorgate")
        );
        assert_eq!(
            locate(None, Some("/home/me")).ok(),
            found("/home/me/.cache/vectorgate")
        );
        assert_eq!(
            locate(Some("here"), Some("/home/me")).ok(),
            found("/home/me/.cache/vectorgate")
        );
        assert!(locate(None, None).is_err());
    }
}
