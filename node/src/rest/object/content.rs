//! The content of a snapshot, read back from its chunks: settings, rules and upstreams in the
//! normalised form that edges compile.

use domain::content::{load_head, load_rules, load_upstreams};
use domain::model::Snapshot;
use domain::query::ViewChunks;
use domain::rows::View;
use domain::tree::TreeError;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::error::{ApiError, Code};
use super::super::render;

/// The longest content that is shown or compared for one answer: 10 000 rules of usual size fit several times,
/// and a handful of such requests at once do not press on the node's memory.
pub(crate) const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The content of `snapshot` as JSON.
pub(crate) fn snapshot_content(
    view: &dyn View,
    snapshot: &Snapshot,
) -> Result<Box<RawValue>, ApiError> {
    let source = ViewChunks(view);
    let head = load_head(&source, snapshot.head).map_err(broken)?;
    let mut text = b"{\"route\":".to_vec();
    render::append(&mut text, &head.to_json());
    let rules = load_rules(&source, head.rules).map(|rule| rule.map(|rule| rule.to_json()));
    append_all(&mut text, b",\"rules\":[", rules)?;
    let upstreams = load_upstreams(&source, head.upstreams)
        .map(|upstream| upstream.map(|upstream| upstream.to_json()));
    append_all(&mut text, b"],\"upstreams\":[", upstreams)?;
    text.extend_from_slice(b"]}");
    let raw = String::from_utf8(text)
        .ok()
        .and_then(|text| RawValue::from_string(text).ok());
    raw.ok_or_else(ApiError::internal)
}

fn append_all<T: Serialize>(
    text: &mut Vec<u8>,
    opening: &[u8],
    items: impl Iterator<Item = Result<T, TreeError>>,
) -> Result<(), ApiError> {
    text.extend_from_slice(opening);
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        render::append(text, &item.map_err(broken)?);
        if text.len() > CONTENT_BYTES_MAX {
            let message = format!(
                "The snapshot's content is longer than {CONTENT_BYTES_MAX} bytes; ask for diffs."
            );
            return Err(ApiError::new(Code::ResponseTooLarge, message).at("include"));
        }
    }
    Ok(())
}

/// A retained snapshot's chunk that cannot be read: the client learns that it failed, the log why.
pub(crate) fn broken(error: TreeError) -> ApiError {
    tracing::error!(%error, "a snapshot's chunks cannot be read");
    ApiError::internal()
}
