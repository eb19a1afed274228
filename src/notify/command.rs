//! A program of the user's that gets the report on its standard input, for a bounded time.

use crate::control::child;
use crate::control::waits;
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::undelivered::Undelivered;
use crate::host::Watch;
use crate::model::{Address, escaped, in_words, is_address, lasting, without_secrets};

/// How often it is looked whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// How much of what it says is looked at.
const SAID: usize = 4096;
/// How many letters of it are shown.
const SHOWN: usize = 200;

/// A program and where it runs.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory it runs in: the root.
    pub dir: PathBuf,
}

impl Program {
    /// Runs it with `input`, for at most `time`. It ends with all that it has started.
    pub(super) fn run(
        &self,
        input: &[u8],
        variables: &[(&str, &str)],
        time: Duration,
        watch: &Watch,
    ) -> Result<(), Undelivered> {
        let mut child = self.start(variables)?;
        let end = Instant::now() + time;
        let said = Self::talk(&mut child, input);
        let ended = child::wait(&mut child, TICK, &|| watch.is_cancelled() || Instant::now() >= end);
        // What it has left behind may hold its output open.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let status = match ended {
            Ok(Some(status)) => status,
            ended => {
                child::end(&mut child);
                return Err(Undelivered::new(match ended {
                    Err(error) => format!("the command could not be waited for: {}", in_words(&error)),
                    Ok(_) if watch.is_cancelled() => "the run was ended".to_owned(),
                    Ok(_) => {
                        let time = lasting(i64::try_from(time.as_secs().max(1)).unwrap_or(i64::MAX));
                        format!("the command did not end within {time} and was ended")
                    }
                }));
            }
        };
        if status.success() {
            return Ok(());
        }
        let said = said.and_then(|said| said.recv_timeout(waits::NOTIFY_COMMAND_SAID.most).ok());
        let said = said.and_then(|said| last_line(&self.without_secrets(said)));
        Err(Undelivered { why: in_a_word(status), said })
    }

    /// What it said, without the passwords of the addresses that it was given.
    fn without_secrets(&self, said: Vec<u8>) -> Vec<u8> {
        let given = self.argv.iter().filter(|word| is_address(word)).map(Address::new);
        given.fold(said, |said, address| address.hidden_in(&String::from_utf8_lossy(&said)).into_bytes())
    }

    fn start(&self, variables: &[(&str, &str)]) -> Result<Child, Undelivered> {
        let program = self.argv.first().map(String::as_str).unwrap_or_default();
        // A path in the configuration is relative to the root, as every other one there.
        let place = if program.contains('/') { self.dir.join(program) } else { PathBuf::from(program) };
        let mut command = Command::new(&place);
        command.args(self.argv.iter().skip(1)).current_dir(&self.dir).envs(variables.iter().copied());
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map_err(|error| {
            let name = escaped(program.as_bytes());
            Undelivered::new(match error.kind() {
                ErrorKind::NotFound => format!("the command {name} is not there"),
                _ => format!("the command {name} cannot be started: {}", in_words(&error)),
            })
        })
    }

    /// Gives it its input and listens to what it says. A program need not read what it is given.
    fn talk(child: &mut Child, input: &[u8]) -> Option<Receiver<Vec<u8>>> {
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let input = input.to_vec();
        let feed = move || drop(stdin.map(|mut stdin| stdin.write_all(&input)));
        Builder::new().spawn(feed).ok()?;
        let (says, said) = channel();
        let listen = move || {
            let Some(mut stderr) = stderr else { return };
            let mut kept = Vec::new();
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut some) {
                kept.extend_from_slice(&some[..count]);
                let surplus = kept.len().saturating_sub(SAID);
                kept.drain(..surplus);
            }
            let _ = says.send(kept);
        };
        Builder::new().spawn(listen).ok()?;
        Some(said)
    }

    /// How it is called, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.argv
            .iter()
            .map(|word| {
                let address = Address::new(word);
                let word = if is_address(word) { address.to_string() } else { without_secrets(word) };
                escaped(crate::model::quoted(&word).as_bytes())
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// A program of this project.
    #[must_use]
    pub fn new(argv: &[String], dir: &Path) -> Self {
        Self { argv: argv.to_vec(), dir: dir.to_owned() }
    }
}

fn in_a_word(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with {code}"),
        (None, Some(signal)) => format!("the command was ended by signal {signal}"),
        (None, None) => "the command ended in an unknown way".to_owned(),
    }
}

/// The last line with anything in it, without what a terminal obeys.
fn last_line(said: &[u8]) -> Option<String> {
    let lines = said.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    let line = escaped(lines.rev().find(|line| !line.is_empty())?);
    let line = without_secrets(&line);
    let short: String = line.chars().take(SHOWN).collect();
    Some(if short.len() < line.len() { short + "…" } else { short })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, input: &[u8], time: Duration) -> Result<(), Undelivered> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        Program::new(&argv, Path::new("/")).run(input, &[("EVENT", "x")], time, &Watch::default())
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn it_gets_the_report_and_need_not_read_it() {
        let big = vec![b'x'; 1_000_000];
        assert_eq!(run("test \"$(wc -c)\" = 1000000 && test $EVENT = x", &big, LONG), Ok(()));
        assert_eq!(run("exec <&-; exit 0", &big, LONG), Ok(()));
        assert_eq!(run("true", &big, LONG), Ok(()));
    }

    #[test]
    fn what_it_says_is_told_apart_from_how_it_ended() {
        let failed = run("echo first >&2; printf 'bad\\033[31m\\n\\n' >&2; exit 3", b"", LONG).unwrap_err();
        assert_eq!(failed.why, "the command ended with 3");
        assert_eq!(failed.said.as_deref(), Some("bad\\x1b[31m"));
        let failed = run("yes long | head -c 300000 | tr -d '\\n' >&2; exit 1", b"", LONG).unwrap_err();
        assert_eq!(failed.said.unwrap().chars().count(), SHOWN + 1);
        assert_eq!(run("kill -9 $$", b"", LONG).unwrap_err().why, "the command was ended by signal 9");
    }

    #[test]
    fn what_hangs_or_leaves_something_behind_is_ended() {
        let start = Instant::now();
        let short = Duration::from_millis(200);
        let failed = run("sleep 60 & exec sleep 60", b"", short).unwrap_err();
        assert_eq!(failed.why, "the command did not end within 1 second and was ended");
        assert_eq!(run("sleep 60 & exit 0", b"", LONG), Ok(()));
        let cancelled = Watch::default();
        cancelled.cancel();
        let argv = ["sleep".to_owned(), "60".to_owned()];
        let failed = Program::new(&argv, Path::new("/")).run(b"", &[], LONG, &cancelled).unwrap_err();
        assert_eq!(failed.why, "the run was ended");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn one_that_is_not_there_is_named() {
        let argv = ["no-such-program-here".to_owned()];
        let failed = Program::new(&argv, Path::new("/")).run(b"", &[], LONG, &Watch::default()).unwrap_err();
        assert_eq!(failed.why, "the command no-such-program-here is not there");
    }
}
