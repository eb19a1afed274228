//! The one place that makes a runtime for tasks that wait on sockets.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

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

/// A runtime that a thread of its own drives until this is dropped, so that tasks go on between calls, and calls of several threads
/// share what they start.
pub(crate) struct DrivenRuntime {
    handle: Handle,
    _alive: oneshot::Sender<()>,
}

impl DrivenRuntime {
    /// Has a thread drive a runtime.
    ///
    /// # Errors
    /// When there is no thread, or no runtime.
    pub(crate) fn of(runtime: Runtime) -> io::Result<Self> {
        let none = || io::Error::other("there is no runtime");
        let handle = runtime.0.as_ref().ok_or_else(none)?.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        let drive = move || drop(runtime.block_on(ended));
        std::thread::Builder::new().name("driver".to_owned()).spawn(drive)?;
        Ok(Self { handle, _alive: alive })
    }

    /// Waits for a future on this thread; the tasks that it starts go on afterwards.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
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
    fn a_driven_runtime_ends_tasks_after_the_call_that_started_them() {
        let driven = DrivenRuntime::of(Runtime::new().unwrap()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        driven.block_on(async move {
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                sender.send(7).unwrap();
            });
        });
        assert_eq!(receiver.recv().unwrap(), 7);
    }

    #[test]
    fn tasks_that_are_started_run_meanwhile() {
        let waited = block_on(async { tokio::spawn(async { 7 }).await });
        assert_eq!(waited.unwrap().unwrap(), 7);
    }
}
