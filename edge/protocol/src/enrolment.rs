//! How an edge comes by its certificate: a conversation of one question and one answer, on a connection
//! of its own (ALPN `vg-enrol/1`). An edge that has no certificate shows a [`JoinToken`]; one that has
//! a certificate shows that in the handshake, and gets the next.
//!
//! ```text
//! edge                                                node
//!  │ Asked::Enrol {secret, edge, public key} ──▶       │  is the token good? is the name free?
//!  │   or Asked::Renew ──▶                             │  is the edge still welcome?
//!  │ ◀── Answered::Papers {certificate, authorities}   │
//!  │   or Answered::Refused {why} | Unavailable {why}  │
//! ```
//!
//! A private key never leaves its edge.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::EnvironmentId;
use serde::{Deserialize, Serialize};

use crate::frame::{self, FrameError};
use crate::limits::{
    LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, PUBLISHERS_MAX, REASON_BYTES_MAX,
};
use crate::message::Bounded;

/// How the text of a join token begins, its version included.
pub const TOKEN_PREFIX: &str = "vg_join_v2_";

/// The longest text of a join token: two authorities with large keys and a dozen nodes.
pub const TOKEN_CHARS_MAX: usize = 16 * 1024;

/// Certificates in PEM, in bytes: a bundle of a few authorities.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024;

/// Where a node is, in bytes: the longest name that there is, and a port.
pub const NODE_BYTES_MAX: usize = 253 + 6;

/// A message of this conversation as a frame. What the other side would refuse is not sent.
///
/// # Errors
/// When the message breaks a bound; the sentence names it.
pub fn encode<M: Serialize + Bounded>(message: &M) -> Result<Vec<u8>, FrameError> {
    message.check().map_err(FrameError::Bound)?;
    frame::encode(message)
}

/// What an operator hands to a new edge. Whoever has it is the edge that it lets in, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// What is recognised.
    pub secret: [u8; 32],
    /// Where nodes are, as `host:port`.
    pub nodes: Vec<String>,
    /// Whom to believe that it is a node: the authorities' certificates in DER.
    pub authorities: Vec<Vec<u8>>,
    /// Whose configuration the edge is to follow. The operator hands it over, so that no node is asked.
    pub environment_id: EnvironmentId,
}

/// A text is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no join token")]
pub struct NoToken;

impl JoinToken {
    /// As text, in letters, digits, `-` and `_`.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Postcard writes any value of this shape.
        let bytes = postcard::to_stdvec(self).unwrap_or_default();
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads the text; space around it is ignored.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<Self, NoToken> {
        let text = text.trim();
        let body = text.strip_prefix(TOKEN_PREFIX).ok_or(NoToken)?;
        if text.len() > TOKEN_CHARS_MAX {
            return Err(NoToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| NoToken)?;
        let (token, rest) = postcard::take_from_bytes::<Self>(&bytes).map_err(|_| NoToken)?;
        if !rest.is_empty() || token.nodes.is_empty() || token.authorities.is_empty() {
            return Err(NoToken);
        }
        Ok(token)
    }
}

/// Never what it is recognised by.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// What an edge asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// To be let in.
    Enrol {
        /// The token's.
        secret: [u8; 32],
        /// Its name.
        edge_id: String,
        /// Its Ed25519 public key.
        key: [u8; 32],
    },
    /// The next certificate for the key that it has shown in the handshake.
    Renew,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enrol { edge_id, .. } => f
                .debug_struct("Enrol")
                .field("edge_id", edge_id)
                .finish_non_exhaustive(),
            Self::Renew => f.write_str("Renew"),
        }
    }
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answered {
    /// Here it is.
    Papers(Papers),
    /// Not to this edge, nor if it asks again.
    Refused(String),
    /// Not now: another node may, or this one later.
    Unavailable(String),
}

/// What an edge is from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Papers {
    /// Its certificate in PEM.
    pub certificate: String,
    /// The authorities that it trusts, in PEM.
    pub authorities: String,
    /// Until when the certificate holds, in seconds since the Unix epoch.
    pub until_s: u64,
    /// The name of the environment whose configuration it gets.
    pub environment: String,
    /// Where it is.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where nodes are, as `host:port`.
    pub nodes: Vec<String>,
}

impl Bounded for Asked {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Enrol { edge_id, .. } if edge_id.len() > NAME_BYTES_MAX => {
                Err("a name is too long")
            }
            Self::Enrol { .. } | Self::Renew => Ok(()),
        }
    }
}

impl Bounded for Answered {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Papers(papers) => papers.check(),
            Self::Refused(reason) | Self::Unavailable(reason) => {
                if reason.len() > REASON_BYTES_MAX {
                    return Err("a reason is too long");
                }
                Ok(())
            }
        }
    }
}

