//! The authority that signs for edges, as this node's files have it. It can be replaced while the node
//! runs.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use platform::Entropy;
use platform::authority::{Authority, AuthorityError, EdgeKey, Subject, Validity};

/// Signs for edges. Clones share it: what [replaces](Self::replace) it is what signs from then on.
#[derive(Clone)]
pub struct EdgeAuthority {
    current: Arc<RwLock<Authority>>,
}

impl fmt::Debug for EdgeAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeAuthority").finish_non_exhaustive()
    }
}

impl EdgeAuthority {
    /// Reads an authority: the first certificate of a bundle in PEM, and its key.
    ///
    /// # Errors
    /// When one holds something else, or they do not belong together.
    pub fn read(bundle: &str, key: &str) -> Result<Self, AuthorityError> {
        Ok(Self {
            current: Arc::new(RwLock::new(Authority::read(bundle, key)?)),
        })
    }

    /// Has another authority sign from now on.
    ///
    /// # Errors
    /// When it cannot be read; nothing changes then.
    pub fn replace(&self, bundle: &str, key: &str) -> Result<(), AuthorityError> {
        *self.current.write() = Authority::read(bundle, key)?;
        Ok(())
    }

    pub(super) fn issue(
        &self,
        subject: &Subject,
        key: &EdgeKey,
        validity: Validity,
        entropy: &dyn Entropy,
    ) -> Result<String, AuthorityError> {
        self.current.read().issue(subject, key, validity, entropy)
    }
}
