//! What is read, what is refused and where, as tables of JSON.

mod action;
mod canonical;
mod config;
mod criteria;
mod encoding;

use serde_json::Value;

use super::{Invalid, InvalidKind};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What was refused, without the sentence for people, which is only looked at for being one.
fn refused<T: std::fmt::Debug>(input: &str, result: Result<T, Invalid>) -> (InvalidKind, String) {
    match result {
        Ok(value) => panic!("{input} was taken for {value:?}"),
        Err(Invalid {
            param,
            kind,
            message,
        }) => {
            assert!(message.ends_with('.'), "{message:?}");
            (kind, param)
        }
    }
}
