//! The one place that makes a runtime for tasks that wait on sockets.

use std::io;

use tokio::runtime::Builder;

/// Waits for a future on this thread, with all tasks that it starts; those that have not ended are left behind. Everything runs
/// on the one thread, so that a connection is back in its pool before the next call looks for one.
///
/// # Errors
/// When the system gives no runtime.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    // A look-up of a name may hang in the system, and nobody waits for that.
    runtime.shutdown_background();
    Ok(result)
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
