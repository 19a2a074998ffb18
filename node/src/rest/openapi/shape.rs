//! Shapes with a name that are no objects of ours: identifiers, times, names, words. A field's
//! schema refers to one by `value_type`, so that each limit is said once, by the constant that is
//! enforced. They are written as JSON Schema; how they come into the document is
//! [`super::schemas`]'s matter.

use std::borrow::Cow;

use domain::id;
use domain::limits;
use domain::model::{
    AbortCause, NoticeKind, ObjectKind, PRIORITY_MAX, Resource, ShiftState, Verb, WEIGHT_MAX,
};
use serde_json::{Value, json};
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::super::render::{Seconds, Stored};
use super::super::{
    acks, api_keys, deliveries, edges, environments, routes, rules, shifts, snapshots,
};
use super::super::{telemetry, upstream_health, upstreams, version, wait};
use super::{content, schemas};

macro_rules! shapes {
    ($($name:ident => $schema:expr;)*) => {
        $(
            // Some are referred to by name alone.
            #[allow(dead_code)]
            #[derive(Clone, Copy, Debug)]
            pub(crate) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    RefOr::T(Schema::Object(Object::default()))
                }
            }

            impl ToSchema for $name {}
        )*

        /// The schema of a shape.
        pub(super) fn of(name: &str) -> Option<Value> {
            match name {
                $(stringify!($name) => Some($schema),)*
                _ => None,
            }
        }
    };
}

