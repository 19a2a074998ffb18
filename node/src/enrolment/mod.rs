//! Lets edges in: checks a join token, has the cluster decide who comes by it, and signs what the edge is from
//! then on. A certificate lasts days and is renewed by its edge; whether that still may is looked up
//! each time. What is decided is replicated; what signs is files that each node has.
//!
//! The authority that signs for edges is another one than that of the nodes, and the nodes' port does not
//! trust it: who steals it can be an edge, and never a node.

mod authority;
mod metrics;
mod secret;
mod serve;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::command::{Actor, Command, EnrolEdge, Origin, Stamped};
use domain::id::RequestId;
use domain::model::{EdgeEnrolment, EdgePublicKey, EdgeRecord, EdgeToken, KeyHash};
use domain::outcome::Outcome;
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use edge_protocol::enrolment::{Answered, Asked, Papers};
use edge_protocol::message::reason;
use platform::authority::{EdgeKey, Subject, Validity};
use platform::tls::{EdgeCertificate, Identity};
use platform::{Clock, Entropy, certificate};

use crate::control_plane::{Consistency, ControlPlane};
use crate::keys::KeyRing;
use crate::rest::{BadKeys, FleetReader};

pub use authority::EdgeAuthority;
pub use metrics::EnrolmentMetrics;
pub(crate) use serve::serve;

/// The longest that a certificate for an edge may last: a week.
pub const CERTIFICATE_LASTS_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many bad tokens an address may show in a minute before it is told to wait.
const BAD_TOKENS_PER_MINUTE: u32 = 20;

/// What it takes to let edges in.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// What signs.
    pub authority: EdgeAuthority,
    /// This node's certificate, with trust in the authorities of nodes and in that of edges.
    pub identity: Identity,
    /// How long a certificate lasts.
    pub lasts: Duration,
}

/// What a desk is made of.
pub struct Parts {
    /// Where it is decided who comes in.
    pub control: Arc<dyn ControlPlane>,
    /// Recognises tokens.
    pub keys: KeyRing,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Whom edges are to trust.
    pub nodes: Identity,
    /// Knows the edges that are there.
    pub fleet: Arc<dyn FleetReader>,
    /// What signs, and for how long.
    pub enrolment: Enrolment,
    /// What is counted.
    pub metrics: EnrolmentMetrics,
}

