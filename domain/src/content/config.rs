//! A route's `config`, from JSON: what must be there depends on the route's mode and on the TLS
//! policy. What the edge does not use yet is checked all the same, so that nobody finds out
//! later that it never could have worked.
//!
//! | field | where | |
//! |---|---|---|
//! | `upstreams` | `balanced`, required | array of `{upstream_id, weight}` |
//! | `cache` | `cache_first`: required; `origin_first` | `ttl_s`, `stale_while_revalidate_s`, `key` |
//! | `origin_upstream_id` | `cache_first` and `origin_first`, required | |
//! | `fallback` | `origin_first`: required; elsewhere optional | `upstream_id` or `action` |
//! | `tls` | optional | `policy`, `min_version`, `certificate_id` |
//! | `health_check` | optional | as in `health_check.rs` |
//!
//! Paths in errors start with `config`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::action::{action_upstreams, upstream_id, weighted_upstreams};
use super::canonical::{JSON_DEPTH_MAX, canonical_json, json_depth};
use super::fields::{Fields, array, text};
use super::tls::{TlsConfig, tls_config};
use super::{Action, Invalid, WeightedUpstream, header_name};
use crate::id::UpstreamId;
use crate::model::{Check, Mode};

/// The longest time that may be asked of a cache: a year.
const CACHE_SECONDS_MAX: u32 = 365 * 24 * 60 * 60;

/// The most parts of a cache key.
const CACHE_KEY_PARTS_MAX: usize = 20;

const KNOWN: [&str; 6] = [
    "tls",
    "health_check",
    "fallback",
    "upstreams",
    "cache",
    "origin_upstream_id",
];

/// What a route's `config` says, as far as publishing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// Where requests go that no rule takes.
    pub default_upstreams: Vec<WeightedUpstream>,
    /// What is done when those fail.
    pub fallback: Option<Action>,
    /// How the targets of upstreams that have no check of their own are checked.
    pub health_check: Option<Check>,
    /// How clients speak to it.
    pub tls: TlsConfig,
    /// The whole object as canonical JSON.
    pub canonical: String,
}

impl RouteConfig {
    /// Every upstream that the config names.
    #[must_use]
    pub fn upstreams(&self) -> BTreeSet<&UpstreamId> {
        let default = self
            .default_upstreams
            .iter()
            .map(|upstream| &upstream.upstream_id);
        default
            .chain(self.fallback.iter().flat_map(action_upstreams))
            .collect()
    }
}

/// What an edge wants to know of a published route's `config` beside where requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// How the targets of upstreams that have no check of their own are checked.
    pub health_check: Option<Check>,
    /// What is done when all upstreams fail.
    pub fallback: Option<Action>,
}

impl Backing {
    /// Reads a published `config`, whose other fields are not looked at.
    ///
    /// # Errors
    /// When one of the two fields is not what publishing would have let pass.
    pub fn from_config(config: &Value) -> Result<Self, Invalid> {
        Self::of(&Fields::read(config, "config", &KNOWN)?)
    }

    fn of(fields: &Fields<'_>) -> Result<Self, Invalid> {
        let check = |value| Check::from_json(value, "config.health_check");
        Ok(Self {
            health_check: fields.get("health_check").map(check).transpose()?,
            fallback: fields.get("fallback").map(fallback).transpose()?,
        })
    }
}

/// Reads the `config` of a route with this mode.
///
/// # Errors
/// With the path of the first thing that is wrong, starting with `config`.
pub fn route_config(mode: Mode, config: &Value) -> Result<RouteConfig, Invalid> {
    if json_depth(config) > JSON_DEPTH_MAX {
        return Err(Invalid::new(
            "config",
            format!("Expected up to {JSON_DEPTH_MAX} levels of nesting."),
        ));
    }
    let fields = Fields::read(config, "config", &KNOWN)?;
    refuse_other_modes(mode, &fields)?;
    let default_upstreams = match mode {
        Mode::Balanced => weighted_upstreams(fields.require("upstreams")?, "config.upstreams")?,
        Mode::CacheFirst | Mode::OriginFirst => vec![WeightedUpstream::alone(origin(&fields)?)],
    };
    if mode == Mode::CacheFirst {
        fields.require("cache")?;
    }
    if mode == Mode::OriginFirst {
        fields.require("fallback")?;
    }
    fields.get("cache").map(check_cache).transpose()?;
    let tls = fields.get("tls").map(tls_config).transpose()?;
    let Backing {
        health_check,
        fallback,
    } = Backing::of(&fields)?;
    Ok(RouteConfig {
        default_upstreams,
        fallback,
        health_check,
        tls: tls.unwrap_or_default(),
        canonical: canonical_json(config),
    })
}

/// A field of another mode would be ignored in silence. A cache is none where the origin is asked
/// first: so a route can be switched between the two by its mode alone, and back.
fn refuse_other_modes(mode: Mode, fields: &Fields<'_>) -> Result<(), Invalid> {
    let others: &[&str] = match mode {
        Mode::Balanced => &["cache", "origin_upstream_id"],
        Mode::CacheFirst => &["upstreams"],
        Mode::OriginFirst => &["upstreams"],
    };
    match others.iter().find(|name| fields.has(name)) {
        Some(name) => {
            let message = format!("{name} does not go with the mode {}.", mode.as_str());
            Err(Invalid::conflict(&fields.path(name), message))
        }
        None => Ok(()),
    }
}

fn origin(fields: &Fields<'_>) -> Result<UpstreamId, Invalid> {
    upstream_id(
        fields.require("origin_upstream_id")?,
        &fields.path("origin_upstream_id"),
    )
}

fn check_cache(value: &Value) -> Result<(), Invalid> {
    let fields = Fields::read(
        value,
        "config.cache",
        &["ttl_s", "stale_while_revalidate_s", "key"],
    )?;
    fields.integer("ttl_s", 1..=CACHE_SECONDS_MAX)?;
    fields.optional_integer("stale_while_revalidate_s", 0..=CACHE_SECONDS_MAX)?;
    let Some(parts) = fields.get("key") else {
        return Ok(());
    };
    let mut seen = BTreeSet::new();
    for (path, part) in array(parts, "config.cache.key", CACHE_KEY_PARTS_MAX)? {
        let part = text(part, &path)?;
        check_cache_key_part(part, &path)?;
        if !seen.insert(part) {
            return Err(Invalid::new(&path, "This part of the key is named twice."));
        }
    }
    Ok(())
}

fn check_cache_key_part(part: &str, path: &str) -> Result<(), Invalid> {
    match part.split_once(':') {
        None if ["host", "path", "query", "method"].contains(&part) => Ok(()),
        Some(("header" | "query" | "cookie", name)) => header_name(name, path).map(|_| ()),
        _ => {
            let message =
                "Expected host, path, query, method, header:NAME, query:NAME or cookie:NAME.";
            Err(Invalid::new(path, message))
        }
    }
}

fn fallback(value: &Value) -> Result<Action, Invalid> {
    let fields = Fields::read(value, "config.fallback", &["upstream_id", "action"])?;
    match (fields.get("upstream_id"), fields.get("action")) {
        (Some(_), Some(_)) => {
            let message = "Either upstream_id or action may be given, not both.";
            Err(Invalid::conflict("config.fallback.action", message))
        }
        (None, Some(action)) => {
            Action::from_json(action).map_err(|error| error.under("config.fallback.action"))
        }
        _ => {
            let id = upstream_id(
                fields.require("upstream_id")?,
                "config.fallback.upstream_id",
            )?;
            Ok(Action::Forward {
                upstreams: vec![WeightedUpstream::alone(id)],
            })
        }
    }
}
