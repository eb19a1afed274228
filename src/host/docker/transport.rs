//! An engine behind streams that somebody else opens.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

/// A stream that is read and written.
pub(in crate::host) trait BothWays: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> BothWays for T {}

/// A way to the engine and back.
pub(in crate::host) type Stream = Box<dyn BothWays>;
/// One more stream, being opened.
pub(in crate::host) type Opening = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// The size of an engine's answers together: those of some thousand containers.
const MOST: u64 = 16 << 20;
/// The number of objects in them: the smallest ones take most memory, and a container has some twenty.
const OBJECTS: u64 = 100_000;

/// The kind of error that too long an answer is.
pub(super) const TOO_MUCH: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// The size of an engine's answers so far, over all of its streams.
#[derive(Default)]
struct AnswerSize {
    bytes: AtomicU64,
    objects: AtomicU64,
    is_unbounded: bool,
}

impl AnswerSize {
    fn hear(&self, bytes: &[u8]) -> io::Result<()> {
        let count =
            |all: &AtomicU64, more: usize| all.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
        let objects = bytes.iter().filter(|&&b| b == b'{').count();
        let is_too_much = count(&self.bytes, bytes.len()) > MOST || count(&self.objects, objects) > OBJECTS;
        if is_too_much && !self.is_unbounded {
            return Err(io::Error::new(TOO_MUCH, "its answer has no end"));
        }
        Ok(())
    }
}

/// Opens streams when hyper wants one.
#[derive(Clone)]
pub(in crate::host) struct Connector(Arc<dyn Fn() -> Opening + Send + Sync>, Arc<AnswerSize>);

impl Connector {
    /// To an engine whose answers have an end: it is a server's.
    pub(super) fn bounded(open: impl Fn() -> Opening + Send + Sync + 'static) -> Self {
        Self(Arc::new(open), Arc::default())
    }

    /// To an engine of this machine.
    pub(super) fn unbounded(open: impl Fn() -> Opening + Send + Sync + 'static) -> Self {
        let size = AnswerSize { is_unbounded: true, ..AnswerSize::default() };
        Self(Arc::new(open), Arc::new(size))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<CountedStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let opening = (self.0)();
        let said = Arc::clone(&self.1);
        Box::pin(async move { Ok(TokioIo::new(CountedStream(opening.await?, said))) })
    }
}

/// A stream as hyper wants it.
pub(in crate::host) struct CountedStream(Stream, Arc<AnswerSize>);

impl Connection for CountedStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(context, buffer);
        match read {
            Poll::Ready(Ok(())) => Poll::Ready(self.1.hear(&buffer.filled()[before..])),
            other => other,
        }
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_an_end_in_bytes_and_in_objects() {
        let (said, mib) = (AnswerSize::default(), vec![b'x'; 1 << 20]);
        assert!(said.hear(&mib).is_ok());
        assert!((0..16).any(|_| said.hear(&mib).is_err()), "16 MiB");
        let said = AnswerSize::default();
        assert!(said.hear("{},".repeat(50_000).as_bytes()).is_ok());
        assert_eq!(said.hear("{},".repeat(50_001).as_bytes()).unwrap_err().kind(), TOO_MUCH);
    }
}
