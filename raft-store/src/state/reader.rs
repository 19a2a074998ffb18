//! Reads of the applied state.

use std::sync::Arc;

use domain::rows::View;
use domain::time::Revision;
use tokio::sync::watch;

use super::keys;
use super::shared::StateShared;
use super::view::StateView;
use crate::codec;
use crate::fault::StorageFault;

/// Reads the applied state. Clones read the same state, and go on across the installation of a
/// checkpoint.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<StateShared>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<StateShared>) -> Self {
        Self { shared }
    }

    /// Shows a consistent view of the state to `look`.
    ///
    /// # Errors
    /// When the disk refuses or holds what cannot be, now or before. What `look` made of it is
    /// dropped then.
    pub fn read<T>(&self, look: impl FnOnce(&dyn View) -> T) -> Result<T, StorageFault> {
        self.shared.breaker.run(|| {
            let generation = self.shared.generation();
            let view = StateView::new(generation.database().view());
            let seen = look(&view);
            view.fault()?;
            Ok(seen)
        })
    }

    /// Like [`Reader::read`], with the revision of that very view.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_at<T>(
        &self,
        look: impl FnOnce(&dyn View) -> T,
    ) -> Result<(T, Revision), StorageFault> {
        self.shared.breaker.run(|| {
            let generation = self.shared.generation();
            let view = StateView::new(generation.database().view());
            let revision = match view.beside(&keys::APPLIED)? {
                None => Revision(0),
                Some(bytes) => {
                    let applied = codec::decode_log_id(&bytes)
                        .map_err(|error| StorageFault::corrupt("read", &generation.path, error))?;
                    Revision(applied.map_or(0, |applied| applied.index))
                }
            };
            let seen = look(&view);
            view.fault()?;
            Ok((seen, revision))
        })
    }

    /// The applied revision as it moves: with each apply batch, after it can be read, and with
    /// each installed checkpoint. Whoever follows something in the state, like the manifests,
    /// looks again when it does.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Revision> {
        self.shared.watch()
    }

    /// The last revision that may have changed a row of which [`domain::schema::decides_access`]
    /// holds. What was read of such rows after asking stays true as long as this stays the same;
    /// it moves before [`Reader::applied`] does.
    #[must_use]
    pub fn access_changed(&self) -> Revision {
        self.shared.access_changed()
    }
}
