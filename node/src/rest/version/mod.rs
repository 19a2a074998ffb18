//! Which release of the API a request is pinned to, by `VectorGate-Version` or else by its caller's
//! workspace, and what an older pin changes. The operations know only the newest release: each dated change says in a module of
//! its own what a request of before it could not say, and how a response looked before it.
//! Responses pass through the changes after the pin, newest first.
//!
//! | release | what came | for older pins |
//! |---|---|---|
//! | v2.2, 2025-03-05 | rule metadata | [`rule_metadata`] |
//! | | mode `cache_first` | [`cache_first`] |
//! | | event `route.rollback` | nothing: events are chosen by name |
//! | v2.3, 2025-08-20 | weighted upstreams | [`weighted_forward`] |
//! | | restricted keys, five attempts | nothing: neither is part of a response |
//! | v2.4, 2026-01-14 | snapshot diffs | nothing: a path of its own, which nobody meets unasked |
//! | | event `upstream.recovered` | nothing: events are chosen by name |
//! | | `X-RateLimit-*` | nothing: what the headers were called before is not known |
//!
//! Lists and single objects are shown by version. Snapshots and diffs of them are not: they show
//! a normalised form that edges run by, and its hash has to fit it. Events are shown to a webhook
//! endpoint as its own pin shows them; no change so far touches them.

mod cache_first;
mod date;
mod rule_metadata;
pub(crate) mod sunset;
mod weighted_forward;

use bytes::Bytes;
use domain::model::ApiVersion;
use domain::time::Timestamp;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::answer::{Answer, JSON};
use super::error::{ApiError, Code};
use super::etag::ETag;
use super::fields::Fields;
use super::operation::{Operation, RULES_BATCH, RULES_CREATE, RULES_UPDATE};
use super::render;
use date::Date;

pub(crate) const HEADER: &str = "vectorgate-version";

/// A release of the API, by date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Release {
    /// v2 as it was before the first change with a date. Its name is the date that the API
    /// document pins as its example; every earlier date means the same.
    Baseline,
    /// v2.2.
    March2025,
    /// v2.3.
    August2025,
    /// v2.4.
    #[default]
    January2026,
}

impl Release {
    /// The newest one, which a request without a pin gets.
    pub(crate) const NEWEST: Self = Self::January2026;

    const NEWEST_FIRST: [Self; 4] = [
        Self::January2026,
        Self::August2025,
        Self::March2025,
        Self::Baseline,
    ];

    /// The date that names it.
    pub(crate) fn date(self) -> &'static str {
        match self {
            Self::Baseline => "2024-09-15",
            Self::March2025 => "2025-03-05",
            Self::August2025 => "2025-08-20",
            Self::January2026 => "2026-01-14",
        }
    }

    /// The release that a pin means. A node of before that release shows the newest it knows.
    pub(crate) fn of(pin: &ApiVersion) -> Self {
        Date::parse(&pin.0).map_or(Self::NEWEST, Self::on)
    }

    /// A pin to it.
    pub(crate) fn pin(self) -> ApiVersion {
        ApiVersion(self.date().to_owned())
    }

    /// The release that this date names.
    pub(crate) fn named(date: &str) -> Option<Self> {
        let mut releases = Self::NEWEST_FIRST.into_iter();
        releases.find(|release| release.date() == date)
    }

    /// The tag of what it shows: the plain one only where nothing is shown otherwise.
    pub(crate) fn tag(self, plain: ETag) -> ETag {
        if self == Self::NEWEST {
            return plain;
        }
        plain.with(self.date())
    }

    /// The newest release that there was on a day.
    fn on(day: Date) -> Self {
        let was_out = |release: &Self| Date::parse(release.date()).is_some_and(|date| date <= day);
        Self::NEWEST_FIRST
            .into_iter()
            .find(was_out)
            .unwrap_or(Self::Baseline)
    }
}

