//! Which rule takes a request: published routes made ready for serving. Pure: the edge brings the
//! request's parts, this module answers. What is done with the answer (balancing, sending) is the
//! edge's matter; where the content comes from is [`crate::content`]'s and [`crate::tree`]'s.
//!
//! The meaning is the linear scan: of all rules whose criteria hold, the one with the lowest
//! (priority, identifier) wins. Few rules are tried one by one in that order; where there are more,
//! an index names the few that may hold.

mod hosts;
mod index;
mod literals;
mod path;
mod pattern;
mod predicate;
mod query;
mod request;
mod route;
mod shadow;

pub use hosts::{HostRefusal, Hosts, normalise_host};
pub use path::{PathRefusal, QUERY_PAIRS_MAX, check_path, check_query};
pub use pattern::{
    PATTERN_BYTES_MAX, PATTERN_PROGRAM_BYTES_MAX, PATTERNS_PER_RULE_MAX, Pattern, PatternError,
    Patterns,
};
pub use predicate::{CompiledCriteria, hosts_meet};
pub use query::{Encoded, QueryPair};
pub use request::{Headers, Request};
pub use route::{
    CompileError, CompiledAction, CompiledRoute, CompiledRule, CompiledUpstream, RULES_MAX,
    ReadyRules, RuleChange, Share,
};
pub use shadow::Shadows;
