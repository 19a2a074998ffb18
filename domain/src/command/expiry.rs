//! What expires soon.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::EnvironmentId;
use crate::model::Expiring;

/// Tells what is due of the ends of these. Proposed by the node that leads; on nobody's behalf. What was
/// told already is not told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellExpiries {
    pub environment_id: EnvironmentId,
    pub of: Vec<Expiring>,
}
