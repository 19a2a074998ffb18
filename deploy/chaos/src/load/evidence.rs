//! What clients asked and were told, and what nodes held at the end: facts alone.

use serde_json::Value;

/// One attempt of a client.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which client.
    pub client: usize,
    /// The number of the node that was asked.
    pub node: u16,
    /// What was asked.
    pub asked: Asked,
    /// When it was sent, in microseconds of the load.
    pub sent_us: u64,
    /// When the answer came, or the client gave up.
    pub ended_us: u64,
    /// The answer.
    pub answer: Answer,
}

/// What was asked.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Create a rule; `key` is the idempotency key, the rule's name and also a label of it.
    Create {
        /// The idempotency key.
        key: String,
    },
    /// Give a rule a name that no other write uses.
    Rename {
        /// The idempotency key.
        key: String,
        /// Which rule.
        rule: String,
        /// The new name.
        name: String,
    },
    /// Read a rule.
    Read {
        /// Which rule.
        rule: String,
    },
}

impl Asked {
    /// The idempotency key, where there is one: of changes.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Create { key } | Self::Rename { key, .. } => Some(key),
            Self::Read { .. } => None,
        }
    }

    /// Whether it changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.key().is_some()
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 2xx.
    Done(Done),
    /// 4xx: known not applied.
    Refused {
        /// The status.
        status: u16,
        /// The error's code.
        code: String,
    },
    /// Known not applied: 503 `cluster_unavailable`, or nobody took the request.
    Unavailable,
    /// Anything else: it may have been applied or may be yet.
    Unknown,
}

impl Answer {
    /// What it comes to, in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "answered",
            Self::Refused { .. } => "refused",
            Self::Unavailable => "was not available",
            Self::Unknown => "left it open",
        }
    }
}

/// A success.
#[derive(Clone, Debug)]
pub struct Done {
    /// The status.
    pub status: u16,
    /// `VectorGate-Revision`: the entry that made the change, or up to which was read.
    pub revision: u64,
    /// Whether it is the stored answer of an earlier attempt.
    pub replayed: bool,
    /// The rule that it shows.
    pub rule: Option<Rule>,
    /// The body, of writes alone: nothing compares those of reads.
    pub body: String,
}

/// A rule, as an answer shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its identifier.
    pub id: String,
    /// Its route.
    pub route: String,
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: u64,
    /// Its status.
    pub status: String,
    /// The idempotency key that made it, from its labels.
    pub key: Option<String>,
}

impl Rule {
    /// Reads it, if it is one.
    #[must_use]
    pub fn read(json: &Value) -> Option<Self> {
        if json.get("object") != Some(&Value::from("rule")) {
            return None;
        }
        let text = |field: &Value| field.as_str().map(str::to_owned);
        Some(Self {
            id: text(&json["id"])?,
            route: text(&json["route_id"])?,
            name: text(&json["name"])?,
            priority: json["priority"].as_u64()?,
            status: text(&json["status"])?,
            key: text(&json["metadata"]["key"]),
        })
    }
}

/// What a node holds at the end.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Up to which revision.
    pub applied: u64,
    /// The hash of all that it shows of its rules.
    pub hash: [u8; 32],
    /// Its rules.
    pub rules: Vec<Rule>,
}
