//! What receivers of webhooks got, as they got it.

/// A delivery as a receiver got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The receiver's host name.
    pub receiver: String,
    /// The path that it was sent to, which names the endpoint.
    pub path: String,
    /// When it came, in simulated microseconds.
    pub at_us: u64,
    /// When it was answered, or the sender hung up.
    pub ended_us: u64,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// How it was answered.
    pub answered: Answered,
}

/// How a receiver answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// With this status.
    Status(u16),
    /// Not at all, until the sender hung up.
    Never,
    /// The connection was closed instead.
    Broken,
}

impl Delivery {
    /// A header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(is, _)| is == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A webhook endpoint that a client made: what its receiver needs to judge what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its identifier.
    pub id: String,
    /// The environment that it is in.
    pub environment: super::Environment,
    /// The receiver's host name.
    pub receiver: String,
    /// The path in its URL.
    pub path: String,
    /// Its secrets, oldest first, each with the revision that made it.
    pub secrets: Vec<(u64, String)>,
}