/// A pin to the newest release, which a new workspace has.
pub(crate) fn newest() -> ApiVersion {
    Release::NEWEST.pin()
}

/// What is sent to somebody with this pin: a rendered object as the release shows it, and the
/// header that names the release. What cannot be shown so goes as it is: a receiver that waits for
/// news is better off with it than without.
pub(crate) fn sent(pin: &ApiVersion, body: Bytes) -> (Bytes, (HeaderName, HeaderValue)) {
    let release = Release::of(pin);
    let date = HeaderValue::from_static(release.date());
    let header = (HeaderName::from_static(HEADER), date);
    (show_json(release, body.clone()).unwrap_or(body), header)
}

/// The release that a request asks for, if it does.
pub(crate) fn asked(headers: &HeaderMap, now: Timestamp) -> Result<Option<Release>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let release = named(text.unwrap_or_default(), now);
    release
        .map(Some)
        .map_err(|error| error.at("VectorGate-Version"))
}

/// Takes `api_version` of a body: what a workspace or an endpoint is to be pinned to.
pub(crate) fn take(fields: &mut Fields, now: Timestamp) -> Result<Option<ApiVersion>, ApiError> {
    let Some(date) = fields.text("api_version")? else {
        return Ok(None);
    };
    let release = named(&date, now).map_err(|error| error.at("api_version"))?;
    Ok(Some(release.pin()))
}

/// The release that a date means. One after today cannot be honoured, because a release may still
/// come before it; the newest release's own date can, whatever this node's clock says.
fn named(date: &str, now: Timestamp) -> Result<Release, ApiError> {
    let invalid = |message| ApiError::new(Code::InvalidApiVersion, message);
    let Some(day) = Date::parse(date) else {
        return Err(invalid("Must be one date of the form YYYY-MM-DD."));
    };
    let release = Release::on(day);
    let known = release != Release::NEWEST || Date::parse(release.date()) == Some(day);
    if !known && day > Date::of(now) {
        return Err(invalid("The date must not be in the future."));
    }
    Ok(release)
}

/// A change of the API, as those meet it who pinned a release before it.
struct Change {
    /// The first release that has it.
    since: Release,
    /// Refuses what a request could not say before.
    request: fn(Operation, &Map<String, Value>) -> Result<(), ApiError>,
    /// Shows an object as it was shown before.
    response: fn(&mut Map<String, Value>),
}

/// All of them, newest first.
const CHANGES: [Change; 3] = [
    weighted_forward::CHANGE,
    cache_first::CHANGE,
    rule_metadata::CHANGE,
];

fn changes_after(pin: Release) -> impl Iterator<Item = &'static Change> {
    CHANGES.iter().filter(move |change| change.since > pin)
}

/// Refuses a body that names what its release does not have.
pub(crate) fn check_request(
    pin: Release,
    operation: Operation,
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    changes_after(pin).try_for_each(|change| (change.request)(operation, body))
}

/// The rules that a body makes or changes, and what their places in it begin with.
fn rules_in(operation: Operation, body: &Map<String, Value>) -> Vec<(String, &Map<String, Value>)> {
    if operation == RULES_CREATE || operation == RULES_UPDATE {
        return vec![(String::new(), body)];
    }
    if operation != RULES_BATCH {
        return Vec::new();
    }
    let operations = body.get("operations").and_then(Value::as_array);
    let operations = operations.into_iter().flatten().enumerate();
    operations
        .filter_map(|(index, item)| Some((format!("operations[{index}]."), item.as_object()?)))
        .collect()
}

/// Shows an answer as the release of the request shows it.
pub(crate) fn show(pin: Release, answer: Answer) -> Result<Answer, ApiError> {
    if pin == Release::NEWEST || answer.content_type != JSON {
        return Ok(answer);
    }
    Ok(Answer {
        body: show_json(pin, answer.body)?,
        etag: answer.etag.map(|etag| pin.tag(etag)),
        ..answer
    })
}

