//! Every answer that any test of the router sees is held to the document, and so is every body and
//! query that was taken. Objects are closed for it: a field that the document does not know fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::openapi::document;
use super::super::version::Release;
use super::reply::Reply;

/// A request as it was sent.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// With the query.
    pub(super) target: &'a str,
    pub(super) body: &'a [u8],
}

/// Holds an answer, and what was asked, to the document.
pub(super) fn check(asked: &Asked<'_>, reply: &Reply) {
    let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
    let what = format!("{} {} -> {}", asked.method, asked.target, reply.status);
    let Some((template, operation)) = operation(asked.method, path) else {
        return check_stray(&what, asked.method, reply);
    };
    let status = reply.status.as_u16().to_string();
    let response = resolved(&operation["responses"][&status]);
    assert!(
        !response.is_null(),
        "{what}: {template} does not document this status: {}",
        reply.text()
    );
    check_headers(&what, response, reply);
    check_body(&what, asked.method, response, reply);
    if reply.status.is_success() && is_newest(reply) {
        check_request(&what, operation, asked.body);
        check_query(&what, operation, query);
    }
}

/// The operation that a path and method name.
pub(super) fn operation(method: &Method, path: &str) -> Option<(&'static str, &'static Value)> {
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let paths = document()["paths"].as_object().unwrap();
    let best = paths.iter().filter_map(|(template, operations)| {
        Some((literal_parts(template, path)?, template, operations))
    });
    let (_, template, operations) = best.max_by_key(|(literal, ..)| *literal)?;
    let operation = operations.get(method.as_str().to_lowercase())?;
    Some((template, operation))
}

/// How many parts of a path are spelt out in the template that it fits.
fn literal_parts(template: &str, path: &str) -> Option<usize> {
    let (wanted, found) = (template.split('/'), path.split('/'));
    if wanted.clone().count() != found.clone().count() {
        return None;
    }
    let fits = |(wanted, found): (&str, &str)| match wanted.starts_with('{') {
        true => (!found.is_empty()).then_some(0),
        false => (wanted == found).then_some(1),
    };
    wanted.zip(found).map(fits).sum()
}

/// What no operation answers is an error.
fn check_stray(what: &str, method: &Method, reply: &Reply) {
    let status = reply.status.as_u16();
    assert!(
        status >= 400,
        "{what}: the document does not have this operation"
    );
    if *method != Method::HEAD {
        valid(
            what,
            &json!({"$ref": "#/components/schemas/Error"}),
            &reply.json(),
        );
    }
}

fn check_headers(what: &str, response: &Value, reply: &Reply) {
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let (header, value) = (resolved(header), reply.header(name));
        match value {
            None => assert!(
                header["required"] != true,
                "{what}: the header {name} is missing"
            ),
            Some(text) => valid_text(&format!("{what}: {name}"), &header["schema"], text),
        }
    }
}

fn check_body(what: &str, method: &Method, response: &Value, reply: &Reply) {
    let content = response["content"].as_object();
    if *method == Method::HEAD || content.is_none() {
        return assert!(
            reply.bytes.is_empty(),
            "{what}: a body that the document does not have"
        );
    }
    let media_type = reply.header("content-type").unwrap_or_default();
    let schema = &response["content"][media_type]["schema"];
    assert!(
        !schema.is_null(),
        "{what}: the document does not have {media_type}"
    );
    let is_shown_by_newest = reply.status.as_u16() >= 400 || is_newest(reply);
    if media_type == "application/json" && is_shown_by_newest {
        valid(what, schema, &reply.json());
    }
}

/// The document describes the newest release.
fn is_newest(reply: &Reply) -> bool {
    reply.header("vectorgate-version") == Some(Release::NEWEST.date())
}

fn check_request(what: &str, operation: &Value, body: &[u8]) {
    if body.is_empty() {
        return assert!(
            operation["requestBody"]["required"] != true,
            "{what}: it went without a body"
        );
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match schema.is_null() {
        true => assert_eq!(
            body,
            json!({}),
            "{what}: a body was taken that the document does not have"
        ),
        false => valid(what, schema, &body),
    }
}

fn check_query(what: &str, operation: &Value, query: &str) {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.replace("%5B", "[").replace("%5D", "]");
        let parameters = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(resolved);
        let mut known =
            parameters.filter(|parameter| parameter["in"] == "query" && fits(parameter, &name));
        let parameter = known
            .next()
            .unwrap_or_else(|| panic!("{what}: {name} is not documented"));
        let is_plain = !value.contains(['%', '+']);
        if is_plain && parameter["style"] != "deepObject" {
            valid_text(&format!("{what}: {name}"), &parameter["schema"], value);
        }
    }
}

fn fits(parameter: &Value, name: &str) -> bool {
    let known = parameter["name"].as_str().unwrap();
    match parameter["style"] == "deepObject" {
        true => name.starts_with(&format!("{known}[")),
        false => name == known,
    }
}

/// What a reference leads to.
pub(super) fn resolved(value: &Value) -> &Value {
    let target = value["$ref"]
        .as_str()
        .and_then(|target| target.strip_prefix('#'));
    target.map_or(value, |target| document().pointer(target).unwrap())
}

/// Text that may stand for a number, a boolean, or several words.
fn valid_text(what: &str, schema: &Value, text: &str) {
    let validator = validator(schema);
    let as_json = serde_json::from_str(text).ok();
    let words: Vec<_> = text.split(',').collect();
    let mut meanings = [Some(json!(text)), as_json, Some(json!(words))]
        .into_iter()
        .flatten();
    assert!(
        meanings.any(|meaning| validator.is_valid(&meaning)),
        "{what}: {text} is not {schema}"
    );
}

/// Fails where a value does not fit a schema of the document.
pub(super) fn valid(what: &str, schema: &Value, value: &Value) {
    let errors: Vec<_> = validator(schema)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{what} does not fit the document:\n{}\n{value:#}",
        errors.join("\n")
    );
}

/// The validator of a schema; each is compiled once.
pub(super) fn validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    static COMPONENTS: OnceLock<Value> = OnceLock::new();
    let mut known = KNOWN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let compile = || {
        let components = COMPONENTS.get_or_init(|| {
            let mut components = json!({"schemas": document()["components"]["schemas"]});
            close(&mut components);
            components
        });
        let root = json!({"allOf": [schema], "components": components});
        Arc::new(jsonschema::draft202012::new(&root).unwrap())
    };
    Arc::clone(known.entry(schema.to_string()).or_insert_with(compile))
}

/// Refuses what objects have beside the properties that they are described by.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_open = object.get("type") == Some(&json!("object"))
                && object.contains_key("properties")
                && !object.contains_key("additionalProperties");
            if is_open {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
