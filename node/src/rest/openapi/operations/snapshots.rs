//! Publishing, snapshots and manifests.

use http::StatusCode;
use serde_json::json;

use super::super::super::acks::AckObject;
use super::super::super::comparison::ComparisonObject;
use super::super::super::error::Code;
use super::super::super::manifests::{CurrentManifest, MemberObject};
use super::super::super::object::SnapshotObject;
use super::super::super::operation::*;
use super::super::super::propagation::Propagation;
use super::super::super::snapshot_signature::SignatureObject;
use super::super::described::{
    Content, Described, Paging, Parameter, by, get, post, query, text, under,
};
use super::super::request::release::{Publish, Rollback};
use super::super::schemas::Typed;

const ID: &str = "$response.body#/id";

/// What a publication may be refused with.
const REFUSED: [Code; 7] = [
    Code::ResourceArchived,
    Code::RouteDisabled,
    Code::ValidationFailed,
    Code::SnapshotNotPublishable,
    Code::HostnameConflict,
    Code::PriorityConflict,
    Code::LimitExceeded,
];

pub(super) fn rows() -> Vec<Described> {
    let mut rows = under("Publishing", publishing());
    rows.extend(under("Snapshots", snapshots()));
    rows.extend(under(
        "Manifests",
        vec![
            get(MANIFESTS_CURRENT, "Get the current manifest")
                .about("`limit` and `cursor` are for its list of routes.")
                .gives::<CurrentManifest<'_>>()
                .paged(Paging::Usual),
        ],
    ));
    rows
}

fn publishing() -> Vec<Described> {
    vec![
        post(ROUTES_PUBLISH, "Publish a route")
            .about("Freezes the draft into a snapshot and makes it the active one. Where nothing differs, the answer is the active snapshot with `unchanged`.")
            .may_take::<Publish>()
            .gives::<SnapshotObject<'_>>()
            .tagged()
            .refused(&REFUSED)
            .leads("/v2/snapshots/{id}", ID),
        post(ROUTES_ROLLBACK, "Roll a route back")
            .about("Makes an earlier snapshot's content the active one, as a new snapshot.")
            .may_take::<Rollback>()
            .gives::<SnapshotObject<'_>>()
            .tagged()
            .refused(&REFUSED)
            .leads("/v2/snapshots/{id}", ID),
    ]
}

fn filters_of_snapshots() -> [Parameter; 4] {
    let version = || json!({"type": "integer", "minimum": 1});
    [
        by("state", "SnapshotState", "Only in this state. A scan."),
        by("created_by", "ApiKeyId", "Only made by this key. A scan."),
        query(
            "min_version",
            version(),
            "Only from this version on. A scan.",
        ),
        query("max_version", version(), "Only up to this version. A scan."),
    ]
}

fn snapshots() -> Vec<Described> {
    let of_route = || by("route_id", "RouteId", "Only of this route.");
    let first = "$response.body#/data/0/id";
    vec![
        get(SNAPSHOTS_LIST, "List snapshots")
            .about("The newest first.")
            .lists::<SnapshotObject<'_>>()
            .with([of_route()])
            .with(filters_of_snapshots())
            .leads("/v2/snapshots/{id}", first),
        get(ROUTES_SNAPSHOTS, "List a route's snapshots")
            .about("The newest first.")
            .lists::<SnapshotObject<'_>>()
            .with(filters_of_snapshots())
            .leads("/v2/snapshots/{id}", first),
        get(SNAPSHOTS_GET, "Get a snapshot")
            .gives::<SnapshotObject<'_>>()
            .tagged()
            .with([query(
                "include",
                json!({"enum": ["content"]}),
                "Adds the settings, rules and upstreams, normalised; up to 16 MiB.",
            )])
            .refused(&[Code::ResponseTooLarge]),
        get(SNAPSHOTS_DIFF, "Compare two snapshots")
            .about("Either side may be the word `draft` or `active`; two words need `route_id`.")
            .answers(
                StatusCode::OK,
                [
                    Content::Object(Typed::of::<ComparisonObject<'_>>()),
                    Content::Other("text/plain; charset=utf-8", json!({"type": "string"}), None),
                ],
            )
            .with([
                query(
                    "format",
                    json!({"enum": ["json", "text"], "default": "json"}),
                    "For programs, or for people.",
                ),
                by(
                    "route_id",
                    "RouteId",
                    "The route, where neither side is a snapshot.",
                ),
            ])
            .refused(&[
                Code::ValidationFailed,
                Code::ParameterMissing,
                Code::ResponseTooLarge,
            ]),
        get(SNAPSHOTS_SIGNATURE, "Get a snapshot's signature")
            .about("What the cluster states of it, signed with its signing key. `vectorgate-edge verify` takes the answer as a file.")
            .gives::<SignatureObject<'_>>(),
        get(SNAPSHOTS_PROPAGATION, "See how far a snapshot has come")
            .about(
                "Which edges serve by it, which refused it and why, and which have not got there.",
            )
            .gives::<Propagation<'_>>(),
        get(SNAPSHOTS_ACKS, "See it edge by edge")
            .about("By the edge's identifier.")
            .answers(
                StatusCode::OK,
                [Content::FleetList(Typed::of::<AckObject<'_>>())],
            )
            .paged(Paging::Usual)
            .with([
                text("region", "Only edges in this region."),
                by("state", "AckState", "Only edges in this state."),
            ]),
    ]
}

/// Types that are referred to by name alone.
pub(in super::super) fn also() -> Typed {
    Typed::of::<MemberObject<'_>>()
}
