//! Asking git for a bounded time: what it is asked ends when the time is over, or when somebody says so.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::command::command_line;
use super::error::GitError;
use crate::control::waits;

/// How often it is looked whether the time is over.
const TICK: Duration = Duration::from_millis(10);
/// How long git may take for what it must know at once.
const SOON: Duration = waits::GIT_SOON.most;
/// Longer than anybody waits.
const FOREVER: Duration = waits::FOREVER;
/// How much of what git says of a failure is kept.
const SAID: u64 = 4096;

/// Until when git may be asked.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    end: Instant,
    quiet: Duration,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Limit<'a> {
    /// From now on for `time`, or until `cancelled` says so.
    #[must_use]
    pub fn new(time: Duration, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { end: Instant::now() + time, quiet: FOREVER, cancelled }
    }

    /// For what git must know at once.
    #[must_use]
    pub fn soon() -> Self {
        Self::new(SOON, &|| false)
    }

    /// The same, but over also once git has said nothing for `quiet`.
    #[must_use]
    pub(super) fn unless_quiet(self, quiet: Duration) -> Self {
        Self { quiet, ..self }
    }

    /// However long it takes, until `cancelled` says so.
    #[must_use]
    pub fn until(cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self::new(FOREVER, cancelled)
    }

    /// The same, but over when only `share` of the time that is left has passed.
    #[must_use]
    pub fn part(&self, share: f64) -> Self {
        let left = self.end.saturating_duration_since(Instant::now());
        Self { end: Instant::now() + left.mul_f64(share), ..*self }
    }

    /// Whether nothing more may be asked.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end || (self.cancelled)()
    }
}

/// How asking git ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum End {
    /// It answered to the end.
    #[default]
    Whole,
    /// The time was over, or git said nothing for too long.
    Cut,
    /// It failed, with its own first line.
    Failed(String),
}

/// Runs git with `input` for its standard input, and gives what it prints to `read`. When the limit is over it is
/// killed: `read` then comes to an end of file.
///
/// # Errors
/// When git cannot be started.
pub(super) fn run(
    git: Command,
    input: &[u8],
    limit: &Limit<'_>,
    read: &mut dyn FnMut(&mut dyn BufRead) -> io::Result<()>,
) -> Result<End, GitError> {
    if limit.is_over() {
        return Ok(End::Cut);
    }
    let ended = carry_out(git, input, limit, read)?;
    Ok(match ended.code {
        _ if ended.was_cut => End::Cut,
        Some(0) if ended.was_read => End::Whole,
        _ => End::Failed(ended.said),
    })
}

/// What git answered.
pub(super) struct Answer {
    /// The code it ended with; none where a signal ended it.
    pub(super) code: Option<i32>,
    /// All that it printed.
    pub(super) stdout: Vec<u8>,
    /// The line that says why it failed.
    pub(super) said: String,
}

/// Runs git with `input` and gives all that it prints; what it starts itself ends with it.
///
/// # Errors
/// When git cannot be started, or `cancelled` says so in the middle.
pub(super) fn ask(
    git: Command,
    input: &[u8],
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Answer, GitError> {
    let mut stdout = Vec::new();
    let read = &mut |from: &mut dyn BufRead| from.read_to_end(&mut stdout).map(drop);
    let ended = carry_out(git, input, &Limit::until(cancelled), read)?;
    if ended.was_cut {
        return Err(GitError::Interrupted);
    }
    Ok(Answer { code: ended.code.filter(|_| ended.was_read), stdout, said: ended.said })
}

/// Runs git for what it must know at once, and gives all that it prints.
///
/// # Errors
/// When git cannot be started, or says nothing for [`SOON`], as it does of a repository with a pipe in it.
pub(super) fn ask_soon(git: Command) -> Result<Answer, GitError> {
    ask_soon_about(git, &[])
}

/// The same, about what is in `input`.
///
/// # Errors
/// As those of [`ask_soon`].
pub(super) fn ask_soon_about(git: Command, input: &[u8]) -> Result<Answer, GitError> {
    let end = Instant::now() + SOON;
    ask(git, input, &|| Instant::now() >= end).map_err(|error| match error {
        GitError::Interrupted => too_slow(),
        other => other,
    })
}

/// Says that git took longer than it may for what it must know at once.
pub(crate) fn too_slow() -> GitError {
    let reason = format!("it took more than {} seconds; try: git status", SOON.as_secs());
    GitError::Refused { what: "answer", reason }
}

/// What git printed, as text.
pub(super) fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// How a git ended, and how reading from it did.
struct Ended {
    was_cut: bool,
    was_read: bool,
    code: Option<i32>,
    said: String,
}

fn carry_out(
    mut git: Command,
    input: &[u8],
    limit: &Limit<'_>,
    read: &mut dyn FnMut(&mut dyn BufRead) -> io::Result<()>,
) -> Result<Ended, GitError> {
    // A group of its own: what it starts, such as a filter, may hold its output open and must end with it.
    git.process_group(0);
    git.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    git.stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = git.spawn().map_err(|error| GitError::no_git(&error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let child =
        Guarded { child: Mutex::new(child), was_cut: AtomicBool::new(false), heard: AtomicU64::new(0) };
    let child = &child;
    std::thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let watch = move || child.watch(limit, &ended);
        let started = Builder::new().spawn_scoped(scope, watch).and_then(|_| {
            let feed = move || stdin.map(|mut stdin| stdin.write_all(input));
            Builder::new().spawn_scoped(scope, feed)?;
            Builder::new().spawn_scoped(scope, move || stderr.map_or_else(String::new, first_line))
        });
        let Ok(said) = started else {
            child.kill();
            let said = "no thread could be started to watch over git".to_owned();
            return Ok(Ended { was_cut: false, was_read: false, code: None, said });
        };
        let taken = stdout.map(|stdout| {
            let heard = Heard { from: stdout, count: &child.heard };
            read(&mut BufReader::with_capacity(1 << 16, heard))
        });
        let was_read = matches!(taken, Some(Ok(())));
        if !was_read {
            child.kill();
        }
        drop(done);
        let code = child.wait();
        let said = said.join().unwrap_or_default();
        log::debug!(
            command = command_line(&git), sent = input.len(), code = code.unwrap_or(-1),
            ms = start.elapsed().as_millis(); "asked git"
        );
        Ok(Ended { was_cut: child.was_cut.load(Ordering::Relaxed), was_read, code, said })
    })
}

/// A child that somebody else may end.
struct Guarded {
    child: Mutex<Child>,
    was_cut: AtomicBool,
    /// How often something was read from it.
    heard: AtomicU64,
}

/// What a child prints, with a count of each time that there is more of it.
struct Heard<'a, R> {
    from: R,
    count: &'a AtomicU64,
}

