//! A compiled route with what serving it needs beside: rotations over upstreams and targets, and
//! answers that are ready to be sent. It lives as long as the route's content is unchanged,
//! whatever else is published.

mod answer;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::content::TargetContent;
use domain::id::{RuleId, TargetId, UpstreamId};
use domain::matching::{CompiledAction, CompiledRoute, Headers, Request, Share};
use parking_lot::Mutex;

use crate::balance::SmoothWeighted;

pub use answer::{Fixed, Redirect};

/// A route in service.
#[derive(Debug)]
pub struct Route {
    compiled: CompiledRoute,
    /// By the rules' places.
    actions: Vec<Action>,
    defaults: Choice,
    /// By the upstreams' places.
    upstreams: Vec<Upstream>,
}

#[derive(Debug)]
enum Action {
    Forward(Choice),
    Redirect(Redirect),
    Fixed(Fixed),
}

/// What is to be done with a request.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The rule that took it; none where the route's own upstreams do.
    pub rule: Option<&'a RuleId>,
    /// What to do.
    pub verdict: Verdict<'a>,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// Send it there.
    Forward(&'a Arc<Target>),
    /// There is nowhere to send it: all weights are 0.
    NoTarget,
    /// Answer with a redirect.
    Redirect(&'a Redirect),
    /// Answer.
    Fixed(&'a Fixed),
    /// No rule takes it, and the route has no upstreams of its own.
    NoRule,
}

/// A target of an upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The target.
    pub id: TargetId,
    /// The upstream that it belongs to.
    pub upstream: UpstreamId,
    /// `host:port`, to connect to.
    pub authority: String,
}

#[derive(Debug)]
struct Upstream {
    targets: Vec<Arc<Target>>,
    /// Shared by all rules that use the upstream and by all threads, so that ratios are exact over
    /// all of its traffic at this edge and not only over parts of it.
    rotation: Rotation,
}

/// A choice between upstreams.
#[derive(Debug)]
struct Choice {
    upstreams: Vec<usize>,
    rotation: Rotation,
}

/// A rotation that costs nothing where there is nothing to choose.
#[derive(Debug)]
enum Rotation {
    Nothing,
    Always(usize),
    Weighted(Mutex<SmoothWeighted>),
}

/// Why a route that compiles cannot be served after all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {reason}")]
pub struct Unservable {
    /// The rule.
    pub rule: RuleId,
    /// What is wrong with it.
    pub reason: String,
}

impl Route {
    /// Takes a compiled route into service, going on with the rotations of the route's
    /// `previous` content.
    ///
    /// # Errors
    /// When an answer that a rule gives is no HTTP.
    pub fn new(compiled: CompiledRoute, previous: Option<&Self>) -> Result<Self, Unservable> {
        let upstreams: Vec<_> = (0..compiled.upstreams().len())
            .map(|place| Upstream::new(&compiled, place, previous))
            .collect();
        let chooser = Chooser::new(&compiled, &upstreams, previous);
        let actions = (0..compiled.rules().len())
            .map(|place| chooser.action(place))
            .collect::<Result<_, _>>()?;
        let defaults = chooser.choice(&compiled.defaults, previous.map(|route| &route.defaults));
        Ok(Self {
            actions,
            defaults,
            upstreams,
            compiled,
        })
    }

    /// What to do with a request. Each call turns the rotations.
    pub fn decide<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> Decision<'_> {
        let Some((place, rule)) = self.compiled.find(request) else {
            let verdict = if self.defaults.upstreams.is_empty() {
                Verdict::NoRule
            } else {
                self.forward(&self.defaults)
            };
            return Decision {
                rule: None,
                verdict,
            };
        };
        let verdict = match &self.actions[place] {
            Action::Forward(choice) => self.forward(choice),
            Action::Redirect(redirect) => Verdict::Redirect(redirect),
            Action::Fixed(fixed) => Verdict::Fixed(fixed),
        };
        Decision {
            rule: Some(&rule.id),
            verdict,
        }
    }

    /// The compiled route.
    #[must_use]
    pub fn compiled(&self) -> &CompiledRoute {
        &self.compiled
    }

    fn turning(&self) -> BTreeMap<&RuleId, &Choice> {
        let turning = self.compiled.rules().iter().zip(&self.actions).filter_map(
            |(rule, action)| match action {
                Action::Forward(choice) if matches!(choice.rotation, Rotation::Weighted(_)) => {
                    Some((&rule.id, choice))
                }
                _ => None,
            },
        );
        turning.collect()
    }

    fn forward(&self, choice: &Choice) -> Verdict<'_> {
        let target = || {
            let upstream = &self.upstreams[choice.upstreams[choice.rotation.next()?]];
            upstream
                .rotation
                .next()
                .map(|place| &upstream.targets[place])
        };
        target().map_or(Verdict::NoTarget, Verdict::Forward)
    }
}

