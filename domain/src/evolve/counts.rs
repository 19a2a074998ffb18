//! How many objects an environment has. A row appears with the first object and stays.

use crate::id::EnvironmentId;
use crate::rows::Rows;
use crate::schema::{OBJECT_COUNTS, ObjectCounts};

/// Lets `change` count in an environment.
pub(super) fn count(
    rows: &mut impl Rows,
    environment: &EnvironmentId,
    change: impl FnOnce(&mut ObjectCounts),
) {
    let mut counts = OBJECT_COUNTS.get(rows, (environment,)).unwrap_or_default();
    change(&mut counts);
    OBJECT_COUNTS.put(rows, (environment,), &counts);
}
