//! A rule's history, a record for each version: what was changed, from what to what. The rule itself
//! keeps the newest without values ([`super::RuleChange`]).

use serde::{Deserialize, Serialize};

use crate::id::ApiKeyId;
use crate::model::RuleField;
use crate::time::{Revision, Timestamp};

/// Counts a rule's versions from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleVersionNumber(pub u32);

/// One version of a rule. The snapshot in which it first went live is a row of its own, so that
/// this one is written once. The first version of a rule that has no other is what the rule itself
/// says, and has no record.
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
    /// The entry that changed it.
    pub revision: Revision,
}

impl RuleVersion {
    /// How many versions a rule keeps at least. Older ones are kept as long as the journal tells of
    /// them.
    pub const KEPT: u32 = 1_000;
}

/// What one field became. Values are compact JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field.
    pub field: RuleField,
    /// What it was; nothing in the first version.
    pub before: Option<String>,
    /// What it is.
    pub after: String,
}
