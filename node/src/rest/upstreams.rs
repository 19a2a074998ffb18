//! Upstreams: list, create, get, patch, delete. Targets stand inside the object.

use std::sync::Arc;

use domain::command::{Command, CreateUpstream, DeleteUpstream, DraftSeed, UpdateUpstream};
use domain::id::{TargetId, UpstreamId};
use domain::model::{Algorithm, Shift, Target, Upstream, WEIGHT_MAX};
use domain::outcome::{Applied, Outcome};
use domain::query::{self, Page};
use domain::rows::View;
use domain::time::Timestamp;
use http::StatusCode;
use serde_json::{Map, Value};

use super::Api;
use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::etag::ETag;
use super::fields::Fields;
use super::listing::Listing;
use super::object::{Deleted, UpstreamObject};
use super::page::{self, Paging};
use super::pipeline::{Call, Presence};
use super::render;

pub(crate) const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("weighted_round_robin", Algorithm::WeightedRoundRobin),
    ("least_conn", Algorithm::LeastConn),
    ("hash", Algorithm::Hash),
];

/// What an upstream is made of, and what of it can be changed.
pub(crate) const FIELDS: [&str; 9] = [
    "name",
    "algorithm",
    "targets",
    "protocol",
    "hash",
    "tls",
    "health_check",
    "ejection",
    "limits",
];

/// Those of them that the state machine reads.
pub(crate) const SETTINGS: [&str; 6] = [
    "protocol",
    "hash",
    "tls",
    "health_check",
    "ejection",
    "limits",
];

/// What a target is made of.
pub(crate) const TARGET_FIELDS: [&str; 5] = ["address", "port", "weight", "regions", "drain"];

/// What a target may have that stays.
pub(crate) const KEPT_TARGET_FIELDS: [&str; 7] = [
    "id", "object", "address", "port", "weight", "regions", "drain",
];

/// The share of a target whose weight is not given: all of them alike, with room on both sides.
const WEIGHT_DEFAULT: u32 = 100;

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let (name, targets) = (
        fields.text("name")?,
        targets(&api, &mut fields, Identity::New)?.map(|targets| targets.all),
    );
    let upstream = CreateUpstream {
        id: UpstreamId::new(api.seed()),
        name: fields.required("name", name)?,
        algorithm: fields
            .choice("algorithm", &ALGORITHMS)?
            .unwrap_or(Algorithm::WeightedRoundRobin),
        settings: settings(&mut fields),
        targets: fields.required("targets", targets)?,
    };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::CreateUpstream(actor, upstream)
        })
        .await?;
    answer(applied, StatusCode::CREATED, &caller)
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("upstream", UpstreamId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let (name, algorithm) = (
        fields.text("name")?,
        fields.choice("algorithm", &ALGORITHMS)?,
    );
    let targets = targets(&api, &mut fields, Identity::Kept)?;
    let (targets, named) = targets.map_or((None, Vec::new()), |targets| {
        (Some(targets.all), targets.named)
    });
    let upstream = UpdateUpstream {
        id,
        draft_seed: draft_seed(&api),
        name,
        algorithm,
        settings: settings(&mut fields),
        targets,
        named,
    };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::UpdateUpstream(actor, upstream)
        })
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

/// The settings that are there, as they were given.
fn settings(fields: &mut Fields) -> Option<String> {
    let given = SETTINGS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), fields.value(name)?)));
    let given: Map<_, _> = given.collect();
    (!given.is_empty()).then(|| Value::Object(given).to_string())
}

/// What the identifiers of the drafts are made of that a change of an upstream makes.
pub(crate) fn draft_seed(api: &Api) -> DraftSeed {
    let seed = api.seed();
    DraftSeed {
        unix_ms: seed.unix_ms,
        random: seed.random,
    }
}

