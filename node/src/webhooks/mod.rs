//! Delivers events to webhook endpoints, from the node that leads. When an attempt is repeated, and
//! what is remembered of it, is decided in the state machine.
//!
//! ```text
//! dispatcher   one worker for each enabled endpoint, while this node leads
//! worker       rounds: read the worklist, attempt, propose what came of it
//! worklist     what there is to do for an endpoint, from one view of the state
//! courier      one attempt: signed with the endpoint's secrets, and posted
//! signature    the headers by which a receiver knows that it is ours
//! resolver     the addresses behind a receiver's name
//! sender       the request, to an address that was judged, bounded in time and bytes
//! address      which receivers are allowed
//! roots        whom receivers' certificates must come from
//! ```

pub(crate) mod address;
pub(crate) mod courier;
pub(crate) mod dispatcher;
pub(crate) mod metrics;
mod resolver;
pub(crate) mod roots;
pub(crate) mod sender;
pub(crate) mod signature;
pub(crate) mod worker;
mod worklist;

#[cfg(test)]
mod tests;
