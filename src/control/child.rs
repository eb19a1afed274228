//! Child processes that may not run for ever.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::model::in_words;

/// The interval between looks at a child whose output is awaited.
const TICK: Duration = Duration::from_millis(1);

/// Waits for a child, looking every `tick` whether it has ended; `None` where that `is_over` first: then it is still there.
///
/// # Errors
/// When the system lost it.
pub(crate) fn wait(
    child: &mut Child,
    tick: Duration,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if is_over() => return Ok(None),
            None => std::thread::sleep(tick),
        }
    }
}

/// Ends a child and takes leave of it.
pub(crate) fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// What a child printed until it ended.
pub(crate) struct Printed {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: Vec<u8>,
}

/// The reason why a child printed nothing that counts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    /// It was not started, or got lost.
    #[error("{}", in_words(.0))]
    System(#[from] io::Error),
    /// It did not end within so many seconds, and was ended.
    #[error("no end within {} s", .0.as_secs())]
    Late(Duration),
    /// It printed more than so many bytes, and was ended.
    #[error("it prints more than {} MiB", .0 >> 20)]
    TooMuch(u64),
    /// Nobody wanted it any more, and it was ended.
    #[error("interrupted, and it was ended")]
    Interrupted,
}

impl ChildError {
    /// Whether there is no such program.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Runs a command without any input to its end, for at most `patience`, and takes up to `most` bytes of its output. What it
/// leaves behind is not waited for, though that may still hold the output.
///
/// # Errors
/// When it cannot be started, does not end in time, or prints too much.
pub(crate) fn printed(command: &mut Command, patience: Duration, most: u64) -> Result<Printed, ChildError> {
    let (printed, _) = run(command.stdin(Stdio::null()), patience, most, &|| false)?;
    printed
}

/// The same of a command in a process group of its own: what it leaves behind is killed.
///
/// # Errors
/// As [`printed`].
pub(crate) fn printed_by_group(
    command: &mut Command,
    patience: Duration,
    most: u64,
) -> Result<Printed, ChildError> {
    printed_by_group_from(command.stdin(Stdio::null()), patience, most)
}

/// As [`printed_by_group`]; the whole group is killed as soon as it `is_unwanted`.
///
/// # Errors
/// As [`printed`], and when it was not wanted any more.
pub(crate) fn printed_by_group_while_wanted(
    command: &mut Command,
    patience: Duration,
    most: u64,
    is_unwanted: &dyn Fn() -> bool,
) -> Result<Printed, ChildError> {
    in_group(command.stdin(Stdio::null()), patience, most, is_unwanted)
}

/// The same of a command that has an input already.
///
/// # Errors
/// As [`printed`].
pub(crate) fn printed_by_group_from(
    command: &mut Command,
    patience: Duration,
    most: u64,
) -> Result<Printed, ChildError> {
    in_group(command, patience, most, &|| false)
}

fn in_group(
    command: &mut Command,
    patience: Duration,
    most: u64,
    is_unwanted: &dyn Fn() -> bool,
) -> Result<Printed, ChildError> {
    let (printed, group) = run(command.process_group(0), patience, most, is_unwanted)?;
    // The number is that of the group as long as anything is left in it, and of nothing else so soon.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    printed
}

/// Runs a command; what it printed, and its process, once it was started.
fn run(
    command: &mut Command,
    patience: Duration,
    most: u64,
    is_unwanted: &dyn Fn() -> bool,
) -> Result<(Result<Printed, ChildError>, Option<Pid>), ChildError> {
    // Not pipes: these fill up where nobody reads, and end only with the last one that holds them.
    let output = || memfd_create("output", MemfdFlags::CLOEXEC).map(File::from).map_err(io::Error::from);
    let files = [output()?, output()?];
    let [stdout, stderr] = [files[0].try_clone()?, files[1].try_clone()?];
    let mut child = command.stdout(stdout).stderr(stderr).spawn()?;
    let process = Some(Pid::from_child(&child));
    let printed = printed_until_end(&mut child, files, (patience, most), is_unwanted);
    Ok((printed, process))
}

fn printed_until_end(
    child: &mut Child,
    files: [File; 2],
    (patience, most): (Duration, u64),
    is_unwanted: &dyn Fn() -> bool,
) -> Result<Printed, ChildError> {
    let start = Instant::now();
    let length = |file: &File| file.metadata().map_or(0, |meta| meta.len());
    let is_too_much = || files.iter().any(|file| length(file) > most);
    let ended = wait(child, TICK, &|| start.elapsed() >= patience || is_too_much() || is_unwanted());
    let status = match ended {
        Ok(Some(status)) if !is_too_much() => status,
        other => {
            end(child);
            return Err(match other {
                Err(error) => error.into(),
                Ok(_) if is_too_much() => ChildError::TooMuch(most),
                Ok(_) if start.elapsed() < patience => ChildError::Interrupted,
                Ok(_) => ChildError::Late(patience),
            });
        }
    };
    let [stdout, stderr] = files.map(|mut file| {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(most).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    });
    Ok(Printed { status, stdout: stdout?, stderr: stderr? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_taken_whole_whatever_is_left_behind_and_not_without_end() {
        let run = |line: &str, patience, most| {
            printed(Command::new("sh").args(["-c", line]), Duration::from_millis(patience), most)
        };
        let whole =
            run("head -c 300000 /dev/zero; echo x >&2; sleep 600 & echo $!", 60_000, 1 << 20).unwrap();
        assert!(whole.status.success() && whole.stderr == b"x\n" && whole.stdout.len() > 300_000);
        let left = String::from_utf8_lossy(&whole.stdout[300_000..]).trim().parse::<i32>().unwrap();
        let left = rustix::process::Pid::from_raw(left).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
        assert!(matches!(run("exec cat /dev/zero", 60_000, 1 << 20), Err(ChildError::TooMuch(_))));
        assert!(matches!(run("exec sleep 600", 50, 1 << 20), Err(ChildError::Late(_))));
        let mut unwanted = Command::new("sleep");
        let minute = Duration::from_secs(60);
        let ended = printed_by_group_while_wanted(unwanted.arg("600"), minute, 1, &|| true);
        assert!(matches!(ended, Err(ChildError::Interrupted)));
        let missing = printed(&mut Command::new("/nonexistent/x"), Duration::from_secs(9), 1);
        assert!(missing.err().is_some_and(|error| error.is_not_found()));
    }

    #[test]
    fn a_child_is_waited_for_until_that_is_over() {
        let tick = Duration::from_millis(1);
        let mut child = Command::new("true").spawn().unwrap();
        assert!(wait(&mut child, tick, &|| false).unwrap().unwrap().success());
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(wait(&mut child, tick, &|| true).unwrap(), None);
        end(&mut child);
        assert!(!wait(&mut child, tick, &|| false).unwrap().unwrap().success());
    }
}
