//! The schemas of the document: collected from types, and put into one form.
//!
//! - Shapes get the schema that [`super::shape`] has for them.
//! - Flattened fields become fields of the object itself.
//! - What refuses unknown fields is a request: there, a field is left out or has its type. All else
//!   is an answer: there, a field that may be `null` is always there.
//! - `object` is the schema's name in the API's spelling.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::shape::{self, reference};
use super::{composed, request, words};

type Collected = Vec<(String, RefOr<Schema>)>;

/// A type that stands in the document.
#[derive(Clone)]
pub(super) struct Typed {
    /// What the document calls it.
    pub(super) name: String,
    collect: fn(&mut Collected),
}

impl Typed {
    pub(super) fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name().into_owned(),
            collect: |all| {
                T::schemas(all);
                all.push((T::name().into_owned(), T::schema()));
            },
        }
    }

    /// A reference to it.
    pub(super) fn reference(&self) -> Value {
        reference(&self.name)
    }
}

/// Schemas by name.
pub(super) type Schemas = BTreeMap<String, Value>;

/// The schemas of these types, and of all that they refer to.
pub(super) fn of(types: impl IntoIterator<Item = Typed>) -> Schemas {
    let mut collected = Collected::new();
    let mut wanted = BTreeSet::new();
    for typed in types {
        (typed.collect)(&mut collected);
        wanted.insert(typed.name);
    }
    let mut schemas: Schemas = collected
        .into_iter()
        .map(|(name, schema)| {
            let schema = serde_json::to_value(schema).unwrap_or_default();
            (name, schema)
        })
        .collect();
    add_shapes(&mut schemas);
    let flat: Vec<_> = schemas
        .iter()
        .map(|(name, schema)| (name.clone(), flattened(schema, &schemas)))
        .collect();
    for (name, mut schema) in flat {
        if shape::of(&name).is_none() {
            name_object(&name, &mut schema);
            settle(&mut schema);
        }
        request::refine(&name, &mut schema);
        schemas.insert(name, schema);
    }
    name_flattened(&mut schemas);
    drop_flattened(&mut schemas, &wanted);
    schemas
}

/// Takes out what stands in other objects alone.
fn drop_flattened(schemas: &mut Schemas, wanted: &BTreeSet<String>) {
    let mut referred = Vec::new();
    schemas
        .values()
        .for_each(|schema| references(schema, &mut referred));
    schemas.retain(|name, _| wanted.contains(name) || referred.contains(name));
}

/// A list of these: the envelope that all lists have.
pub(super) fn list(item: &str, of_the_fleet: bool) -> Value {
    let mut list = json!({
        "type": "object",
        "description": format!("One page of a list of {item}."),
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": reference(item)},
            "has_more": {"type": "boolean", "description": "Whether another page follows."},
            "next_cursor": {"type": ["string", "null"], "description": "Gives the next page as `cursor`."},
        },
        "required": ["object", "data", "has_more", "next_cursor"],
    });
    if of_the_fleet {
        add_silent_nodes(&mut list);
    }
    list
}

/// The members that did not answer, on what is gathered from all of them.
fn add_silent_nodes(schema: &mut Value) {
    let mut property = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
    describe("silent_nodes", &mut property);
    add_property(schema, "silent_nodes", property);
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(json!("silent_nodes"));
    }
}

/// What an answer to a dry run has beside its fields.
pub(super) fn add_dry_run(schema: &mut Value) {
    add_property(
        schema,
        "dry_run",
        json!({"const": true, "description": "Only in the answer to a dry run."}),
    );
}

fn add_property(schema: &mut Value, name: &str, property: Value) {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert(name.to_owned(), property);
    }
}

