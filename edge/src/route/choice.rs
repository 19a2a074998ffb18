//! Choices between upstreams, made for the rules, the defaults and the fallback of a route that is
//! being built.

use std::collections::BTreeMap;

use domain::id::RuleId;
use domain::matching::{CompiledAction, CompiledRoute, Share};

use super::rotation::Rotation;
use super::upstream::Upstream;
use super::{Action, Fixed, Redirect, Route};

/// A choice between upstreams.
#[derive(Debug)]
pub(super) struct Choice {
    /// Places of upstreams.
    pub(super) upstreams: Vec<usize>,
    pub(super) rotation: Rotation,
}

/// Makes choices and actions for a route that is being built.
pub(super) struct Chooser<'a> {
    compiled: &'a CompiledRoute,
    upstreams: &'a [Upstream],
    previous: Option<&'a Route>,
    /// The choices of the route's previous content that have a rotation to go on with.
    before: BTreeMap<&'a RuleId, &'a Choice>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(
        compiled: &'a CompiledRoute,
        upstreams: &'a [Upstream],
        previous: Option<&'a Route>,
    ) -> Self {
        let before = previous.map(Route::turning).unwrap_or_default();
        Self {
            compiled,
            upstreams,
            previous,
            before,
        }
    }

    /// What a rule does.
    pub(super) fn rule(&self, id: &RuleId, action: &CompiledAction) -> Result<Action, String> {
        self.action(action, self.before.get(id).copied())
    }

    pub(super) fn action(
        &self,
        action: &CompiledAction,
        before: Option<&Choice>,
    ) -> Result<Action, String> {
        Ok(match action {
            CompiledAction::Forward(shares) => Action::Forward(self.choice(shares, before)),
            CompiledAction::Redirect {
                url,
                status,
                preserve_path,
            } => Action::Redirect(Redirect::new(url, *status, *preserve_path)?),
            CompiledAction::FixedResponse {
                status,
                headers,
                body,
            } => Action::Fixed(Fixed::new(*status, headers, body)?),
        })
    }

    /// An upstream without a usable target counts as one of weight 0.
    pub(super) fn choice(&self, shares: &[Share], before: Option<&Choice>) -> Choice {
        let weight = |share: &Share| {
            if self.upstreams[share.upstream].is_usable() {
                share.weight
            } else {
                0
            }
        };
        let weights: Vec<_> = shares.iter().map(weight).collect();
        let was = |place: usize| {
            let route = self.previous?;
            let id = &self.compiled.upstreams()[shares[place].upstream].id;
            before?
                .upstreams
                .iter()
                .position(|upstream| route.compiled.upstreams()[*upstream].id == *id)
        };
        let rotation = Rotation::new(&weights, before.map(|choice| &choice.rotation), was);
        Choice {
            upstreams: shares.iter().map(|share| share.upstream).collect(),
            rotation,
        }
    }
}