pub(crate) async fn delete(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("upstream", UpstreamId::parse)?;
    call.object(Presence::None).await?;
    let upstream = DeleteUpstream { id };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::DeleteUpstream(actor, upstream)
        })
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("upstream", UpstreamId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            let upstream = query::upstream(view, &caller.environment_id, &id)?;
            Some(with_shift(view, upstream))
        })
        .await?;
    let (upstream, shift) = seen.value.ok_or_else(|| ApiError::not_found("upstream"))?;
    Ok(Answer::json(
        StatusCode::OK,
        &UpstreamObject::new(&upstream, shift.as_ref(), &caller.environment),
    )
    .at(seen.revision)
    .tagged(ETag::at(upstream.revision)))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let listing = Listing {
        name: "upstreams",
        filter: String::new(),
        paging,
    };
    let find = |view: &dyn View, after: Option<Position>, limit| {
        let after = after.as_ref().and_then(place);
        let Page { items, has_more } =
            query::upstreams_page(view, &caller.environment_id, after, limit);
        let items = items.into_iter().map(|upstream| with_shift(view, upstream));
        let items = items.collect();
        Ok(page::whole(Page { items, has_more }, position))
    };
    let show = |bytes: &mut Vec<u8>, (upstream, shift): &Shown| {
        let shown = UpstreamObject::new(upstream, shift.as_ref(), &caller.environment);
        render::append(bytes, &shown);
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

/// An upstream with its latest shift.
type Shown = (Upstream, Option<Shift>);

fn with_shift(view: &dyn View, upstream: Upstream) -> Shown {
    let shift = query::shift(view, &upstream.environment_id, &upstream.id);
    (upstream, shift)
}

fn position((upstream, _): &Shown) -> Position {
    Position {
        id: upstream.id.to_string(),
        key: upstream.created_at.0,
    }
}

fn place(position: &Position) -> Option<(Timestamp, UpstreamId)> {
    Some((
        Timestamp(position.key),
        UpstreamId::parse(&position.id).ok()?,
    ))
}

pub(crate) fn answer(applied: Applied, status: StatusCode, caller: &Caller) -> Answered {
    let show = |upstream: &Upstream, shift: Option<&Shift>| {
        let shown = UpstreamObject::new(upstream, shift, &caller.environment);
        Some(render::to_bytes(&shown))
    };
    answer::applied(applied, status, |outcome| match outcome {
        Outcome::Upstream(upstream) => show(upstream, None),
        Outcome::ShiftedUpstream(upstream, shift) => show(upstream, Some(shift)),
        Outcome::UpstreamDeleted { id, at } => Some(render::to_bytes(&Deleted::new(
            "upstream",
            id.as_str(),
            *at,
        ))),
        _ => None,
    })
}

/// Whether targets may name the identifier that they have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity {
    New,
    Kept,
}

/// Targets, and which of them the client named.
#[derive(Default)]
struct Targets {
    all: Vec<Target>,
    named: Vec<TargetId>,
}

/// The `targets` array. A target keeps its identity through a patch by naming its `id`; one that
/// does not is a new target.
fn targets(
    api: &Api,
    fields: &mut Fields,
    identity: Identity,
) -> Result<Option<Targets>, ApiError> {
    let Some(items) = fields.array("targets")? else {
        return Ok(None);
    };
    let path = fields.path("targets");
    let mut targets = Targets::default();
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        targets.take(api, item, &path, identity)?;
    }
    Ok(Some(targets))
}

impl Targets {
    fn take(
        &mut self,
        api: &Api,
        item: Value,
        path: &str,
        identity: Identity,
    ) -> Result<(), ApiError> {
        let known: &[&str] = match identity {
            Identity::New => &TARGET_FIELDS,
            Identity::Kept => &KEPT_TARGET_FIELDS,
        };
        let mut fields = Fields::of(item, path, known)?;
        // What a target looks like in an answer may be sent back as it is.
        fields.choice("object", &[("target", ())])?;
        let id = fields.id("id", "target", TargetId::parse)?;
        self.named.extend(id.clone());
        let id = id.unwrap_or_else(|| TargetId::new(api.seed()));
        let target = TargetFields::take(&mut fields)?.new_target(id, &fields)?;
        self.all.push(target);
        Ok(())
    }
}

/// The fields that a target is made of.
pub(crate) struct TargetFields {
    pub(crate) address: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) weight: Option<u32>,
    pub(crate) regions: Option<Vec<String>>,
    pub(crate) drain: Option<bool>,
}

impl TargetFields {
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let (address, port) = (
            address(fields)?,
            fields.integer("port", 1, u16::MAX.into())?,
        );
        let weight = fields.integer("weight", 0, WEIGHT_MAX.into())?;
        Ok(Self {
            address,
            port: port.map(|port| u16::try_from(port).unwrap_or(u16::MAX)),
            weight: weight.map(|weight| u32::try_from(weight).unwrap_or(WEIGHT_MAX)),
            regions: regions(fields)?,
            drain: fields.boolean("drain")?,
        })
    }

    /// A new target; `fields` is where these come from.
    pub(crate) fn new_target(self, id: TargetId, fields: &Fields) -> Result<Target, ApiError> {
        Ok(Target {
            id,
            address: fields.required("address", self.address)?,
            port: fields.required("port", self.port)?,
            weight: self.weight.unwrap_or(WEIGHT_DEFAULT),
            regions: self.regions.unwrap_or_default(),
            drain: self.drain.unwrap_or_default(),
        })
    }
}

/// Names of regions; what a name may be, the state machine says.
fn regions(fields: &mut Fields) -> Result<Option<Vec<String>>, ApiError> {
    let Some(items) = fields.array("regions")? else {
        return Ok(None);
    };
    let path = fields.path("regions");
    let name = |item: Value| match item {
        Value::String(name) => Ok(name),
        _ => Err(ApiError::invalid(
            path.clone(),
            "Must be an array of strings.",
        )),
    };
    items
        .into_iter()
        .map(name)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// A host name or an IP address, without a port and without brackets.
fn address(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let Some(text) = fields.text("address")? else {
        return Ok(None);
    };
    let is_name = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        });
    if is_name || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(Some(text));
    }
    let message = "Must be a host name or an IP address, without scheme, port or brackets.";
    Err(ApiError::invalid(fields.path("address"), message))
}
