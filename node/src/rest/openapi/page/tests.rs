//! The page has all of the document, and nothing but itself.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::PAGE_HEADERS;
use super::super::document::document;
use super::html::anchor;
use super::{STYLE, of};

/// The values of an attribute.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    let parts = page.split(&opening).skip(1);
    parts.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn every_operation_event_and_schema_is_on_the_page() {
    let (document, page) = (document(), of(document()));
    let ids: BTreeSet<_> = attributes(&page, "id").into_iter().collect();
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|methods| methods.as_object().unwrap().values());
    let mut wanted: Vec<_> = operations
        .map(|operation| anchor("op", operation["operationId"].as_str().unwrap()))
        .collect();
    assert!(wanted.len() > 70, "{}", wanted.len());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    wanted.extend(schemas.keys().map(|name| anchor("schema", name)));
    let events = document["webhooks"].as_object().unwrap();
    wanted.extend(events.keys().map(|name| anchor("event", name)));
    for id in &wanted {
        assert!(ids.contains(id.as_str()), "{id} is not on the page");
    }
}

#[test]
fn every_link_leads_somewhere_and_every_place_has_one_name() {
    let page = of(document());
    let ids = attributes(&page, "id");
    let distinct: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "two places have the same name");
    for link in attributes(&page, "href") {
        let known = link
            .strip_prefix('#')
            .is_some_and(|id| distinct.contains(id));
        assert!(known || link == "/v2/openapi.json", "{link} leads nowhere");
    }
}

#[test]
fn the_page_loads_nothing() {
    let page = of(document());
    for loading in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "<object",
        "<form",
        "<base",
        " src=",
        " style=",
        " onclick=",
        "javascript:",
        "@import",
        "url(",
    ] {
        assert!(!page.contains(loading), "{loading}");
    }
    assert!(
        attributes(&page, "href")
            .iter()
            .all(|link| !link.contains("://"))
    );
}

#[test]
fn the_policy_lets_in_this_style_and_nothing_else() {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let (_, policy) = PAGE_HEADERS
        .iter()
        .find(|(name, _)| *name == "content-security-policy")
        .unwrap();
    let allowed = format!("style-src 'sha256-{hash}'");
    assert!(
        policy.contains(&allowed),
        "the style has changed; the policy must say {allowed}"
    );
    assert!(policy.starts_with("default-src 'none'"));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn texts_of_the_document_stay_texts() {
    let evil = "</code><script>alert('x')</script>\"";
    let document = json!({
        "info": {"title": evil, "version": evil, "description": evil},
        "tags": [{"name": evil, "description": evil}],
        "paths": {evil: {"get": {
            "operationId": evil, "tags": [evil], "summary": evil, "description": evil,
            "parameters": [{"name": evil, "in": evil, "description": evil, "schema": {"type": evil, "pattern": evil}}],
            "requestBody": {"content": {"application/json": {
                "schema": {"description": evil, "properties": {evil: {"const": evil}}}, "example": {"a": evil},
            }}},
            "responses": {evil: {"description": evil, "content": {evil: {"schema": {"enum": [evil]}}}}},
        }}},
        "webhooks": {evil: {"post": {"description": evil, "parameters": [{"name": evil, "description": evil}]}}},
        "components": {"schemas": {evil: {"type": "object", "description": evil, "properties": {evil: {"$ref": evil}}}}},
    });
    let page = of(&document);
    assert!(!page.contains("<script"), "{page}");
    assert!(
        attributes(&page, "id")
            .iter()
            .all(|id| !id.contains(['<', '\'']))
    );
}
