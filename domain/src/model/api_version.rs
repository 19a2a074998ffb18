//! What a workspace or a webhook endpoint is pinned to.

use serde::{Deserialize, Serialize};

/// A release of the API, by its date (`YYYY-MM-DD`). Which releases there are, and what each of them
/// shows, is known where requests are served; here a pin is only kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiVersion(pub String);
