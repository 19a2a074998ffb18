//! Where upstreams went from one content of a route to the next: rules that stay as they are name them by
//! their places.

use super::{CompileError, CompiledAction, CompiledRule, CompiledUpstream, Share};
use crate::id::UpstreamId;

/// For each place of before, the upstream and its place now.
#[derive(Debug)]
pub(super) struct Moved<'a>(Vec<(&'a UpstreamId, Option<usize>)>);

impl<'a> Moved<'a> {
    /// What moved; nothing if each is where it was. Both are in the order of identifiers.
    pub(super) fn between(
        before: &'a [CompiledUpstream],
        now: &[CompiledUpstream],
    ) -> Option<Self> {
        let ids = |upstreams: &'a [CompiledUpstream]| upstreams.iter().map(|upstream| &upstream.id);
        if ids(before).eq(now.iter().map(|upstream| &upstream.id)) {
            return None;
        }
        let place = |id: &UpstreamId| now.binary_search_by(|upstream| upstream.id.cmp(id)).ok();
        Some(Self(ids(before).map(|id| (id, place(id))).collect()))
    }

    /// A rule of before with its upstreams where they are now.
    pub(super) fn rule(&self, rule: &CompiledRule) -> Result<CompiledRule, CompileError> {
        let mut rule = rule.clone();
        if let CompiledAction::Forward(shares) = &mut rule.action {
            for share in shares {
                *share = self
                    .share(*share)
                    .map_err(|upstream| CompileError::RuleUpstream {
                        rule: rule.id.clone(),
                        upstream,
                    })?;
            }
        }
        Ok(rule)
    }

    fn share(&self, share: Share) -> Result<Share, UpstreamId> {
        let (id, place) = self.0[share.upstream];
        let upstream = place.ok_or_else(|| id.clone())?;
        Ok(Share { upstream, ..share })
    }
}
