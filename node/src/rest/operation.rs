//! The operations of the API by name: what logs and metrics call them, and whether a request that
//! was cut off may have changed something.

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// Its name in logs and metrics.
    pub(crate) name: &'static str,
    /// The path pattern, in axum's syntax.
    pub(crate) path: &'static str,
    /// Whether it may change something.
    pub(crate) effect: Effect,
}

/// Whether an operation may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

const fn read(name: &'static str, path: &'static str) -> Operation {
    Operation {
        name,
        path,
        effect: Effect::Read,
    }
}

const fn write(name: &'static str, path: &'static str) -> Operation {
    Operation {
        name,
        path,
        effect: Effect::Write,
    }
}

pub(crate) const RULES_LIST: Operation = read("rules.list", "/v2/rules");
pub(crate) const RULES_CREATE: Operation = write("rules.create", "/v2/rules");
pub(crate) const RULES_GET: Operation = read("rules.get", "/v2/rules/{id}");
pub(crate) const RULES_UPDATE: Operation = write("rules.update", "/v2/rules/{id}");
pub(crate) const RULES_ARCHIVE: Operation = write("rules.archive", "/v2/rules/{id}");

pub(crate) const ROUTES_LIST: Operation = read("routes.list", "/v2/routes");
pub(crate) const ROUTES_CREATE: Operation = write("routes.create", "/v2/routes");
pub(crate) const ROUTES_GET: Operation = read("routes.get", "/v2/routes/{id}");
pub(crate) const ROUTES_UPDATE: Operation = write("routes.update", "/v2/routes/{id}");
pub(crate) const ROUTES_ARCHIVE: Operation = write("routes.archive", "/v2/routes/{id}");
pub(crate) const ROUTES_PUBLISH: Operation = write("routes.publish", "/v2/routes/{id}/publish");
pub(crate) const ROUTES_ROLLBACK: Operation = write("routes.rollback", "/v2/routes/{id}/rollback");
pub(crate) const ROUTES_SNAPSHOTS: Operation =
    read("routes.snapshots", "/v2/routes/{id}/snapshots");

pub(crate) const UPSTREAMS_LIST: Operation = read("upstreams.list", "/v2/upstreams");
pub(crate) const UPSTREAMS_CREATE: Operation = write("upstreams.create", "/v2/upstreams");
pub(crate) const UPSTREAMS_GET: Operation = read("upstreams.get", "/v2/upstreams/{id}");
pub(crate) const UPSTREAMS_UPDATE: Operation = write("upstreams.update", "/v2/upstreams/{id}");
pub(crate) const UPSTREAMS_DELETE: Operation = write("upstreams.delete", "/v2/upstreams/{id}");

pub(crate) const SNAPSHOTS_LIST: Operation = read("snapshots.list", "/v2/snapshots");
pub(crate) const SNAPSHOTS_GET: Operation = read("snapshots.get", "/v2/snapshots/{id}");
pub(crate) const SNAPSHOTS_DIFF: Operation =
    read("snapshots.diff", "/v2/snapshots/{id}/diff/{other}");
pub(crate) const SNAPSHOTS_PROPAGATION: Operation =
    read("snapshots.propagation", "/v2/snapshots/{id}/propagation");

pub(crate) const EDGES_LIST: Operation = read("edges.list", "/v2/edges");

pub(crate) const EVENTS_LIST: Operation = read("events.list", "/v2/events");
pub(crate) const EVENTS_STREAM: Operation = read("events.stream", "/v2/events/stream");
pub(crate) const EVENTS_GET: Operation = read("events.get", "/v2/events/{id}");
pub(crate) const EVENTS_REPLAY: Operation = write("events.replay", "/v2/events/{id}/replay");
pub(crate) const AUDIT_LIST: Operation = read("audit_log.list", "/v2/audit_log");
pub(crate) const AUDIT_GET: Operation = read("audit_log.get", "/v2/audit_log/{id}");

pub(crate) const WEBHOOKS_LIST: Operation = read("webhooks.list", "/v2/webhook_endpoints");
pub(crate) const WEBHOOKS_CREATE: Operation = write("webhooks.create", "/v2/webhook_endpoints");
pub(crate) const WEBHOOKS_GET: Operation = read("webhooks.get", "/v2/webhook_endpoints/{id}");
pub(crate) const WEBHOOKS_UPDATE: Operation =
    write("webhooks.update", "/v2/webhook_endpoints/{id}");
