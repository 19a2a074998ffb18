//! Canonical JSON (RFC 8785): the same value has the same text, whoever wrote it. Keys are in
//! the order of their UTF-16 code units, numbers are written as ECMAScript writes doubles, and
//! nothing is escaped that need not be.

use std::fmt::Write;

use serde_json::{Number, Value};

/// The deepest nesting of arrays and objects that is taken: configuration needs six, and what
/// walks a value by recursion must not be at the mercy of who sent it.
pub const JSON_DEPTH_MAX: usize = 32;

/// The nesting of a value: 0 for a scalar, 1 for `[]` and `{}`.
#[must_use]
pub fn json_depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        deepest = deepest.max(depth + usize::from(value.is_array() || value.is_object()));
        match value {
            Value::Array(elements) => {
                open.extend(elements.iter().map(|element| (element, depth + 1)))
            }
            Value::Object(object) => {
                open.extend(object.values().map(|element| (element, depth + 1)))
            }
            _ => {}
        }
    }
    deepest
}

/// The canonical text of a value.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_string(text, string),
        Value::Array(elements) => {
            text.push('[');
            for (at, element) in elements.iter().enumerate() {
                write_separator(text, at);
                write_value(text, element);
            }
            text.push(']');
        }
        Value::Object(object) => {
            let mut fields: Vec<_> = object.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                write_separator(text, at);
                write_string(text, name);
                text.push(':');
                write_value(text, value);
            }
            text.push('}');
        }
    }
}

fn write_separator(text: &mut String, at: usize) {
    if at > 0 {
        text.push(',');
    }
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for letter in string.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\0'..='\u{1f}' => push(text, format_args!("\\u{:04x}", letter as u32)),
            letter => text.push(letter),
        }
    }
    text.push('"');
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a string does not fail");
}

/// Numbers are doubles, as the RFC has it. The digits are those that `serde_json` writes: the
/// shortest that read back, and of two equally near ones the even, as ECMAScript asks for
/// (Rust's own `{:e}` takes the odd one at times). Only the layout differs.
fn write_number(text: &mut String, number: &Number) {
    let value = number.as_f64().unwrap_or_default();
    let written = Number::from_f64(value.abs())
        .map(|number| number.to_string())
        .unwrap_or_default();
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    let leading = i32::try_from(all.len() - digits.len()).unwrap_or_default();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        text.push('0');
        return;
    }
    // The decimal point stands after so many digits.
    let before_point = i32::try_from(whole.len()).unwrap_or_default();
    let point = before_point - leading + exponent.parse::<i32>().unwrap_or_default();
    if value < 0.0 {
        text.push('-');
    }
    write_digits(text, digits, point);
}

/// ECMAScript's Number::toString, steps 6 to 10.
fn write_digits(text: &mut String, digits: &str, point: i32) {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    if count <= point && point <= 21 {
        push(text, format_args!("{digits}{}", zeros(point - count)));
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        push(text, format_args!("{whole}.{fraction}"));
    } else if -6 < point && point <= 0 {
        push(text, format_args!("0.{}{digits}", zeros(-point)));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if point > 0 { "+" } else { "-" };
        push(
            text,
            format_args!("{first}{dot}{rest}e{sign}{}", (point - 1).abs()),
        );
    }
}
