//! What must hold of the state after every log entry, checked against all rows. It works from
//! the records alone: every index, count and flag is derived anew and compared, so a row that is
//! missing, left over or wrong is found. Meant for tests and the simulation: the cost follows the
//! whole state.
//!
//! | checked | by |
//! |---|---|
//! | a priority has one holder among a route's rules that are not archived | `rules` |
//! | lists, priorities and dirty marks of rules are what the rules say | `rules` |
//! | a rule is pending if and only if its draft differs from what is live | `rules` |
//! | a rule's versions are there and tell how it became what it is | `versions` |
//! | what is live is what rules say of themselves; archived rules are not live | `rules` |
//! | a hostname has one holder; routes are counted and listed | `routes` |
//! | which upstreams are used how often, and which are dirty | `uses` |
//! | one snapshot of a route is active; versions have no gaps | `snapshots` |
//! | the manifest's tree is what routes say of themselves | `snapshots` |
//! | an environment's objects are counted | `counts` |
//! | chunks are counted exactly, and none is there that nobody names | `chunks` |
//! | keys are found by their secrets, in environments of their own | `access` |
//! | answers and their expiries match; nothing expires unseen | `answers` |
//! | outages are of upstreams that are there | `outages` |
//! | what was told of the end of a certificate is of one that is there | `expiries` |
//! | shifts are of upstreams that are there, which weigh what a running one says | `shifts` |
//! | join tokens are found by their hashes, and whoever came by one is known | `edges` |
//! | deliveries are listed under their times and counted | `webhooks` |
//! | what operators asked of the cluster is kept up to a number | `cluster` |
//! | the cluster signs with a key that it has not retired | `signing` |
//! | the journal is whole from where it begins, can be told in full, and is a chain | `journal` |

mod access;
mod answers;
mod chunks;
mod cluster;
mod counts;
mod edges;
mod expected;
mod expiries;
mod journal;
mod outages;
mod routes;
mod rules;
mod shifts;
mod signing;
mod snapshots;
mod state;
mod uses;
mod versions;
mod webhooks;

use crate::rows::View;
use expected::Expected;
use state::State;

/// Checks everything.
///
/// # Errors
/// With a sentence that says what does not hold.
pub fn check(view: &(impl View + ?Sized)) -> Result<(), String> {
    let state = State::read(view)?;
    let mut expected = Expected::default();
    access::derive(&state, &mut expected)?;
    answers::derive(&state, &mut expected)?;
    routes::derive(&state, &mut expected)?;
    rules::derive(&state, &mut expected)?;
    uses::derive(&state, &mut expected)?;
    versions::check(&state)?;
    journal::check(&state)?;
    snapshots::derive(&state, &mut expected)?;
    counts::derive(&state, &mut expected)?;
    chunks::derive(&state, &mut expected)?;
    webhooks::derive(&state, &mut expected)?;
    outages::check(&state)?;
    expiries::check(&state)?;
    shifts::derive(&state, &mut expected)?;
    cluster::check(&state)?;
    signing::check(&state)?;
    edges::derive(&state, &mut expected)?;
    expected.compare(&state.rows)
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