shapes! {
    RuleId => identifier(id::RuleId::PREFIX, "a rule", "01HX9K3M7PQ6RSTV2W4N8A");
    RouteId => identifier(id::RouteId::PREFIX, "a route", "01HW2K1M6PC5RSTU1W3M7A");
    UpstreamId => identifier(id::UpstreamId::PREFIX, "an upstream", "01HW2J9Q4NB3RSTU8V2K5C");
    TargetId => identifier(id::TargetId::PREFIX, "a target", "01HW2J9Q4NB3RSTU8V2K5D");
    SnapshotId => identifier(id::SnapshotId::PREFIX, "a snapshot", "01HXA2F6T8V3WXYZ4B6D8F");
    ApiKeyId => identifier(id::ApiKeyId::PREFIX, "an API key", "01HV7C3R5S9D2E4F6G8H1J");
    EnvironmentId => identifier(id::EnvironmentId::PREFIX, "an environment", "01HV7C3R5S9D2E4F6G8H1K");
    WorkspaceId => identifier(id::WorkspaceId::PREFIX, "a workspace", "01HV7C3R5S9D2E4F6G8H1M");
    EventId => identifier(id::EventId::PREFIX, "an event", "01HXA2F6T8V3WXYZ4B6D9G");
    AuditId => identifier(id::AuditId::PREFIX, "an entry of the audit log", "01HXA2F6T8V3WXYZ4B6D9H");
    RequestId => identifier(id::RequestId::PREFIX, "a request", "01HXA2F6T8V3WXYZ4B6D9J");
    WebhookEndpointId => identifier(id::WebhookEndpointId::PREFIX, "a webhook endpoint", "01HXB4G7V9W2XYZ5C7E9FK");
    CertificateId => identifier(id::CertificateId::PREFIX, "a certificate", "01HXB4G7V9W2XYZ5C7E9FN");
    EdgeTokenId => identifier(id::EdgeTokenId::PREFIX, "a join token", "01HXB4G7V9W2XYZ5C7E9FP");
    WebhookDeliveryId => identifier(id::WebhookDeliveryId::PREFIX, "a delivery", "01HXB4G7V9W2XYZ5C7E9FM");

    Time => json!({
        "type": "integer", "minimum": 0, "description": "Whole seconds since the Unix epoch, UTC.",
        "examples": [1_714_320_000],
    });
    Hash => json!({
        "type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "What it contains: equal means the same.",
        "examples": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    });
    Name => json!({
        "type": "string", "minLength": 1, "maxLength": limits::NAME_CHARS_MAX, "pattern": NO_CONTROLS,
        "description": "A name for people, without control characters.", "examples": ["EU read traffic"],
    });
    Description => json!({
        "type": ["string", "null"], "minLength": 1, "maxLength": limits::NAME_CHARS_MAX, "pattern": NO_CONTROLS,
        "description": "A text for people; `null` removes it.", "examples": ["Deploys"],
    });
    Note => json!({
        "type": "string", "minLength": 1, "maxLength": limits::NAME_CHARS_MAX, "pattern": NO_CONTROLS,
        "description": "A text for people.", "examples": ["Deploys"],
    });
    Comment => json!({
        "type": "string", "maxLength": limits::COMMENT_CHARS_MAX, "description": "Kept with the snapshot.",
        "examples": ["Raises the weight of eu-central-1"],
    });
    EnvironmentName => json!({
        "type": "string", "minLength": 1, "maxLength": limits::ENVIRONMENT_NAME_CHARS_MAX,
        "pattern": "^[a-z0-9][a-z0-9_-]*$", "description": "Unique in the workspace.", "examples": ["staging"],
    });
    Hostname => json!({
        "type": "string", "minLength": 1, "maxLength": 1024, "examples": ["api.example.net"],
        "description": "A public host name, perhaps with one leading `*.` label. Stored in lower case and A-labels.",
    });
    Address => json!({
        "type": "string", "minLength": 1, "maxLength": 253, "examples": ["10.0.4.17"],
        "description": "A host name or an IP address, without scheme, port or brackets.",
    });
    Port => json!({"type": "integer", "minimum": 1, "maximum": u16::MAX, "examples": [8080]});
    Priority => json!({
        "type": "integer", "minimum": 0, "maximum": PRIORITY_MAX, "examples": [40],
        "description": "The place among the route's rules, which are tried by ascending priority; unique among those that are not archived.",
    });
    Weight => json!({
        "type": "integer", "minimum": 0, "maximum": WEIGHT_MAX, "examples": [100],
        "description": "The share of requests, in relation to the others; 0 takes none.",
    });
    ShiftSteps => json!({
        "type": "integer", "minimum": 1, "maximum": limits::SHIFT_STEPS_MAX, "examples": [5],
        "description": "In how many steps; no more than there is weight.",
    });
    ShiftInterval => json!({
        "type": "integer", "minimum": limits::SHIFT_INTERVAL_S_MIN, "maximum": limits::SHIFT_INTERVAL_S_MAX,
        "examples": [300], "description": "For how long each step is watched, in seconds.",
    });
    ErrorRate => json!({
        "type": "number", "minimum": 0, "exclusiveMaximum": 1, "examples": [0.05],
        "description": "It is taken back when more than this share of the requests to the target that gets the weight \
                        fail: with 5xx or no answer, counted by the minute since the last step.",
    });
    MinRequests => json!({
        "type": "integer", "minimum": 1, "maximum": limits::SHIFT_REQUESTS_MAX,
        "default": shifts::MIN_REQUESTS_DEFAULT, "examples": [200],
        "description": "How many requests there must be for their share to count.",
    });
    PositiveInteger => json!({"type": "integer", "minimum": 1, "maximum": (1_u64 << 53) - 1, "examples": [1]});
    Metadata => labels(json!({"type": "string", "maxLength": limits::METADATA_VALUE_CHARS_MAX}), "Labels.");
    MetadataPatch => labels(
        json!({"type": ["string", "null"], "maxLength": limits::METADATA_VALUE_CHARS_MAX}),
        "Labels to set; `null` removes one, and what is not named stays.",
    );
    EdgeLabels => json!({
        "type": "object", "additionalProperties": {"type": "string"}, "description": "Labels from the edge's settings.",
        "examples": [{"zone": "a"}],
    });
    NewEdgeLabels => json!({
        "type": "object", "description": "Labels that the edge gets.", "maxProperties": limits::EDGE_LABELS_MAX,
        "propertyNames": {"minLength": 1, "maxLength": limits::EDGE_LABEL_BYTES_MAX},
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": limits::EDGE_LABEL_BYTES_MAX},
        "examples": [{"zone": "a"}],
    });
    EdgeName => json!({
        "type": "string", "pattern": format!("^[A-Za-z0-9_.-]{{1,{}}}$", limits::EDGE_NAME_BYTES_MAX),
        "description": "Letters, digits, `-`, `_` and `.`.", "examples": ["edge-1"],
    });
    JoinToken => json!({
        "type": "string", "pattern": "^vg_join_v2_[A-Za-z0-9_-]+$",
        "description": "For an edge, and nobody else: it lets one in, once, for a quarter of an hour.",
        "examples": ["vg_join_v2_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcBC25vZGUtMTo3MzAwAQMBAgMOAAAAAAAAAAAAAAAAAAA"],
    });
    WebhookUrl => json!({
        "type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048,
        "description": "An https URL that does not lead into the operator's network. `http` only to ranges that the operator allows.",
        "examples": ["https://hooks.example.net/vectorgate"],
    });
    WebhookSecret => json!({
        "type": ["string", "null"], "description": "What signs; `null` where its making was only judged.",
        "examples": ["whsec_3k9mP3rQ2nL8wT5x7Vb1Zc4Yd6Fg0Hj2"],
    });
    CertificateChain => json!({
        "type": "string", "minLength": 1, "maxLength": limits::CHAIN_BYTES_MAX,
        "description": "Certificates in PEM: the one for the hosts first, each issued by the next.",
        "examples": ["-----BEGIN CERTIFICATE-----\n…"],
    });
    PrivateKey => json!({
        "type": "string", "minLength": 1, "maxLength": super::super::certificates::KEY_BYTES_MAX, "writeOnly": true,
        "description": "The key of the chain's first certificate, in PEM. It is sealed, and never shown.",
        "examples": ["-----BEGIN PRIVATE KEY-----\n…"],
    });
    GraceSeconds => json!({
        "type": "integer", "minimum": 0, "maximum": super::super::webhooks::GRACE_S_MAX,
        "default": super::super::webhooks::GRACE_S_DEFAULT, "examples": [3600],
    });
    OverlapSeconds => json!({
        "type": "integer", "minimum": 0, "maximum": api_keys::OVERLAP_S_MAX, "default": api_keys::OVERLAP_S_DEFAULT,
        "examples": [3600],
    });
    ExpiresAt => json!({
        "type": "integer", "minimum": 0, "maximum": api_keys::SECONDS_MAX, "examples": [1_798_761_600],
        "description": "Seconds since the Unix epoch; in the future.",
    });

    IpAllowlist => json!({
        "type": "array", "maxItems": limits::IP_RANGES_MAX, "items": {"type": "string", "minLength": 1},
        "description": "Networks in CIDR notation, or addresses, that it works from; empty is anywhere.",
        "examples": [["203.0.113.0/24", "2001:db8::/48"]],
    });
    Quorum => json!({
        "oneOf": [
            {"const": "all"},
            {"type": "integer", "minimum": 1, "maximum": 100},
            {
                "type": "object", "required": ["region"], "additionalProperties": false,
                "properties": {"region": {"type": "string", "minLength": 1, "maxLength": 128}},
            },
        ],
        "description": "`all` edges, a percentage of them, or all of a region.", "examples": ["all", 90],
    });
    WaitSeconds => json!({
        "type": "integer", "minimum": 1, "maximum": wait::TIMEOUT_S_MAX, "default": wait::TIMEOUT_S_DEFAULT,
        "description": "For how long is waited.", "examples": [30],
    });

    RuleStatus => words(rules::STATUSES.iter().map(|(word, _)| *word), "`draft` until the first publish.");
    DesiredRuleStatus => words(rules::DESIRED.iter().map(|(word, _)| *word), "What the next publish makes of it.");
    PublicationStatus => words(["published", "unpublished"], "Whether some version of it is live.");
    RuleEventType => words(
        ["created", "validated", "validation_failed", "published", "updated", "paused", "resumed", "archived", "restored"],
        "What happened to it.",
    );
    ValidationStatus => words(["passed", "failed"], "Whether it could be published.");
    RouteMode => words(routes::MODES.iter().map(|(word, _)| *word), "The traffic mode. Which fields `config` has depends on it.");
    RouteStatus => words(["active", "archived"], "An archived route is kept and changes no more.");
    Algorithm => words(upstreams::ALGORITHMS.iter().map(|(word, _)| *word), "How targets are chosen.");
    ShiftStatus => words(ShiftState::NAMES, "How far it is. `aborted` was taken back by itself, `cancelled` was ended by somebody.");
    ShiftAbortCondition => words(AbortCause::NAMES, "What it was to be aborted on.");
    HealthStatus => words(
        upstream_health::STANDINGS,
        "`down` is what most edges of a region see; `unknown`, where no edge could say; `unused`, where none sends requests.",
    );
    HealthCause => words(upstream_health::CAUSES, "Its checks fail, or requests did.");
    SnapshotState => words(snapshots::STATES.iter().map(|(word, _)| *word), "`published` is the active one.");
    ComparedState => words(
        snapshots::STATES.iter().map(|(word, _)| *word).chain(["draft", "unpublished"]),
        "What the side is.",
    );
    EdgeStatus => words(edges::STATUSES.iter().map(|(word, _)| *word), "How lately it was heard of.");
    AckState => words(acks::STATES.iter().map(|(word, _)| *word), "Where an edge stands with a snapshot.");
    DeletedKind => words(["upstream", "target", "webhook_endpoint", "certificate", "edge_token"], "What it was.");
    ActorType => words(["api_key", "system"], "Who made the change.");
    AuditedKind => words(ObjectKind::NAMES.iter().map(|(word, _)| *word), "A kind of objects.");
    EventType => words(NoticeKind::NAMES.iter().map(|(word, _)| *word), "What happened.");
    EventTypes => json!({
        "type": "array", "items": {"$ref": "#/components/schemas/EventType"}, "minItems": 1,
        "description": "One or several types, separated by commas.",
    });
    StreamTypes => json!({
        "type": "array", "minItems": 1, "uniqueItems": true,
        "items": {"anyOf": [
            {"$ref": "#/components/schemas/EventType"},
            {"enum": telemetry::PULSES.iter().map(|(name, _)| *name).collect::<Vec<_>>()},
        ]},
        "description": "One or several types of events or measurements, separated by commas.",
    });
    EnabledEvents => json!({
        "type": "array", "description": "The types that are sent; `[\"*\"]` is all, and so is none.",
        "anyOf": [
            {"items": {"$ref": "#/components/schemas/EventType"}},
            {"items": {"const": "*"}, "minItems": 1, "maxItems": 1},
        ],
        "examples": [["route.published", "route.rollback"]],
    });
    EndpointStatus => words(["enabled", "disabled"], "A disabled endpoint is sent nothing.");
    DisabledReason => words(["requested", "gone", "failing"], "Somebody asked for it, it answered 410, or it failed for days.");
    DeliveryStatus => words(deliveries::STATES.iter().map(|(word, _)| *word), "How far it is.");
    KeyType => words(api_keys::KINDS.iter().map(|(word, _)| *word), "What a key is for.");
    EnvironmentKind => words(environments::KINDS.iter().map(|(word, _)| *word), "Which keys act in it.");
    Plan => words(["free", "starter", "growth", "enterprise"], "What the workspace may use.");
    KeyMethod => words(Verb::ALL.iter().map(|verb| verb.as_str()), "An HTTP method.");
    ResourceScope => resource_scopes();
    ApiVersion => json!({
        "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "description": "A date; the newest release up to it is meant.",
        "examples": [version::Release::NEWEST.date()],
    });

    ManifestRouteList => schemas::list("ManifestRoute", false);
    RuleIds => array_of("RuleId", 0, limits::REORDERED_MAX, "The whole order: every rule of the route that is not archived, once.");
    RuleMoves => array_of("RuleMove", 0, limits::REORDERED_MAX, "Rules and their new places.");
    RuleOperations => array_of("RuleOperation", 1, limits::BATCH_MAX, "What is done, in this order.");
    NewTargets => array_of("NewTarget", 0, limits::TARGETS_MAX, "The targets.");
    KeptTargets => array_of("KeptTarget", 0, limits::TARGETS_MAX, "All targets: those that are left out are removed.");

    Match => content::criteria();
    PathPattern => content::path_pattern();
    HeaderPattern => content::header_pattern();
    QueryPattern => content::query_pattern();
    Action => content::action();
    ForwardAction => content::forward();
    RedirectAction => content::redirect();
    FixedResponseAction => content::fixed_response();
    WeightedUpstream => content::weighted_upstream();
    PurgedUrl => content::purged_url();
    RouteConfig => content::route_config();
    RouteConfigPatch => content::route_config_patch();
    CacheConfig => content::cache();
    FallbackConfig => content::fallback();
    TlsConfig => content::tls();
    HealthCheckConfig => content::health_check();
    UpstreamProtocol => content::upstream_protocol();
    HashSource => content::hash_source();
    UpstreamTls => content::upstream_tls();
    Ejection => content::ejection();
    UpstreamLimits => content::upstream_limits();
    TargetRegions => content::target_regions();
}