impl Upstream {
    fn new(compiled: &CompiledRoute, place: usize, previous: Option<&Route>) -> Self {
        let upstream = &compiled.upstreams()[place];
        let weights: Vec<_> = upstream
            .targets
            .iter()
            .map(|target| target.weight)
            .collect();
        let before = previous.and_then(|route| {
            let place = route
                .compiled
                .upstreams()
                .binary_search_by(|before| before.id.cmp(&upstream.id))
                .ok()?;
            Some((&route.upstreams[place], &route.compiled.upstreams()[place]))
        });
        let was = |place: usize| before?.1.position(&upstream.targets[place].id);
        let rotation = Rotation::new(
            &weights,
            before.map(|(upstream, _)| &upstream.rotation),
            was,
        );
        let targets = upstream
            .targets
            .iter()
            .map(|target| Arc::new(Target::new(&upstream.id, target)))
            .collect();
        Self { targets, rotation }
    }

    fn is_usable(&self) -> bool {
        !matches!(self.rotation, Rotation::Nothing)
    }
}

impl Target {
    fn new(upstream: &UpstreamId, target: &TargetContent) -> Self {
        let host = target.address.as_str();
        let bracketed = host.contains(':') && !host.starts_with('[');
        let authority = if bracketed {
            format!("[{host}]:{}", target.port)
        } else {
            format!("{host}:{}", target.port)
        };
        Self {
            id: target.id.clone(),
            upstream: upstream.clone(),
            authority,
        }
    }
}

impl Rotation {
    fn new(weights: &[u32], previous: Option<&Self>, was: impl Fn(usize) -> Option<usize>) -> Self {
        let mut usable = weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0)
            .map(|(place, _)| place);
        match (usable.next(), usable.next()) {
            (None, _) => Self::Nothing,
            (Some(only), None) => Self::Always(only),
            _ => {
                let weights = weights.iter().copied();
                let rotation = match previous {
                    Some(Self::Weighted(before)) => {
                        SmoothWeighted::continuing(weights, &before.lock(), was)
                    }
                    _ => SmoothWeighted::new(weights),
                };
                Self::Weighted(Mutex::new(rotation))
            }
        }
    }

    fn next(&self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Always(place) => Some(*place),
            Self::Weighted(rotation) => rotation.lock().next(),
        }
    }
}

/// Makes choices and actions for a route that is being built.
struct Chooser<'a> {
    compiled: &'a CompiledRoute,
    upstreams: &'a [Upstream],
    previous: Option<&'a Route>,
    /// The choices of the route's previous content that have a rotation to go on with.
    before: BTreeMap<&'a RuleId, &'a Choice>,
}

impl<'a> Chooser<'a> {
    fn new(
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

    fn action(&self, place: usize) -> Result<Action, Unservable> {
        let rule = &self.compiled.rules()[place];
        let unservable = |reason: String| Unservable {
            rule: rule.id.clone(),
            reason,
        };
        match &rule.action {
            CompiledAction::Forward(shares) => Ok(Action::Forward(
                self.choice(shares, self.before.get(&rule.id).copied()),
            )),
            CompiledAction::Redirect {
                url,
                status,
                preserve_path,
            } => Redirect::new(url, *status, *preserve_path)
                .map(Action::Redirect)
                .map_err(unservable),
            CompiledAction::FixedResponse {
                status,
                headers,
                body,
            } => Fixed::new(*status, headers, body)
                .map(Action::Fixed)
                .map_err(unservable),
        }
    }

    /// An upstream without a usable target counts as one of weight 0.
    fn choice(&self, shares: &[Share], before: Option<&Choice>) -> Choice {
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

#[cfg(test)]
mod tests;
