//! What the process says of itself, and of its API.

use http::StatusCode;
use serde_json::json;

use super::super::super::operation::*;
use super::super::described::{Content, Described, get, query, under};

pub(super) fn rows() -> Vec<Described> {
    let text = || Content::Other("text/plain; charset=utf-8", json!({"type": "string"}), None);
    let other = |media_type| Content::Other(media_type, json!({"type": "string"}), None);
    under(
        "The process",
        vec![
            get(LIVEZ, "See whether the process runs")
                .about("Never depends on other nodes.")
                .answers(StatusCode::OK, [text()]),
            get(READYZ, "See whether requests may be sent here")
                .about("503 while writes and linearizable reads are not possible.")
                .answers(StatusCode::OK, [text()])
                .answers(StatusCode::SERVICE_UNAVAILABLE, [text()])
                .with([query("verbose", json!({"type": "string"}), "Says why.")]),
            get(METRICS, "Get the node's metrics").answers(
                StatusCode::OK,
                [other(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                )],
            ),
            get(OPENAPI, "Get this document")
                .answers(StatusCode::OK, [Content::AnyObject])
                .tagged(),
            get(DOCS, "Read this document as a page")
                .answers(StatusCode::OK, [other("text/html; charset=utf-8")])
                .tagged(),
        ],
    )
}
