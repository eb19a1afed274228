//! Running a command on a server: its input sent, its output read to the end, and its end told from a broken connection.

use std::time::{Duration, Instant};

use russh::{ChannelMsg, ChannelReadHalf};

use super::connect::Connection;
use super::error::{RunError, describe, telling};
use super::survey::SurveyError;
use crate::control::waits;
use crate::model::lasting;

/// A command that says nothing for so long is given up.
const SILENCE: Duration = waits::SSH_SILENCE.most;
/// The time for opening a session, and then until the answer begins, whatever is said before that.
const OPENING: Duration = waits::SSH_OPENING.most;
/// A process that a command left behind may hold its output open: so long it is read on while it says nothing, and at most.
const AFTERMATH: Duration = waits::SSH_AFTERMATH.most;
const WHOLE_AFTERMATH: Duration = waits::SSH_WHOLE_AFTERMATH.most;
/// The part that is kept of a command's standard error, and of what is said before the answer begins.
const KEPT: usize = 4096;

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandExit {
    /// Its exit code; of one ended by a signal 128.
    pub(super) code: u32,
    /// The beginning of what it said on its standard error.
    pub(super) stderr: Vec<u8>,
    /// The end of what was said on its standard output before the answer began.
    pub(super) greeting: Vec<u8>,
}

/// The rest of a time that began.
fn left(began: Instant, whole: Duration) -> Duration {
    whole.saturating_sub(began.elapsed())
}

impl Connection {
    /// Runs `command` with `input` on its standard input, and gives its output to `take` as it comes, for at most `time`.
    /// `take` tells whether the answer has begun.
    ///
    /// # Errors
    /// When the connection broke before the command had ended, or the server does not run commands, or not in time.
    pub(super) async fn run(
        &self,
        command: &str,
        input: Vec<u8>,
        time: Duration,
        take: impl FnMut(&[u8]) -> Result<bool, SurveyError>,
    ) -> Result<CommandExit, RunError> {
        let ended = tokio::time::timeout(time, self.run_on(command, input, take)).await;
        ended.unwrap_or_else(|_| {
            let limit = lasting(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
            Err(RunError::TimeLimit(limit))
        })
    }

    async fn run_on(
        &self,
        command: &str,
        input: Vec<u8>,
        take: impl FnMut(&[u8]) -> Result<bool, SurveyError>,
    ) -> Result<CommandExit, RunError> {
        let opened = tokio::time::timeout(OPENING, self.handle.channel_open_session()).await;
        let opened = opened.map_err(|_| RunError::NoSessionInTime(OPENING.as_secs()))?;
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(_) => RunError::NoSession,
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
            () = async { let _ = send.await; forever.await } => Err(RunError::Interrupted),
        };
        let outcome =
            ended.as_ref().map_or_else(ToString::to_string, |ended| format!("exit code {}", ended.code));
        log::debug!(command, sent = input_bytes, received, ms = start.elapsed().as_millis(), outcome; "ran a command");
        ended
    }

    /// Reads all that a command says, up to its end.
    async fn receive(
        &self,
        mut output: ChannelReadHalf,
        mut take: impl FnMut(&[u8]) -> Result<bool, SurveyError>,
    ) -> Result<CommandExit, RunError> {
        let (mut stderr, mut greeting) = (Vec::new(), Vec::new());
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
                (_, Some(code)) => return Ok(CommandExit { code, stderr, greeting }),
                (Ok(None), None) => return Err(RunError::Broken(self.lost.reason())),
                (Err(_), None) if heard => return Err(RunError::Silent(SILENCE.as_secs())),
                (Err(_), None) => {
                    let said = [stderr, greeting].into_iter().find_map(|text| telling(&text));
                    return Err(RunError::NotBegun {
                        seconds: OPENING.as_secs(),
                        said: said.unwrap_or_default(),
                    });
                }
            };
            match message {
                ChannelMsg::Data { data } => {
                    if !heard {
                        greeting.extend_from_slice(&data);
                        greeting.drain(..greeting.len().saturating_sub(KEPT));
                    }
                    heard = take(&data)?;
                }
                ChannelMsg::ExtendedData { data, .. } => {
                    let room = KEPT.saturating_sub(stderr.len()).min(data.len());
                    stderr.extend_from_slice(&data[..room]);
                }
                ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
                ChannelMsg::ExitSignal { .. } => code = Some(128),
                ChannelMsg::Failure => return Err(RunError::NoCommands),
                _ => {}
            }
            if code.is_some() {
                ending.get_or_insert_with(Instant::now);
            }
        }
    }

    fn broken(&self, error: &russh::Error) -> RunError {
        RunError::Broken(match error {
            russh::Error::SendError | russh::Error::Disconnect => self.lost.reason(),
            error => describe(error),
        })
    }
}