/// Text in which every character has a glyph or is a space.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

impl PartialSchema for Seconds {
    fn schema() -> RefOr<Schema> {
        Time::schema()
    }
}

impl ToSchema for Seconds {
    fn name() -> Cow<'static, str> {
        Time::name()
    }
}

/// Stored JSON is shown by a field that says what it is; where none does, anything may stand there.
impl PartialSchema for Stored<'_> {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(Object::default()))
    }
}

impl ToSchema for Stored<'_> {}

/// A reference to a shape or an object by name.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": Ref::from_schema_name(name).ref_location})
}

fn identifier(prefix: &str, of: &str, example: &str) -> Value {
    json!({
        "type": "string",
        "pattern": format!("^{prefix}_[0-9A-Za-z]{{8,64}}$"),
        "description": format!("The identifier of {of}. Opaque but for its prefix."),
        "examples": [format!("{prefix}_{example}")],
    })
}

fn words(words: impl IntoIterator<Item = &'static str>, description: &str) -> Value {
    let words: Vec<_> = words.into_iter().collect();
    json!({"type": "string", "enum": words, "description": description})
}

fn array_of(item: &str, min: usize, max: usize, description: &str) -> Value {
    json!({
        "type": "array", "items": reference(item), "minItems": min, "maxItems": max, "description": description,
    })
}

fn labels(value: Value, description: &str) -> Value {
    json!({
        "type": "object",
        "maxProperties": limits::METADATA_KEYS_MAX,
        "propertyNames": {"minLength": 1, "maxLength": limits::METADATA_KEY_CHARS_MAX},
        "additionalProperties": value,
        "description": description,
        "examples": [{"owner": "platform"}],
    })
}

fn resource_scopes() -> Value {
    let scope = |resource: Resource| {
        let name = resource.as_str();
        let write = resource
            .is_grantable_for_writing()
            .then(|| format!("{name}:write"));
        [Some(format!("{name}:read")), write].into_iter().flatten()
    };
    let all: Vec<_> = Resource::ALL.into_iter().flat_map(scope).collect();
    json!({
        "type": "string", "enum": all,
        "description": "A kind of objects and what may be done with them; `write` includes `read`.",
    })
}
