//! Limits on what may be configured. The rim checks most of them earlier, with more comfort; here
//! they hold whoever proposed the command.

use std::collections::BTreeSet;

use super::content::upstream_content;
use crate::content::target_regions;
use crate::model::{
    Metadata, PRIORITY_MAX, PURGED_BYTES_MAX, PURGED_URLS_MAX, Priority, PurgedUrl, Rule, Target,
    Upstream, WEIGHT_MAX, purged_bytes,
};
use crate::rejection::Rejection;
use crate::tree::ITEM_BYTES_MAX;

/// The longest name of anything, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// The longest name of an environment.
pub const ENVIRONMENT_NAME_CHARS_MAX: usize = 40;

/// The longest name of an edge or its region, as certificates and the protocol carry them.
pub const EDGE_NAME_BYTES_MAX: usize = 64;

/// The most labels on a rule.
pub const METADATA_KEYS_MAX: usize = 50;

/// The longest label name, in characters.
pub const METADATA_KEY_CHARS_MAX: usize = 40;

/// The longest label value, in characters.
pub const METADATA_VALUE_CHARS_MAX: usize = 500;

/// The longest `match` object, as compact JSON.
pub(crate) const CRITERIA_BYTES_MAX: usize = 64 * 1024;

/// The longest `action` object: a body of 64 KiB escaped, and the fields around it.
pub(crate) const ACTION_BYTES_MAX: usize = 160 * 1024;

/// The longest `config` object.
pub(crate) const CONFIG_BYTES_MAX: usize = 64 * 1024;

/// The most targets of an upstream: its content stays one item of a snapshot's tree.
pub const TARGETS_MAX: usize = 256;

/// The most bytes of an upstream in a snapshot, with room for its key in the item.
const UPSTREAM_BYTES_MAX: usize = ITEM_BYTES_MAX - 2 * 1024;

/// The longest comment on a snapshot, in characters.
pub const COMMENT_CHARS_MAX: usize = 1000;

/// The most rules of a route that are not archived: what an edge compiles in bounded time, and
/// less than there are priorities, so that one is always free.
pub const RULES_PER_ROUTE_MAX: u64 = 200_000;

/// The most operations in one batch: the log entry is applied in one piece, while others wait.
pub const BATCH_MAX: usize = 100;

/// The most rules that are reordered at once: each is read and written anew in one log entry.
pub const REORDERED_MAX: usize = 500;

/// How much the rules of one answer may hold in objects and labels: answers are stored with their
/// idempotency keys, and what a page of a list may have is enough for them.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

fn invalid(param: &str, message: String) -> Rejection {
    Rejection::InvalidParameter {
        param: param.to_owned(),
        message,
    }
}

fn too_large(param: &str, message: String) -> Rejection {
    Rejection::LimitExceeded {
        param: param.to_owned(),
        message,
    }
}

/// A label for people: not empty, not endless, no control characters.
pub(super) fn name(param: &str, text: &str) -> Result<(), Rejection> {
    let length = text.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) {
        return Err(invalid(
            param,
            format!("A name has 1 to {NAME_CHARS_MAX} characters."),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(
            param,
            "A name has no control characters.".to_owned(),
        ));
    }
    Ok(())
}

/// An environment's name, which is written in headers and shown with every object.
pub(super) fn environment_name(param: &str, text: &str) -> Result<(), Rejection> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let dashed = |byte: u8| plain(byte) || matches!(byte, b'-' | b'_');
    let fits = (1..=ENVIRONMENT_NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(dashed);
    if fits {
        return Ok(());
    }
    let message = format!(
        "An environment's name has 1 to {ENVIRONMENT_NAME_CHARS_MAX} lower-case letters, digits, - and _."
    );
    Err(invalid(param, message))
}

/// The name of an edge or its region, which stands in certificates and metrics.
pub(super) fn edge_name(param: &str, text: &str) -> Result<(), Rejection> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=EDGE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    let message = format!("It has 1 to {EDGE_NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`.");
    Err(invalid(param, message))
}

/// A comment on a snapshot.
pub(super) fn comment(text: Option<&str>) -> Result<(), Rejection> {
    if text.is_some_and(|text| text.chars().count() > COMMENT_CHARS_MAX) {
        return Err(invalid(
            "comment",
            format!("A comment has up to {COMMENT_CHARS_MAX} characters."),
        ));
    }
    Ok(())
}

/// A rule's place.
pub(super) fn priority(priority: Priority) -> Result<(), Rejection> {
    if priority.0 > PRIORITY_MAX {
        return Err(invalid(
            "priority",
            format!("A priority is an integer from 0 to {PRIORITY_MAX}."),
        ));
    }
    Ok(())
}

