//! A compiled route with what serving it needs beside: rotations over upstreams and targets, and
//! answers that are ready to be sent. It lives as long as the route's content is unchanged,
//! whatever else is published.

mod answer;
mod choice;
mod forward;
mod rotation;
mod target;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::id::RuleId;
use domain::matching::{CompiledAction, CompiledRoute, Headers, Request, Share};
use rustc_hash::FxBuildHasher;

use self::choice::{Choice, Chooser};
use self::upstream::Upstream;
use crate::health::{Plan, Registry};
use crate::names::Names;
use crate::upstream::Trust;

pub use answer::{Fixed, Redirect};
pub use forward::{Fallback, Forward, Keys};
pub use target::Target;

/// What routes are in the midst of, whatever is published.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Where the edge is.
    pub region: String,
    /// What is known of targets.
    pub health: Arc<Registry>,
    /// The names of targets.
    pub names: Arc<Names>,
    /// Whom the edge trusts to vouch for targets.
    pub trust: Trust,
}

/// A route in service.
#[derive(Debug)]
pub struct Route {
    compiled: CompiledRoute,
    /// By the rules' places: where in `actions` stands what they do.
    action_of: Vec<u32>,
    /// What rules do. Those that do the same, and need not remember what they did last, share one: of a hundred
    /// thousand rules, most send to the same few upstreams.
    actions: Vec<Action>,
    defaults: Choice,
    /// What is done when all that a request could go to fails.
    fallback: Option<Action>,
    /// By the upstreams' places.
    upstreams: Vec<Upstream>,
    /// Whether any of them chooses by a hash.
    hashes: bool,
    /// Whether HTTP/1.1 is spoken to all of them.
    speaks_http1: bool,
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
    /// Send it to one of these.
    Forward(Forward<'a>),
    /// There is nowhere to send it: all weights are 0.
    NoTarget,
    /// Answer with a redirect.
    Redirect(&'a Redirect),
    /// Answer.
    Fixed(&'a Fixed),
    /// No rule takes it, and the route has no upstreams of its own.
    NoRule,
}

/// Why a route that compiles cannot be served after all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct Unservable {
    /// The rule or the upstream that it is about.
    pub what: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Unservable {
    fn new(what: String) -> impl FnOnce(String) -> Self {
        |reason| Self { what, reason }
    }
}

/// What the rules of a route that is being built do.
#[derive(Default)]
struct Actions<'a> {
    of: Vec<u32>,
    all: Vec<Action>,
    /// Where those are that rules share.
    shared: HashMap<&'a [Share], u32, FxBuildHasher>,
}

impl<'a> Actions<'a> {
    /// Which action each rule has, and the actions.
    fn of(
        compiled: &'a CompiledRoute,
        chooser: &Chooser<'_>,
    ) -> Result<(Vec<u32>, Vec<Action>), Unservable> {
        let mut actions = Self::default();
        for rule in compiled.rules() {
            let added = actions.add(&rule.id, &rule.action, chooser);
            added.map_err(|reason| Unservable::new(format!("rule {}", rule.id))(reason))?;
        }
        Ok((actions.of, actions.all))
    }

    /// Adds what the next rule does.
    fn add(
        &mut self,
        rule: &RuleId,
        action: &'a CompiledAction,
        chooser: &Chooser<'_>,
    ) -> Result<(), String> {
        let shares = match action {
            CompiledAction::Forward(shares) => Some(&shares[..]),
            _ => None,
        };
        if let Some(known) = shares.and_then(|shares| self.shared.get(shares)) {
            self.of.push(*known);
            return Ok(());
        }
        let made = chooser.rule(rule, action)?;
        let next = u32::try_from(self.all.len()).map_err(|error| error.to_string())?;
        if let (Some(shares), Action::Forward(choice)) = (shares, &made)
            && !choice.rotation.remembers()
        {
            self.shared.insert(shares, next);
        }
        self.all.push(made);
        self.of.push(next);
        Ok(())
    }
}

impl Route {
    /// Takes a compiled route into service, going on with the rotations of the route's
    /// `previous` content.
    ///
    /// # Errors
    /// When an answer that a rule gives is no HTTP, or an upstream's authorities are none.
    pub fn new(
        compiled: CompiledRoute,
        previous: Option<&Self>,
        around: &Surroundings,
    ) -> Result<Self, Unservable> {
        let upstreams = upstreams(&compiled, previous, around)?;
        let chooser = Chooser::new(&compiled, &upstreams, previous);
        let (action_of, actions) = Actions::of(&compiled, &chooser)?;
        let defaults = chooser.choice(&compiled.defaults, previous.map(|route| &route.defaults));
        let fell_back = previous.and_then(|route| match &route.fallback {
            Some(Action::Forward(choice)) => Some(choice),
            _ => None,
        });
        let fallback = compiled.fallback.as_ref();
        let fallback = fallback
            .map(|action| chooser.action(action, fell_back))
            .transpose()
            .map_err(Unservable::new("the fallback".to_owned()))?;
        Ok(Self {
            action_of,
            actions,
            defaults,
            fallback,
            hashes: upstreams
                .iter()
                .any(|upstream| upstream.hash_key().is_some()),
            speaks_http1: upstreams.iter().all(Upstream::speaks_http1),
            upstreams,
            compiled,
        })
    }

    /// What to do with a request.
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
        let verdict = match &self.actions[self.action_of[place] as usize] {
            Action::Forward(choice) => self.forward(choice),
            Action::Redirect(redirect) => Verdict::Redirect(redirect),
            Action::Fixed(fixed) => Verdict::Fixed(fixed),
        };
        Decision {
            rule: Some(&rule.id),
            verdict,
        }
    }

    /// Where a connection may go that is not looked into.
    #[must_use]
    pub fn defaults(&self) -> Option<Forward<'_>> {
        match self.forward(&self.defaults) {
            Verdict::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// The compiled route.
    #[must_use]
    pub fn compiled(&self) -> &CompiledRoute {
        &self.compiled
    }

    fn turning(&self) -> BTreeMap<&RuleId, &Choice> {
        let rules = self.compiled.rules().iter().zip(&self.action_of);
        let turning = rules.filter_map(|(rule, action)| match &self.actions[*action as usize] {
            Action::Forward(choice) if choice.rotation.remembers() => Some((&rule.id, choice)),
            _ => None,
        });
        turning.collect()
    }

    /// Tells its targets by what they are limited and judged, in the configuration of this number.
    pub fn configure(&self, number: u64) {
        for upstream in &self.upstreams {
            upstream.configure(number);
        }
    }

    /// Adds the targets that are to be watched.
    pub fn watch(&self, plan: &mut Plan) {
        let check = self.compiled.health_check.as_ref();
        let host = Some(self.compiled.hostname.as_str()).filter(|host| !host.starts_with('*'));
        for upstream in &self.upstreams {
            upstream.watch(plan, check, host);
        }
    }

    fn forward<'a>(&'a self, choice: &'a Choice) -> Verdict<'a> {
        if !choice.rotation.is_usable() && self.fallback.is_none() {
            return Verdict::NoTarget;
        }
        Verdict::Forward(Forward {
            route: self,
            choice,
            falls_back: true,
        })
    }
}

fn upstreams(
    compiled: &CompiledRoute,
    previous: Option<&Route>,
    around: &Surroundings,
) -> Result<Vec<Upstream>, Unservable> {
    let before = |id: &domain::id::UpstreamId| {
        let route = previous?;
        let known = route.compiled.upstreams();
        let place = known.binary_search_by(|before| before.id.cmp(id)).ok()?;
        Some((&route.upstreams[place], &known[place]))
    };
    let upstreams = compiled.upstreams().iter();
    upstreams
        .map(|upstream| {
            Upstream::new(upstream, before(&upstream.id), around)
                .map_err(Unservable::new(format!("upstream {}", upstream.id)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