/// Answers edges that want to come in, or to stay. Cloning shares it.
#[derive(Clone)]
pub struct Desk {
    parts: Arc<Parts>,
    bad_tokens: Arc<BadKeys>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// Why an edge is not let in.
enum No {
    /// Nor will it be.
    Refused(String),
    /// Somebody may later.
    Unavailable(String),
}

impl From<No> for Answered {
    fn from(no: No) -> Self {
        match no {
            No::Refused(why) => Self::Refused(reason(why)),
            No::Unavailable(why) => Self::Unavailable(reason(why)),
        }
    }
}

/// What went wrong here is written down here: who asks is a stranger.
fn unavailable(error: impl fmt::Display) -> No {
    tracing::warn!(%error, "an edge could not be let in");
    No::Unavailable("this node cannot do it now".to_owned())
}

impl Desk {
    /// A desk that nobody stands at yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            bad_tokens: Arc::default(),
        }
    }

    /// Answers an edge. `shown` is the certificate of the handshake, if it showed one.
    pub async fn answer(
        &self,
        asked: Asked,
        shown: Option<EdgeCertificate>,
        from: IpAddr,
    ) -> Answered {
        let name = metrics::name(&asked);
        let answered = match asked {
            Asked::Enrol {
                secret,
                edge_id,
                key,
            } => self.enrol(&secret, edge_id, EdgePublicKey(key), from).await,
            Asked::Renew => self.renew(shown).await,
        };
        let answered = answered.map_or_else(Answered::from, Answered::Papers);
        self.parts.metrics.answered(name, &answered);
        answered
    }

    async fn enrol(
        &self,
        secret: &[u8; 32],
        edge_id: String,
        key: EdgePublicKey,
        from: IpAddr,
    ) -> Result<Papers, No> {
        let Parts { control, keys, .. } = &*self.parts;
        let now = self.parts.clock.now();
        // Where the pepper was changed lately, the token may be known by its hash under an earlier one.
        let others = keys.other_peppers();
        let hashes: Vec<_> = std::iter::once(keys.active())
            .chain(others)
            .map(|pepper| pepper.join_hash(secret))
            .collect();
        let token = self.token(&hashes, (&edge_id, &key), (from, now)).await?;
        self.check_name(&token, &edge_id).await?;
        let actor = Actor {
            workspace_id: token.workspace_id,
            environment_id: token.environment_id,
            api_key_id: token.created_by,
        };
        let command = EnrolEdge {
            token_id: token.id,
            hash: token.hash,
            edge_id,
            key,
        };
        let stamped = self.stamp(Command::EnrolEdge(actor, command), from);
        let applied = control.propose(stamped).await.map_err(unavailable)?;
        match applied.reply {
            Ok(Outcome::Edge(record)) => {
                tracing::info!(edge = record.edge_id, %from, "an edge came by a join token");
                self.papers(&record)
            }
            Ok(_) => Err(unavailable("an answer to something else")),
            Err(rejection) => {
                self.bad_tokens.note(from, now);
                Err(No::Refused(rejection.to_string()))
            }
        }
    }

    /// The token that is recognised by one of these hashes. One that this node knows to be good for that edge is taken from every address, so that nobody is
    /// locked out by others behind the same one; after many bad ones, no other is worth a question to the leader or an entry of the log.
    async fn token(
        &self,
        hashes: &[KeyHash],
        (edge_id, key): (&str, &EdgePublicKey),
        (from, now): (IpAddr, Timestamp),
    ) -> Result<EdgeToken, No> {
        let control = &self.parts.control;
        let find = |view: &dyn View| {
            let mut tokens = hashes
                .iter()
                .map(|hash| query::edge_token_by_hash(view, hash));
            tokens.find_map(|token| token)
        };
        let good = |view: &dyn View| {
            let token = find(view).filter(|token| now < token.expires_at)?;
            let record = query::edge_record(view, &token.environment_id, edge_id);
            let is_for_it = match (&token.used, &token.binding.edge_id) {
                // It has come by it already, and did not hear the answer.
                (Some(_), _) => record.is_some_and(|record| record.admits(Some(key))),
                (None, Some(named)) => named == edge_id,
                (None, None) => record.is_none(),
            };
            is_for_it.then_some(token)
        };
        let (known, _) = control.read_local(good).map_err(unavailable)?;
        if let Some(token) = known {
            return Ok(token);
        }
        let wait_ms = self.bad_tokens.wait_ms(from, now, BAD_TOKENS_PER_MINUTE);
        if wait_ms.is_some() {
            return Err(No::Unavailable(
                "too many bad tokens came from this address".to_owned(),
            ));
        }
        let (token, _) = control
            .read(Consistency::Linearizable, find)
            .await
            .map_err(unavailable)?;
        token.ok_or_else(|| {
            // Strangers write nothing into the log.
            self.bad_tokens.note(from, now);
            No::Refused("The token is not known.".to_owned())
        })
    }

    /// Fails where a token that names nobody is shown under the name of an edge that is there and has its certificate from somebody else.
    /// The log knows nothing of that one: nodes know it for as long as they remember it.
    async fn check_name(&self, token: &EdgeToken, edge_id: &str) -> Result<(), No> {
        let Parts { control, fleet, .. } = &*self.parts;
        let environment = &token.environment_id;
        if token.binding.edge_id.is_some() {
            return Ok(());
        }
        let find = |view: &dyn View| query::edge_record(view, environment, edge_id);
        let (record, _) = control.read_local(find).map_err(unavailable)?;
        if record.is_some() {
            // The log knows better.
            return Ok(());
        }
        let known = fleet.gather(environment).await;
        if known.edges.iter().any(|edge| edge.id == edge_id) {
            return Err(No::Refused(format!(
                "An edge {edge_id} is there, with a certificate from somebody else; a token that names it lets another one take its place."
            )));
        }
        Ok(())
    }

    async fn renew(&self, shown: Option<EdgeCertificate>) -> Result<Papers, No> {
        let nobody = || No::Refused("No certificate was shown.".to_owned());
        let EdgeCertificate {
            id,
            environment,
            key,
            ..
        } = shown.ok_or_else(nobody)?;
        let environment = environment.ok_or_else(nobody)?;
        let key = key.map(|EdgeKey(key)| EdgePublicKey(key));
        let find = |view: &dyn View| {
            let environment = query::environment_by_name(view, &environment)?;
            query::edge_record(view, &environment.id, &id)
        };
        let (record, _) = self
            .parts
            .control
            .read(Consistency::Linearizable, find)
            .await
            .map_err(unavailable)?;
        match record {
            Some(record) if key.is_some() && record.admits(key.as_ref()) => self.papers(&record),
            Some(record) if record.enrolment.is_some() => Err(No::Refused(format!(
                "The edge {id} was revoked, or has another key."
            ))),
            _ => Err(No::Refused(format!(
                "The edge {id} did not come by a join token: its certificate is renewed by whoever issued it."
            ))),
        }
    }

    /// What the edge is from now on.
    fn papers(&self, record: &EdgeRecord) -> Result<Papers, No> {
        let Parts {
            control,
            clock,
            entropy,
            nodes,
            enrolment,
            ..
        } = &*self.parts;
        let Some(EdgeEnrolment {
            key: EdgePublicKey(key),
            region,
            labels,
            ..
        }) = &record.enrolment
        else {
            return Err(unavailable("the edge is not known"));
        };
        let find = |view: &dyn View| query::environment(view, &record.environment_id);
        let (environment, _) = control.read_local(find).map_err(unavailable)?;
        let environment = environment
            .ok_or_else(|| unavailable("the environment is not known here yet"))?
            .name;
        let subject = Subject::Edge {
            id: record.edge_id.clone(),
            environment: environment.clone(),
        };
        let validity = Validity {
            now: clock.now(),
            lasts: enrolment.lasts.min(CERTIFICATE_LASTS_MAX),
        };
        let certificate = enrolment
            .authority
            .issue(&subject, &EdgeKey(*key), validity, &**entropy)
            .map_err(unavailable)?;
        let until_s = certificate::pem_term(certificate.as_bytes())
            .ok_or_else(|| unavailable("the certificate cannot be read"))?
            .until_s;
        let members = control.members().into_iter();
        Ok(Papers {
            certificate,
            authorities: nodes.authorities().iter().map(certificate::pem).collect(),
            until_s,
            environment,
            region: region.clone(),
            labels: labels.clone(),
            nodes: members.map(|member| member.publisher).collect(),
        })
    }

    fn stamp(&self, command: Command, from: IpAddr) -> Stamped {
        let at = self.parts.clock.now();
        Stamped {
            at,
            request_id: RequestId::new(self.parts.entropy.seed(at)),
            idempotency: None,
            command,
            origin: Origin {
                method: "QUIC".to_owned(),
                path: "/enrol".to_owned(),
                address: Some(from.to_canonical().to_string()),
            },
            precondition: None,
        }
    }
}
