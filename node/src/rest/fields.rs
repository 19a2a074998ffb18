//! Takes the fields of a JSON object by name and type, and says of the first that is wrong where
//! it stands (`targets[2].weight`). Fields that nobody asked for are refused before any value is
//! looked at, so that a misspelt name is reported as that and not as a missing field.

use domain::content::whole_number;
use serde_json::{Map, Value};

use super::error::ApiError;

/// The fields of one object.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// The path of the object itself, empty or ending with a dot.
    prefix: String,
}

impl Fields {
    /// The fields of a request body.
    pub(crate) fn new(map: Map<String, Value>, known: &[&str]) -> Result<Self, ApiError> {
        Self::at(map, String::new(), known)
    }

    /// The fields of an object that stands at `path` in the body.
    pub(crate) fn of(value: Value, path: &str, known: &[&str]) -> Result<Self, ApiError> {
        let Value::Object(map) = value else {
            return Err(ApiError::invalid(path, "Must be an object."));
        };
        Self::at(map, format!("{path}."), known)
    }

    fn at(map: Map<String, Value>, prefix: String, known: &[&str]) -> Result<Self, ApiError> {
        if let Some(name) = map.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(ApiError::unknown(format!("{prefix}{name}")));
        }
        Ok(Self { map, prefix })
    }

    /// Where a field stands in the body.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Unwraps a field that must be there.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, ApiError> {
        value.ok_or_else(|| ApiError::missing(self.path(name)))
    }

    /// Any value; `null` counts as one.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name)
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "Must be a string.")),
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "Must be true or false.")),
        }
    }

    /// An integer between two bounds, both allowed.
    pub(crate) fn integer(
        &mut self,
        name: &str,
        from: u64,
        to: u64,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match whole_number(&value) {
            Some(value) if (from..=to).contains(&value) => Ok(Some(value)),
            _ => Err(self.wrong(name, format!("Must be an integer from {from} to {to}."))),
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(self.wrong(name, format!("Must be one of: {}.", words.join(", "))))
            }
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.wrong(name, "Must be an object.")),
        }
    }

    /// An array.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "Must be an array.")),
        }
    }

    /// An identifier in a body. One that cannot exist is answered like one that does not.
    pub(crate) fn id<T, E>(
        &mut self,
        name: &str,
        object: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        parse(&text)
            .map(Some)
            .map_err(|_| ApiError::not_found(object).at(self.path(name)))
    }

    fn wrong(&self, name: &str, message: impl Into<String>) -> ApiError {
        ApiError::invalid(self.path(name), message)
    }
}

#[cfg(test)]
mod tests {
    use domain::id::RouteId;
    use serde_json::json;

    use super::super::error::Code;
    use super::*;

    fn fields(value: Value, known: &[&str]) -> Result<Fields, ApiError> {
        Fields::of(value, "outer", known)
    }

    #[test]
    fn a_field_that_nobody_knows_is_named_before_anything_else_is_said() {
        let error = fields(json!({"name": 1, "nmae": 2}), &["name", "priority"]).unwrap_err();
        assert_eq!(
            (error.code, error.param.as_deref()),
            (Code::UnknownParameter, Some("outer.nmae"))
        );
        let error = Fields::new(Map::from_iter([("x".to_owned(), Value::Null)]), &[]).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("x"));
    }

    #[test]
    fn each_type_is_taken_or_refused_with_its_path() {
        let known = ["text", "flag", "count", "word", "object", "array", "id"];
        let good = json!({"text": "t", "flag": true, "count": 7, "word": "b", "object": {}, "array": [1],
            "id": "rt_01HW2K1M6PC5RSTU1W3M7A"});
        let mut good = fields(good, &known).unwrap();
        assert_eq!(good.text("text").unwrap().as_deref(), Some("t"));
        assert_eq!(good.boolean("flag").unwrap(), Some(true));
        assert_eq!(good.integer("count", 0, 7).unwrap(), Some(7));
        assert_eq!(good.choice("word", &[("a", 1), ("b", 2)]).unwrap(), Some(2));
        assert_eq!(good.object("object").unwrap(), Some(Map::new()));
        assert_eq!(good.array("array").unwrap().unwrap().len(), 1);
        assert!(good.id("id", "route", RouteId::parse).unwrap().is_some());
        assert_eq!(good.text("text").unwrap(), None);

        let bad = json!({"text": 1, "flag": "true", "count": 8, "word": "c", "object": [], "array": {}, "id": "up_1"});
        let mut bad = fields(bad, &known).unwrap();
        let errors = [
            bad.text("text").unwrap_err(),
            bad.boolean("flag").unwrap_err(),
            bad.integer("count", 0, 7).unwrap_err(),
            bad.choice("word", &[("a", 1), ("b", 2)]).unwrap_err(),
            bad.object("object").unwrap_err(),
            bad.array("array").unwrap_err(),
        ];
        for (error, name) in errors.iter().zip(known) {
            assert_eq!(
                (error.code, error.param.clone()),
                (Code::InvalidParameter, Some(format!("outer.{name}")))
            );
        }
        assert_eq!(
            bad.id("id", "route", RouteId::parse).unwrap_err().code,
            Code::ResourceNotFound
        );
    }

    #[test]
    fn integers_are_whole_numbers_in_range_and_nothing_else() {
        for bad in [
            json!(-1),
            json!(1.5),
            json!("1"),
            json!(null),
            json!(11),
            json!(1e30),
        ] {
            let mut fields = fields(json!({"n": bad}), &["n"]).unwrap();
            assert!(fields.integer("n", 0, 10).is_err());
        }
        for good in [json!(7), json!(7.0), json!(0.7e1)] {
            let mut fields = fields(json!({"n": good}), &["n"]).unwrap();
            assert_eq!(fields.integer("n", 0, 10).unwrap(), Some(7));
        }
    }
}
