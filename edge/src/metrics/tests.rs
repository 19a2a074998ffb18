//! Metrics as scrapers read them.

use super::*;

/// An edge that shows all that it can.
fn whole() -> Arc<Metrics> {
    let serving = crate::assembly::Serving::default();
    let metrics = Arc::clone(&serving.metrics);
    metrics.follow(watch::channel(Status::default()).1);
    let keeping = Cache::new(crate::settings::CacheSettings::default(), [0; 16]);
    metrics.show_cache(Arc::new(keeping));
    let counts = Arc::<crate::access_log::LogCounts>::default();
    metrics.show(Box::new(crate::access_log::Shown(counts)));
    metrics
}

#[test]
fn every_metric_is_in_the_golden_list() {
    let text = whole().render().unwrap();
    platform::testing::assert_metrics_are_documented("edge", &text);
}

#[test]
fn threads_are_added_up_and_everything_has_a_name() {
    let metrics = Metrics::new(Arc::default());
    let (one, two) = (metrics.tally(), metrics.tally());
    one.answered(Answer::Origin, http::StatusCode::OK);
    two.answered(Answer::Origin, http::StatusCode::OK);
    two.answered(Answer::Edge, http::StatusCode::BAD_GATEWAY);
    two.erred(Code::UpstreamUnreachable);
    one.connection_opened();
    two.connection_opened();
    two.connection_ended();
    one.upstream_took(Duration::from_micros(1_500));
    two.upstream_took(Duration::from_secs(60));
    two.cache.answered(&cache::Report::of(cache::Outcome::Hit));
    let keeping = Cache::new(crate::settings::CacheSettings::default(), [0; 16]);
    one.protocols.answered(http::Version::HTTP_11);
    two.protocols.answered(http::Version::HTTP_3);
    two.protocols.retried();
    metrics.show_cache(Arc::new(keeping));
    metrics.applies().applied(Duration::from_millis(3));
    let text = metrics.render().unwrap();
    for line in [
        "vectorgate_edge_responses_total{by=\"origin\",status=\"2xx\"} 2",
        "vectorgate_edge_responses_total{by=\"edge\",status=\"5xx\"} 1",
        "vectorgate_edge_responses_total{by=\"rule\",status=\"3xx\"} 0",
        "vectorgate_edge_errors_total{code=\"upstream_unreachable\"} 1",
        "vectorgate_edge_connections_total 2",
        "vectorgate_edge_connections_open 1",
        "vectorgate_edge_upstream_response_seconds_bucket{le=\"0.001\"} 0",
        "vectorgate_edge_upstream_response_seconds_bucket{le=\"0.002\"} 1",
        "vectorgate_edge_upstream_response_seconds_bucket{le=\"+Inf\"} 2",
        "vectorgate_edge_upstream_response_seconds_sum 60.0015",
        "vectorgate_edge_manifest_version 0",
        "vectorgate_edge_manifest_apply_seconds 0.003",
        "vectorgate_edge_cache_requests_total{outcome=\"hit\"} 1",
        "vectorgate_edge_cache_requests_total{outcome=\"bypass\"} 0",
        "vectorgate_edge_cache_entries 0",
        "vectorgate_edge_cache_bytes_max 134217728",
        "vectorgate_edge_requests_total{protocol=\"HTTP/1.1\"} 1",
        "vectorgate_edge_requests_total{protocol=\"HTTP/2\"} 0",
        "vectorgate_edge_requests_total{protocol=\"HTTP/3\"} 1",
        "vectorgate_edge_quic_retries_total 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
