//! A command's standard input and output as one stream, without what a login shell says before it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Sig};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};
use tokio::task::JoinHandle;

/// The number of bytes under way in either direction.
const BUFFER: usize = 64 * 1024;
/// The longest output of a command that answers at once.
const SAID: u64 = 16 << 20;
/// The part of a command's standard error that is kept.
const KEPT: usize = 64 * 1024;

/// The outcome of a command so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Whether the mark came, so that the command was started at all.
    pub(super) began: bool,
    /// The beginning of what it said on its standard error after the mark.
    pub(super) stderr: Vec<u8>,
    /// Its exit code; of one ended by a signal 128.
    pub(super) code: Option<u32>,
}

/// The outcome of a command, shared with its pump.
#[derive(Clone, Default)]
pub(super) struct Ear(Arc<Mutex<Said>>);

impl Ear {
    /// The output on standard error so far; all of it, once the output has ended.
    pub(super) fn said(&self) -> Said {
        self.0.lock().map(|said| said.clone()).unwrap_or_default()
    }

    fn hear(&self, note: impl FnOnce(&mut Said)) {
        if let Ok(mut said) = self.0.lock() {
            note(&mut said);
        }
    }
}

/// The running command; it is ended when this is dropped.
pub(super) struct Stdio {
    stream: DuplexStream,
    pump: JoinHandle<()>,
}

impl Stdio {
    /// Runs `command` on a new channel. It says `mark` in a line of its own, on its output and on its standard
    /// error, before anything else that counts.
    pub(super) async fn start(
        channel: Channel<Msg>,
        command: &str,
        mark: &str,
        ear: Ear,
    ) -> io::Result<Self> {
        // The answer to the request comes with everything else.
        log::debug!(command = command.replace(mark, "MARK"); "begins a command");
        channel.exec(true, command).await.map_err(io::Error::other)?;
        let (stream, theirs) = duplex(BUFFER);
        let pump = tokio::spawn(pump(channel, theirs, mark.to_owned(), ear));
        Ok(Self { stream, pump })
    }

    /// Gives the command its whole input and reads all of its output.
    pub(super) async fn answer_to(mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        // It may end without reading all of its input.
        if self.stream.write_all(input).await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
        (&mut self.stream).take(SAID + 1).read_to_end(&mut output).await?;
        if output.len() as u64 > SAID {
            return Err(io::Error::other("its answer has no end"));
        }
        Ok(output)
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl AsyncRead for Stdio {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Carries bytes between a channel and a stream until the command has ended.
async fn pump(channel: Channel<Msg>, stream: DuplexStream, mark: String, ear: Ear) {
    let (mut messages, write) = channel.split();
    let write = Closing(Some(write));
    let (mut from, mut to) = tokio::io::split(stream);
    let send = async {
        let Closing(Some(write)) = &write else { return };
        let mut buffer = vec![0; BUFFER / 4];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if write.data_bytes(buffer[..read].to_vec()).await.is_err() {
                break;
            }
        }
        let _ = write.eof().await;
        // Nothing more to send is no end of the command.
        std::future::pending::<()>().await;
    };
    let receive = async {
        let (mut output, mut errors) = (AfterMark::new(&mark), AfterMark::new(&mark));
        while let Some(message) = messages.wait().await {
            match message {
                ChannelMsg::Data { data: bytes } => {
                    let rest = output.take(&bytes);
                    ear.hear(|said| said.began = output.is_found());
                    if !rest.is_empty() && to.write_all(&rest).await.is_err() {
                        return;
                    }
                }
                ChannelMsg::ExtendedData { data: bytes, .. } => {
                    let rest = errors.take(&bytes);
                    ear.hear(|said| {
                        let room = KEPT.saturating_sub(said.stderr.len()).min(rest.len());
                        said.stderr.extend_from_slice(&rest[..room]);
                    });
                }
                ChannelMsg::ExitStatus { exit_status } => ear.hear(|said| said.code = Some(exit_status)),
                ChannelMsg::ExitSignal { .. } => ear.hear(|said| said.code = Some(128)),
                ChannelMsg::Failure => return,
                _ => {}
            }
        }
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
    let said = ear.said();
    let outcome = said.code.map_or_else(|| "it has not ended".to_owned(), |code| format!("exit code {code}"));
    log::debug!(outcome, errors = said.stderr.len(); "the command is over");
}

/// The writing half of a channel; the command is ended and the channel closed when this is dropped.
struct Closing(Option<ChannelWriteHalf<Msg>>);

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(write) = self.0.take() {
            tokio::spawn(async move {
                let _ = write.signal(Sig::TERM).await;
                let _ = write.close().await;
            });
        }
    }
}

/// Leaves out everything up to a line that is the mark.
struct AfterMark {
    mark: Vec<u8>,
    /// Bytes that may begin the mark; `None` when it was found.
    before: Option<Vec<u8>>,
}

impl AfterMark {
    fn new(mark: &str) -> Self {
        Self { mark: format!("{mark}\n").into_bytes(), before: Some(Vec::new()) }
    }

    fn is_found(&self) -> bool {
        self.before.is_none()
    }

    /// The part of these bytes after the mark.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(before) = &mut self.before else { return bytes.to_vec() };
        before.extend_from_slice(bytes);
        if let Some(at) = before.windows(self.mark.len()).position(|window| window == self.mark) {
            let rest = before.split_off(at + self.mark.len());
            self.before = None;
            return rest;
        }
        let keep = before.len().min(self.mark.len());
        before.drain(..before.len() - keep);
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::nonce;

    #[test]
    fn what_a_login_shell_says_is_left_out_however_it_is_cut() {
        let text = b"Welcome!\nmark nothing\nmark\nHTTP/1.1 200 OK\nmark\nx";
        for size in 1..text.len() {
            let mut after = AfterMark::new("mark");
            let rest: Vec<u8> = text.chunks(size).flat_map(|chunk| after.take(chunk)).collect();
            assert_eq!(
                (rest.as_slice(), after.is_found()),
                (&b"HTTP/1.1 200 OK\nmark\nx"[..], true),
                "{size}"
            );
        }
    }

    #[test]
    fn marks_differ() {
        assert_ne!(nonce(), nonce());
    }
}
