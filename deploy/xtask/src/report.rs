//! What the tool says while it works: a line per step, a line per fact below it.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

/// Announces a step.
pub fn step(what: impl Display) {
    println!("==> {what}");
    flush();
}

/// States a fact below a step.
pub fn fact(what: impl Display) {
    println!("    {what}");
    flush();
}

/// Prints a line as it is.
pub fn line(what: impl Display) {
    println!("{what}");
    flush();
}

/// Says on standard error what somebody should know.
pub fn warn(what: impl Display) {
    eprintln!("note: {what}");
}

// Cargo, which shares the terminal or log with us, writes unbuffered.
fn flush() {
    // A closed standard output is no reason to leave a cluster half started.
    drop(std::io::stdout().flush());
}

/// A duration as people say it: `0.8 s`, `42 s`, `3 min 05 s`.
#[must_use]
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", elapsed.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let said = |ms| duration(Duration::from_millis(ms));
        assert_eq!(said(840), "0.8 s");
        assert_eq!(said(42_000), "42 s");
        assert_eq!(said(185_000), "3 min 05 s");
    }
}
