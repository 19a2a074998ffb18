//! A published route, ready to be asked.

use std::sync::Arc;

use super::index::{Index, Place, Proven, Tried};
use super::literals::KnownLiterals;
use super::pattern::{PatternError, Patterns};
use super::predicate::CompiledCriteria;
use super::request::{Headers, Request};
use crate::content::{
    Action, Backing, Caching, Criteria, RouteContent, RuleContent, TargetContent, UpstreamContent,
    WeightedUpstream,
};
use crate::id::{RouteId, RuleId, TargetId, UpstreamId};
use crate::model::{Algorithm, Check, Priority, UpstreamSettings};
use crate::tree::Hash;
use moved::Moved;
use ready::{Ready, ReadyRule};
pub use ready::{ReadyRules, RuleChange};

/// Up to so many rules are tried one by one: that takes no longer than a look-up in an index.
const SCANNED_MAX: usize = 8;

/// The most rules of a route: twice what nodes take, so that whatever they publish compiles. It is
/// there for nodes that do not do what they should.
pub const RULES_MAX: usize = 400_000;

/// A route with its rules in order and its references resolved.
#[derive(Clone, Debug)]
pub struct CompiledRoute {
    /// The route.
    pub id: RouteId,
    /// The hostname that it serves.
    pub hostname: String,
    /// A disabled route answers like a hostname that nobody has.
    pub enabled: bool,
    /// Where requests go that no rule takes; empty where nowhere.
    pub defaults: Vec<Share>,
    /// What is done when all that a request could go to fails.
    pub fallback: Option<CompiledAction>,
    /// How the targets of upstreams that have no check of their own are checked.
    pub health_check: Option<Check>,
    /// How answers are kept.
    pub caching: Caching,
    /// In order. Each stays where it is in memory for as long as it is the same, whatever else of the route
    /// changes.
    rules: Vec<Arc<CompiledRule>>,
    /// The tree that they are from.
    tree: Hash,
    /// Finds rules where there are too many to try all.
    index: Option<Index>,
    looks_at_query: bool,
    /// What the rules' patterns were compiled to, for the route's next content.
    patterns: Patterns,
    upstreams: Vec<CompiledUpstream>,
}

/// A rule, ready to be tried.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The rule.
    pub id: RuleId,
    /// Its place: lower runs first.
    pub priority: Priority,
    /// Which requests it takes.
    pub criteria: CompiledCriteria,
    /// What it does with them.
    pub action: CompiledAction,
    /// The criteria as they were written, for the next index.
    asks: Criteria,
}

/// What a rule does, with references resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompiledAction {
    /// Sends the request on, to one of these by weight.
    Forward(Vec<Share>),
    /// Answers with a redirect.
    Redirect {
        /// The target: absolute, or a path.
        url: String,
        /// 301, 302, 307 or 308.
        status: u16,
        /// Appends the request's path and query to the target.
        preserve_path: bool,
    },
    /// Answers by itself.
    FixedResponse {
        /// 200 to 599.
        status: u16,
        /// Headers by lower-case name.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
}

/// One upstream's share of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// The upstream's place in [`CompiledRoute::upstreams`].
    pub upstream: usize,
    /// Its weight; 0 takes nothing.
    pub weight: u32,
}

/// An upstream as a route uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledUpstream {
    /// The upstream.
    pub id: UpstreamId,
    /// How a target is chosen.
    pub algorithm: Algorithm,
    /// How its targets are spoken to, watched and spared.
    pub settings: UpstreamSettings,
    /// Its targets, in the order given.
    pub targets: Vec<TargetContent>,
}

impl CompiledUpstream {
    /// A target's place, by identity.
    #[must_use]
    pub fn position(&self, id: &TargetId) -> Option<usize> {
        self.targets.iter().position(|target| target.id == *id)
    }
}

