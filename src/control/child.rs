//! Child processes that may not run for ever.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Waits for a child, looking every `tick` whether it has ended; `None` where that `is_over` first: then it is still there.
///
/// # Errors
/// When the system lost it.
pub(crate) fn wait(
    child: &mut Child,
    tick: Duration,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if is_over() => return Ok(None),
            None => std::thread::sleep(tick),
        }
    }
}

/// Ends a child and takes leave of it.
pub(crate) fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_waited_for_until_that_is_over() {
        let tick = Duration::from_millis(1);
        let mut child = Command::new("true").spawn().unwrap();
        assert!(wait(&mut child, tick, &|| false).unwrap().unwrap().success());
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(wait(&mut child, tick, &|| true).unwrap(), None);
        end(&mut child);
        assert!(!wait(&mut child, tick, &|| false).unwrap().unwrap().success());
    }
}
