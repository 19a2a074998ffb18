//! Changes of the cluster itself.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::model::ClusterChange;

/// Writes down what an operator asks of the cluster, before it is done: a member that is retired here
/// is removed by whoever leads, and its number is never taken again. On nobody's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCluster {
    pub change: ClusterChange,
}
