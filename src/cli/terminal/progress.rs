//! Progress on standard error: only on a terminal, and only for what takes a while.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::terminal::signals::Interrupt;
use crate::host::{Phase, Watch};

/// What ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(200);
const EVERY: Duration = Duration::from_millis(100);

/// One of the things that are looked at, and how far looking at it is.
pub(crate) struct Task {
    /// How it is called.
    name: String,
    /// Tells how far it is.
    pub(crate) watch: Watch,
    stage: AtomicU8,
}

const WAITING: u8 = 0;
const AT_WORK: u8 = 1;
const DONE: u8 = 2;

impl Task {
    /// Something called `name` that waits for its turn.
    pub(crate) fn new(name: &str, interrupt: &Interrupt) -> Self {
        Self { name: name.to_owned(), watch: interrupt.watch.child(), stage: AtomicU8::new(WAITING) }
    }

    /// Runs `work`, and lets it be seen that it runs.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Watch) -> T) -> T {
        self.stage.store(AT_WORK, Ordering::Relaxed);
        let result = work(&self.watch);
        self.stage.store(DONE, Ordering::Relaxed);
        result
    }

    /// How it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn is(&self, stage: u8) -> bool {
        self.stage.load(Ordering::Relaxed) == stage
    }

    fn in_words(&self) -> String {
        let (files, bytes) = self.watch.done();
        match self.watch.phase() {
            Phase::Reading | Phase::Collecting => {
                format!("{} files, {} hashed", HumanCount(files), HumanBytes(bytes))
            }
            Phase::Connecting => "connecting".to_owned(),
            Phase::Authenticating => "logging in".to_owned(),
            Phase::AskingDocker => "asking Docker".to_owned(),
        }
    }
}

/// How far several tasks are, in one line: the one there is, or how many are done and what the others do.
fn line(tasks: &[Task]) -> String {
    if let [one] = tasks {
        return one.in_words();
    }
    let done = tasks.iter().filter(|task| task.is(DONE)).count();
    let at_work = tasks.iter().filter(|task| task.is(AT_WORK));
    let each: Vec<String> = at_work.map(|task| format!("{}: {}", task.name, task.in_words())).collect();
    format!("{done} of {} done; {}", tasks.len(), each.join("; "))
}

/// Runs `work` and shows how far `tasks` are meanwhile.
pub(crate) fn shown<T>(tasks: &[Task], quiet: bool, interrupt: &Interrupt, work: impl FnOnce() -> T) -> T {
    if quiet || !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, waits) = channel::<()>();
    let goes_on = move |time| waits.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if !goes_on(PATIENCE) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}") {
                bar.set_style(style);
            }
            interrupt.shows(Some(&bar));
            loop {
                if !interrupt.is_waiting() {
                    bar.set_message(line(tasks));
                    bar.tick();
                }
                if !goes_on(EVERY) {
                    break;
                }
            }
            interrupt.shows(None);
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_says_what_it_does_and_several_how_many_are_done() {
        let interrupt = Interrupt::default();
        let tasks = ["a", "b", "c", "d"].map(|name| Task::new(name, &interrupt));
        tasks[0].run(|_| ());
        assert_eq!(line(&tasks[..1]), "0 files, 0 B hashed");
        tasks[1].run(|watch| {
            watch.set_phase(Phase::Connecting);
            tasks[2].run(|watch| {
                watch.set_phase(Phase::AskingDocker);
                assert_eq!(line(&tasks), "1 of 4 done; b: connecting; c: asking Docker");
                assert_eq!(line(&tasks[1..2]), "connecting");
            });
        });
        assert_eq!(line(&tasks), "3 of 4 done; ");
    }
}
