//! Comparing two states of a route: snapshots by identifier, the `active` one, or the `draft`.

use std::cell::Cell;
use std::collections::BTreeMap;

use domain::content::diff::{SnapshotDiff, diff_snapshots};
use domain::id::{EnvironmentId, RouteId, SnapshotId};
use domain::query::{self, ViewChunks};
use domain::rows::View;
use domain::tree::{ChunkSource, Hash, Layered};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::{ApiError, Code};
use super::object::{CONTENT_BYTES_MAX, broken};
use super::openapi::shape;
use super::openapi::snapshot::SnapshotChanges;

/// Chunks that were made and not stored.
type Chunks = BTreeMap<Hash, Vec<u8>>;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The route's current draft.
    Draft,
    /// The route's active snapshot; an empty state where nothing was published.
    Active,
    /// This snapshot.
    Snapshot(SnapshotId),
}

impl Side {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "draft" => Ok(Self::Draft),
            "active" => Ok(Self::Active),
            _ => SnapshotId::parse(text)
                .map(Self::Snapshot)
                .map_err(|_| ApiError::not_found("snapshot")),
        }
    }
}

/// What one side turned out to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComparedSide)]
struct Described {
    #[schema(value_type = Option<shape::SnapshotId>)]
    snapshot_id: Option<String>,
    version: Option<u64>,
    #[schema(value_type = shape::ComparedState)]
    state: &'static str,
    #[serde(skip)]
    head: Option<Hash>,
}

/// Two states of a route and what differs.
#[derive(Debug)]
pub(crate) struct Comparison {
    route_id: RouteId,
    from: Described,
    to: Described,
    diff: SnapshotDiff,
}

impl Comparison {
    /// Compares on one consistent view. A snapshot tells its route; two words need `route_id`.
    pub(crate) fn of(
        view: &dyn View,
        environment: &EnvironmentId,
        sides: &[Side; 2],
        route_id: Option<RouteId>,
    ) -> Result<Self, ApiError> {
        let route_id = route_of(view, environment, sides, route_id)?;
        let draft = if sides.contains(&Side::Draft) {
            draft(view, environment, &route_id)?
        } else {
            Default::default()
        };
        let (draft, made) = draft;
        let describe = |side: &Side| describe(view, environment, &route_id, side, draft);
        let (from, to) = (describe(&sides[0])?, describe(&sides[1])?);
        let source = Metered::new(Layered(made, ViewChunks(view)));
        let diff = diff_snapshots(&source, from.head, to.head).map_err(|error| {
            if source.is_used_up() {
                too_large()
            } else {
                broken(error)
            }
        })?;
        Ok(Self {
            route_id,
            from,
            to,
            diff,
        })
    }

    pub(crate) fn to_json(&self) -> ComparisonObject<'_> {
        ComparisonObject {
            object: "snapshot_diff",
            route_id: self.route_id.as_str(),
            from: &self.from,
            to: &self.to,
            diff: self.diff.to_json(),
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let name = |side: &Described| {
            side.snapshot_id
                .clone()
                .unwrap_or_else(|| "nothing".to_owned())
        };
        let (from, to) = (name(&self.from), name(&self.to));
        format!(
            "{} {from} ({}) -> {to} ({})\n{}",
            self.route_id,
            self.from.state,
            self.to.state,
            self.diff.to_text()
        )
    }
}

/// A source that gives out so many bytes and no more: only chunks that differ are opened, so it bounds
/// what a diff takes and holds.
struct Metered<S> {
    source: S,
    /// Below zero when more was asked for than there is.
    left: Cell<i64>,
}

impl<S> Metered<S> {
    fn new(source: S) -> Self {
        let left = i64::try_from(CONTENT_BYTES_MAX).unwrap_or(i64::MAX);
        Self {
            source,
            left: Cell::new(left),
        }
    }

    fn is_used_up(&self) -> bool {
        self.left.get() < 0
    }
}

impl<S: ChunkSource> ChunkSource for Metered<S> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        let bytes = self.source.chunk(hash)?;
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.left.set(self.left.get().saturating_sub(length));
        Some(bytes).filter(|_| !self.is_used_up())
    }
}

fn too_large() -> ApiError {
    let message = format!(
        "What differs is longer than {CONTENT_BYTES_MAX} bytes; compare snapshots that are closer to each other."
    );
    ApiError::new(Code::ResponseTooLarge, message)
}

/// A comparison as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SnapshotDiff)]
pub(crate) struct ComparisonObject<'a> {
    object: &'static str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    from: &'a Described,
    to: &'a Described,
    /// `identical`, `route`, `rules` and `upstreams`.
    #[serde(flatten)]
    #[schema(value_type = SnapshotChanges)]
    diff: Value,
}

/// The head that the draft would have, and the chunks of it that are not stored.
fn draft(
    view: &dyn View,
    environment: &EnvironmentId,
    route_id: &RouteId,
) -> Result<(Option<Hash>, Chunks), ApiError> {
    let (head, made) = query::draft_head(view, environment, route_id);
    if head == Hash::EMPTY_TREE {
        let message = "The draft cannot be put together; publishing it says what is wrong.";
        return Err(ApiError::new(Code::ValidationFailed, message));
    }
    Ok((Some(head), made))
}

/// The one route that both sides are of.
fn route_of(
    view: &dyn View,
    environment: &EnvironmentId,
    sides: &[Side; 2],
    named: Option<RouteId>,
) -> Result<RouteId, ApiError> {
    let mut route_id = named;
    for side in sides {
        let Side::Snapshot(id) = side else { continue };
        let snapshot = query::snapshot(view, environment, id)
            .ok_or_else(|| ApiError::not_found("snapshot"))?;
        if route_id
            .as_ref()
            .is_some_and(|known| *known != snapshot.route_id)
        {
            return Err(ApiError::invalid(
                "id",
                "The snapshots are of different routes.",
            ));
        }
        route_id = Some(snapshot.route_id);
    }
    let route_id = route_id.ok_or_else(|| ApiError::missing("route_id"))?;
    match query::route(view, environment, &route_id) {
        Some(_) => Ok(route_id),
        None => Err(ApiError::not_found("route").at("route_id")),
    }
}

fn describe(
    view: &dyn View,
    environment: &EnvironmentId,
    route_id: &RouteId,
    side: &Side,
    draft: Option<Hash>,
) -> Result<Described, ApiError> {
    let missing = || ApiError::not_found("snapshot");
    let (route, current) = query::route(view, environment, route_id).ok_or_else(missing)?;
    let id = match (side, route.published) {
        (Side::Draft, _) => {
            let snapshot_id = Some(current.snapshot_id.to_string());
            return Ok(Described {
                snapshot_id,
                version: Some(current.next_version.0),
                state: "draft",
                head: draft,
            });
        }
        (Side::Active, None) => {
            return Ok(Described {
                snapshot_id: None,
                version: None,
                state: "unpublished",
                head: None,
            });
        }
        (Side::Active, Some(published)) => published.snapshot_id,
        (Side::Snapshot(id), _) => id.clone(),
    };
    let snapshot = query::snapshot(view, environment, &id).ok_or_else(missing)?;
    Ok(Described {
        snapshot_id: Some(snapshot.id.to_string()),
        version: Some(snapshot.version.0),
        state: snapshot.state.as_str(),
        head: Some(snapshot.head),
    })
}
