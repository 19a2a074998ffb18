//! The hour that a node remembers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::id::EnvironmentId;
use edge_protocol::telemetry::{Batch, Counts, SeriesKey};
use tokio::time::Instant;

use super::{Counted, ROWS_MAX, Sender};
use crate::rest::{TELEMETRY_MINUTES_MAX, TelemetryKey, TelemetryQuery, TelemetrySample};

const MINUTE: Duration = Duration::from_secs(60);

/// Series of a minute, over all environments and regions. An hour of as many, each of usual size,
/// is 40 MB. What is beyond goes to the series of its route that stands for all others.
const SERIES_MAX: usize = 1024;

/// Series that stand for others, beside those.
const OTHERS_MAX: usize = 512;

/// Examples that are remembered, some 600 bytes each, the latest ones.
const SAMPLES_MAX: usize = 2048;

/// Whose series it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    environment_id: EnvironmentId,
    region: String,
    key: SeriesKey,
}

#[derive(Debug)]
struct Minute {
    number: u64,
    series: BTreeMap<Place, Counts>,
}

#[derive(Debug)]
struct Sample {
    came: Instant,
    environment_id: EnvironmentId,
    region: String,
    edge_id: String,
    decision: edge_protocol::telemetry::Decision,
}

/// What is remembered.
#[derive(Debug)]
pub(in crate::fleet) struct Memory {
    begun: Instant,
    /// The oldest first.
    minutes: VecDeque<Minute>,
    samples: VecDeque<Sample>,
}

impl Memory {
    pub(in crate::fleet) fn new(begun: Instant) -> Self {
        Self {
            begun,
            minutes: VecDeque::new(),
            samples: VecDeque::new(),
        }
    }

    /// Takes a batch in.
    pub(super) fn add(&mut self, sender: Sender<'_>, batch: Batch, now: Instant) {
        let minute = self.minute(now);
        for (key, counts) in batch.series {
            let place = Place {
                environment_id: sender.environment_id.clone(),
                region: sender.region.to_owned(),
                key,
            };
            minute.add(place, &counts);
        }
        for decision in batch.decisions {
            if self.samples.len() == SAMPLES_MAX {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample {
                came: now,
                environment_id: sender.environment_id.clone(),
                region: sender.region.to_owned(),
                edge_id: sender.edge_id.to_owned(),
                decision,
            });
        }
    }

    /// What is remembered of what is asked for. The minute that is under way counts as one.
    pub(super) fn answer(&self, query: &TelemetryQuery, now: Instant) -> Counted {
        let first = self
            .number(now)
            .saturating_sub(u64::from(query.minutes) - 1);
        let mut rows: BTreeMap<TelemetryKey, Counts> = BTreeMap::new();
        for minute in self.minutes.iter().filter(|it| it.number >= first) {
            for (place, counts) in &minute.series {
                if place.environment_id == query.environment_id
                    && let Some(key) = query.row(&place.region, &place.key)
                {
                    rows.entry(key).or_default().merge(counts);
                }
            }
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        let truncated = rows.len() > ROWS_MAX;
        if truncated {
            rows.sort_by_key(|(_, counts)| Reverse(counts.answers()));
            rows.truncate(ROWS_MAX);
        }
        Counted {
            rows,
            samples: self.samples(query, now),
            truncated,
        }
    }

    fn samples(&self, query: &TelemetryQuery, now: Instant) -> Vec<TelemetrySample> {
        let window = MINUTE * u32::from(query.minutes);
        let wanted = self.samples.iter().rev().filter(|sample| {
            sample.environment_id == query.environment_id
                && now.duration_since(sample.came) <= window
                && query.takes(&sample.region, &sample.decision)
        });
        wanted
            .take(usize::from(query.samples))
            .map(|sample| TelemetrySample {
                age_ms: u64::try_from(now.duration_since(sample.came).as_millis())
                    .unwrap_or(u64::MAX),
                region: sample.region.clone(),
                edge_id: sample.edge_id.clone(),
                decision: sample.decision.clone(),
            })
            .collect()
    }

    fn number(&self, now: Instant) -> u64 {
        now.duration_since(self.begun).as_secs() / MINUTE.as_secs()
    }

    /// The minute that is under way; those that are too old go.
    fn minute(&mut self, now: Instant) -> &mut Minute {
        let number = self.number(now);
        let oldest = (number + 1).saturating_sub(u64::from(TELEMETRY_MINUTES_MAX));
        while self.minutes.front().is_some_and(|it| it.number < oldest) {
            self.minutes.pop_front();
        }
        if self.minutes.back().is_none_or(|it| it.number != number) {
            self.minutes.push_back(Minute {
                number,
                series: BTreeMap::new(),
            });
        }
        self.minutes.back_mut().expect("it was just looked after")
    }
}

impl Minute {
    fn add(&mut self, place: Place, counts: &Counts) {
        if let Some(known) = self.series.get_mut(&place) {
            return known.merge(counts);
        }
        let others = |key| Place {
            key,
            ..place.clone()
        };
        let place = if self.series.len() < SERIES_MAX {
            place
        } else {
            let of_route = others(place.key.others());
            let known = self.series.contains_key(&of_route);
            if known || self.series.len() < SERIES_MAX + OTHERS_MAX {
                of_route
            } else {
                others(SeriesKey::beyond())
            }
        };
        // Regions beyond all bounds are not counted any more: they are no regions.
        if self.series.len() < SERIES_MAX + 2 * OTHERS_MAX || self.series.contains_key(&place) {
            self.series.entry(place).or_default().merge(counts);
        }
    }
}
