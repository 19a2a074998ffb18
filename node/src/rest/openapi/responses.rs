//! What an operation answers: what went well, with links to what can be done next, and each status
//! that it may be refused with, with the codes that it may have.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::error::Code;
use super::described::{Content, Described, Link};
use super::schemas::Schemas;
use super::shape::reference;
use super::{document, parameters, words};

/// Refusals that several operations have in common, by name.
#[derive(Default)]
pub(super) struct Errors(BTreeMap<String, Value>);

impl Errors {
    pub(super) fn into_components(self) -> Value {
        json!(self.0)
    }

    /// A refusal with these codes, which are all of one status.
    fn response(&mut self, codes: &[Code]) -> Value {
        let Some(name) = name(codes) else {
            return refusal(codes);
        };
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        self.0.entry(name).or_insert_with(|| refusal(codes));
        reference
    }
}

/// The name of a refusal that many operations have.
fn name(codes: &[Code]) -> Option<String> {
    let all = codes.iter().map(|code| code.as_str());
    match codes {
        [first, ..] if first.status() == StatusCode::BAD_REQUEST => {
            // What each 400 has, and what every body brings along, is not worth a word.
            const IMPLIED: [&str; 5] = [
                "invalid_api_version",
                "invalid_content_type",
                "invalid_idempotency_key",
                "invalid_parameter",
                "unknown_parameter",
            ];
            let telling = all
                .filter(|code| !IMPLIED.contains(code))
                .map(words::camel_case);
            let telling: String = telling.map(|word| format!("Or{word}")).collect();
            Some(format!("BadRequest{telling}"))
        }
        [_] | [_, _] => Some(all.map(words::camel_case).collect::<Vec<_>>().join("Or")),
        _ => None,
    }
}

fn refusal(codes: &[Code]) -> Value {
    let words: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    json!({
        "description": quoted.join(", "),
        "headers": parameters::headers_of_refusal(codes),
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        reference("Error"),
                        {"properties": {"error": {"properties": {"code": {"enum": words}}}}},
                    ],
                },
            },
        },
    })
}

/// All responses of an operation.
pub(super) fn of(
    row: &Described,
    rows: &[Described],
    schemas: &Schemas,
    errors: &mut Errors,
) -> Value {
    let mut responses = Map::new();
    for answer in &row.answers {
        let mut response = success(row, answer.status, &answer.contents, schemas);
        let links: Map<_, _> = row
            .links
            .iter()
            .flat_map(|link| links(link, rows))
            .collect();
        if !links.is_empty() {
            response["links"] = Value::Object(links);
        }
        responses.insert(answer.status.as_u16().to_string(), response);
    }
    if row.tagged && !row.is_write() {
        let headers = parameters::headers_of_success(row);
        let description = "The state is one of those in `If-None-Match`.";
        responses.insert(
            "304".to_owned(),
            json!({"description": description, "headers": headers}),
        );
    }
    for codes in row.codes().chunk_by(|a, b| a.status() == b.status()) {
        let status = codes[0].status().as_u16().to_string();
        responses.insert(status, errors.response(codes));
    }
    Value::Object(responses)
}

fn success(row: &Described, status: StatusCode, contents: &[Content], schemas: &Schemas) -> Value {
    let mut content = Map::new();
    let mut description = None;
    for body in contents {
        let (media_type, schema) = match body {
            Content::Object(of) => ("application/json", of.reference()),
            Content::List(of) | Content::FleetList(of) => {
                ("application/json", reference(&document::list_name(of)))
            }
            Content::AnyObject => ("application/json", json!({"type": "object"})),
            Content::Other(media_type, schema, _) => (*media_type, schema.clone()),
        };
        let described = schema["$ref"]
            .as_str()
            .and_then(|target| target.rsplit('/').next());
        let described = described.and_then(|name| schemas.get(name)?["description"].as_str());
        description = description.or_else(|| described.map(str::to_owned));
        content.insert(media_type.to_owned(), json!({"schema": schema}));
    }
    let reason = || status.canonical_reason().unwrap_or_default().to_owned();
    json!({
        "description": description.unwrap_or_else(reason),
        "headers": parameters::headers_of_success(row),
        "content": content,
    })
}

/// The operations on what an identifier in the answer names.
fn links<'a>(link: &'a Link, rows: &'a [Described]) -> impl Iterator<Item = (String, Value)> + 'a {
    let fits = |row: &&Described| {
        let path = row.operation.path;
        let known = |name| link.parameters.iter().any(|(given, _)| *given == name);
        (path == link.below || path.starts_with(&format!("{}/", link.below)))
            && row.path_parameters().all(known)
    };
    rows.iter().filter(fits).map(|row| {
        let parameters: Map<_, _> = link
            .parameters
            .iter()
            .map(|(name, from)| ((*name).to_owned(), json!(from)))
            .collect();
        let name = row.operation.name;
        (
            name.to_owned(),
            json!({"operationId": name, "parameters": parameters}),
        )
    })
}
