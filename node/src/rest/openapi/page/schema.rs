//! Schemas on the page: a type in a few words, and the fields of an object as a table.

use serde_json::Value;

use super::html::{anchor, escaped, prose, table};

/// How deep objects are shown within a table; named ones are linked and not repeated.
const DEPTH_MAX: usize = 4;

/// The name that a schema refers to.
fn name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// What a value is, in a few words, with links to what has a name.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = name(schema) {
        return format!(
            "<a href=\"#{}\">{}</a>",
            anchor("schema", name),
            escaped(name)
        );
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&value.to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values
            .iter()
            .map(|value| format!("<code>{}</code>", escaped(&value.to_string())));
        return values.collect::<Vec<_>>().join(" ");
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        let parts = schema[keyword].as_array().into_iter().flatten();
        let parts: Vec<_> = parts.filter(|part| is_type(part)).map(kind).collect();
        if !parts.is_empty() {
            return parts.join(" or ");
        }
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let words = kinds.iter().map(|word| match (*word, schema.get("items")) {
        ("array", Some(items)) => format!("array of {}", kind(items)),
        ("object", _) if schema["properties"].is_object() => fields_in_a_word(schema),
        _ => escaped(word),
    });
    let words = words.collect::<Vec<_>>().join(" or ");
    if words.is_empty() {
        "any".to_owned()
    } else {
        words
    }
}

/// Whether a part of a union says what a value is, and not only which fields go together.
fn is_type(part: &Value) -> bool {
    ["type", "$ref", "const", "enum", "oneOf", "anyOf", "items"]
        .iter()
        .any(|keyword| part.get(keyword).is_some())
}

fn fields_in_a_word(schema: &Value) -> String {
    let names = schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(|properties| properties.keys());
    let names: Vec<_> = names.map(|name| escaped(name)).collect();
    match names.as_slice() {
        [only] => format!("<code>{{{only}}}</code>"),
        _ => "object".to_owned(),
    }
}

/// What a value is held to.
pub(super) fn limits(schema: &Value) -> String {
    const LIMITS: [(&str, &str); 11] = [
        ("format", "format"),
        ("minLength", "at least this many characters:"),
        ("maxLength", "at most this many characters:"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("minItems", "at least this many:"),
        ("maxItems", "at most this many:"),
        ("minProperties", "at least this many fields:"),
        ("maxProperties", "at most this many fields:"),
        ("default", "default"),
        ("pattern", "pattern"),
    ];
    let limit = |(keyword, words): &(&str, &str)| {
        let value = match schema.get(keyword)? {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        Some(format!(
            "<span class=\"limit\">{words} <code>{}</code></span>",
            escaped(&value)
        ))
    };
    LIMITS
        .iter()
        .filter_map(limit)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A description, and what the value is held to.
pub(super) fn about(schema: &Value) -> String {
    let description = schema["description"]
        .as_str()
        .map(prose)
        .unwrap_or_default();
    let limits = limits(schema);
    let gap = if description.is_empty() || limits.is_empty() {
        ""
    } else {
        "<br>"
    };
    format!("{description}{gap}{limits}")
}

/// The same of a field, which may say nothing beside the name of what it is.
fn about_field(property: &Value, schemas: &Value) -> String {
    let named = name(property).map_or(&Value::Null, |name| &schemas[name]);
    if property.get("description").is_some() || named["properties"].is_object() {
        return about(property);
    }
    about(if named.is_null() { property } else { named })
}

/// The fields of an object, or of each kind of it.
pub(super) fn fields(label: &str, schema: &Value, schemas: &Value) -> String {
    let mut rows = String::new();
    collect(&mut rows, "", schema, schemas, 0);
    if !rows.is_empty() {
        return table(label, &["Field", "Type", "Meaning"], &rows);
    }
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    let variants = variants.filter(|variant| variant["properties"].is_object());
    variants
        .map(|variant| fields(&format!("{label}, one kind"), variant, schemas))
        .collect()
}

fn collect(rows: &mut String, prefix: &str, schema: &Value, schemas: &Value, depth: usize) {
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|_| depth < DEPTH_MAX)
    else {
        return;
    };
    let required = |name: &String| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&Value::from(name.as_str())))
    };
    for (name, property) in properties {
        let path = format!("{prefix}{name}");
        let mark = if required(name) {
            ""
        } else {
            "<br><span class=\"optional\">may be left out</span>"
        };
        rows.push_str(&format!(
            "<tr><th scope=\"row\"><code>{}</code>{mark}</th><td>{}</td><td>{}</td></tr>",
            escaped(&path),
            kind(property),
            about_field(property, schemas)
        ));
        let items = &property["items"];
        collect(rows, &format!("{path}."), property, schemas, depth + 1);
        collect(rows, &format!("{path}[]."), items, schemas, depth + 1);
    }
}

/// Every named schema.
pub(super) fn all(schemas: &Value) -> String {
    let named = schemas.as_object().into_iter().flatten();
    named
        .map(|(name, schema)| one(name, schema, schemas))
        .collect()
}

fn one(name: &str, schema: &Value, schemas: &Value) -> String {
    let fields = fields(name, schema, schemas);
    let kind = if fields.is_empty() || schema["oneOf"].is_array() {
        format!("<p>{}</p>", kind(schema))
    } else {
        String::new()
    };
    format!(
        "<section class=\"schema\" id=\"{}\"><h3>{}</h3><p>{}</p>{kind}{fields}</section>",
        anchor("schema", name),
        escaped(name),
        about(schema)
    )
}
