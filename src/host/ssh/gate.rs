//! How many connections to one server of this process are not logged in yet: a server resets more than some at random.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Hop;

/// How many at once: OpenSSH begins to reset connections at ten (`MaxStartups 10:30:100`), and others log in there, too.
const AT_ONCE: usize = 8;

type Gates = HashMap<(String, u16), Arc<Semaphore>>;

static GATES: LazyLock<Mutex<Gates>> = LazyLock::new(Mutex::default);

/// Waits until one more connection to a server may be begun; others may follow once what it gives is dropped.
pub(super) async fn enter(hop: &Hop) -> Option<OwnedSemaphorePermit> {
    let gate = {
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(AT_ONCE));
        Arc::clone(gates.entry((hop.address.clone(), hop.port)).or_insert_with(new))
    };
    gate.acquire_owned().await.ok()
}
