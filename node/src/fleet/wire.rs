//! What nodes ask each other about their edges, and answer: a version byte, then postcard.

use std::collections::BTreeMap;

use domain::id::EnvironmentId;
use domain::model::{Epoch, ManifestVersion};
use domain::time::Timestamp;
use edge_protocol::{HealthReport, ManifestRef};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::telemetry::Counted;
use crate::control_plane::{FLEET_MESSAGE_BYTES_MAX, MemberId};
use crate::rest::{EdgeSteps, TelemetryQuery};

const FORMAT: u8 = 4;

/// When a page is full. A row over it still fits the message: it has at most some 80 KiB.
const PAGE_BYTES: usize = 1024 * 1024;

const _: () = assert!(PAGE_BYTES + 128 * 1024 < FLEET_MESSAGE_BYTES_MAX);

/// What a row has beside its texts, at most: numbers, two manifests and acknowledgements.
const ROW_BYTES: usize = 192;

/// What a target that takes no requests has beside its texts, at most: lengths, the cause and a time.
const TARGET_BYTES: usize = 16;

/// What an acknowledgement has, at most.
const ACK_BYTES: usize = 72;

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    /// A page of edges; the answer is an [`Answer`].
    Page(Query),
    /// Whether more is known of edges than at this mark; the answer is a [`Mark`].
    News(Mark),
    /// What edges counted; the answer is a [`Counted`].
    Telemetry(TelemetryQuery),
}

/// Counts what a node came to know of its edges. It says nothing but whether there was more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark(pub(super) u64);

/// Asks for a page of an environment's edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Query {
    pub(super) environment_id: EnvironmentId,
    /// The last edge of the page before.
    pub(super) after: Option<String>,
}

/// A page of a node's edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) node_id: MemberId,
    /// What the node had come to know.
    pub(super) mark: Mark,
    /// In the order of their identifiers.
    pub(super) rows: Vec<EdgeRow>,
    /// Whether there are more behind the last.
    pub(super) more: bool,
}

/// What a node knows of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EdgeRow {
    pub(super) edge_id: String,
    pub(super) region: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) software: String,
    pub(super) connected: bool,
    /// For how long nothing came from it. Not a time, since nodes' clocks differ.
    pub(super) quiet_ms: u64,
    pub(super) applied: Option<ManifestRef>,
    pub(super) rejected: Option<Rejection>,
    /// The oldest first.
    pub(super) acks: Vec<Ack>,
    pub(super) health: HealthReport,
    pub(super) distrusts: Option<Distrust>,
}

/// What an edge does not believe of whom its node told it to trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Distrust {
    pub(super) problem: String,
    pub(super) at: Timestamp,
}

/// A manifest that an edge refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejection {
    pub(super) manifest: ManifestRef,
    pub(super) reason: String,
    pub(super) at: Timestamp,
    pub(super) steps: Option<EdgeSteps>,
}

/// An edge's word that it applied a manifest, and when it first gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ack {
    pub(super) epoch: Epoch,
    pub(super) version: ManifestVersion,
    pub(super) at: Timestamp,
    pub(super) apply_ms: u64,
    pub(super) steps: Option<EdgeSteps>,
}

