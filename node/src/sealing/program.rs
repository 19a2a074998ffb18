//! Runs the operator's program that gives key-encryption keys, as one that asks a key management service. What it
//! writes to its standard output is a secret, and is in no error; what it writes to its standard error is told in
//! part when it fails, but for what could be a key.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

/// How long it may take: a service on another continent that is asked again answers in less.
const DEADLINE: Duration = Duration::from_secs(30);

/// How much of its standard error is told.
const COMPLAINT_BYTES_MAX: usize = 512;

/// Runs of hexadecimal or base64 digits that are this long could be a part of a key.
const SECRET_DIGITS_MIN: usize = 16;

/// Why a program gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// No program is named.
    #[error("the program that gives key-encryption keys has no name")]
    Nameless,
    /// It cannot be run.
    #[error("the program {program} cannot be run")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not end in time, and was killed.
    #[error("the program {program} did not end within {} s", DEADLINE.as_secs())]
    Slow {
        /// Its name.
        program: String,
    },
    /// It failed.
    #[error("the program {program} failed ({status}){complaint}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        complaint: String,
    },
    /// It wrote too much, or what is no text.
    #[error("the program {program} wrote something else than keys")]
    Output {
        /// Its name.
        program: String,
    },
}

/// What a program writes to its standard output, at most so many bytes. Its arguments are in no error either.
pub(super) async fn output(
    command: &[String],
    bytes_max: usize,
) -> Result<Zeroizing<String>, ProgramError> {
    run(command, bytes_max, DEADLINE).await
}

async fn run(
    command: &[String],
    bytes_max: usize,
    deadline: Duration,
) -> Result<Zeroizing<String>, ProgramError> {
    let (name, arguments) = command.split_first().ok_or(ProgramError::Nameless)?;
    let program = name.clone();
    let start = |source| ProgramError::Start {
        program: program.clone(),
        source,
    };
    let child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut group = Group(child);
    let child = &mut group.0;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let running = async {
        let (written, complaint) = tokio::join!(
            read(stdout, bytes_max + 1),
            read(stderr, COMPLAINT_BYTES_MAX)
        );
        Ok::<_, std::io::Error>((written, complaint, child.wait().await?))
    };
    let Ok(ended) = timeout(deadline, running).await else {
        return Err(ProgramError::Slow { program });
    };
    let (mut written, complaint, status) = ended.map_err(start)?;
    if !status.success() {
        let complaint = told(&String::from_utf8_lossy(&complaint));
        return Err(ProgramError::Failed {
            program,
            status,
            complaint,
        });
    }
    if written.len() > bytes_max {
        return Err(ProgramError::Output { program });
    }
    match String::from_utf8(std::mem::take(&mut *written)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(ProgramError::Output { program })
        }
    }
}

/// A program with all that it started, in a process group of their own: none of them must outlive the question.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Once it was waited for it has no number any more, and that of the group may be somebody else's.
        let leader = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader.and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads up to so many bytes, and the rest for nothing, so that whoever writes ends.
async fn read(from: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> Zeroizing<Vec<u8>> {
    // Room from the start: what grows leaves copies behind.
    let mut kept = Zeroizing::new(Vec::with_capacity(bytes_max));
    let Some(mut from) = from else {
        return kept;
    };
    let mut part = Zeroizing::new([0; 1024]);
    while let Ok(count @ 1..) = from.read(&mut *part).await {
        let room = bytes_max.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&part[..room]);
    }
    kept
}

/// What a program said, on one line and without what could be a key.
fn told(complaint: &str) -> String {
    let is_digit = |letter: char| letter.is_ascii_alphanumeric() || "+/_=".contains(letter);
    let mut words = Vec::new();
    for word in complaint.split_whitespace() {
        let longest = word.split(|letter| !is_digit(letter)).map(str::len).max();
        if longest.is_some_and(|longest| longest >= SECRET_DIGITS_MIN) {
            words.push("[..]".to_owned());
        } else {
            words.push(word.chars().filter(|letter| !letter.is_control()).collect());
        }
    }
    if words.is_empty() {
        return String::new();
    }
    format!(": {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<Zeroizing<String>, ProgramError> {
        let command = ["sh", "-c", script].map(str::to_owned);
        run(&command, 100, Duration::from_secs(30)).await
    }

    #[tokio::test]
    async fn what_a_program_writes_is_taken() {
        assert_eq!(*shell("echo key; echo noise >&2").await.unwrap(), "key\n");
    }

    #[tokio::test]
    async fn a_failure_tells_how_it_ended_and_what_was_said_but_no_secret() {
        let key = "ab".repeat(32);
        let failed = shell(&format!(
            "echo {key}; printf 'no access\\033[1m to {key}\\n' >&2; exit 3"
        ))
        .await
        .unwrap_err();
        let text = format!("{failed} {failed:?}");
        assert!(
            text.contains("no access") && text.contains("exit status: 3"),
            "{text}"
        );
        assert!(!text.contains("abab") && !text.contains('\u{1b}'), "{text}");
    }

    #[tokio::test]
    async fn what_is_too_long_or_no_text_is_refused_and_read_to_its_end() {
        for script in [
            "head -c 200000 /dev/zero",
            "printf '\\377'",
            "head -c 101 /dev/zero",
        ] {
            let refused = shell(script).await.unwrap_err();
            assert!(
                matches!(refused, ProgramError::Output { .. }),
                "{refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_and_one_that_is_not_there_is_named() {
        let command = ["sh", "-c", "exec sleep 1000"].map(str::to_owned);
        let slow = run(&command, 100, Duration::from_millis(50)).await;
        assert!(matches!(slow, Err(ProgramError::Slow { .. })), "{slow:?}");
        let none = run(&["/nowhere/at-all".to_owned()], 100, DEADLINE).await;
        assert!(none.unwrap_err().to_string().contains("/nowhere/at-all"));
        let nameless = run(&[], 100, DEADLINE).await;
        assert!(matches!(nameless, Err(ProgramError::Nameless)));
    }

    /// Whether a process runs: one that has ended may still wait for its parent to ask for it.
    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
        state.is_some_and(|state| state != "Z" && state != "X")
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let script = format!(
            "sleep 1000 & echo $! > {path}.new; mv {path}.new {path}; wait",
            path = path.display()
        );
        let command = ["sh", "-c", &script].map(str::to_owned);
        let until = tokio::time::Instant::now() + DEADLINE;
        let mut asking = Box::pin(run(&command, 100, DEADLINE));
        while !path.exists() {
            assert!(tokio::time::Instant::now() < until, "it did not start");
            let pause = timeout(Duration::from_millis(10), &mut asking).await;
            assert!(pause.is_err(), "it ended");
        }
        let pid = std::fs::read_to_string(&path).unwrap().trim().to_owned();
        assert!(runs(&pid));
        // Nobody waits for the answer any more; at the deadline the same happens.
        drop(asking);
        while runs(&pid) {
            assert!(tokio::time::Instant::now() < until, "{pid} still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
