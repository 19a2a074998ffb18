//! The live content of one upstream, and the active snapshot with nothing but that changed. What is
//! pending of the upstream's record, and of everything else, stays out.

use super::{Freezing, Frozen};
use crate::content::{UpstreamContent, upstream_key};
use crate::decide::Context;
use crate::id::UpstreamId;
use crate::model::{Route, Target};
use crate::query::ViewChunks;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::tree::{self, Edits, Hash, TreeKind};

/// What the route's active snapshot has of an upstream, if it has it.
pub(in crate::decide) fn live_upstream<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    id: &UpstreamId,
) -> Result<Option<UpstreamContent>, Rejection> {
    Freezing::begun(context, route)?.live_upstream(id)
}

/// Freezes the active snapshot with other targets of one upstream, where `reweigh` gives such.
pub(in crate::decide) fn freeze_reweighed<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    id: &UpstreamId,
    reweigh: impl FnOnce(&[Target]) -> Option<Vec<Target>>,
) -> Result<Option<Frozen>, Rejection> {
    let mut freezing = Freezing::begun(context, route)?;
    let Some(live) = freezing.live_upstream(id)? else {
        return Ok(None);
    };
    let Some(targets) = reweigh(&live.targets) else {
        return Ok(None);
    };
    let bytes = UpstreamContent { targets, ..live }.encode();
    let upstreams = vec![(id.clone(), Some(Hash::of(&bytes)))];
    freezing.edit_upstreams(&Edits::from([(upstream_key(id), Some(bytes))]))?;
    Ok(Some(freezing.frozen(Vec::new(), upstreams)))
}

impl<V: View + ?Sized> Freezing<'_, '_, V> {
    fn live_upstream(&self, id: &UpstreamId) -> Result<Option<UpstreamContent>, Rejection> {
        let (chunks, root) = (ViewChunks(self.context.view), self.content.upstreams);
        let bytes = tree::get(&chunks, TreeKind::Upstreams, root, &upstream_key(id))
            .map_err(|error| self.context.broken(&error))?;
        let content = bytes.map(|bytes| UpstreamContent::decode(&bytes));
        content
            .transpose()
            .map_err(|error| self.context.broken(&error))
    }
}
