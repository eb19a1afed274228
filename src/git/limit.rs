//! Asking git for a bounded time: what it is asked ends when the time is over, or when somebody says so.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::GitError;

/// How often it is looked whether the time is over.
const TICK: Duration = Duration::from_millis(10);
/// How much of what git says of a failure is kept.
const SAID: u64 = 4096;

/// Until when git may be asked.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    end: Instant,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Limit<'a> {
    /// From now on for `time`, or until `cancelled` says so.
    #[must_use]
    pub fn new(time: Duration, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { end: Instant::now() + time, cancelled }
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
    /// The time was over.
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
    mut git: Command,
    input: &[u8],
    limit: &Limit<'_>,
    read: &mut dyn FnMut(&mut dyn BufRead) -> io::Result<()>,
) -> Result<End, GitError> {
    if limit.is_over() {
        return Ok(End::Cut);
    }
    git.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    git.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = git.spawn().map_err(|error| GitError::no_git(&error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let child = Guarded { child: Mutex::new(child), was_cut: AtomicBool::new(false) };
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
            return Ok(End::Failed("no thread could be started to watch over git".to_owned()));
        };
        let taken = stdout.map(|stdout| read(&mut BufReader::with_capacity(1 << 16, stdout)));
        if !matches!(taken, Some(Ok(()))) {
            child.kill();
        }
        drop(done);
        let succeeded = child.wait();
        let said = said.join().unwrap_or_default();
        Ok(match taken {
            _ if child.was_cut.load(Ordering::Relaxed) => End::Cut,
            Some(Ok(())) if succeeded => End::Whole,
            _ => End::Failed(said),
        })
    })
}

/// A child that somebody else may end.
struct Guarded {
    child: Mutex<Child>,
    was_cut: AtomicBool,
}

impl Guarded {
    /// Ends the child when the limit is over before whoever reads is done.
    fn watch(&self, limit: &Limit<'_>, done: &mpsc::Receiver<()>) {
        while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if limit.is_over() {
                self.was_cut.store(true, Ordering::Relaxed);
                return self.kill();
            }
        }
    }

    fn kill(&self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
        }
    }

    fn wait(&self) -> bool {
        self.child.lock().is_ok_and(|mut child| child.wait().is_ok_and(|status| status.success()))
    }
}

/// The first line of what git says of a failure; the rest is read, so that it never waits, and dropped.
fn first_line(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = stderr.by_ref().take(SAID).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    let text = String::from_utf8_lossy(&kept);
    text.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(script: &str, input: &[u8], limit: &Limit<'_>) -> (End, Vec<u8>) {
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
        assert_eq!(ask("cat", &input, &long), (End::Whole, input.clone()));
        assert_eq!(ask("head -c 3", &input, &long), (End::Whole, b"xxx".to_vec()));
        let script = "echo a; yes b | head -c 300000 >&2; echo fatal: c >&2; exit 3";
        assert_eq!(ask(script, b"", &long), (End::Failed("b".to_owned()), b"a\n".to_vec()));
    }

    #[test]
    fn what_hangs_is_ended() {
        let start = Instant::now();
        let short = Limit::new(Duration::from_millis(100), &|| false);
        assert_eq!(ask("echo a; exec sleep 60", b"", &short), (End::Cut, b"a\n".to_vec()));
        let cancelled = Limit::new(Duration::from_secs(60), &|| true);
        assert_eq!(ask("exec sleep 60", b"", &cancelled).0, End::Cut);
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
