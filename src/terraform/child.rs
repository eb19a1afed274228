//! Terraform as a child process: in its own process group, with a deadline, and with output that is read as it arrives.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use crate::control::child::wait;
use crate::control::progress::Watch;
use crate::control::waits;
use crate::model::in_words;

/// The interval between looks at a child that is silent.
const TICK: Duration = Duration::from_millis(50);
/// How long a child may still be silent once it has ended, while something that it started holds its output.
const AFTERMATH: Duration = waits::TERRAFORM_AFTERMATH.most;
/// How many bytes it may print on its standard error.
const MOST_ERRORS: u64 = 8 << 20;
/// After how long a child that was asked to end is asked again: Terraform ignores the first time while it starts.
const ASKED_AGAIN: Duration = waits::TERRAFORM_ASKED.most;
/// After how long it is killed.
const KILLED: Duration = waits::TERRAFORM_KILLED.most;
/// How long a child may take whose output is not read any more.
const SOON: Duration = waits::TERRAFORM_SOON.most;
/// The same where the user ended the run: then driftlock itself has two seconds.
const KILLED_AT_ONCE: Duration = waits::TERRAFORM_INTERRUPTED.most;

/// The time that all children of one look have together.
#[derive(Clone, Copy)]
pub(super) struct Deadline<'a> {
    /// When it is over.
    pub(super) end: Instant,
    /// How long it was, for messages.
    pub(super) length: Duration,
    /// Whether the user ended the run.
    pub(super) watch: &'a Watch,
}

impl Deadline<'_> {
    /// Whether no time is left.
    pub(super) fn is_over(&self) -> bool {
        self.watch.is_cancelled() || Instant::now() >= self.end
    }

    /// What is left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// The reason why a child gave nothing that counts.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// There is no such program.
    #[error("there is no program {0}")]
    NotFound(String),
    /// It was not started, or got lost.
    #[error("{0}: {reason}", reason = in_words(.1))]
    System(String, #[source] io::Error),
    /// It did not end in time.
    #[error("{0} did not end within {1}")]
    Late(String, String),
    /// It printed without end.
    #[error("{0} prints more than 8 MiB of errors")]
    TooMuch(String),
    /// The user ended the run.
    #[error("{0} was ended with the run")]
    Interrupted(String),
}

/// How a child ended.
pub(super) struct Ended {
    /// Its exit status.
    pub(super) status: ExitStatus,
    /// Its standard error.
    pub(super) stderr: String,
}

/// A child whose standard output is read while it runs.
pub(super) struct Running<'a> {
    child: Child,
    stdout: ChildStdout,
    stderr: File,
    deadline: Deadline<'a>,
    name: String,
    last: Instant,
    failed: Option<ChildError>,
}

