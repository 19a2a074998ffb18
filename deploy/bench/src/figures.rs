//! Figures: medians, tables on the terminal, and the same as JSON in a file.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::load::Round;

/// The median of some rounds: of each figure by itself.
#[must_use]
pub fn median_round(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    Round {
        per_second: of(|round| round.per_second),
        p50_ms: of(|round| round.p50_ms),
        p99_ms: of(|round| round.p99_ms),
    }
}

/// The middle one; of an even number, the mean of the two in the middle; 0 of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// A table whose columns are as wide as they need to be: the first aligned left, the others right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// The table as text.
    #[must_use]
    pub fn render(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or_default())
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    if column == 0 {
                        format!("{cell:<width$}")
                    } else {
                        format!("{cell:>width$}")
                    }
                });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Writes a benchmark's figures beside what machine they are from.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    path: &Path,
    benchmark: &str,
    options: &impl Serialize,
    rows: &impl Serialize,
) -> Result<()> {
    let report = json!({
        "benchmark": benchmark,
        "machine": machine(),
        "options": options,
        "rows": rows,
    });
    fs::write(path, format!("{report:#}\n"))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("\nThe figures are in {}", path.display());
    Ok(())
}

fn machine() -> Value {
    let first_line = |path: &str, prefix: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(prefix))
            .unwrap_or_default();
        line.rsplit(": ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": first_line("/proc/cpuinfo", "model name"),
        "kernel": first_line("/proc/sys/kernel/osrelease", ""),
        "memory": first_line("/proc/meminfo", "MemTotal"),
    })
}

/// A number with few enough digits to read: `4 822`, `31.4`, `0.87`.
#[must_use]
pub fn number(value: f64) -> String {
    if value >= 1000.0 {
        return grouped(&format!("{value:.0}"));
    }
    if value >= 100.0 {
        return format!("{value:.0}");
    }
    if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }

    #[test]
    fn numbers_have_as_many_digits_as_one_reads() {
        for (value, text) in [
            (1_234_567.0, "1 234 567"),
            (999.6, "1000"),
            (312.4, "312"),
            (31.44, "31.4"),
            (0.873, "0.87"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["clients", "per second"]);
        table.row(["1".to_owned(), "873".to_owned()]);
        assert_eq!(table.render(), "clients  per second\n1               873\n");
    }
}