/// Why a route cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// There are more than [`RULES_MAX`] rules.
    #[error("the route has more than {RULES_MAX} rules")]
    TooManyRules,
    /// A rule's pattern is none.
    #[error("rule {rule}, pattern `{pattern}`: {error}")]
    Pattern {
        /// The rule.
        rule: RuleId,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        error: PatternError,
    },
    /// A rule forwards to an upstream that the snapshot does not hold.
    #[error("rule {rule}: its upstream {upstream} is not in the snapshot")]
    RuleUpstream {
        /// The rule.
        rule: RuleId,
        /// The upstream.
        upstream: UpstreamId,
    },
    /// The route's `config` is none.
    #[error("the route's config: {0}")]
    Config(String),
    /// The route's own upstreams name one that the snapshot does not hold.
    #[error("the route's upstream {upstream} is not in the snapshot")]
    RouteUpstream {
        /// The upstream.
        upstream: UpstreamId,
    },
}

impl CompiledRoute {
    /// Makes a published route ready. Rules and upstreams may come in any order.
    ///
    /// # Errors
    /// When a pattern does not compile or an upstream is missing.
    pub fn compile(
        content: RouteContent,
        rules: Vec<RuleContent>,
        upstreams: Vec<UpstreamContent>,
    ) -> Result<Self, CompileError> {
        Self::compile_after(None, content, rules, upstreams)
    }

    /// The same after the route's `previous` content: the patterns that are in both need not be
    /// compiled again.
    ///
    /// # Errors
    /// When a pattern does not compile or an upstream is missing.
    pub fn compile_after(
        previous: Option<&Self>,
        content: RouteContent,
        rules: Vec<RuleContent>,
        upstreams: Vec<UpstreamContent>,
    ) -> Result<Self, CompileError> {
        let mut ready = ReadyRules::after(previous, rules.len());
        for rule in rules {
            ready.add(rule)?;
        }
        Self::assemble(content, ready, upstreams)
    }

    /// Makes a published route of rules that are ready.
    ///
    /// # Errors
    /// When there are too many of them or an upstream is missing.
    pub fn assemble(
        content: RouteContent,
        ready: ReadyRules<'_>,
        upstreams: Vec<UpstreamContent>,
    ) -> Result<Self, CompileError> {
        let ReadyRules {
            previous,
            rules,
            patterns,
            ..
        } = ready.in_order();
        let mut upstreams: Vec<_> = upstreams
            .into_iter()
            .map(|upstream| CompiledUpstream {
                id: upstream.id,
                algorithm: upstream.algorithm,
                settings: upstream.settings,
                targets: upstream.targets,
            })
            .collect();
        upstreams.sort_by(|a, b| a.id.cmp(&b.id));
        let defaults = resolve(&upstreams, &content.default_upstreams)
            .map_err(|upstream| CompileError::RouteUpstream { upstream })?;
        check_count(rules.len())?;
        let Backing {
            health_check,
            fallback,
        } = backing(&content.config)?;
        let fallback = fallback
            .map(|action| CompiledAction::resolve(action, &upstreams))
            .transpose()
            .map_err(|upstream| CompileError::RouteUpstream { upstream })?;
        let moved = previous.and_then(|previous| Moved::between(&previous.upstreams, &upstreams));
        let rules = rules
            .into_iter()
            .map(|rule| match rule {
                Ready::New(rule) => CompiledRule::new(*rule, &upstreams).map(Arc::new),
                Ready::Kept(rule) => match &moved {
                    Some(moved) => moved.rule(&rule).map(Arc::new),
                    None => Ok(rule),
                },
            })
            .collect::<Result<Vec<_>, _>>()?;
        let index = index(&rules, &patterns);
        let looks_at_query = rules.iter().any(|rule| rule.criteria.look_at_query());
        Ok(Self {
            caching: Caching::of(&content),
            id: content.route_id,
            hostname: content.hostname,
            enabled: content.enabled,
            defaults,
            fallback,
            health_check,
            rules,
            tree: content.rules,
            index,
            looks_at_query,
            patterns,
            upstreams,
        })
    }

