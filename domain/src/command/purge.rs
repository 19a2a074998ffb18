//! Purging caches.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::RouteId;
use crate::model::PurgedUrl;

/// Has the edges give up what they keep of a route's answers. Of a route that was never published
/// there is nothing, and nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeCache {
    pub route_id: RouteId,
    /// Of these URLs; everything where there are none.
    pub urls: Option<Vec<PurgedUrl>>,
}
