//! Progress on standard error: only on a terminal, and only for what takes a while.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::control::Events;
use crate::control::events::Display;
use crate::control::progress::{Phase, Stage, Task};

/// What ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(200);
const EVERY: Duration = Duration::from_millis(100);

/// Shows progress on the terminal, and writes lines beside it.
pub(crate) struct Terminal(pub(crate) Interrupt);

impl Events for Terminal {
    fn line(&self, text: &str) {
        say(text);
    }

    fn show(&self, tasks: &Arc<[Task]>) -> Option<Display> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let (done, waits) = channel::<()>();
        let (tasks, interrupt) = (Arc::clone(tasks), self.0.clone());
        let thread = Builder::new().spawn(move || draw(&tasks, &interrupt, &waits)).ok()?;
        Some(Box::new(Bar { done: Some(done), thread: Some(thread) }))
    }
}

/// The phase of a task, and how much it has done.
fn describe(task: &Task) -> String {
    let (files, bytes) = task.watch.done();
    match task.watch.phase() {
        Phase::Reading | Phase::Collecting => {
            format!("{} files, {} hashed", HumanCount(files), HumanBytes(bytes))
        }
        Phase::Connecting => "connecting".to_owned(),
        Phase::Authenticating => "logging in".to_owned(),
        Phase::AskingDocker => "asking Docker".to_owned(),
    }
}

/// How far several tasks are, in one line: the one there is, or how many are done and what the others do.
fn line(tasks: &[Task]) -> String {
    if let [one] = tasks {
        return describe(one);
    }
    let done = tasks.iter().filter(|task| task.is(Stage::Done)).count();
    let at_work = tasks.iter().filter(|task| task.is(Stage::AtWork));
    let each: Vec<String> = at_work.map(|task| format!("{}: {}", task.name(), describe(task))).collect();
    format!("{done} of {} done; {}", tasks.len(), each.join("; "))
}

/// A bar that is drawn until it is dropped.
struct Bar {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Bar {
    fn drop(&mut self) {
        drop(self.done.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Draws how far tasks are, until the other end of `waits` is gone.
fn draw(tasks: &[Task], interrupt: &Interrupt, waits: &Receiver<()>) {
    let goes_on = |time| waits.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::progress::Watch;

    #[test]
    fn one_task_says_what_it_does_and_several_how_many_are_done() {
        let all = Watch::default();
        let tasks = ["a", "b", "c", "d"].map(|name| Task::new(name, &all));
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
