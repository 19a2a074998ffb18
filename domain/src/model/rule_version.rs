//! A rule's whole history, a record for each version: what was changed, from what to what. The rule
//! itself keeps the newest without values ([`super::RuleChange`]).

use serde::{Deserialize, Serialize};

use crate::id::ApiKeyId;
use crate::time::Timestamp;

/// Counts a rule's versions from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleVersionNumber(pub u32);

/// One version of a rule. The snapshot in which it first went live is a row of its own, so that
/// this one is written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVersion {
    /// Which.
    pub version: RuleVersionNumber,
    /// What changed.
    pub changes: Vec<FieldChange>,
    /// Who changed it.
    pub actor: ApiKeyId,
    /// When.
    pub at: Timestamp,
}

/// What one field became. Values are compact JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field, as the API names it.
    pub field: String,
    /// What it was; nothing in the first version.
    pub before: Option<String>,
    /// What it is.
    pub after: String,
}