/// Every schema that this one refers to by name.
pub(super) fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let target = object.get("$ref").and_then(Value::as_str);
            let name = target.and_then(|target| target.strip_prefix("#/components/schemas/"));
            found.extend(name.map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Puts in the shapes that are referred to, by shapes as well.
pub(super) fn add_shapes(schemas: &mut Schemas) {
    let mut wanted: Vec<String> = schemas.keys().cloned().collect();
    schemas
        .values()
        .for_each(|schema| references(schema, &mut wanted));
    while let Some(name) = wanted.pop() {
        let is_new = schemas
            .get(&name)
            .is_none_or(|known| Some(known) != shape::of(&name).as_ref());
        let Some(schema) = shape::of(&name).filter(|_| is_new) else {
            continue;
        };
        references(&schema, &mut wanted);
        schemas.insert(name, schema);
    }
}

/// Makes one object of what is said in several: flattened fields, and the fields of a tagged variant.
fn flattened(schema: &Value, schemas: &Schemas) -> Value {
    let Value::Object(object) = schema else {
        return schema.clone();
    };
    if let Some(Value::Array(parts)) = object.get("allOf") {
        let mut merged = Map::new();
        for part in parts {
            merge(&mut merged, &flattened(resolved(part, schemas), schemas));
        }
        let own: Map<_, _> = object
            .iter()
            .filter(|(key, _)| *key != "allOf")
            .map(owned)
            .collect();
        merged.extend(own);
        return Value::Object(merged);
    }
    let mut object = object.clone();
    for keyword in ["oneOf", "anyOf"] {
        if let Some(Value::Array(items)) = object.get_mut(keyword) {
            for item in items {
                *item = flattened(item, schemas);
            }
        }
    }
    Value::Object(object)
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn resolved<'a>(schema: &'a Value, schemas: &'a Schemas) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str);
    let name = target.and_then(|target| target.rsplit('/').next());
    name.and_then(|name| schemas.get(name)).unwrap_or(schema)
}

fn merge(into: &mut Map<String, Value>, part: &Value) {
    let Value::Object(part) = part else { return };
    for (key, value) in part {
        match (into.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => {
                known.extend(more.iter().map(owned))
            }
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.iter().cloned()),
            (Some(_), _) => {}
            (None, _) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Says which word `object` is, where the type has any text.
fn name_object(name: &str, schema: &mut Value) {
    let Some(property) = schema.pointer_mut("/properties/object") else {
        return;
    };
    if *property == json!({"type": "string"}) {
        *property = json!({"const": words::snake_case(name)});
    }
}

/// An object that another one's fields were flattened into is still called what that one is.
fn name_flattened(schemas: &mut Schemas) {
    for (name, called) in composed::CALLED {
        let property = schemas
            .get_mut(name)
            .and_then(|schema| schema.pointer_mut("/properties/object"));
        if let Some(property) = property {
            *property = json!({"const": called});
        }
    }
}

/// Settles which fields are there and which may be `null`, in this object and all in it.
fn settle(schema: &mut Value) {
    for keyword in ["oneOf", "anyOf"] {
        if let Some(Value::Array(items)) = schema.get_mut(keyword) {
            items.iter_mut().for_each(settle);
        }
    }
    let is_request = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let mut required: Vec<String> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties.iter_mut() {
        if is_request {
            refuse_null(property);
        } else if is_nullable(property) && !required.contains(name) {
            required.push(name.clone());
        }
        lift_description(property);
        describe(name, property);
    }
    let order: Vec<String> = properties.keys().cloned().collect();
    required.sort_by_key(|name| order.iter().position(|known| known == name));
    required.dedup();
    match required.is_empty() {
        true => drop(
            schema
                .as_object_mut()
                .map(|object| object.remove("required")),
        ),
        false => schema["required"] = json!(required),
    }
}

/// What is said of the one thing that a property is, unless it is `null`, is said of the property.
fn lift_description(property: &mut Value) {
    let choices = property.get_mut("oneOf").and_then(Value::as_array_mut);
    let mut choices = choices.into_iter().flatten();
    let lifted = choices.find_map(|choice| choice.as_object_mut()?.remove("description"));
    if let Some(description) = lifted {
        property["description"] = description;
    }
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

fn is_nullable(property: &Value) -> bool {
    let types = property["type"].as_array().into_iter().flatten();
    let choices = property["oneOf"].as_array().into_iter().flatten();
    types.into_iter().any(|name| name == "null") || choices.into_iter().any(is_null)
}

/// Takes `null` out of what a property may be.
fn refuse_null(property: &mut Value) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            property["type"] = only.clone();
        }
    }
    let Some(Value::Array(choices)) = property.get_mut("oneOf") else {
        return;
    };
    choices.retain(|choice| !is_null(choice));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        if let Some(object) = property.as_object_mut() {
            object.remove("oneOf");
            object.extend(only);
        }
    }
}

/// Says what a field is that many objects have, where the type does not; times that may be missing
/// are plain numbers in the types.
fn describe(name: &str, property: &mut Value) {
    let is_time = name.ends_with("_at") || name == "failing_since";
    if is_time && property["type"] == json!(["integer", "null"]) {
        let description = property.get("description").cloned();
        *property = json!({"oneOf": [{"type": "null"}, reference("Time")]});
        if let Some(description) = description {
            property["description"] = description;
        }
    }
    let description = match name {
        "environment" => "The name of the environment.",
        "created_by" => "The key that made it.",
        "updated_at" => "The last change; `null` until the first one.",
        "archived_at" => "When it was archived.",
        "published_at" => "When it went live.",
        "silent_nodes" => "Members that did not answer: what only they know is missing.",
        _ => return,
    };
    if let Some(object) = property.as_object_mut() {
        object
            .entry("description")
            .or_insert_with(|| description.into());
    }
}
