//! Which rule takes a request: published routes made ready for serving. Pure: the edge brings the
//! request's parts, this module answers. What is done with the answer (balancing, sending) is the
//! edge's matter; where the content comes from is [`crate::content`]'s and [`crate::tree`]'s.
//!
//! The meaning is the linear scan: of all rules whose criteria hold, the one with the lowest
//! (priority, identifier) wins. Rules are held in that order and tried one by one.

mod hosts;
mod path;
mod pattern;
mod predicate;
mod route;

pub use hosts::{HostRefusal, Hosts, normalise_host};
pub use path::{PathRefusal, check_path};
pub use pattern::{
    PATTERN_BYTES_MAX, PATTERN_PROGRAM_BYTES_MAX, PATTERNS_PER_RULE_MAX, Pattern, PatternError,
};
pub use predicate::{CompiledCriteria, Headers, Request};
pub use route::{
    CompileError, CompiledAction, CompiledRoute, CompiledRule, CompiledUpstream, Share,
};
