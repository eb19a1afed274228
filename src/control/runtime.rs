//! The one place that makes a runtime for tasks that wait on sockets.

use std::io;

use tokio::runtime::Builder;

/// A runtime whose tasks go on while a thread waits on it, all on that thread, so that a connection is back in its pool before the
/// next call looks for one. Tasks that have not ended when it is dropped are left behind.
pub(crate) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// A new one, without tasks.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    /// Waits for a future on this thread, with all tasks that it and those before it started.
    ///
    /// # Errors
    /// When there is no runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        let runtime = self.0.as_ref().ok_or_else(|| io::Error::other("there is no runtime"))?;
        Ok(runtime.block_on(future))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A look-up of a name may hang in the system, and nobody waits for that.
        self.0.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

/// A runtime with threads of its own, for a server: some for tasks, and a bounded number for calls that block.
pub(crate) struct WorkerRuntime(Option<tokio::runtime::Runtime>);

impl WorkerRuntime {
    /// A new one, without tasks.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn new(name: &str, threads: usize, blocking: usize) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads).max_blocking_threads(blocking).thread_name(name).enable_all();
        builder.build().map(|runtime| Self(Some(runtime)))
    }

    /// Waits for a future on this thread; none of the runtime's own tasks may do so.
    ///
    /// # Errors
    /// When there is no runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        let runtime = self.0.as_ref().ok_or_else(|| io::Error::other("there is no runtime"))?;
        Ok(runtime.block_on(future))
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(task);
        }
    }
}

impl Drop for WorkerRuntime {
    fn drop(&mut self) {
        // A handler may hang in the system, and nobody waits for that.
        self.0.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

/// Waits for a future on this thread, on a runtime of its own.
///
/// # Errors
/// When the system gives no runtime.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Runtime::new()?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_are_started_run_meanwhile() {
        let waited = block_on(async { tokio::spawn(async { 7 }).await });
        assert_eq!(waited.unwrap().unwrap(), 7);
    }
}