impl Papers {
    fn check(&self) -> Result<(), &'static str> {
        if self.certificate.len().max(self.authorities.len()) > BUNDLE_BYTES_MAX {
            return Err("a certificate is too large");
        }
        if self.environment.len().max(self.region.len()) > NAME_BYTES_MAX {
            return Err("a name is too long");
        }
        let long =
            |(name, value): (&String, &String)| name.len().max(value.len()) > LABEL_BYTES_MAX;
        if self.labels.len() > LABELS_MAX || self.labels.iter().any(long) {
            return Err("there are too many labels");
        }
        if self.nodes.len() > PUBLISHERS_MAX {
            return Err("too many nodes");
        }
        if self.nodes.iter().any(|node| node.len() > NODE_BYTES_MAX) {
            return Err("a node's address is too long");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;
    use crate::frame::Decoder;

    fn token() -> JoinToken {
        JoinToken {
            secret: [7; 32],
            nodes: vec!["node-1:7300".to_owned()],
            authorities: vec![vec![1, 2, 3]],
            environment_id: EnvironmentId::new(Seed {
                unix_ms: 0,
                random: 0,
            }),
        }
    }

    fn papers() -> Papers {
        Papers {
            certificate: "cert".to_owned(),
            authorities: "ca".to_owned(),
            until_s: 300,
            environment: "production".to_owned(),
            region: "eu".to_owned(),
            labels: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
            nodes: vec!["node-1:7300".to_owned()],
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_messages_have_their_bytes() {
        let enrol = Asked::Enrol {
            secret: [7; 32],
            edge_id: "edge-1".to_owned(),
            key: [9; 32],
        };
        let sevens = "07".repeat(32);
        let nines = "09".repeat(32);
        for (bytes, expect) in [
            (
                encode(&enrol).unwrap(),
                format!("00{sevens}06656467652d31{nines}"),
            ),
            (encode(&Asked::Renew).unwrap(), "01".to_owned()),
            (
                encode(&Answered::Refused("no".to_owned())).unwrap(),
                "01026e6f".to_owned(),
            ),
            (
                encode(&Answered::Unavailable("no".to_owned())).unwrap(),
                "02026e6f".to_owned(),
            ),
            (
                encode(&Answered::Papers(papers())).unwrap(),
                "0004636572740263 61ac020a70726f64756374696f6e026575 01047261636b0137 010b6e6f64652d313a37333030"
                    .replace(' ', ""),
            ),
        ] {
            let length = expect.len() / 2 + 1;
            assert_eq!(hex(&bytes), format!("{length:08x}01{expect}"));
        }
    }

    #[test]
    fn golden_a_token_has_its_text() {
        let text = token().to_text();
        let body = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcBC25vZGUtMTo3MzAwAQMBAgMOAAAAAAAAAAAAAAAAAAA";
        assert_eq!(text, format!("vg_join_v2_{body}"));
        assert_eq!(JoinToken::parse(&format!(" {text}\n")), Ok(token()));
    }

    #[test]
    fn another_text_is_no_token() {
        let text = token().to_text();
        let nobody = JoinToken {
            nodes: Vec::new(),
            ..token()
        };
        for bad in [
            "",
            "vg_join_v2_",
            &text[1..],
            &text[..text.len() - 4],
            &format!("{text}AAAA"),
            &format!("{text}!"),
            &nobody.to_text(),
            &format!("{TOKEN_PREFIX}{}", "A".repeat(TOKEN_CHARS_MAX)),
        ] {
            assert_eq!(JoinToken::parse(bad), Err(NoToken), "{bad:.40}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let enrol = Asked::Enrol {
            secret: [7; 32],
            edge_id: "edge-1".to_owned(),
            key: [9; 32],
        };
        let shown = format!("{:?} {enrol:?}", token());
        assert!(!shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let mut decoder = Decoder::default();
        let long = Asked::Enrol {
            secret: [7; 32],
            edge_id: "e".repeat(NAME_BYTES_MAX + 1),
            key: [9; 32],
        };
        decoder.push(&frame::encode(&long).unwrap());
        assert!(decoder.next_message::<Asked>().is_err());
        assert!(matches!(encode(&long), Err(FrameError::Bound(_))));
        let wrong = [
            Answered::Refused("x".repeat(REASON_BYTES_MAX + 1)),
            Answered::Papers(Papers {
                certificate: "x".repeat(BUNDLE_BYTES_MAX + 1),
                ..papers()
            }),
            Answered::Papers(Papers {
                nodes: vec![String::new(); PUBLISHERS_MAX + 1],
                ..papers()
            }),
            Answered::Papers(Papers {
                nodes: vec!["n".repeat(NODE_BYTES_MAX + 1)],
                ..papers()
            }),
            Answered::Papers(Papers {
                labels: BTreeMap::from([("l".repeat(LABEL_BYTES_MAX + 1), String::new())]),
                ..papers()
            }),
        ];
        for answered in wrong {
            let mut decoder = Decoder::default();
            decoder.push(&frame::encode(&answered).unwrap());
            assert!(decoder.next_message::<Answered>().is_err());
            assert!(matches!(encode(&answered), Err(FrameError::Bound(_))));
        }
    }
}
