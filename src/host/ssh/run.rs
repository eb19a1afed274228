//! Running a command on a server: its input sent, its output read to the end, and its end told from a broken connection.

use std::time::Duration;

use russh::ChannelMsg;

use super::client::in_words;
use super::connect::Connection;

/// A command that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(600);
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

impl Connection {
    /// Runs `command` with `input` on its standard input, and gives its output to `take` as it comes.
    ///
    /// # Errors
    /// When the connection broke before the command had ended, or the server does not run commands.
    pub(super) async fn run(
        &self,
        command: &str,
        input: Vec<u8>,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Ended, String> {
        let channel = self.handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(_) => "the server opens no session".to_owned(),
            error => self.broken(&error),
        })?;
        let (mut output, write) = channel.split();
        let send = async {
            // The answer to the request is read below, with everything else.
            let sent = async {
                write.exec(true, command).await?;
                write.data_bytes(input).await?;
                write.eof().await
            };
            sent.await.map_err(|error| self.broken(&error))
        };
        let receive = async {
            let mut stderr = Vec::new();
            let mut code = None;
            loop {
                let message = tokio::time::timeout(SILENCE, output.wait());
                let message = message.await.map_err(|_| {
                    format!("the command on the server said nothing for {} s", SILENCE.as_secs())
                })?;
                match message {
                    Some(ChannelMsg::Data { data }) => take(&data)?,
                    Some(ChannelMsg::ExtendedData { data, .. }) => {
                        let room = KEPT.saturating_sub(stderr.len()).min(data.len());
                        stderr.extend_from_slice(&data[..room]);
                    }
                    Some(ChannelMsg::ExitStatus { exit_status }) => code = Some(exit_status),
                    Some(ChannelMsg::ExitSignal { .. }) => code = Some(128),
                    Some(ChannelMsg::Failure) => return Err("the server runs no commands".to_owned()),
                    Some(_) => {}
                    None => break,
                }
            }
            let code = code.ok_or_else(|| format!("the connection broke: {}", self.lost.reason()))?;
            Ok(Ended { code, stderr })
        };
        // A command may end without reading all of its input: what it said goes before that.
        let (input_sent, ended) = tokio::join!(send, receive);
        ended.and_then(|ended| if ended.code == 0 { input_sent.map(|()| ended) } else { Ok(ended) })
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
