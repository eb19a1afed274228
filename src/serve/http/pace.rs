//! How a connection gets on: since when a request is answered, and since when its client takes nothing.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::control::waits;

/// The bytes that are read in vain at most.
const MOST_IN_VAIN: usize = 8 << 20;

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
    /// The body of the request was not read to its end.
    is_unread: bool,
    /// Since when the rest of it is read in vain, so that the client gets to read why it was refused.
    lingering: Option<Instant>,
    /// The bytes of that.
    in_vain: usize,
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
            is_unread: false,
            lingering: None,
            in_vain: 0,
            idle: Instant::now(),
        }))
    }

    fn with<T>(&self, edit: impl FnOnce(&mut PaceState) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request has come, with or without a body.
    pub(super) fn request_began(&self, has_body: bool) {
        self.with(|state| {
            state.is_unread = has_body;
            state.requested = Some(Instant::now());
            (state.is_stream, state.is_handed_over) = (false, false);
        });
    }

    /// Its body was read to the end.
    pub(super) fn request_was_read(&self) {
        self.with(|state| state.is_unread = false);
    }

    /// Its answer lasts.
    pub(super) fn is_a_stream(&self) {
        self.with(|state| state.is_stream = true);
    }

    /// The answer's body was handed over, or nobody wants it.
    pub(super) fn body_ended(&self) {
        self.with(|state| state.is_handed_over = true);
    }

    /// Begins to linger where the client may still send; whether it does.
    fn lingers(&self) -> bool {
        self.with(|state| {
            state.lingering = state.is_unread.then(Instant::now);
            state.is_unread
        })
    }

    fn is_lingering(&self) -> bool {
        self.with(|state| state.lingering.is_some())
    }

    /// Counts what was read in vain.
    fn read_in_vain(&self, count: usize) -> usize {
        self.with(|state| {
            state.in_vain += count;
            state.in_vain
        })
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
            is_over(state.stalled, stall)
                || is_over(state.lingering, waits::HTTP_LINGER.most)
                || !state.is_stream && is_over(state.requested, request)
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

impl<T: AsyncRead + Unpin> PacedStream<T> {
    /// Reads until the client ends, or has sent too much.
    fn poll_in_vain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
            let count = buffer.filled().len();
            if read.is_err() || count == 0 || self.pace.read_in_vain(count) > MOST_IN_VAIN {
                return Poll::Ready(());
            }
        }
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

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PacedStream<T> {
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
        if !self.pace.is_lingering() {
            let ended = Pin::new(&mut self.inner).poll_shutdown(context);
            self.pace.wrote(ended.is_pending(), false);
            if !matches!(ended, Poll::Ready(Ok(()))) || !self.pace.lingers() {
                return ended;
            }
        }
        self.poll_in_vain(context).map(Ok)
    }
}
