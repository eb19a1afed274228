//! The one runtime for tasks that wait on sockets.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that carry sockets; the caller's own thread waits beside them.
const THREADS: usize = 2;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// Waits for a future on this thread. Tasks that it starts go on after it has ended, until the process does.
///
/// # Errors
/// When this machine gives no threads.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(handle()?.block_on(future))
}

/// The runtime, which is started when it is first needed.
fn handle() -> io::Result<Handle> {
    let mut shared = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*shared {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    Ok(shared.insert(runtime).handle().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_wait_at_once() {
        let waited = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    scope.spawn(move || block_on(async move { tokio::spawn(async move { number }).await }))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap().unwrap()).sum::<i32>()
        });
        assert_eq!(waited, 28);
    }
}
