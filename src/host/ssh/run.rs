//! Running a command on a server: its input sent, its output read to the end, and its end told from a broken connection.

use std::time::{Duration, Instant};

use russh::{ChannelMsg, ChannelReadHalf};

use super::client::in_words;
use super::connect::Connection;
use crate::model::lasting;

/// A command that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(600);
/// How long a server may take to open a session, and then to begin.
const OPENING: Duration = Duration::from_secs(30);
/// What a command left behind may hold its output open: so long it is read on while it says nothing, and at most.
const AFTERMATH: Duration = Duration::from_secs(2);
const WHOLE_AFTERMATH: Duration = Duration::from_secs(60);
/// How much of what a command says on its standard error is kept.
const KEPT: usize = 4096;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; of one ended by a signal 128.
    pub(super) code: u32,
    /// The beginning of what it said on its standard error.
    pub(super) stderr: Vec<u8>,
}

/// What is left of a time that began.
fn left(began: Instant, whole: Duration) -> Duration {
    whole.saturating_sub(began.elapsed())
}

impl Connection {
    /// Runs `command` with `input` on its standard input, and gives its output to `take` as it comes, for at most `time`.
    ///
    /// # Errors
    /// When the connection broke before the command had ended, or the server does not run commands, or not in time.
    pub(super) async fn run(
        &self,
        command: &str,
        input: Vec<u8>,
        time: Duration,
        take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Ended, String> {
        let ended = tokio::time::timeout(time, self.run_on(command, input, take)).await;
        ended.unwrap_or_else(|_| {
            let limit = lasting(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
            Err(format!(
                "the server did not come to an end within {limit}; time_limit of its target says how long"
            ))
        })
    }

    async fn run_on(
        &self,
        command: &str,
        input: Vec<u8>,
        take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Ended, String> {
        let opened = tokio::time::timeout(OPENING, self.handle.channel_open_session()).await;
        let opened =
            opened.map_err(|_| format!("the server opened no session in {} s", OPENING.as_secs()))?;
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(_) => "the server opens no session".to_owned(),
            error => self.broken(&error),
        })?;
        let (start, input_bytes) = (Instant::now(), input.len());
        let (mut received, mut take) = (0, take);
        let take = |piece: &[u8]| {
            received += piece.len();
            take(piece)
        };
        let (output, write) = channel.split();
        let send = async {
            // The answer to the request is read with everything else.
            write.exec(true, command).await?;
            write.data_bytes(input).await?;
            write.eof().await
        };
        // Sending never ends on a broken connection, nor to a command that ends without reading all of its
        // input: receiving alone decides.
        let forever = std::future::pending();
        let ended = tokio::select! {
            ended = self.receive(output, take) => ended,
            () = async { let _ = send.await; forever.await } => Err("interrupted".to_owned()),
        };
        let outcome = ended.as_ref().map_or_else(Clone::clone, |ended| format!("exit code {}", ended.code));
        log::debug!(command, sent = input_bytes, received, ms = start.elapsed().as_millis(), outcome; "ran a command");
        ended
    }

    /// Reads all that a command says, up to its end.
    async fn receive(
        &self,
        mut output: ChannelReadHalf,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Ended, String> {
        let mut stderr = Vec::new();
        let mut code = None;
        let mut heard = false;
        let opening = Instant::now();
        let mut ending = None;
        loop {
            let patience = match (ending, heard) {
                (Some(ending), _) => AFTERMATH.min(left(ending, WHOLE_AFTERMATH)),
                (None, true) => SILENCE,
                (None, false) => left(opening, OPENING),
            };
            let message = match (tokio::time::timeout(patience, output.wait()).await, code) {
                (Ok(Some(message)), _) => message,
                (_, Some(code)) => return Ok(Ended { code, stderr }),
                (Ok(None), None) => return Err(format!("the connection broke: {}", self.lost.reason())),
                (Err(_), None) => {
                    let seconds = if heard { SILENCE } else { OPENING }.as_secs();
                    return Err(format!("the command on the server said nothing for {seconds} s"));
                }
            };
            match message {
                ChannelMsg::Data { data } => {
                    heard = true;
                    take(&data)?;
                }
                ChannelMsg::ExtendedData { data, .. } => {
                    let room = KEPT.saturating_sub(stderr.len()).min(data.len());
                    stderr.extend_from_slice(&data[..room]);
                }
                ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
                ChannelMsg::ExitSignal { .. } => code = Some(128),
                ChannelMsg::Failure => return Err("the server runs no commands".to_owned()),
                _ => {}
            }
            if code.is_some() {
                ending.get_or_insert_with(Instant::now);
            }
        }
    }

    fn broken(&self, error: &russh::Error) -> String {
        match error {
            russh::Error::SendError | russh::Error::Disconnect => {
                format!("the connection broke: {}", self.lost.reason())
            }
            error => format!("the connection broke: {}", in_words(error)),
        }
    }
}
