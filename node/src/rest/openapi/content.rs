//! The shapes of `match`, `action` and `config`, which the state machine's own parsers read. That
//! these say the same as the parsers is shown by samples on both sides of every limit.

use domain::content::{
    ALTERNATIVES_MAX, BODY_BYTES_MAX, HEADERS_MAX, QUERY_CHARS_MAX, QUERY_NAME_CHARS_MAX,
    UPSTREAMS_MAX,
};
use domain::limits::PURGED_URL_BYTES_MAX;
use domain::matching::PATTERN_BYTES_MAX;
use domain::model::Limits;
use serde_json::{Value, json};

use super::shape::reference;

/// What names of methods, regions and headers are held to.
const NAME_BYTES_MAX: usize = 64;
const HEADER_NAME_BYTES_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 4096;
const URL_BYTES_MAX: usize = 2048;
const CACHE_SECONDS_MAX: u32 = 365 * 24 * 60 * 60;
/// Letters of a path: visible ASCII without `?` and `#`.
const PATH: &str = r##"^/[!"$->@-~]*$"##;
/// The same without a `*` at the end.
const PATH_PREFIX: &str = r##"^/([!"$->@-~]*[!"$-)+->@-~])?$"##;
/// A path, or an absolute URL without credentials.
const URL: &str = r##"^(/(?!/)[!#-;=?-\[\]-~]*|[hH][tT][tT][pP][sS]?://([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#][!#-;=?-\[\]-~]*)?)$"##;
const HEADER_NAME: &str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// Letters of a decoded query: all but control characters.
const DECODED: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// A value, or an array of alternatives.
fn one_or_several(item: &Value, description: &str) -> Value {
    json!({
        "description": description,
        "oneOf": [item, {"type": "array", "items": item, "minItems": 1, "maxItems": ALTERNATIVES_MAX}],
    })
}

pub(super) fn criteria() -> Value {
    let word = |letters: &str| json!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": format!("^[{letters}]+$")});
    json!({
        "type": "object",
        "description": "Which requests are meant. All criteria that are present must hold, each by one of its \
                        alternatives; `{}` takes every request. Up to 20 regular expressions in one rule.",
        "properties": {
            "path": one_or_several(&reference("PathPattern"), "The path, without the query."),
            "method": one_or_several(&word("0-9A-Za-z_-"), "The method, in any case."),
            "region": one_or_several(&word("0-9A-Za-z_.-"), "The edge's region."),
            "header": {
                "type": "object",
                "description": "Header names and what their values must be.",
                "minProperties": 1,
                "maxProperties": HEADERS_MAX,
                "propertyNames": {"minLength": 1, "maxLength": HEADER_NAME_BYTES_MAX, "pattern": HEADER_NAME},
                "additionalProperties": one_or_several(&reference("HeaderPattern"), "What the value must be."),
            },
            "query": {
                "type": "object",
                "description": "Names of query parameters and what their values must be, both percent-decoded, `+` being a blank.",
                "minProperties": 1,
                "maxProperties": HEADERS_MAX,
                "propertyNames": {"minLength": 1, "maxLength": QUERY_NAME_CHARS_MAX, "pattern": DECODED},
                "additionalProperties": one_or_several(&reference("QueryPattern"), "What the value must be."),
            },
            "host": one_or_several(
                &reference("Hostname"),
                "The host that is asked for, where the route serves several.",
            ),
            "ip_cidr": one_or_several(
                &json!({"type": "string", "minLength": 1, "examples": ["203.0.113.0/24"]}),
                "The network that the client's address is in, in CIDR notation, or its address.",
            ),
        },
        "additionalProperties": false,
        "examples": [{"region": ["eu-central-1"], "method": "GET"}],
    })
}

/// An object with one of these fields.
fn single(name: &str, value: Value) -> Value {
    json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false})
}

fn regex() -> Value {
    let description =
        "A regular expression that must match the whole text, and runs in linear time.";
    json!({
        "type": "string", "format": "regex", "minLength": 1, "maxLength": PATTERN_BYTES_MAX,
        "description": description,
    })
}

