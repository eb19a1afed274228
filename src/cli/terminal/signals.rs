//! SIGINT and SIGTERM: ask the work to end, and end by force if it does not.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::control::waits;
use crate::host::Watch;

/// The signals that what runs for long listens to: read again, look at everything now, end.
pub(crate) const OF_SERVICES: [i32; 4] = [SIGHUP, SIGUSR1, SIGINT, SIGTERM];
/// How long the work may take to end by itself.
const GRACE: Duration = waits::INTERRUPTED.most;
/// The interval in which it is looked whether something is left to remove.
const POLL: Duration = Duration::from_millis(20);

/// Whether the user ended the run, and the watch that tells the work so.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    pub(crate) watch: Arc<Watch>,
    code: Arc<AtomicU8>,
    waiting: Arc<AtomicBool>,
    /// How the terminal was before a question: one that ends in the middle must not stay without echo.
    terminal: Arc<Mutex<Option<Termios>>>,
    /// What is shown meanwhile: a question must not be drawn over.
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Interrupt {
    /// 130 after SIGINT, 143 after SIGTERM.
    pub(crate) fn code(&self) -> Option<u8> {
        match self.code.load(Ordering::SeqCst) {
            0 => None,
            code => Some(code),
        }
    }

    /// Asks the work to end; ends the process when it is asked twice, waits for the user, or takes too long.
    fn receive(&self, code: u8) {
        let second = self.code.swap(code, Ordering::SeqCst) != 0;
        self.watch.cancel();
        let watch = Arc::clone(&self.watch);
        let grace = move || {
            std::thread::sleep(GRACE);
            let since = Instant::now();
            while watch.is_unfinished() && since.elapsed() < waits::UNFINISHED.most {
                std::thread::sleep(POLL);
            }
            std::process::exit(code.into());
        };
        if second || self.waiting.load(Ordering::SeqCst) || Builder::new().spawn(grace).is_err() {
            let _ = console::Term::stderr().show_cursor();
            self.restore_terminal();
            std::process::exit(code.into());
        }
    }

    /// Notes an interrupt that the terminal gave as a key.
    pub(crate) fn was_interrupted(&self) {
        self.code.store(130, Ordering::SeqCst);
    }

    /// Runs `ask`, which waits for the user: a signal meanwhile ends the process at once.
    pub(crate) fn while_waiting<T>(&self, ask: impl FnOnce() -> T) -> T {
        let before = tcgetattr(std::io::stdin()).ok();
        self.terminal.lock().map(|mut terminal| *terminal = before).ok();
        self.waiting.store(true, Ordering::SeqCst);
        let answer = self.undisturbed(ask);
        self.waiting.store(false, Ordering::SeqCst);
        answer
    }

    /// Whether the user is being asked something.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Says what is shown from now on.
    pub(crate) fn shows(&self, bar: Option<&ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar.cloned();
    }

    /// Runs `write`, which writes to the terminal, while nothing else is shown there.
    pub(crate) fn undisturbed<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Writes a line beside what is shown: that is taken away meanwhile, and nothing else begins to be shown.
    pub(crate) fn beside(&self, write: impl FnOnce()) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn restore_terminal(&self) {
        if let Ok(Some(terminal)) = self.terminal.try_lock().map(|mut terminal| terminal.take()) {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &terminal);
        }
    }
}

/// Starts listening.
///
/// # Errors
/// When the system gives no thread or no handler to listen with.
pub(crate) fn listen() -> std::io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let shared = interrupt.clone();
    Builder::new().spawn(move || {
        for signal in signals.forever() {
            shared.receive(if signal == SIGINT { 130 } else { 143 });
        }
    })?;
    Ok(interrupt)
}
