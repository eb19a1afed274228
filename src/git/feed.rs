//! Asking git much at once: it is fed while its answer is read, and ended when the user ends the run.

use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::GitError;

/// How long between two looks at whether git has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// Runs `git` with `input`; what it starts itself ends with it.
pub(super) fn feed(git: &mut Command, input: &[u8], ended: &dyn Fn() -> bool) -> Result<Output, GitError> {
    git.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = git.spawn().map_err(|error| GitError::no_git(&error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let feeding = scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let stdout = scope.spawn(move || all_of(stdout));
        let stderr = scope.spawn(move || all_of(stderr));
        let status = wait(&mut child, ended);
        let _ = feeding.join();
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        Ok(Output { status: status?, stdout, stderr })
    })
}

fn wait(child: &mut Child, ended: &dyn Fn() -> bool) -> Result<ExitStatus, GitError> {
    let group = Pid::from_child(child);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if ended() => break Err(GitError::Interrupted),
            Ok(None) => std::thread::sleep(PAUSE),
            Err(error) => break Err(GitError::no_git(&error)),
        }
    };
    // What it has started may hold its output open.
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
    status
}

fn all_of(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
    bytes
}
