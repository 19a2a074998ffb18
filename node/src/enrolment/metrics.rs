//! What is counted of edges that ask for a certificate.

use edge_protocol::enrolment::{Answered, Asked};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What edges ask.
const ASKED: [&str; 2] = ["enrol", "renew"];

/// How they are answered.
const OUTCOMES: [&str; 3] = ["granted", "refused", "unavailable"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    asked: &'static str,
    outcome: &'static str,
}

/// Counts edges that ask for a certificate.
#[derive(Clone, Debug, Default)]
pub struct EnrolmentMetrics {
    answers: Family<Labels, Counter>,
}

impl EnrolmentMetrics {
    /// Makes them known to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        // From the start, so that the first of a kind is a change from zero.
        for asked in ASKED {
            for outcome in OUTCOMES {
                drop(made.answers.get_or_create(&Labels { asked, outcome }));
            }
        }
        registry.register(
            "edge_certificate_requests",
            "Edges that asked for a certificate, by what they asked and how they were answered",
            made.answers.clone(),
        );
        made
    }

    pub(super) fn answered(&self, asked: &'static str, answered: &Answered) {
        let outcome = match answered {
            Answered::Papers(_) => "granted",
            Answered::Refused(_) => "refused",
            Answered::Unavailable(_) => "unavailable",
        };
        self.answers.get_or_create(&Labels { asked, outcome }).inc();
    }
}

/// What an edge asks, in a word.
pub(super) fn name(asked: &Asked) -> &'static str {
    match asked {
        Asked::Enrol { .. } => "enrol",
        Asked::Renew => "renew",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_what_was_asked() {
        let mut registry = Registry::default();
        let metrics = EnrolmentMetrics::register(&mut registry);
        metrics.answered(name(&Asked::Renew), &Answered::Unavailable(String::new()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "edge_certificate_requests_total{asked=\"renew\",outcome=\"unavailable\"} 1",
            "edge_certificate_requests_total{asked=\"enrol\",outcome=\"granted\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
