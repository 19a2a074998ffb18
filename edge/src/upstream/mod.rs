//! Towards the origins: connections kept and reused per serving thread, one exchange at a time on
//! each (HTTP/1.1), with deadlines. Which target is meant was decided before; what headers are sent
//! is the proxy's matter.

mod body;
mod exchange;
mod idle;
mod pool;
mod upload;

pub use body::{BodyError, UpstreamBody};
pub use exchange::{ExchangeError, Upstreams};
pub use idle::IdleDeadline;
pub use upload::{ClientFault, RequestBody, Upload};
