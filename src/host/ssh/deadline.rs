//! One deadline over everything until a server lets the user in.

use std::time::Duration;

use tokio::time::Instant;

/// A point in time that moves on while the user is asked.
pub(super) struct Deadline {
    at: Instant,
    whole: Duration,
}

/// The deadline passed before something was done.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no answer within {} s (--connect-timeout)", .0.as_secs_f64())]
pub(super) struct TimedOut(Duration);

impl Deadline {
    pub(super) fn after(whole: Duration) -> Self {
        Self { at: Instant::now() + whole, whole }
    }

    /// Awaits something until the deadline.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, TimedOut> {
        tokio::time::timeout_at(self.at, work).await.map_err(|_| TimedOut(self.whole))
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Runs what waits for the user: that time does not count.
    pub(super) fn outside<T>(&mut self, ask: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let answer = ask();
        self.at += start.elapsed();
        answer
    }
}
