//! The first signing key of a cluster whose first workspace is older than its signatures.

use domain::query;
use domain::rows::View;

use super::Runner;
use crate::{sealing, signing};

impl Runner {
    pub(super) async fn signing(&mut self) {
        let lacks = |view: &dyn View| {
            let lacks = query::is_bootstrapped(view) && query::signing(view).is_none();
            lacks.then(|| sealing::active(view))
        };
        let Some((Some(under), now)) = self.read(lacks) else {
            return;
        };
        let parts = &self.parts;
        match signing::founding((&parts.keys, under), now, &*parts.entropy) {
            Ok(founding) => {
                tracing::info!("the cluster begins to sign what it publishes");
                parts.propose(now, founding).await;
            }
            Err(error) => tracing::error!(%error, "there is no signing key"),
        }
    }
}
