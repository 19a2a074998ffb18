//! Towards the origins: connections kept and reused per serving thread, with deadlines: one exchange
//! at a time on each of HTTP/1.1, many on each of HTTP/2. Which target is meant was decided before;
//! what headers are sent, and what is done when an exchange fails, is the proxy's matter.

mod body;
mod client_body;
mod dial;
mod driver;
mod due;
mod exchange;
mod http1;
mod http2;
mod idle;
mod lead;
mod pool;
mod tls;
mod upgrade;
mod upload;
mod wire;

pub use body::{BodyError, UpstreamBody};
pub use client_body::{Broken, ClientBody};
pub(crate) use dial::{Sender, dial, open};
pub(crate) use exchange::is_shortage;
pub use exchange::{Attached, ExchangeError, Failed, Hold, Upstreams};
pub use idle::IdleDeadline;
pub use tls::{TargetTls, Trust};
pub use upgrade::{LoneBody, UpgradeError, ask};
pub use upload::{BrokeOff, ClientFault, RequestBody, Upload};

/// What the protocol that is spoken says of its failure.
type Cause = Box<dyn std::error::Error + Send + Sync>;
