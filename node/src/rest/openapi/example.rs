//! Examples that are made from schemas: the first one that a schema has, and otherwise the least that
//! it takes.

use serde_json::{Map, Value, json};

use super::schemas::Schemas;

/// How deep an example goes; schemas that hold themselves would have none.
const DEPTH_MAX: usize = 12;

/// An example of what this schema takes.
pub(super) fn of(schema: &Value, schemas: &Schemas) -> Value {
    let find = |name: &str| schemas.get(name);
    made(schema, &find, Fields::Needed, DEPTH_MAX)
}

/// An example of what this schema shows, with all of its fields.
pub(super) fn whole(schema: &Value, components: &Value) -> Value {
    let find = |name: &str| components["schemas"].get(name);
    made(schema, &find, Fields::All, DEPTH_MAX)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fields {
    /// Those that must be there; where there are none, the first.
    Needed,
    All,
}

fn made<'a>(
    schema: &'a Value,
    find: &dyn Fn(&str) -> Option<&'a Value>,
    fields: Fields,
    depth: usize,
) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let next = |schema: &'a Value| made(schema, find, fields, depth - 1);
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return find(name).map(next).unwrap_or_default();
    }
    let given = schema["examples"].get(0).or_else(|| schema.get("const"));
    if let Some(given) = given.or_else(|| schema["enum"].get(0)) {
        return given.clone();
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        let choices = schema[keyword].as_array().into_iter().flatten();
        let mut choices = choices.filter(|choice| {
            (choice["type"] != "null" && choice.get("required").is_none())
                || choice.get("properties").is_some()
        });
        if let Some(choice) = choices.next() {
            return next(choice);
        }
    }
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned(),
        kind => Some(kind.clone()),
    };
    match kind.as_ref().and_then(Value::as_str) {
        Some("object") => object(schema, fields, next),
        Some("array") => json!([next(&schema["items"])]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some("boolean") => json!(true),
        Some("string") => text(schema),
        _ => Value::Null,
    }
}

/// Text that a pattern for one word allows, or any.
fn text(schema: &Value) -> Value {
    let word = schema["pattern"].as_str().and_then(|pattern| {
        let word = pattern.strip_prefix('^')?.strip_suffix('$')?;
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase())
            .then_some(word)
    });
    json!(word.unwrap_or("text"))
}

fn object<'a>(schema: &'a Value, fields: Fields, next: impl Fn(&'a Value) -> Value) -> Value {
    let Some(properties) = schema["properties"].as_object() else {
        return json!({});
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_shown = |index: usize, name: &str| match fields {
        // Only the answers to dry runs have it.
        Fields::All => name != "dry_run",
        Fields::Needed if required.is_empty() => index == 0,
        Fields::Needed => required.contains(&name),
    };
    let shown = properties
        .iter()
        .enumerate()
        .filter(|(index, (name, _))| is_shown(*index, name))
        .map(|(_, (name, property))| (name.clone(), next(property)));
    Value::Object(shown.collect::<Map<_, _>>())
}
