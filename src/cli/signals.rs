//! SIGINT and SIGTERM: ask the work to end, and end by force if it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::host::Watch;

/// How long the work may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Whether the user ended the run, and the watch that tells the work so.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    pub(super) watch: Arc<Watch>,
    code: Arc<AtomicU8>,
    waiting: Arc<AtomicBool>,
}

impl Interrupt {
    /// 130 after SIGINT, 143 after SIGTERM.
    pub(super) fn code(&self) -> Option<u8> {
        match self.code.load(Ordering::SeqCst) {
            0 => None,
            code => Some(code),
        }
    }

    /// Notes an interrupt that the terminal gave as a key.
    pub(super) fn was_interrupted(&self) {
        self.code.store(130, Ordering::SeqCst);
    }

    /// Runs `ask`, which waits for the user: a signal meanwhile ends the process at once.
    pub(super) fn while_waiting<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.waiting.store(true, Ordering::SeqCst);
        let answer = ask();
        self.waiting.store(false, Ordering::SeqCst);
        answer
    }
}

/// Starts listening. Where the system gives no way to, signals end the process as they always do.
pub(super) fn listen() -> Interrupt {
    let interrupt = Interrupt::default();
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return interrupt };
    let shared = interrupt.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let code = if signal == SIGINT { 130 } else { 143 };
            let second = shared.code.swap(code, Ordering::SeqCst) != 0;
            shared.watch.cancel();
            if second || shared.waiting.load(Ordering::SeqCst) {
                let _ = console::Term::stderr().show_cursor();
                std::process::exit(code.into());
            }
            std::thread::spawn(move || {
                std::thread::sleep(GRACE);
                std::process::exit(code.into());
            });
        }
    });
    interrupt
}