    /// The first rule by (priority, identifier) that takes the request, with its place in
    /// [`Self::rules`].
    #[must_use]
    pub fn find<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
    ) -> Option<(usize, &CompiledRule)> {
        let Some(index) = &self.index else {
            return self.scan(request);
        };
        let holds = |place: Place, proven| match proven {
            Proven::All => true,
            Proven::Path => self.rules[place as usize]
                .criteria
                .hold_beside_path(request),
            Proven::Nothing => self.rules[place as usize].criteria.hold(request),
        };
        let place = index.first(request, Place::MAX, |place, proven| {
            if holds(place, proven) {
                Tried::Yes
            } else {
                Tried::No
            }
        })? as usize;
        Some((place, &self.rules[place]))
    }

    /// The same, found by trying the rules one by one: what [`Self::find`] is held to.
    #[must_use]
    pub fn scan<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
    ) -> Option<(usize, &CompiledRule)> {
        self.rules
            .iter()
            .map(|rule| &**rule)
            .enumerate()
            .find(|(_, rule)| rule.criteria.hold(request))
    }

    /// Whether some rule asks for anything in the query, which [`super::check_query`] must then have
    /// taken.
    #[must_use]
    pub fn looks_at_query(&self) -> bool {
        self.looks_at_query
    }

    /// The tree of rules that it was made of.
    #[must_use]
    pub fn tree(&self) -> Hash {
        self.tree
    }

    /// The rules, in the order in which they are tried.
    #[must_use]
    pub fn rules(&self) -> &[Arc<CompiledRule>] {
        &self.rules
    }

    /// The upstreams that the route refers to, by identifier.
    #[must_use]
    pub fn upstreams(&self) -> &[CompiledUpstream] {
        &self.upstreams
    }
}

impl CompiledRule {
    fn new(rule: ReadyRule, upstreams: &[CompiledUpstream]) -> Result<Self, CompileError> {
        let action = CompiledAction::resolve(rule.action, upstreams).map_err(|upstream| {
            CompileError::RuleUpstream {
                rule: rule.id.clone(),
                upstream,
            }
        })?;
        Ok(Self {
            id: rule.id,
            priority: rule.priority,
            criteria: rule.compiled,
            action,
            asks: rule.criteria,
        })
    }

    fn key(&self) -> (Priority, &RuleId) {
        (self.priority, &self.id)
    }
}

impl CompiledAction {
    /// With places for identifiers; the first that is not there is the error.
    fn resolve(action: Action, upstreams: &[CompiledUpstream]) -> Result<Self, UpstreamId> {
        Ok(match action {
            Action::Forward { upstreams: shares } => Self::Forward(resolve(upstreams, &shares)?),
            Action::Redirect {
                url,
                status,
                preserve_path,
            } => Self::Redirect {
                url,
                status,
                preserve_path,
            },
            Action::FixedResponse {
                status,
                headers,
                body,
            } => Self::FixedResponse {
                status,
                headers: headers.into_iter().collect(),
                body,
            },
        })
    }
}

fn check_count(rules: usize) -> Result<(), CompileError> {
    if rules > RULES_MAX {
        return Err(CompileError::TooManyRules);
    }
    Ok(())
}

/// What the `config` says that concerns serving.
fn backing(config: &str) -> Result<Backing, CompileError> {
    let config =
        serde_json::from_str(config).map_err(|error| CompileError::Config(error.to_string()))?;
    Backing::from_config(&config)
        .map_err(|error| CompileError::Config(format!("{}: {error}", error.param)))
}

/// An index of rules, where there are enough of them.
fn index(rules: &[Arc<CompiledRule>], patterns: &Patterns) -> Option<Index> {
    (rules.len() > SCANNED_MAX).then(|| {
        let criteria: Vec<_> = rules.iter().map(|rule| &rule.asks).collect();
        Index::new(&criteria, &KnownLiterals::of_patterns(patterns))
    })
}

/// Identifiers become places; the first that is not there is the error. `upstreams` is sorted.
fn resolve(
    upstreams: &[CompiledUpstream],
    shares: &[WeightedUpstream],
) -> Result<Vec<Share>, UpstreamId> {
    let place = |share: &WeightedUpstream| {
        let upstream = upstreams.binary_search_by(|upstream| upstream.id.cmp(&share.upstream_id));
        upstream
            .map(|upstream| Share {
                upstream,
                weight: share.weight,
            })
            .map_err(|_| share.upstream_id.clone())
    };
    shares.iter().map(place).collect()
}

mod moved;
mod ready;
#[cfg(test)]
mod tests;
