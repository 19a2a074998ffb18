//! Measurements on the stream of events, for those who ask for them: every few seconds what edges
//! counted, beside the events of the journal. They have no identifier, for they are no place to come
//! back to: whoever was away gets the next one.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::objects::{Frame, sample};
use super::{Grouping, SAMPLES_MAX, TelemetryQuery, everything, narrow};
use crate::rest::auth::Caller;
use crate::rest::{Api, render};

/// How often: as often as edges say something new.
const PERIOD: Duration = Duration::from_secs(10);

/// A kind of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// How long requests took in the last minute, region by region.
    Latency,
    /// How targets answered in the last minute.
    Availability,
    /// Requests that came as examples since the last time.
    Decisions,
}

/// Their names, as event types.
pub(crate) const NAMES: [(&str, Pulse); 3] = [
    ("telemetry.latency", Pulse::Latency),
    ("telemetry.availability", Pulse::Availability),
    ("telemetry.decisions", Pulse::Decisions),
];

/// What one stream is sent of them.
#[derive(Debug)]
pub(crate) struct Pulses {
    kinds: Vec<Pulse>,
    region: Option<String>,
    last: Instant,
}

impl Pulses {
    /// Sends these from now on, for edges in one region if one is given.
    pub(crate) fn new(kinds: Vec<Pulse>, region: Option<String>) -> Self {
        Self {
            kinds,
            region,
            last: Instant::now(),
        }
    }

    /// Whether it is time.
    pub(crate) fn are_due(&self) -> bool {
        !self.kinds.is_empty() && self.last.elapsed() >= PERIOD
    }

    /// The frames that are due.
    pub(crate) async fn beat(&mut self, api: &Api, caller: &Caller) -> Vec<Bytes> {
        let since = self.last.elapsed();
        self.last = Instant::now();
        let mut frames = Vec::new();
        for kind in self.kinds.clone() {
            let query = self.query(kind, caller);
            let view = api.fleet.telemetry(&query).await;
            let shown = Frame {
                environment: &caller.environment,
                window_s: 60,
                view: &view,
            };
            match kind {
                Pulse::Latency => frames.push(frame("telemetry.latency", &shown.latency())),
                Pulse::Availability => {
                    frames.push(frame("telemetry.availability", &shown.availability()));
                }
                Pulse::Decisions => {
                    let now = api.clock.now();
                    let news = view
                        .samples
                        .iter()
                        .rev()
                        .filter(|seen| u128::from(seen.age_ms) < since.as_millis());
                    frames
                        .extend(news.map(|seen| frame("telemetry.decisions", &sample(seen, now))));
                }
            }
        }
        frames
    }

    fn query(&self, kind: Pulse, caller: &Caller) -> TelemetryQuery {
        let (by, samples) = match kind {
            Pulse::Latency => (Grouping::Region, 0),
            Pulse::Availability => (Grouping::Target, 0),
            Pulse::Decisions => (Grouping::Rule, SAMPLES_MAX),
        };
        TelemetryQuery {
            region: self.region.clone(),
            samples: narrow(samples),
            ..everything(caller, by)
        }
    }
}

/// Measurements as they stand in a frame.
#[derive(Serialize)]
struct Typed<'a, T> {
    r#type: &'a str,
    #[serde(flatten)]
    object: T,
}

fn frame(name: &str, object: &impl Serialize) -> Bytes {
    let mut bytes = format!("event: {name}\ndata: ").into_bytes();
    let typed = Typed {
        r#type: name,
        object,
    };
    render::append(&mut bytes, &typed);
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}
