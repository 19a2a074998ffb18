//! The parameters of a query string: each at most once, none that the operation does not know,
//! so that a misspelt filter is refused and not silently ignored.

use super::error::{ApiError, Code};

/// The most parameters that a query may have: every filter at once, and a dozen labels.
const PARAMETERS_MAX: usize = 32;

/// The parameters that are not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Splits and decodes a query string.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name =
                decode(name).ok_or_else(|| unreadable("The query string is not readable."))?;
            if name == "api_key" {
                let message = "Keys are not taken from the URL, where logs would keep them. Send the header \
                               Authorization: Bearer.";
                return Err(ApiError::invalid("api_key", message));
            }
            let value = decode(value)
                .ok_or_else(|| unreadable("The value is not readable.").at(name.clone()))?;
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(ApiError::invalid(name, "Given more than once."));
            }
            if pairs.len() == PARAMETERS_MAX {
                return Err(unreadable("The query string has too many parameters."));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Looks at a parameter without taking it.
    pub(crate) fn peek(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Takes a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(position).1)
    }

    /// Takes an integer between two bounds, both allowed.
    pub(crate) fn integer(
        &mut self,
        name: &str,
        from: u64,
        to: u64,
    ) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(value) if digits && (from..=to).contains(&value) => Ok(Some(value)),
            _ => Err(ApiError::invalid(
                name,
                format!("Must be an integer from {from} to {to}."),
            )),
        }
    }

    /// Takes `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// Takes one of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(ApiError::invalid(
                    name,
                    format!("Must be one of: {}.", words.join(", ")),
                ))
            }
        }
    }

    /// Takes an identifier. One that cannot exist is answered like one that does not.
    pub(crate) fn id<T, E>(
        &mut self,
        name: &str,
        object: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        parse(&text)
            .map(Some)
            .map_err(|_| ApiError::not_found(object).at(name))
    }

    /// Takes all of `name[key]`, sorted by key.
    pub(crate) fn labels(&mut self, name: &str) -> Vec<(String, String)> {
        let label = |parameter: &str| {
            let key = parameter
                .strip_prefix(name)?
                .strip_prefix('[')?
                .strip_suffix(']')?;
            Some(key.to_owned())
        };
        let mut labels: Vec<_> = self
            .0
            .extract_if(.., |(name, _)| label(name).is_some())
            .filter_map(|(name, value)| Some((label(&name)?, value)))
            .collect();
        labels.sort();
        labels
    }

    /// Refuses what was not taken.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::unknown(name)),
        }
    }
}

fn unreadable(message: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, message)
}

/// Decodes `application/x-www-form-urlencoded` text: `+` is a space, `%XX` a byte of UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                bytes.push(hex::decode(digits).ok()?[0]);
                rest = tail;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_taken_by_name() {
        let mut query = Query::parse(Some(
            "limit=5&name=a+b%2Fc&metadata%5Bowner%5D=x&metadata[a]=%C3%A9&flag=true",
        ))
        .unwrap();
        assert_eq!(query.integer("limit", 1, 100).unwrap(), Some(5));
        assert_eq!(query.text("name").as_deref(), Some("a b/c"));
        assert_eq!(query.boolean("flag").unwrap(), Some(true));
        let labels = [
            ("a".to_owned(), "é".to_owned()),
            ("owner".to_owned(), "x".to_owned()),
        ];
        assert_eq!(query.labels("metadata"), labels);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn what_is_unknown_repeated_or_unreadable_is_refused_by_name() {
        for (text, code, param) in [
            ("limit=1&limit=2", Code::InvalidParameter, Some("limit")),
            (
                "api_key=vg_live_sk_v2_x",
                Code::InvalidParameter,
                Some("api_key"),
            ),
            ("a=%", Code::InvalidParameter, Some("a")),
            ("a=%zz", Code::InvalidParameter, Some("a")),
            ("a=%ff", Code::InvalidParameter, Some("a")),
            ("a=%00", Code::InvalidParameter, Some("a")),
            ("%f=1", Code::InvalidParameter, None),
            ("limti=1", Code::UnknownParameter, Some("limti")),
        ] {
            let error = Query::parse(Some(text))
                .and_then(Query::finish)
                .unwrap_err();
            assert_eq!(
                (error.code, error.param.as_deref()),
                (code, param),
                "{text}"
            );
        }
        let many: Vec<_> = (0..=PARAMETERS_MAX)
            .map(|number| format!("p{number}=1"))
            .collect();
        assert!(Query::parse(Some(&many.join("&"))).is_err());
    }

    /// Contract: R-31, D-28.
    #[test]
    fn a_limit_is_never_clamped() {
        for bad in [
            "0",
            "101",
            "abc",
            "",
            "+5",
            "-1",
            "5.0",
            "99999999999999999999",
        ] {
            let text = format!("limit={bad}");
            assert!(
                Query::parse(Some(&text))
                    .unwrap()
                    .integer("limit", 1, 100)
                    .is_err(),
                "{bad}"
            );
        }
    }
}
