//! The same seed gives the same run, byte for byte, in two processes. Whatever else a campaign says
//! is worth little without this: a seed that found something would not find it again.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use super::{Child, Plan};
use crate::options::Chaos;

/// How many of the seeds have maximal chaos.
const MAXIMAL: u64 = 2;

/// For how long faults strike in them at most, in simulated seconds.
const SECONDS_MAX: u64 = 30;

/// What is compared at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Runs seeds twice at the same time and says which of them differed.
///
/// # Errors
/// When a process cannot be started or read.
pub(super) fn check(plan: &Plan, say: &(dyn Fn(&str) + Sync)) -> io::Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut compared = 0;
    for number in 0..plan.determinism {
        let child = Child {
            seed: plan.from + number,
            seconds: plan.seconds.min(SECONDS_MAX),
            chaos: if number < MAXIMAL {
                Chaos::Maximal
            } else {
                plan.chaos
            },
        };
        let (bytes, same) = twice(&plan.program, child)?;
        compared += bytes;
        if !same {
            complaints.push(format!(
                "two runs of seed {} differ after {bytes} bytes: {}",
                child.seed,
                child.arguments().join(" ")
            ));
        }
    }
    say(&format!(
        "{} seeds run twice, {compared} bytes of traces compared, {} differ",
        plan.determinism,
        complaints.len()
    ));
    Ok(complaints)
}

/// Runs one twice. Answers how much of what they printed is the same, and whether all of it is.
fn twice(program: &Path, child: Child) -> io::Result<(u64, bool)> {
    let start = || {
        Command::new(program)
            .args(child.arguments())
            .arg("--trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    };
    let (mut one, mut other) = (start()?, start()?);
    let result = match (one.stdout.take(), other.stdout.take()) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Err(io::Error::other("a process has no output")),
    };
    // Whoever is not read to the end would wait for ever.
    if !matches!(result, Ok((_, true))) {
        one.kill()?;
        other.kill()?;
    }
    one.wait()?;
    other.wait()?;
    result
}

fn compare(one: ChildStdout, other: ChildStdout) -> io::Result<(u64, bool)> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let mut same = 0;
    loop {
        let (first, second) = (block(&mut one)?, block(&mut other)?);
        if first != second {
            let differs = first.iter().zip(&second).take_while(|(a, b)| a == b);
            return Ok((same + differs.count() as u64, false));
        }
        if first.is_empty() {
            return Ok((same, true));
        }
        same += first.len() as u64;
    }
}

fn block(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(BLOCK_BYTES);
    from.take(BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
