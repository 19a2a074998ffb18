//! Commands on several rules at once: all of it happens, or nothing.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use super::{ArchiveRule, CreateRule, UpdateRule};
use crate::id::{RouteId, RuleId, SnapshotId};
use crate::model::Priority;

/// Gives rules of a route other priorities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReorderRules {
    pub route_id: RouteId,
    pub draft_id: SnapshotId,
    pub order: RuleOrder,
}

/// How rules are to be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleOrder {
    /// All of the route's rules that are not archived, in this order. They share out among them
    /// the priorities that they have.
    Whole(Vec<RuleId>),
    /// These rules get these priorities.
    Moves(Vec<(RuleId, Priority)>),
}

/// Does several things to rules, each judged on what the ones before it leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRules {
    pub operations: Vec<RuleOperation>,
}

/// One thing of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "operations live as long as their command, and there are few"
)]
pub enum RuleOperation {
    Create(CreateRule),
    Update(UpdateRule),
    Archive(ArchiveRule),
}
