//! The document says what the router serves, it is the one that is checked in, and it is served.

use std::collections::BTreeSet;
use std::path::Path;

use axum::routing::MethodFilter;
use http::Method;
use serde_json::{Value, json};

use super::super::openapi::{self, document};
use super::super::operation::Operation;
use super::documented;
use super::policy::method;
use super::support::World;

/// Every operation of the document: name, method, path, itself.
fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static Value)>
{
    let paths = document()["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| {
                let name = operation["operationId"].as_str().unwrap();
                (name, method.as_str(), path.as_str(), operation)
            })
    })
}

#[tokio::test]
async fn the_document_has_every_operation_of_the_router_and_no_other() {
    let world = World::new();
    let row = |(filter, operation): &(MethodFilter, Operation)| {
        (
            operation.name,
            method(*filter).as_str().to_lowercase(),
            operation.path,
        )
    };
    let served: BTreeSet<_> = world
        .operations
        .iter()
        .chain(&world.open_operations)
        .map(row)
        .collect();
    let described: BTreeSet<_> = operations()
        .map(|(name, method, path, _)| (name, method.to_owned(), path))
        .collect();
    let difference: Vec<_> = served.symmetric_difference(&described).collect();
    assert!(
        difference.is_empty(),
        "served and described differ: {difference:#?}"
    );
    assert_eq!(operations().count(), described.len(), "a name stands twice");
}

#[test]
fn the_checked_in_document_is_the_one_that_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == openapi::text(),
        "docs/openapi.json is not what the code makes; `cargo xtask openapi` writes it anew"
    );
}

#[test]
fn every_reference_and_every_link_leads_somewhere() {
    fn walk(value: &Value, names: &BTreeSet<&str>) {
        match value {
            Value::Object(object) => {
                if let Some(target) = object.get("$ref").and_then(Value::as_str) {
                    let found = target
                        .strip_prefix('#')
                        .and_then(|target| document().pointer(target));
                    assert!(found.is_some(), "{target} is not there");
                }
                for link in object
                    .get("links")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                {
                    let name = link.1["operationId"].as_str().unwrap();
                    assert!(names.contains(name), "{name} is no operation");
                }
                object.values().for_each(|value| walk(value, names));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, names)),
            _ => {}
        }
    }
    let names = operations().map(|(name, ..)| name).collect();
    walk(document(), &names);
}

#[test]
fn every_schema_is_used() {
    let document = document();
    let mut text = document.clone();
    text["components"]["schemas"] = json!(null);
    let mut used: BTreeSet<String> = names(&text.to_string());
    loop {
        let more: BTreeSet<_> = used
            .iter()
            .flat_map(|name| names(&document["components"]["schemas"][name].to_string()))
            .collect();
        let before = used.len();
        used.extend(more);
        if used.len() == before {
            break;
        }
    }
    let all = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys();
    let unused: Vec<_> = all.filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "nothing refers to {unused:?}");
}

/// The names of schemas that a text refers to.
fn names(text: &str) -> BTreeSet<String> {
    let parts = text.split("#/components/schemas/").skip(1);
    parts
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_example_is_one() {
    let schemas = document()["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        for example in schema["examples"].as_array().into_iter().flatten() {
            documented::valid(name, &reference, example);
        }
    }
    let mut bodies = 0;
    for (name, _, _, operation) in operations() {
        let content = &operation["requestBody"]["content"]["application/json"];
        if !content.is_null() {
            documented::valid(name, &content["schema"], &content["example"]);
            bodies += 1;
        }
    }
    assert!(bodies > 20, "{bodies}");
}

#[test]
fn every_operation_says_what_it_is_and_what_each_parameter_means() {
    let tags = document()["tags"].as_array().unwrap();
    for (name, _, _, operation) in operations() {
        assert!(
            operation["summary"]
                .as_str()
                .is_some_and(|summary| !summary.is_empty()),
            "{name}"
        );
        let tag = &operation["tags"][0];
        assert!(
            tags.iter().any(|known| known["name"] == *tag),
            "{name} is under {tag}"
        );
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = documented::resolved(parameter);
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
    }
}

#[tokio::test]
async fn every_query_parameter_of_the_document_is_known_to_its_operation() {
    let world = World::new();
    let mut asked = 0;
    for (name, method, path, operation) in operations() {
        let path = path.replace("{other}", "draft").replace("{version}", "1");
        let path = path
            .replace("{id}", &id_of(&path))
            .replace("{target}", "tgt_01HW2J9Q4NB3RSTU8V2K5D");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let refuses = async |query: &str| {
            let reply = world
                .request(method.clone(), &format!("{path}?{query}=-"))
                // A stream that began would not end.
                .header("last-event-id", "-")
                .send()
                .await;
            reply.text().contains("\"unknown_parameter\"")
        };
        // What does not exist is said before the query is looked at.
        if !refuses("nonsense").await {
            continue;
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(documented::resolved);
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let query = parameter["name"].as_str().unwrap();
            let is_map = parameter["style"] == "deepObject";
            let query = if is_map {
                format!("{query}[a]")
            } else {
                query.to_owned()
            };
            assert!(!refuses(&query).await, "{name} does not know {query}");
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
}

/// An identifier of the right kind for a path.
fn id_of(path: &str) -> String {
    let kinds = [
        ("/v2/rules/", "rule"),
        ("/v2/routes/", "rt"),
        ("/v2/upstreams/", "up"),
        ("/v2/snapshots/", "snap"),
        ("/v2/events/", "evt"),
        ("/v2/audit_log/", "aud"),
        ("/v2/webhook_endpoints/", "wh"),
        ("/v2/webhook_deliveries/", "whd"),
        ("/v2/certificates/", "cert"),
        ("/v2/edge_tokens/", "etok"),
        ("/v2/api_keys/", "key"),
        ("/v2/environments/", "env"),
    ];
    let kind = kinds.iter().find(|(prefix, _)| path.starts_with(prefix));
    format!(
        "{}_01HW2J9Q4NB3RSTU8V2K5C",
        kind.map_or("x", |(_, kind)| kind)
    )
}

#[tokio::test]
async fn the_document_and_the_page_are_served_to_anybody_and_not_sent_twice() {
    let world = World::new();
    for (path, content_type) in [
        ("/v2/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
    ] {
        let reply = world.get(path).without("authorization").send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), Some(content_type));
        assert_eq!(reply.header("cache-control"), Some("public, no-cache"));
        let tag = reply.header("etag").unwrap().to_owned();
        let again = world
            .get(path)
            .without("authorization")
            .header("if-none-match", &tag);
        let again = again.send().await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
        world
            .get(&format!("{path}?x=1"))
            .fails(400, "unknown_parameter", Some("x"))
            .await;
    }
    assert_eq!(
        world.get("/v2/openapi.json").send().await.text(),
        openapi::text()
    );
    let page = world.get("/docs").send().await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}