/// A rule's labels.
pub(super) fn metadata(metadata: &Metadata) -> Result<(), Rejection> {
    if metadata.len() > METADATA_KEYS_MAX {
        return Err(invalid(
            "metadata",
            format!("There may be {METADATA_KEYS_MAX} metadata keys."),
        ));
    }
    for (key, value) in metadata {
        if !(1..=METADATA_KEY_CHARS_MAX).contains(&key.chars().count()) {
            return Err(invalid(
                "metadata",
                format!("A metadata key has 1 to {METADATA_KEY_CHARS_MAX} characters."),
            ));
        }
        if value.chars().count() > METADATA_VALUE_CHARS_MAX {
            let message =
                format!("A metadata value has up to {METADATA_VALUE_CHARS_MAX} characters.");
            return Err(invalid("metadata", message));
        }
    }
    Ok(())
}

/// How many items a list in a command has.
pub(super) fn count(param: &str, count: usize, max: usize) -> Result<(), Rejection> {
    if (1..=max).contains(&count) {
        return Ok(());
    }
    Err(invalid(param, format!("There must be 1 to {max} of them.")))
}

/// The URLs of a purge.
pub(super) fn purged_urls(urls: &[PurgedUrl]) -> Result<(), Rejection> {
    count("urls", urls.len(), PURGED_URLS_MAX)?;
    if purged_bytes(urls) > PURGED_BYTES_MAX {
        return Err(too_large(
            "urls",
            format!("The URLs of one purge may have {PURGED_BYTES_MAX} bytes."),
        ));
    }
    match urls.iter().position(|url| !url.target.starts_with('/')) {
        Some(at) => Err(invalid(
            &format!("urls[{at}]"),
            "Expected a URL with a path.".to_owned(),
        )),
        None => Ok(()),
    }
}

/// How large an answer with several rules gets.
#[derive(Default)]
pub(super) struct AnswerSize(usize);

impl AnswerSize {
    /// One rule more; `param` asked for it.
    pub(super) fn add(&mut self, param: &str, rule: &Rule) -> Result<(), Rejection> {
        let labels = rule.metadata.iter();
        let labels: usize = labels.map(|(key, value)| key.len() + value.len()).sum();
        self.0 += rule.criteria.len() + rule.action.len() + labels;
        if self.0 > ANSWER_BYTES_MAX {
            return Err(too_large(
                param,
                format!("These rules have more than {ANSWER_BYTES_MAX} bytes; take fewer."),
            ));
        }
        Ok(())
    }
}

/// The size of a JSON object.
pub(super) fn json_size(param: &str, text: &str, bytes_max: usize) -> Result<(), Rejection> {
    if text.len() > bytes_max {
        return Err(too_large(
            param,
            format!("This object may have {bytes_max} bytes."),
        ));
    }
    Ok(())
}

/// The form of a hostname that [`crate::content::hostname`] gives.
pub(super) fn hostname(text: &str) -> Result<(), Rejection> {
    match crate::content::hostname(text) {
        Ok(normalised) if normalised == text => Ok(()),
        Ok(_) => Err(invalid(
            "hostname",
            "The hostname is not in its normal form.".to_owned(),
        )),
        Err(error) => Err(invalid("hostname", error.message)),
    }
}

/// An upstream's targets.
pub(super) fn targets(targets: &[Target]) -> Result<(), Rejection> {
    target_count(targets)?;
    let mut seen = BTreeSet::new();
    for (at, target) in targets.iter().enumerate() {
        let place = format!("targets[{at}].");
        self::target(&place, target)?;
        if !seen.insert(&target.id) {
            return Err(invalid(
                &format!("{place}id"),
                "Two targets have the same identifier.".to_owned(),
            ));
        }
    }
    Ok(())
}

/// How many targets an upstream has.
pub(super) fn target_count(targets: &[Target]) -> Result<(), Rejection> {
    if targets.len() > TARGETS_MAX {
        return Err(too_large(
            "targets",
            format!("An upstream may have {TARGETS_MAX} targets."),
        ));
    }
    Ok(())
}

/// One target; `place` is what its fields are named under.
pub(super) fn target(place: &str, target: &Target) -> Result<(), Rejection> {
    let wrong = |field: &str, message: String| Err(invalid(&format!("{place}{field}"), message));
    if !(1..=253).contains(&target.address.len())
        || target.address.chars().any(|c| c.is_control() || c == ' ')
    {
        let message = "An address has 1 to 253 characters and no blanks.";
        return wrong("address", message.to_owned());
    }
    if target.port == 0 {
        let message = "A port is an integer from 1 to 65535.";
        return wrong("port", message.to_owned());
    }
    if target.weight > WEIGHT_MAX {
        let message = format!("A weight is an integer from 0 to {WEIGHT_MAX}.");
        return wrong("weight", message);
    }
    target_regions(&target.regions).or_else(|message| wrong("regions", message))
}

/// What an edge keeps of an upstream is one item of a snapshot's tree.
pub(super) fn upstream_size(upstream: &Upstream) -> Result<(), Rejection> {
    let bytes = upstream_content(upstream).encode().len();
    if bytes > UPSTREAM_BYTES_MAX {
        let message = format!("An upstream and its targets have up to {UPSTREAM_BYTES_MAX} bytes.");
        return Err(invalid("targets", message));
    }
    Ok(())
}