/// A path without a `*`, but at the end, where it means what is below.
fn path_text() -> String {
    let more = PATTERN_BYTES_MAX - 1;
    format!(r##"^/[!"$-)+->@-~]{{0,{more}}}\*?$"##)
}

pub(super) fn path_pattern() -> Value {
    let path = |pattern: &str| json!({"type": "string", "minLength": 1, "maxLength": PATTERN_BYTES_MAX, "pattern": pattern});
    json!({
        "description": "`\"/a\"` is the path itself, `\"/a*\"` the path and what is below it, `\"/a/*\"` only what \
                        is below. A prefix ends where a path segment ends.",
        "oneOf": [
            {"type": "string", "pattern": path_text()},
            single("exact", path(PATH)),
            single("prefix", path(PATH_PREFIX)),
            single("regex", regex()),
        ],
        "examples": ["/api/*"],
    })
}

pub(super) fn header_pattern() -> Value {
    let text = || json!({"type": "string", "minLength": 1, "maxLength": PATTERN_BYTES_MAX, "pattern": r"^[!-~]([ -~]*[!-~])?$"});
    json!({
        "description": "A text is the whole value.",
        "oneOf": [
            text(),
            single("exact", text()),
            single("prefix", text()),
            single("regex", regex()),
            single("present", json!({"type": "boolean"})),
        ],
        "examples": [{"prefix": "canary-"}],
    })
}

pub(super) fn query_pattern() -> Value {
    let text = |length: usize| json!({"type": "string", "minLength": length, "maxLength": QUERY_CHARS_MAX, "pattern": DECODED});
    json!({
        "description": "A text is the whole value, decoded.",
        "oneOf": [
            text(0),
            single("exact", text(0)),
            single("prefix", text(1)),
            single("regex", regex()),
            single("present", json!({"type": "boolean"})),
        ],
        "examples": [{"present": true}],
    })
}

pub(super) fn action() -> Value {
    let kinds = [
        ("forward", "ForwardAction"),
        ("redirect", "RedirectAction"),
        ("fixed_response", "FixedResponseAction"),
    ];
    let locations = kinds.map(|(word, name)| (word.to_owned(), reference(name)["$ref"].clone()));
    let mapping = Value::Object(locations.into_iter().collect());
    json!({
        "description": "What is done with the requests.",
        "oneOf": kinds.map(|(_, name)| reference(name)),
        "discriminator": {"propertyName": "type", "mapping": mapping},
        "examples": [{"type": "forward", "upstream_id": "up_01HW2J9Q4NB3RSTU8V2K5C"}],
    })
}

pub(super) fn forward() -> Value {
    json!({
        "type": "object",
        "description": "Sends them to an upstream, or to several by weight.",
        "properties": {
            "type": {"const": "forward"},
            "upstream_id": reference("UpstreamId"),
            "upstreams": weighted_upstreams(),
        },
        "required": ["type"],
        "oneOf": [{"required": ["upstream_id"]}, {"required": ["upstreams"]}],
        "additionalProperties": false,
        "examples": [{"type": "forward", "upstream_id": "up_01HW2J9Q4NB3RSTU8V2K5C"}],
    })
}

fn weighted_upstreams() -> Value {
    json!({
        "type": "array", "items": reference("WeightedUpstream"), "minItems": 1, "maxItems": UPSTREAMS_MAX,
        "description": "Upstreams among which requests are divided; each at most once.",
    })
}

pub(super) fn weighted_upstream() -> Value {
    json!({
        "type": "object",
        "description": "An upstream and its share.",
        "properties": {"upstream_id": reference("UpstreamId"), "weight": reference("Weight")},
        "required": ["upstream_id"],
        "additionalProperties": false,
        "examples": [{"upstream_id": "up_01HW2J9Q4NB3RSTU8V2K5C", "weight": 100}],
    })
}

pub(super) fn redirect() -> Value {
    json!({
        "type": "object",
        "description": "Answers with another place.",
        "properties": {
            "type": {"const": "redirect"},
            "url": {
                "type": "string", "minLength": 1, "maxLength": URL_BYTES_MAX,
                "pattern": URL,
                "description": "An absolute URL without credentials, or a path that starts with one `/`.",
            },
            "status": {"enum": [301, 302, 307, 308], "default": 302},
            "preserve_path": {
                "type": "boolean", "default": false,
                "description": "Whether the request's path is put behind the URL, which then has neither query nor fragment.",
            },
        },
        "required": ["type", "url"],
        "additionalProperties": false,
        "examples": [{"type": "redirect", "url": "https://www.example.net/", "status": 308}],
    })
}

pub(super) fn fixed_response() -> Value {
    json!({
        "type": "object",
        "description": "Answers at the edge.",
        "properties": {
            "type": {"const": "fixed_response"},
            "status": {"type": "integer", "minimum": 200, "maximum": 599},
            "headers": {
                "type": "object",
                "maxProperties": HEADERS_MAX,
                "propertyNames": {"minLength": 1, "maxLength": HEADER_NAME_BYTES_MAX, "pattern": HEADER_NAME},
                "additionalProperties": {"type": "string", "maxLength": HEADER_BYTES_MAX, "pattern": r"^([!-~]([ -~\t]*[!-~])?)?$"},
                "description": "Headers of the answer, but for those that the edge itself decides about.",
            },
            "body": {
                "type": "string", "maxLength": BODY_BYTES_MAX,
                "description": "Up to 64 KiB; none with 204, 205 and 304.",
            },
        },
        "required": ["type", "status"],
        "additionalProperties": false,
        "examples": [{"type": "fixed_response", "status": 503, "body": "Back soon."}],
    })
}

pub(super) fn route_config() -> Value {
    json!({
        "type": "object",
        "description": "What a route does with requests that no rule takes. Which fields there are depends on `mode`: \
                        `balanced` needs `upstreams`; `cache_first` needs `origin_upstream_id` and `cache`; \
                        `origin_first` needs `origin_upstream_id` and `fallback`.",
        "properties": {
            "upstreams": weighted_upstreams(),
            "origin_upstream_id": reference("UpstreamId"),
            "cache": reference("CacheConfig"),
            "fallback": reference("FallbackConfig"),
            "tls": reference("TlsConfig"),
            "health_check": reference("HealthCheckConfig"),
        },
        "additionalProperties": false,
        "oneOf": [
            {"required": ["upstreams"], "not": {"anyOf": [{"required": ["cache"]}, {"required": ["origin_upstream_id"]}]}},
            {"required": ["origin_upstream_id", "cache"], "not": {"required": ["upstreams"]}},
            {"required": ["origin_upstream_id", "fallback"],
             "not": {"anyOf": [{"required": ["upstreams"]}, {"required": ["cache"]}]}},
        ],
        "examples": [{"upstreams": [{"upstream_id": "up_01HW2J9Q4NB3RSTU8V2K5C", "weight": 100}]}],
    })
}

pub(super) fn route_config_patch() -> Value {
    json!({
        "type": "object",
        "description": "Merged into `config` (RFC 7396): objects merge, `null` removes, everything else replaces. \
                        What comes out must be a RouteConfig of the route's mode.",
        "examples": [{"tls": {"policy": "flexible"}}],
    })
}

pub(super) fn cache() -> Value {
    json!({
        "type": "object",
        "description": "How answers are kept.",
        "properties": {
            "ttl_s": {"type": "integer", "minimum": 1, "maximum": CACHE_SECONDS_MAX},
            "stale_while_revalidate_s": {"type": "integer", "minimum": 0, "maximum": CACHE_SECONDS_MAX},
            "key": {
                "type": "array", "minItems": 1, "maxItems": 20, "uniqueItems": true,
                "items": {"type": "string", "pattern": r"^(host|path|query|method|(header|query|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})$"},
                "description": "What makes two requests the same.",
            },
        },
        "required": ["ttl_s"],
        "additionalProperties": false,
        "examples": [{"ttl_s": 60}],
    })
}

pub(super) fn purged_url() -> Value {
    json!({
        "type": "string", "maxLength": PURGED_URL_BYTES_MAX,
        "pattern": "^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)?/[!\"$-~]*$",
        "description": "A path with its query, perhaps behind `http://HOST` or `https://HOST`; without a host, on all \
                        hosts of the route.",
        "examples": ["/v1/orders?page=2", "https://assets.example.net/logo.svg"],
    })
}

pub(super) fn fallback() -> Value {
    json!({
        "description": "What is done when the origin fails.",
        "oneOf": [single("upstream_id", reference("UpstreamId")), single("action", reference("Action"))],
    })
}

pub(super) fn tls() -> Value {
    let none = |name: &str| json!({"required": [name]});
    json!({
        "type": "object",
        "description": "How clients connect. `strict` needs `certificate_id`; `passthrough` and `off` take no other field.",
        "properties": {
            "policy": {"enum": ["strict", "flexible", "passthrough", "off"]},
            "min_version": {"enum": ["1.2", "1.3"]},
            "certificate_id": {"type": "string", "pattern": "^cert_[0-9A-Za-z]{8,64}$"},
        },
        "required": ["policy"],
        "oneOf": [
            {"properties": {"policy": {"const": "strict"}}, "required": ["certificate_id"]},
            {"properties": {"policy": {"const": "flexible"}}},
            {"properties": {"policy": {"enum": ["passthrough", "off"]}},
             "not": {"anyOf": [none("min_version"), none("certificate_id")]}},
        ],
        "additionalProperties": false,
        "examples": [{"policy": "flexible", "min_version": "1.3"}],
    })
}

pub(super) fn health_check() -> Value {
    let status = json!({"type": "integer", "minimum": 200, "maximum": 599});
    json!({
        "type": "object",
        "description": "How targets are checked. `timeout_s` is at most `interval_s`. A check of type `tcp` connects and \
                        takes none of the fields of a request.",
        "properties": {
            "type": {"enum": ["http", "tcp"], "default": "http"},
            "path": {"type": "string", "minLength": 1, "maxLength": PATTERN_BYTES_MAX, "pattern": PATH},
            "method": {"enum": ["GET", "HEAD"]},
            "host": {"type": "string", "minLength": 1, "maxLength": 253, "description": "The route's host name unless given."},
            "interval_s": {"type": "integer", "minimum": 5, "maximum": 300},
            "timeout_s": {"type": "integer", "minimum": 1, "maximum": 300},
            "healthy_threshold": {"type": "integer", "minimum": 1, "maximum": 100},
            "unhealthy_threshold": {"type": "integer", "minimum": 1, "maximum": 100},
            "expected_status": {"oneOf": [status, {"type": "array", "items": status, "minItems": 1, "maxItems": 20}]},
        },
        "oneOf": [
            {"properties": {"type": {"const": "http"}}, "required": ["path"]},
            {"properties": {"type": {"const": "tcp"}}, "required": ["type"],
             "not": {"anyOf": [{"required": ["path"]}, {"required": ["method"]}, {"required": ["host"]},
                               {"required": ["expected_status"]}]}},
        ],
        "additionalProperties": false,
        "examples": [{"path": "/healthz", "interval_s": 10}],
    })
}

pub(super) fn upstream_protocol() -> Value {
    json!({
        "type": "string", "enum": ["http1", "h2", "h2c"], "default": "http1",
        "description": "What is spoken to the targets: `h2` is HTTP/2 over TLS and needs `tls`, `h2c` HTTP/2 in clear text.",
    })
}

pub(super) fn hash_source() -> Value {
    let name = json!({"type": "string", "minLength": 1, "maxLength": HEADER_NAME_BYTES_MAX, "pattern": HEADER_NAME});
    json!({
        "description": "What of a request its target follows from, where `algorithm` is `hash`. Where the header or cookie \
                        is not there, it is the client's address.",
        "oneOf": [{"const": "client_ip"}, single("header", name.clone()), single("cookie", name)],
        "default": "client_ip",
        "examples": [{"cookie": "session"}],
    })
}

pub(super) fn upstream_tls() -> Value {
    json!({
        "type": "object",
        "description": "TLS towards the targets, whose certificates are always verified.",
        "properties": {
            "enabled": {"type": "boolean", "default": true, "description": "`false` is as good as no `tls`."},
            "server_name": {
                "type": "string", "minLength": 1, "maxLength": 253,
                "description": "The name in the certificate; the target's address unless given.",
            },
            "ca": {
                "type": "string", "maxLength": 32 * 1024,
                "pattern": "-----BEGIN CERTIFICATE-----[\\s\\S]*-----END CERTIFICATE-----",
                "description": "Authorities as PEM, trusted instead of those of the edge's operating system.",
            },
        },
        "additionalProperties": false,
        "examples": [{"server_name": "origin.example.net"}],
    })
}

pub(super) fn ejection() -> Value {
    json!({
        "type": "object",
        "description": "When an edge leaves a target out because requests fail: never more than half of the targets. \
                        Each time that follows soon is twice as long. `base_s` is at most `max_s`.",
        "properties": {
            "failures": {"type": "integer", "minimum": 0, "maximum": 1000, "description": "In a row; 0 for never. 5 unless given."},
            "base_s": {"type": "integer", "minimum": 1, "maximum": 3600, "description": "15 unless given."},
            "max_s": {"type": "integer", "minimum": 1, "maximum": 3600, "description": "300 unless given."},
        },
        "additionalProperties": false,
        "examples": [{"failures": 5, "base_s": 15, "max_s": 300}],
    })
}

pub(super) fn upstream_limits() -> Value {
    let count = |default: u32| json!({"type": "integer", "minimum": 1, "maximum": 1_000_000, "description": format!("{default} unless given.")});
    let Limits { requests, pending } = Limits::default();
    json!({
        "type": "object",
        "description": "How much one edge asks of one target at once: requests under way, and those of them that wait for a connection.",
        "properties": {"requests": count(requests), "pending": count(pending)},
        "additionalProperties": false,
        "examples": [{"requests": 8192, "pending": 1024}],
    })
}

pub(super) fn target_regions() -> Value {
    json!({
        "type": "array", "maxItems": 16, "uniqueItems": true,
        "items": {"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": "^[0-9A-Za-z_.-]+$"},
        "description": "Regions whose edges send requests to it; empty for all.",
        "examples": [["eu-central-1"]],
    })
}
