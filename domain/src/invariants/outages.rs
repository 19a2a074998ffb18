//! Source: an upstream that fails is told once, and once more when it recovers. What is written down of
//! outages goes with the upstream, so that one that is made anew begins without a past.

use super::ensure;
use super::state::State;
use crate::schema::{UPSTREAM_OUTAGES, UPSTREAMS};

pub(super) fn check(state: &State) -> Result<(), String> {
    let outages = UPSTREAM_OUTAGES.walk(&state.rows, UPSTREAM_OUTAGES.all());
    for ((environment, upstream, region), _) in outages {
        ensure(
            UPSTREAMS.has(&state.rows, (&environment, &upstream)),
            || format!("{upstream} is gone and out of use in {region}"),
        )?;
    }
    Ok(())
}
