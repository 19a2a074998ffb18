//! The layers under the settings: the file's text, and over it environment variables.
//!
//! Only names with a section (`VECTORGATE_NODE__ID`) are ours to read: the same prefix is used
//! for what clients need (`VECTORGATE_API_KEY`), and a node must start in such an environment.

use std::collections::BTreeMap;

use config::{Config, ConfigError, File, FileFormat, Map, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::SettingsError;

const PREFIX: &str = "VECTORGATE_";
const SEPARATOR: &str = "__";

/// Lists cannot be spelled in one variable, so these are JSON text.
const LISTS: [&str; 3] = [
    "cluster.members",
    "security.kek_command",
    "webhooks.allowed_ranges",
];

/// Reads the layers into `T`.
pub(super) fn read<T: DeserializeOwned>(
    toml: &str,
    variables: &BTreeMap<String, String>,
) -> Result<T, SettingsError> {
    let mut builder = Config::builder().add_source(File::from_str(toml, FileFormat::Toml));
    for (name, text) in variables {
        let Some(field) = field_of(name) else {
            continue;
        };
        let value = if LISTS.contains(&field.as_str()) {
            list(&field, text)?
        } else {
            Value::from(text.as_str())
        };
        builder = builder
            .set_override(&field, value)
            .map_err(|error| SettingsError::field(name, error.to_string()))?;
    }
    let layered = builder.build().map_err(syntax)?;
    serde_path_to_error::deserialize(layered).map_err(|error| {
        let path = error.path().to_string();
        named(&path, error.into_inner())
    })
}

/// `VECTORGATE_NODE__DATA_DIR` is `node.data_dir`.
fn field_of(variable: &str) -> Option<String> {
    let path = variable.strip_prefix(PREFIX)?;
    path.contains(SEPARATOR)
        .then(|| path.to_lowercase().replace(SEPARATOR, "."))
}

fn list(field: &str, json: &str) -> Result<Value, SettingsError> {
    let parsed: serde_json::Value = serde_json::from_str(json).map_err(|error| {
        SettingsError::field(field, format!("the variable must be a JSON list: {error}"))
    })?;
    Ok(value(parsed))
}

fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(flag) => ValueKind::Boolean(flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => ValueKind::I64(integer),
            (None, Some(float)) => ValueKind::Float(float),
            (None, None) => ValueKind::Nil,
        },
        serde_json::Value::String(text) => ValueKind::String(text),
        serde_json::Value::Array(items) => ValueKind::Array(items.into_iter().map(value).collect()),
        serde_json::Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .into_iter()
                .map(|(name, field)| (name, value(field)))
                .collect();
            ValueKind::Table(fields)
        }
    };
    Value::new(None, kind)
}

fn syntax(error: ConfigError) -> SettingsError {
    SettingsError::Syntax {
        reason: error.to_string(),
    }
}

/// Puts the field's name in front, which the library gives either as the path it was at or
/// inside its own text.
fn named(path: &str, error: ConfigError) -> SettingsError {
    match error {
        ConfigError::At {
            error,
            key: Some(key),
            ..
        } => named(&key, *error),
        ConfigError::NotFound(key) => SettingsError::field(key, "is missing"),
        other => SettingsError::field(path, other.to_string()),
    }
}
