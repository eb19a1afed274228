//! Events of a job while it runs: what somebody should read, and how far it is.

use std::any::Any;
use std::sync::Arc;

use crate::control::progress::{Task, Watch};

/// A display of progress, which ends when it is dropped.
pub type Display = Box<dyn Any>;

/// Receives the events of a job. Implementations decide where they go: a terminal, a journal, nowhere.
pub trait Events: Send + Sync {
    /// Receives a line for whoever runs the job, without its end: `warning: …`, `error: …`, or a note.
    fn line(&self, text: &str);

    /// Receives a warning: the job goes on, and its result stands.
    fn warning(&self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// Shows how far tasks are, until what it gives is dropped.
    fn show(&self, _tasks: &Arc<[Task]>) -> Option<Display> {
        None
    }
}

/// Runs one piece of work, and shows how far it is; it is cancelled with `all`.
pub fn run_task<T>(events: &dyn Events, name: &str, all: &Watch, work: impl FnOnce(&Watch) -> T) -> T {
    let tasks: Arc<[Task]> = Arc::new([Task::new(name, all)]);
    let display = events.show(&tasks);
    let result = tasks[0].run(work);
    drop(display);
    result
}

/// Events that nobody receives.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Events for Silent {
    fn line(&self, _text: &str) {}
}