/// Shows a rendered object or list as a release shows it.
fn show_json(pin: Release, body: Bytes) -> Result<Bytes, ApiError> {
    if pin == Release::NEWEST {
        return Ok(body);
    }
    let mut value = serde_json::from_slice(&body).map_err(|error| {
        tracing::error!(%error, "an answer of our own cannot be read");
        ApiError::internal()
    })?;
    show_value(pin, &mut value);
    Ok(render::to_bytes(&value).into())
}

/// What clients gave us stands inside objects and may look like one, so nothing below an object
/// or the items of a list is taken for one.
fn show_value(pin: Release, value: &mut Value) {
    let Value::Object(object) = value else {
        return;
    };
    if object.get("object").and_then(Value::as_str) != Some("list") {
        changes_after(pin).for_each(|change| (change.response)(object));
        return;
    }
    if let Some(Value::Array(items)) = object.get_mut("data") {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            changes_after(pin).for_each(|change| (change.response)(item));
        }
    }
}

/// Whether an object is of a kind.
fn is_a(object: &Map<String, Value>, kind: &str) -> bool {
    object.get("object").and_then(Value::as_str) == Some(kind)
}

/// A change that objects do not show.
fn shown_alike(_: &mut Map<String, Value>) {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    /// 2026-11-25.
    const NOW: Timestamp = Timestamp(1_795_600_000_000);

    fn pinned(values: &[&str]) -> Result<Option<Release>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_str(value).unwrap());
        }
        asked(&headers, NOW).map_err(|error| error.code)
    }

    #[test]
    fn a_date_means_the_newest_release_that_was_out() {
        for (date, release) in [
            ("1970-01-01", Release::Baseline),
            ("2024-09-15", Release::Baseline),
            ("2025-03-04", Release::Baseline),
            ("2025-03-05", Release::March2025),
            ("2025-08-19", Release::March2025),
            ("2025-08-20", Release::August2025),
            ("2026-01-13", Release::August2025),
            ("2026-01-14", Release::January2026),
            ("2026-11-25", Release::January2026),
        ] {
            assert_eq!(pinned(&[date]), Ok(Some(release)), "{date}");
        }
        assert_eq!(pinned(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_date_or_has_not_come_yet_is_refused() {
        for bad in [
            &["2026-11-26"][..],
            &["9999-12-31"],
            &["2.4"],
            &[""],
            &["latest"],
            &["2025-03-05", "2025-03-05"],
        ] {
            assert_eq!(pinned(bad), Err(Code::InvalidApiVersion), "{bad:?}");
        }
    }

    #[test]
    fn a_slow_clock_does_not_take_the_newest_release_for_the_future() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("2026-01-14"));
        assert_eq!(asked(&headers, Timestamp(0)), Ok(Some(Release::NEWEST)));
        headers.insert(HEADER, HeaderValue::from_static("2026-01-15"));
        assert!(asked(&headers, Timestamp(0)).is_err());
    }

    #[test]
    fn a_pin_means_its_release_and_one_of_a_newer_node_the_newest_known() {
        for release in Release::NEWEST_FIRST {
            assert_eq!(Release::of(&release.pin()), release);
        }
        let pin = ApiVersion("2030-01-01".to_owned());
        assert_eq!(Release::of(&pin), Release::NEWEST);
    }

    #[test]
    fn what_cannot_be_read_is_not_shown_as_another_release_has_it() {
        let answer = || Answer::bytes(http::StatusCode::OK, JSON, "{");
        let shown = show(Release::Baseline, answer());
        assert_eq!(shown.unwrap_err().code, Code::InternalError);
        assert_eq!(show(Release::NEWEST, answer()).unwrap().body, "{");
    }

    #[test]
    fn text_of_the_client_s_that_looks_like_an_object_is_left_alone() {
        let config = json!({"object": "rule", "metadata": {}});
        let mut route = json!({"object": "route", "config": config});
        show_value(Release::Baseline, &mut route);
        assert_eq!(route["config"], config);
    }
}
