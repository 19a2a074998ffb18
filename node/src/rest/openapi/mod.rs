//! What the API is, for programs and for people: an OpenAPI 3.1 document that is made from the code,
//! and a page that is made from the document. Every node serves both to anybody.
//!
//! ```text
//! operations   every operation, one row each; described says what a row can say
//! request      what bodies are made of; answers derive their schemas where they are defined
//! shape        identifiers, times, words: schemas with limits from the constants that are enforced
//! content      match, action and config
//! schemas      collects all of these and puts them into one form
//! document     puts the parts together
//! page         the document as HTML
//! ```
//!
//! `docs/openapi.json` is the document as it is checked in. Tests hold all of this to what the router
//! serves: its operations, and every answer and every body that any test of the router sees.

mod composed;
mod content;
mod described;
mod document;
mod events;
mod example;
mod operations;
mod page;
mod parameters;
mod request;
mod responses;
mod schemas;
pub(crate) mod shape;
pub(crate) mod snapshot;
mod words;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::StatusCode;
use sha2::{Digest, Sha256};

use super::Api;
use super::answer::{Answer, Answered, JSON};
use super::etag::ETag;
use super::pipeline::Call;
#[cfg(test)]
pub(super) use document::document;

const HTML: &str = "text/html; charset=utf-8";

/// It changes with the software alone, so whoever has it asks whether it is still the same.
const REVALIDATED: (&str, &str) = ("cache-control", "public, no-cache");

/// The page has a style of its own and nothing else: no script, and no request to anywhere.
const PAGE_HEADERS: &[(&str, &str)] = &[
    REVALIDATED,
    (
        "content-security-policy",
        "default-src 'none'; style-src 'sha256-LzMD44hgZHOU/EiaDvifIUoeH4wRyXr/UYJcdEOfVII='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
];

/// What does not change while the process runs, with its tag.
struct Fixed {
    bytes: Bytes,
    tag: String,
}

impl Fixed {
    fn new(text: String) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        Self {
            tag: hex::encode(&hash[..16]),
            bytes: text.into(),
        }
    }

    fn answer(&self, content_type: &'static str, headers: &'static [(&str, &str)]) -> Answer {
        let answer = Answer::bytes(StatusCode::OK, content_type, self.bytes.clone());
        answer
            .tagged(ETag::of_text(&self.tag))
            .with_headers(headers)
    }
}

/// The document as text: the bytes of `docs/openapi.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(document::document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub(super) async fn serve_document(_: Arc<Api>, call: Call) -> Answered {
    static DOCUMENT: OnceLock<Fixed> = OnceLock::new();
    call.query.finish()?;
    let fixed = DOCUMENT.get_or_init(|| Fixed::new(text()));
    Ok(fixed.answer(JSON, &[REVALIDATED]))
}

/// The page.
pub(super) async fn serve_page(_: Arc<Api>, call: Call) -> Answered {
    static PAGE: OnceLock<Fixed> = OnceLock::new();
    call.query.finish()?;
    let fixed = PAGE.get_or_init(|| Fixed::new(page::of(document::document())));
    Ok(fixed.answer(HTML, PAGE_HEADERS))
}