pub(crate) const WEBHOOKS_DELETE: Operation =
    write("webhooks.delete", "/v2/webhook_endpoints/{id}");
pub(crate) const WEBHOOKS_ROTATE: Operation = write(
    "webhooks.rotate_secret",
    "/v2/webhook_endpoints/{id}/rotate_secret",
);
pub(crate) const WEBHOOKS_ENABLE: Operation =
    write("webhooks.enable", "/v2/webhook_endpoints/{id}/enable");
pub(crate) const WEBHOOKS_DISABLE: Operation =
    write("webhooks.disable", "/v2/webhook_endpoints/{id}/disable");
pub(crate) const WEBHOOKS_TEST: Operation =
    read("webhooks.test", "/v2/webhook_endpoints/{id}/test");
pub(crate) const DELIVERIES_LIST: Operation = read("deliveries.list", "/v2/webhook_deliveries");
pub(crate) const DELIVERIES_GET: Operation = read("deliveries.get", "/v2/webhook_deliveries/{id}");
pub(crate) const DELIVERIES_RETRY: Operation =
    write("deliveries.retry", "/v2/webhook_deliveries/{id}/retry");
pub(crate) const RULES_PAUSE: Operation = write("rules.pause", "/v2/rules/{id}/pause");
pub(crate) const RULES_RESUME: Operation = write("rules.resume", "/v2/rules/{id}/resume");
pub(crate) const RULES_BATCH: Operation = write("rules.batch", "/v2/rules/batch");
pub(crate) const RULES_VERSIONS: Operation = read("rules.versions", "/v2/rules/{id}/versions");
pub(crate) const RULES_VERSION: Operation =
    read("rules.version", "/v2/rules/{id}/versions/{version}");
pub(crate) const ROUTES_ENABLE: Operation = write("routes.enable", "/v2/routes/{id}/enable");
pub(crate) const ROUTES_DISABLE: Operation = write("routes.disable", "/v2/routes/{id}/disable");
pub(crate) const ROUTES_REORDER: Operation =
    write("routes.reorder", "/v2/routes/{id}/rules/reorder");
pub(crate) const ROUTES_VALIDATE: Operation = read("routes.validate", "/v2/routes/{id}/validate");
pub(crate) const TARGETS_LIST: Operation = read("targets.list", "/v2/upstreams/{id}/targets");
pub(crate) const TARGETS_CREATE: Operation = write("targets.create", "/v2/upstreams/{id}/targets");
pub(crate) const TARGETS_GET: Operation =
    read("targets.get", "/v2/upstreams/{id}/targets/{target}");
pub(crate) const TARGETS_UPDATE: Operation =
    write("targets.update", "/v2/upstreams/{id}/targets/{target}");
pub(crate) const TARGETS_DELETE: Operation =
    write("targets.delete", "/v2/upstreams/{id}/targets/{target}");
pub(crate) const SNAPSHOTS_ACKS: Operation = read("snapshots.acks", "/v2/snapshots/{id}/acks");
pub(crate) const MANIFESTS_CURRENT: Operation = read("manifests.current", "/v2/manifests/current");
pub(crate) const EDGES_GET: Operation = read("edges.get", "/v2/edges/{id}");
pub(crate) const REGIONS_LIST: Operation = read("regions.list", "/v2/regions");
pub(crate) const REGIONS_GET: Operation = read("regions.get", "/v2/regions/{id}");

pub(crate) const LIVEZ: Operation = read("livez", "/livez");
pub(crate) const READYZ: Operation = read("readyz", "/readyz");
pub(crate) const METRICS: Operation = read("metrics", "/metrics");

pub(crate) const V1: Operation = read("v1", "/v1");
pub(crate) const V1_SLASH: Operation = read("v1", "/v1/");
pub(crate) const V1_BELOW: Operation = read("v1", "/v1/{*rest}");

/// A path that nobody serves.
pub(crate) const UNKNOWN_PATH: Operation = read("unknown_path", "");
/// A path that is served, by another method.
pub(crate) const UNKNOWN_METHOD: Operation = read("unknown_method", "");