impl<'a> Running<'a> {
    /// Starts a command, which is called `name` in messages.
    pub(super) fn start(
        command: &mut Command,
        name: &str,
        deadline: Deadline<'a>,
    ) -> Result<Self, ChildError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotFound {
                ChildError::NotFound(program.clone())
            } else {
                ChildError::System(program.clone(), error)
            }
        };
        let stderr = memfd_create("stderr", MemfdFlags::CLOEXEC).map(File::from);
        let stderr = stderr.map_err(|error| failed(error.into()))?;
        let handle = stderr.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(handle).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let Some(stdout) = child.stdout.take() else {
            crate::control::child::end(&mut child);
            return Err(failed(io::Error::other("it has no output")));
        };
        let (name, last) = (name.to_owned(), Instant::now());
        Ok(Self { child, stdout, stderr, deadline, name, last, failed: None })
    }

    /// Waits for its end; what it left behind ends with it.
    pub(super) fn finish(mut self) -> Result<Ended, ChildError> {
        let (deadline, stderr) = (self.deadline, &self.stderr);
        if self.failed.is_none() {
            let is_over = || deadline.is_over() || is_too_much(stderr);
            match wait(&mut self.child, TICK, &is_over) {
                Ok(Some(_)) => {}
                Ok(None) => self.failed = Some(self.why_over()),
                Err(error) => self.failed = Some(ChildError::System(self.name.clone(), error)),
            }
        }
        if let Some(error) = self.failed.take() {
            self.stop();
            return Err(error);
        }
        self.kill_group();
        let status = self.child.wait().map_err(|error| ChildError::System(self.name.clone(), error))?;
        let mut bytes = Vec::new();
        let read =
            self.stderr.rewind().and_then(|()| (&self.stderr).take(MOST_ERRORS).read_to_end(&mut bytes));
        read.map_err(|error| ChildError::System(self.name.clone(), error))?;
        Ok(Ended { status, stderr: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// The same for one whose output is not read any more: it is waited for only shortly.
    pub(super) fn finish_soon(mut self) -> Result<Ended, ChildError> {
        let end = Instant::now() + SOON;
        self.deadline.end = end.min(self.deadline.end);
        let mut rest = [0; 8 << 10];
        while self.stdout_has(end) && self.stdout.read(&mut rest).is_ok_and(|count| count > 0) {}
        self.finish()
    }

    fn stdout_has(&self, end: Instant) -> bool {
        let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
        let tick = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        Instant::now() < end && poll(&mut fds, Some(&tick)).is_ok_and(|count| count > 0)
    }

    fn why_over(&self) -> ChildError {
        if self.deadline.watch.is_cancelled() {
            ChildError::Interrupted(self.name.clone())
        } else if is_too_much(&self.stderr) {
            ChildError::TooMuch(self.name.clone())
        } else {
            let length = i64::try_from(self.deadline.length.as_secs()).unwrap_or(i64::MAX);
            ChildError::Late(self.name.clone(), crate::model::lasting(length))
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Asks it to end, asks again, and kills it with all that it started.
    fn stop(&mut self) {
        let is_cancelled = || self.deadline.watch.is_cancelled();
        let start = Instant::now();
        let mut asked = 0;
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            let waited = start.elapsed();
            if waited >= if is_cancelled() { KILLED_AT_ONCE } else { KILLED } {
                break;
            }
            let due = 1 + u32::from(waited >= ASKED_AGAIN);
            if asked < due {
                asked = due;
                self.pid().map(|pid| kill_process(pid, Signal::TERM));
            }
            std::thread::sleep(TICK);
        }
        self.kill_group();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills what is left of its process group: a provider that hangs outlives the program.
    fn kill_group(&self) {
        if let Some(pid) = self.pid()
            && test_kill_process_group(pid).is_ok()
        {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Whether there is something to read, or its end; `false` once what holds the output is not the child any more.
    fn wait_for_output(&mut self) -> io::Result<bool> {
        loop {
            if self.deadline.is_over() || is_too_much(&self.stderr) {
                self.failed = Some(self.why_over());
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
            let tick = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            match poll(&mut fds, Some(&tick)) {
                Ok(0) => {}
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if self.last.elapsed() > AFTERMATH && !matches!(self.child.try_wait(), Ok(None)) {
                return Ok(false);
            }
        }
    }
}

fn is_too_much(stderr: &File) -> bool {
    stderr.metadata().is_ok_and(|meta| meta.len() > MOST_ERRORS)
}

impl Read for Running<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.wait_for_output()? {
            return Ok(0);
        }
        let count = self.stdout.read(buffer)?;
        self.last = Instant::now();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(watch: &Watch, seconds: u64) -> Deadline<'_> {
        let length = Duration::from_secs(seconds);
        Deadline { end: Instant::now() + length, length, watch }
    }

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    }

    #[test]
    fn output_is_read_to_its_end_though_others_hold_it() {
        let watch = Watch::default();
        let mut command = shell("setsid sleep 600 & echo $!; echo oops >&2; exit 3");
        let mut running = Running::start(&mut command, "sh", deadline(&watch, 60)).unwrap();
        let mut text = String::new();
        running.read_to_string(&mut text).unwrap();
        let ended = running.finish().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(3), "oops\n"));
        let left = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        kill_process(left, Signal::KILL).unwrap();
    }

    #[test]
    fn a_child_that_ignores_the_request_is_killed_with_what_it_started() {
        let watch = Watch::default();
        watch.cancel();
        let mut command = shell("trap '' TERM; sleep 600 & echo $!; wait");
        let mut running = Running::start(&mut command, "sh", deadline(&watch, 60)).unwrap();
        let mut text = String::new();
        assert!(running.read_to_string(&mut text).is_err(), "the run was ended");
        let pid = running.pid().unwrap();
        assert!(matches!(running.finish(), Err(ChildError::Interrupted(_))));
        // Who adopts the orphans takes leave of them in its own time.
        let start = Instant::now();
        while test_kill_process_group(pid).is_ok() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing of its group is left");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        let watch = Watch::default();
        let error = Running::start(&mut Command::new("/nonexistent/tofu"), "tofu", deadline(&watch, 1));
        assert_eq!(error.err().unwrap().to_string(), "there is no program /nonexistent/tofu");
    }
}