impl<R: Read> Read for Heard<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer);
        self.count.fetch_add(1, Ordering::Relaxed);
        read
    }
}

impl Guarded {
    /// Ends the child when the limit is over before whoever reads is done.
    fn watch(&self, limit: &Limit<'_>, done: &mpsc::Receiver<()>) {
        let (mut heard, mut last) = (0, Instant::now());
        while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let now = self.heard.load(Ordering::Relaxed);
            if now != heard {
                (heard, last) = (now, Instant::now());
            }
            if limit.is_over() || last.elapsed() >= limit.quiet {
                self.was_cut.store(true, Ordering::Relaxed);
                return self.kill();
            }
            if self.has_ended() {
                // What it has started may hold its output open.
                return self.kill();
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.child.lock().is_ok_and(|mut child| matches!(child.try_wait(), Ok(Some(_))))
    }

    fn kill(&self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.kill();
        }
    }

    fn wait(&self) -> Option<i32> {
        self.child.lock().ok()?.wait().ok()?.code()
    }
}

/// The line by which git says why it failed, with what stands indented below; the rest is read, so that it never waits, and
/// dropped.
fn first_line(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = stderr.by_ref().take(SAID).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    let text = String::from_utf8_lossy(&kept);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    let first = lines.peek().copied().unwrap_or_default();
    let line = lines.find(|line| line.starts_with("fatal: "));
    // That is said of whatever ssh has just said itself.
    let line = line.filter(|line| *line == first || !line.contains("Could not read from remote repository"));
    let below = line.map(|_| lines.map_while(|line| line.strip_prefix('\t'))).into_iter().flatten();
    let line = line.unwrap_or(first);
    let line = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
    std::iter::once(line).chain(below).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_shell(script: &str, input: &[u8], limit: &Limit<'_>) -> (End, Vec<u8>) {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        let mut out = Vec::new();
        let end = run(shell, input, limit, &mut |from| from.read_to_end(&mut out).map(drop)).unwrap();
        (end, out)
    }

    #[test]
    fn what_answers_is_read_to_the_end() {
        let long = Limit::new(Duration::from_secs(30), &|| false);
        let input = vec![b'x'; 300_000];
        assert_eq!(run_shell("cat", &input, &long), (End::Whole, input.clone()));
        assert_eq!(run_shell("head -c 3", &input, &long), (End::Whole, b"xxx".to_vec()));
        let script = "echo a; yes b | head -c 300000 >&2; echo fatal: c >&2; exit 3";
        assert_eq!(run_shell(script, b"", &long), (End::Failed("b".to_owned()), b"a\n".to_vec()));
    }

    #[test]
    fn what_was_started_and_left_behind_holds_nothing_up() {
        let start = Instant::now();
        let long = Limit::new(Duration::from_secs(30), &|| false);
        assert_eq!(run_shell("sleep 60 & echo a", b"", &long), (End::Whole, b"a\n".to_vec()));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_hangs_is_ended() {
        let start = Instant::now();
        let short = Limit::new(Duration::from_millis(100), &|| false);
        assert_eq!(run_shell("echo a; exec sleep 60", b"", &short), (End::Cut, b"a\n".to_vec()));
        let quiet = Limit::until(&|| false).unless_quiet(Duration::from_millis(300));
        assert_eq!(run_shell("echo a; exec sleep 60", b"", &quiet), (End::Cut, b"a\n".to_vec()));
        let talking = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.1; done";
        assert_eq!(run_shell(talking, b"", &quiet), (End::Whole, b"1\n2\n3\n4\n5\n6\n".to_vec()));
        let cancelled = Limit::new(Duration::from_secs(60), &|| true);
        assert_eq!(run_shell("exec sleep 60", b"", &cancelled).0, End::Cut);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
