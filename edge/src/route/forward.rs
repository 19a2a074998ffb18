//! Where a request may go: first to targets that are fit, then to the route's fallback, and as a
//! last resort to any target at all.

use std::sync::Arc;

use domain::model::HashKey;

use super::choice::Choice;
use super::{Action, Fixed, Redirect, Route, Target};
use crate::balance::SHARE_WHOLE;

/// A choice between targets.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    pub(super) route: &'a Route,
    pub(super) choice: &'a Choice,
    /// Whether the route's fallback may have what fails.
    pub(super) falls_back: bool,
}

/// What is done when all that a request could go to has failed.
#[derive(Clone, Copy, Debug)]
pub enum Fallback<'a> {
    /// It is sent there.
    Forward(Forward<'a>),
    /// It is answered with a redirect.
    Redirect(&'a Redirect),
    /// It is answered.
    Fixed(&'a Fixed),
}

/// What choices follow from that hash a part of the request: by the upstreams' places.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<(usize, u64)>);

impl Keys {
    fn of(&self, upstream: usize) -> u64 {
        let known = self.0.iter().find(|(place, _)| *place == upstream);
        known.map_or(0, |(_, key)| *key)
    }
}

impl<'a> Forward<'a> {
    /// What the choices of this request follow from, where they follow from any part of it. `hash`
    /// looks at the request; it is not asked where no upstream hashes.
    pub fn keys(&self, hash: impl Fn(&HashKey) -> u64) -> Keys {
        if !self.route.hashes {
            return Keys::default();
        }
        let upstreams = self.route.upstreams.iter().enumerate();
        let keys = upstreams
            .filter_map(|(place, upstream)| upstream.hash_key().map(|key| (place, hash(key))));
        Keys(keys.collect())
    }

    /// The next target that is fit, other than those that were tried.
    pub fn pick(&self, tried: &[&Target], keys: &Keys) -> Option<&'a Arc<Target>> {
        let Self { route, choice, .. } = *self;
        if tried.is_empty() && !self.is_impaired() {
            let place = choice.upstreams[choice.rotation.next()?];
            return route.upstreams[place].next(keys.of(place));
        }
        self.pick_by(keys, &|target| {
            if is_among(target, tried) {
                0
            } else {
                target.health.share()
            }
        })
    }

    /// The next target, fit or not: when all are out, the judgement is less to be trusted than the
    /// targets.
    pub fn pick_any(&self, tried: &[&Target], keys: &Keys) -> Option<&'a Arc<Target>> {
        self.pick_by(keys, &|target| {
            if is_among(target, tried) {
                0
            } else {
                SHARE_WHOLE
            }
        })
    }

    /// What is done when all of this has failed.
    #[must_use]
    pub fn fallback(&self) -> Option<Fallback<'a>> {
        let route = self.route;
        let fallback = route.fallback.as_ref().filter(|_| self.falls_back)?;
        Some(match fallback {
            Action::Forward(choice) => Fallback::Forward(Forward {
                route,
                choice,
                falls_back: false,
            }),
            Action::Redirect(redirect) => Fallback::Redirect(redirect),
            Action::Fixed(fixed) => Fallback::Fixed(fixed),
        })
    }

    /// The same without the fallback, for who has something better to fall back to.
    #[must_use]
    pub fn without_fallback(self) -> Self {
        Self {
            falls_back: false,
            ..self
        }
    }

    /// Whether HTTP/1.1 is spoken to all that it may come to.
    #[must_use]
    pub fn speaks_http1(&self) -> bool {
        self.route.speaks_http1
    }

    /// Whether there is anything to be tried when one target fails.
    #[must_use]
    pub fn has_alternatives(&self) -> bool {
        let several = |upstream: &usize| self.route.upstreams[*upstream].targets.len() > 1;
        self.choice.upstreams.len() > 1
            || self.fallback().is_some()
            || self.choice.upstreams.iter().any(several)
    }

    /// Requests under way to all that this chooses from.
    #[must_use]
    pub fn under_way(&self) -> u32 {
        let upstreams = self.choice.upstreams.iter();
        upstreams
            .map(|place| self.route.upstreams[*place].under_way())
            .sum()
    }

    fn is_impaired(&self) -> bool {
        let mut upstreams = self.choice.upstreams.iter();
        upstreams.any(|place| self.route.upstreams[*place].group.is_impaired())
    }

    fn pick_by(&self, keys: &Keys, share: &dyn Fn(&Target) -> u32) -> Option<&'a Arc<Target>> {
        let Self { route, choice, .. } = *self;
        let has_any = |place: usize| route.upstreams[choice.upstreams[place]].has_any(share);
        let place = choice
            .rotation
            .next_by(|place| if has_any(place) { SHARE_WHOLE } else { 0 })?;
        let upstream = choice.upstreams[place];
        route.upstreams[upstream].next_by(keys.of(upstream), share)
    }
}

fn is_among(target: &Target, tried: &[&Target]) -> bool {
    tried.iter().any(|tried| std::ptr::eq(*tried, target))
}
