//! The document as a whole. It is made once: the same code gives the same bytes.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::super::error::Envelope;
use super::super::version::Release;
use super::described::{Content, Described};
use super::request::{rules, upstreams};
use super::schemas::{self, Schemas, Typed};
use super::{events, example, operations, parameters, responses};

const ABOUT: &str = "Edge configuration, replicated: routes, rules and upstreams are drafted, published as \
snapshots and followed by edges. Every node serves all of it; it does not matter which one a request reaches.\n\n\
Bodies are JSON objects of at most 256 KiB. Fields and parameters that an operation does not know are refused by \
name. Times are whole seconds since the Unix epoch. Answers may get new fields. Anything below `/v1` is 410 \
`api_version_sunset`, a method that a path does not take 405 `method_not_allowed`.";

/// The document.
pub(in super::super) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(made)
}

fn made() -> Value {
    let rows = operations::all();
    let schemas = all_schemas(&rows);
    let mut errors = responses::Errors::default();
    let mut paths = Map::new();
    for row in &rows {
        let path = paths.entry(row.operation.path).or_insert_with(|| json!({}));
        path[row.method] = operation(row, &rows, &schemas, &mut errors);
    }
    let webhooks = events::webhooks();
    let tags = operations::TAGS
        .map(|(name, description)| json!({"name": name, "description": description}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "VectorGate API",
            "version": Release::NEWEST.date(),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The node that serves this document."}],
        "security": [{"bearer": []}],
        "tags": tags,
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer KEY`."},
            },
            "parameters": parameters::components(),
            "headers": parameters::headers(),
            "responses": errors.into_components(),
            "schemas": schemas,
        },
    })
}

/// The types that a row speaks of.
fn types(row: &Described) -> impl Iterator<Item = &Typed> {
    let answered = row.answers.iter().flat_map(|answer| &answer.contents);
    let answered = answered.filter_map(|content| match content {
        Content::Object(of) | Content::List(of) | Content::FleetList(of) => Some(of),
        Content::Other(_, _, of) => of.as_ref(),
        Content::AnyObject => None,
    });
    answered.chain(row.body.iter().map(|body| &body.of))
}

fn all_schemas(rows: &[Described]) -> Schemas {
    // What shapes refer to, and what stands in no row.
    let others = [
        Typed::of::<Envelope<'_>>(),
        Typed::of::<rules::RuleMove>(),
        Typed::of::<rules::RuleOperation>(),
        Typed::of::<upstreams::KeptTarget>(),
        Typed::of::<upstreams::NewTarget>(),
        operations::also(),
    ];
    let mut schemas = schemas::of(rows.iter().flat_map(types).cloned().chain(others));
    for row in rows {
        for content in row.answers.iter().flat_map(|answer| &answer.contents) {
            match content {
                Content::List(of) => {
                    drop(schemas.insert(list_name(of), schemas::list(&of.name, false)))
                }
                Content::FleetList(of) => {
                    drop(schemas.insert(list_name(of), schemas::list(&of.name, true)))
                }
                _ => {}
            }
        }
    }
    for row in rows.iter().filter(|row| row.is_write()) {
        for content in row.answers.iter().flat_map(|answer| &answer.contents) {
            let name = match content {
                Content::Object(of) => of.name.clone(),
                Content::List(of) => list_name(of),
                _ => continue,
            };
            if let Some(schema) = schemas.get_mut(&name) {
                schemas::add_dry_run(schema);
            }
        }
    }
    for (name, parameters) in [
        ("parameters", parameters::components()),
        ("headers", parameters::headers()),
    ] {
        schemas.insert(name.to_owned(), parameters);
    }
    let own: Vec<Value> = rows.iter().flat_map(parameters::of).collect();
    schemas.insert("own".to_owned(), Value::Array(own));
    schemas::add_shapes(&mut schemas);
    for name in ["parameters", "headers", "own"] {
        schemas.remove(name);
    }
    schemas
}

pub(super) fn list_name(of: &Typed) -> String {
    format!("{}List", of.name)
}

fn operation(
    row: &Described,
    rows: &[Described],
    schemas: &Schemas,
    errors: &mut responses::Errors,
) -> Value {
    let description = [Some(row.description.to_owned()), row.scope()];
    let description: Vec<_> = description
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    let mut value = json!({
        "operationId": row.operation.name,
        "tags": [row.tag],
        "summary": row.summary,
    });
    if !description.is_empty() {
        value["description"] = description.join(" ").into();
    }
    let parameters = parameters::of(row);
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if let Some(body) = &row.body {
        value["requestBody"] = json!({
            "required": body.required,
            "content": {
                "application/json": {
                    "schema": body.of.reference(),
                    "example": example::of(&body.of.reference(), schemas),
                },
            },
        });
    }
    value["responses"] = responses::of(row, rows, schemas, errors);
    if !row.is_guarded() {
        value["security"] = json!([]);
    }
    value
}
