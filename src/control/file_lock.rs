//! Locks of the system on files (flock(2)), which end with the process that holds them, however that ends.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// The time between two tries.
const TICK: Duration = Duration::from_millis(20);

/// Waits until this process alone holds `file`; `false` where somebody else still holds it after `patience`, or when
/// `is_over`.
///
/// # Errors
/// When the system locks no such file.
pub(crate) fn hold(file: &File, patience: Duration, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience || is_over() => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(TICK),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_holds_a_file_and_others_wait_as_long_as_they_may() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let (first, second) = (open(), open());
        let never = || false;
        assert!(hold(&first, Duration::ZERO, &never).unwrap());
        assert!(!hold(&second, Duration::from_millis(50), &never).unwrap());
        let asked = AtomicU32::new(0);
        let third_time = || asked.fetch_add(1, Ordering::Relaxed) == 2;
        assert!(!hold(&second, Duration::from_secs(600), &third_time).unwrap());
        assert_eq!(asked.into_inner(), 3);
        drop(first);
        assert!(hold(&second, Duration::ZERO, &never).unwrap());
    }
}