impl Question {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

impl Mark {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

impl Answer {
    /// As many of `rows` as a page holds.
    pub(super) fn page(node_id: MemberId, mark: Mark, rows: impl Iterator<Item = EdgeRow>) -> Self {
        let mut answer = Self {
            node_id,
            mark,
            rows: Vec::new(),
            more: false,
        };
        let mut bytes = 0;
        for row in rows {
            if bytes >= PAGE_BYTES {
                answer.more = true;
                break;
            }
            bytes += row.bytes();
            answer.rows.push(row);
        }
        answer
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

pub(super) fn encode_counted(counted: &Counted) -> Option<Vec<u8>> {
    encode(counted)
}

pub(super) fn decode_counted(bytes: &[u8]) -> Option<Counted> {
    decode(bytes)
}

impl EdgeRow {
    /// Not less than what it has when it is encoded.
    fn bytes(&self) -> usize {
        let labels: usize = self
            .labels
            .iter()
            .map(|(key, value)| key.len() + value.len() + 4)
            .sum();
        let reason = self
            .rejected
            .as_ref()
            .map_or(0, |rejected| rejected.reason.len());
        let out = self.health.out.iter();
        let health: usize = out
            .map(|target| {
                let ids = target.upstream_id.as_str().len() + target.target_id.as_str().len();
                ids + target.error.len() + TARGET_BYTES
            })
            .sum();
        let down = self.health.down.iter();
        let health = health + down.map(|id| id.as_str().len() + 2).sum::<usize>();
        let distrusts = self.distrusts.as_ref();
        let reason = reason + distrusts.map_or(0, |distrusts| distrusts.problem.len());
        let texts = self.edge_id.len() + self.region.len() + self.software.len() + labels + reason;
        texts + health + self.acks.len() * ACK_BYTES + ROW_BYTES
    }
}

fn encode(value: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_extend(value, vec![FORMAT]).ok()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (&FORMAT, body) = bytes.split_first()? else {
        return None;
    };
    let (value, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use domain::id::{Seed, TargetId, UpstreamId};
    use domain::tree::Hash;
    use edge_protocol::limits::{HEALTH_TARGETS_MAX, TARGET_ERROR_BYTES_MAX};
    use edge_protocol::{OutCause, TargetOut};

    use super::*;

    fn row(id: &str) -> EdgeRow {
        let manifest = ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(300),
            root: Hash([0xab; 32]),
        };
        EdgeRow {
            edge_id: id.to_owned(),
            region: "eu".to_owned(),
            labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            software: "1".to_owned(),
            connected: true,
            quiet_ms: 200,
            applied: Some(manifest),
            rejected: Some(Rejection {
                manifest,
                reason: "no".to_owned(),
                at: Timestamp(3),
                steps: None,
            }),
            acks: vec![Ack {
                epoch: Epoch(1),
                version: ManifestVersion(2),
                at: Timestamp(3),
                apply_ms: 4,
                steps: Some(EdgeSteps {
                    from_publication: true,
                    sent_ms: 1,
                    received_ms: Some(2),
                    verified_ms: None,
                    done_ms: 300,
                    round_trip_ms: Some(5),
                }),
            }],
            health: HealthReport {
                out: vec![out("e")],
                down: Vec::new(),
                more: 2,
            },
            distrusts: Some(Distrust {
                problem: "p".to_owned(),
                at: Timestamp(5),
            }),
        }
    }

    fn out(error: &str) -> TargetOut {
        TargetOut {
            upstream_id: UpstreamId::parse("up_00000001").unwrap(),
            target_id: TargetId::parse("tgt_00000001").unwrap(),
            cause: OutCause::Requests,
            error: error.to_owned(),
            since: Timestamp(3),
        }
    }

    #[test]
    fn questions_and_answers_keep_their_bytes() {
        let environment_id = EnvironmentId::new(Seed {
            unix_ms: 0,
            random: 0,
        });
        let page = Question::Page(Query {
            environment_id,
            after: Some("e".to_owned()),
        });
        let encoded = page.encode().unwrap();
        assert_eq!(
            hex::encode(&encoded),
            format!("04000e{}010165", "00".repeat(14))
        );
        assert_eq!(Question::decode(&encoded), Some(page));
        let news = Question::News(Mark(300));
        let encoded = news.encode().unwrap();
        assert_eq!(hex::encode(&encoded), "0401ac02");
        assert_eq!(Question::decode(&encoded), Some(news));
        let encoded = Mark(300).encode().unwrap();
        assert_eq!(hex::encode(&encoded), "04ac02");
        assert_eq!(Mark::decode(&encoded), Some(Mark(300)));

        let answer = Answer {
            node_id: 3,
            mark: Mark(5),
            rows: vec![row("e")],
            more: true,
        };
        let encoded = answer.encode().unwrap();
        let root = "ab".repeat(32);
        let expect = format!(
            "04030501016502657501016b0176013101c80101 01ac02{root} 0101ac02{root}026e6f0300 01010203040101010102 00ac020105 \
              010b75705f30303030303030310c7467745f303030303030303101016503 00 02 01017005 01"
        );
        assert_eq!(hex::encode(&encoded), expect.replace(' ', ""));
        assert_eq!(Answer::decode(&encoded), Some(answer));
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        let encoded = Answer {
            node_id: 3,
            mark: Mark(5),
            rows: vec![row("e")],
            more: false,
        }
        .encode()
        .unwrap();
        for length in 0..encoded.len() {
            assert_eq!(Answer::decode(&encoded[..length]), None, "{length} bytes");
        }
        assert_eq!(Answer::decode(&[encoded.as_slice(), &[0]].concat()), None);
        assert_eq!(
            Answer::decode(&[[2].as_slice(), &encoded[1..]].concat()),
            None
        );
    }

    #[test]
    fn a_row_is_never_larger_than_it_is_counted_and_pages_end_in_time() {
        let mut large = row("edge");
        large.rejected.as_mut().unwrap().manifest.version = ManifestVersion(u64::MAX);
        large.acks = vec![
            Ack {
                epoch: Epoch(u64::MAX),
                version: ManifestVersion(u64::MAX),
                at: Timestamp(u64::MAX),
                apply_ms: u64::MAX,
                steps: Some(EdgeSteps {
                    from_publication: true,
                    sent_ms: u32::MAX,
                    received_ms: Some(u32::MAX),
                    verified_ms: Some(u32::MAX),
                    done_ms: u32::MAX,
                    round_trip_ms: Some(u32::MAX),
                }),
            };
            32
        ];
        large.quiet_ms = u64::MAX;
        large.health.out = vec![
            TargetOut {
                since: Timestamp(u64::MAX),
                ..out(&"e".repeat(TARGET_ERROR_BYTES_MAX))
            };
            HEALTH_TARGETS_MAX
        ];
        large.health.down = vec![UpstreamId::parse("up_00000001").unwrap(); HEALTH_TARGETS_MAX];
        large.health.more = u64::MAX;
        assert!(postcard::to_stdvec(&large).unwrap().len() <= large.bytes());
        let rows = (0..10_000).map(|index| EdgeRow {
            edge_id: format!("edge-{index:05}"),
            ..large.clone()
        });
        let page = Answer::page(1, Mark(u64::MAX), rows);
        assert!(page.more && page.encode().unwrap().len() < FLEET_MESSAGE_BYTES_MAX);
    }
}
