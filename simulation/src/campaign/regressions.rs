//! The seeds that once found something: a line each, run before any new ones, for ever.
//!
//! ```text
//! # a comment
//! SEED SECONDS [maximal] # what it showed
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::Child;
use crate::options::Chaos;

/// What is kept of what a run found: a line.
const FOUND_CHARS_MAX: usize = 160;

/// A seed that found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The run.
    pub child: Child,
    /// What it showed.
    pub showed: String,
}

/// Reads the saved seeds; none, where there is no file.
///
/// # Errors
/// When a line is not understood or the file cannot be read.
pub(super) fn load(file: &Path) -> io::Result<Vec<Saved>> {
    match fs::read_to_string(file) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> io::Result<Vec<Saved>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            saved(line).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("`{line}` is no saved seed"),
                )
            })
        })
        .collect()
}

fn saved(line: &str) -> Option<Saved> {
    let (run, showed) = line.split_once('#')?;
    let words: Vec<&str> = run.split_whitespace().collect();
    let (seed, seconds, chaos) = match words.as_slice() {
        [seed, seconds] => (seed, seconds, Chaos::Drawn),
        [seed, seconds, "maximal"] => (seed, seconds, Chaos::Maximal),
        _ => return None,
    };
    Some(Saved {
        child: Child {
            seed: seed.parse().ok()?,
            seconds: seconds.parse().ok()?,
            chaos,
        },
        showed: showed.trim().to_owned(),
    })
}

/// Adds a run that found something, unless it is there.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn save(file: &Path, child: Child, found: &str) -> io::Result<()> {
    if load(file)?.iter().any(|saved| saved.child == child) {
        return Ok(());
    }
    let chaos = match child.chaos {
        Chaos::Drawn => "",
        Chaos::Maximal => " maximal",
    };
    let found: String = found
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(FOUND_CHARS_MAX)
        .collect();
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{} {}{chaos} # {found}", child.seed, child.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_read_again_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("regressions.txt");
        assert_eq!(load(&file).unwrap(), []);
        let child = |seed, chaos| Child {
            seed,
            seconds: 60,
            chaos,
        };
        save(&file, child(7, Chaos::Drawn), "a stale\nread").unwrap();
        save(&file, child(7, Chaos::Drawn), "again").unwrap();
        save(&file, child(7, Chaos::Maximal), "lost # write").unwrap();
        let saved = load(&file).unwrap();
        let showed: Vec<_> = saved.iter().map(|saved| saved.showed.as_str()).collect();
        assert_eq!(showed, ["a stale read", "lost # write"]);
        assert_eq!(saved[1].child, child(7, Chaos::Maximal));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert_eq!(parse("# only a comment\n\n").unwrap(), []);
        for bad in [
            "7",
            "7 60",
            "7 60 some # x",
            "x 60 # x",
            "7 60 maximal 3 # x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
