//! How a connection gets on: since when a request is answered, and since when its client takes nothing.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The state of one connection.
pub(super) struct Pace(Mutex<PaceState>);

struct PaceState {
    /// Since when a request is answered.
    requested: Option<Instant>,
    /// Its answer is a stream, which may last.
    is_stream: bool,
    /// All of the answer was handed over, though not all of it may be sent.
    is_handed_over: bool,
    /// Since when the client takes nothing.
    stalled: Option<Instant>,
    /// Since when there is no request.
    idle: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self(Mutex::new(PaceState {
            requested: None,
            is_stream: false,
            is_handed_over: false,
            stalled: None,
            idle: Instant::now(),
        }))
    }

    fn with<T>(&self, edit: impl FnOnce(&mut PaceState) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request has come.
    pub(super) fn request_began(&self) {
        self.with(|state| {
            state.requested = Some(Instant::now());
            (state.is_stream, state.is_handed_over) = (false, false);
        });
    }

    /// Its answer lasts.
    pub(super) fn is_a_stream(&self) {
        self.with(|state| state.is_stream = true);
    }

    /// The answer's body was handed over, or nobody wants it.
    pub(super) fn body_ended(&self) {
        self.with(|state| state.is_handed_over = true);
    }

    fn wrote(&self, is_pending: bool, is_flush: bool) {
        self.with(|state| {
            if is_pending {
                state.stalled.get_or_insert_with(Instant::now);
                return;
            }
            state.stalled = None;
            if is_flush && state.is_handed_over && state.requested.is_some() {
                (state.requested, state.idle) = (None, Instant::now());
            }
        });
    }

    /// Whether the client is too slow: it takes nothing for `stall`, or is not done with a request after `request`.
    pub(super) fn is_too_slow(&self, stall: Duration, request: Duration) -> bool {
        self.with(|state| {
            let is_over = |since: Option<Instant>, most| since.is_some_and(|since| since.elapsed() >= most);
            is_over(state.stalled, stall) || !state.is_stream && is_over(state.requested, request)
        })
    }

    /// Whether there was no request for so long.
    pub(super) fn is_idle(&self, most: Duration) -> bool {
        self.with(|state| state.requested.is_none() && state.idle.elapsed() >= most)
    }
}

/// A connection whose pace is kept.
pub(super) struct PacedStream<T> {
    inner: T,
    pace: Arc<Pace>,
}

impl<T> PacedStream<T> {
    pub(super) fn new(inner: T, pace: &Arc<Pace>) -> Self {
        Self { inner, pace: Arc::clone(pace) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for PacedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PacedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.pace.wrote(wrote.is_pending(), false);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.pace.wrote(wrote.is_pending(), false);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.pace.wrote(flushed.is_pending(), true);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(context);
        self.pace.wrote(ended.is_pending(), false);
        ended
    }
}
