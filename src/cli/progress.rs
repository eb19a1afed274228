//! Progress on standard error: only on a terminal, and only for what takes a while.

use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::host::Watch;

/// What ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(200);
const EVERY: Duration = Duration::from_millis(100);

/// Runs `work` and shows how far `watch` says it is.
pub(super) fn shown<T>(watch: &Watch, quiet: bool, work: impl FnOnce() -> T) -> T {
    if quiet || !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, waits) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waits.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
                bar.set_style(style);
            }
            loop {
                let (files, bytes) = watch.done();
                bar.set_message(format!("{} files, {} hashed", HumanCount(files), HumanBytes(bytes)));
                bar.tick();
                if waits.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}
