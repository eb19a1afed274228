//! Running a command in a container through the engine's API, without standard input:
//! <https://docs.docker.com/reference/api/engine/version/v1.45/#tag/Exec>.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::api::{CallError, EngineApi};

/// The longest output of a command, in bytes.
const MOST: usize = 16 << 20;
/// The head of each piece of output: the stream's number, three zeros, the length in big-endian order.
const HEAD: usize = 8;

/// Why a command has no output.
#[derive(Debug, thiserror::Error)]
pub(in crate::host) enum ExecError {
    #[error("there is no such container")]
    NoContainer,
    #[error("the container does not run")]
    NotRunning,
    #[error("its output has no end, or is not that of an engine")]
    Cut,
    #[error("{0}")]
    Call(#[from] CallError),
}

/// The output of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::host) struct Executed {
    pub(in crate::host) stdout: Vec<u8>,
    pub(in crate::host) stderr: Vec<u8>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

/// Runs `words` in a container with more variables, `NAME=value`, to the end of its output.
pub(in crate::host) async fn execute(
    engine: &EngineApi,
    container: &str,
    words: &[&str],
    variables: &[&str],
) -> Result<Executed, ExecError> {
    let asked = json!({
        "AttachStdin": false, "AttachStdout": true, "AttachStderr": true, "Tty": false,
        "Cmd": words, "Env": variables,
    });
    let created = engine.post::<Created>(&format!("/containers/{container}/exec"), &asked).await;
    let created = created.map_err(|error| match error {
        CallError::Status { status: StatusCode::NOT_FOUND, .. } => ExecError::NoContainer,
        CallError::Status { status: StatusCode::CONFLICT, .. } => ExecError::NotRunning,
        error => ExecError::Call(error),
    })?;
    if !created.id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ExecError::Cut);
    }
    let mut output = Vec::new();
    let path = format!("/exec/{}/start", created.id);
    let begin = json!({ "Detach": false, "Tty": false });
    let take = &mut |piece: &[u8]| {
        output.extend_from_slice(piece);
        if output.len() > MOST { Err(ExecError::Cut) } else { Ok(()) }
    };
    engine.post_stream(&path, &begin, take).await?;
    parted(&output).ok_or(ExecError::Cut)
}

/// Takes the two streams apart; `None`: it is not what an engine sends.
fn parted(mut output: &[u8]) -> Option<Executed> {
    let mut executed = Executed::default();
    while !output.is_empty() {
        let (head, rest) = output.split_at_checked(HEAD)?;
        let length = u32::from_be_bytes(head[4..].try_into().ok()?);
        let (piece, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        match head[0] {
            2 => executed.stderr.extend_from_slice(piece),
            0 | 1 => executed.stdout.extend_from_slice(piece),
            _ => return None,
        }
        output = rest;
    }
    Some(executed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_streams_are_taken_apart() {
        let output = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01c\x01\0\0\0\0\0\0\x01d";
        let parts = parted(output).unwrap();
        assert_eq!((parts.stdout.as_slice(), parts.stderr.as_slice()), (&b"abd"[..], &b"c"[..]));
        assert_eq!(parted(&output[..12]), None, "cut short");
        assert_eq!(parted(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
