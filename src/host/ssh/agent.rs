//! The way to an agent that holds the user's keys: <https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent>.

use std::io;
use std::path::Path;

use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_encoding::{Decode as _, Reader as _};
use russh::keys::ssh_key::{Certificate, HashAlg, PublicKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::host_key::CERTIFICATE;
use crate::model::in_words;

/// The request for a list of its keys, as a message: its length, and its number.
const REQUEST: [u8; 5] = [0, 0, 0, 1, 11];
/// The number of the answer.
const ANSWER: u8 = 12;
/// The longest answer, in bytes.
const LONGEST: u32 = 1 << 20;

/// The reason why an agent is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It cannot be reached.
    #[error("{}", in_words(.0))]
    Connect(#[source] io::Error),
    /// It does not list its keys.
    #[error("it gave no list of its keys")]
    List(#[source] io::Error),
    /// It does not sign.
    #[error("it refused, or gave no signature")]
    Refused(#[source] russh::keys::Error),
    /// Its answer holds no signature.
    #[error("it gave no signature")]
    NoSignature,
    /// It does not answer, for so many seconds.
    #[error("no answer within {0} s")]
    Silent(u64),
    /// This machine gives no runtime to wait with.
    #[error("{}", in_words(.0))]
    Runtime(#[source] io::Error),
}

/// The keys of an agent.
#[derive(Debug, Default)]
pub(super) struct HeldKeys {
    /// Keys and certificates that can be used here, in its order. A comment that is not UTF-8 is shown as far as it is.
    pub(super) identities: Vec<AgentIdentity>,
    /// The number of others: of a kind that is not known here, or damaged.
    pub(super) unknown: usize,
}

/// Connects to the agent at a socket.
pub(super) async fn connect(path: &Path) -> Result<AgentClient<UnixStream>, AgentError> {
    UnixStream::connect(path).await.map(AgentClient::connect).map_err(AgentError::Connect)
}

/// Connects to the agent at a socket and asks what it holds. One key that cannot be used takes none of the others along.
pub(super) async fn list(path: &Path) -> Result<(AgentClient<UnixStream>, HeldKeys), AgentError> {
    let mut stream = UnixStream::connect(path).await.map_err(AgentError::Connect)?;
    let answer = answer(&mut stream).await.map_err(AgentError::List)?;
    let held = read(&answer).ok_or_else(|| AgentError::List(io::ErrorKind::InvalidData.into()))?;
    Ok((AgentClient::connect(stream), held))
}

async fn answer(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    stream.write_all(&REQUEST).await?;
    let length = stream.read_u32().await?;
    if length > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Reads a list: a number, and for each key its bytes and its comment. `None`: it is none.
fn read(answer: &[u8]) -> Option<HeldKeys> {
    let mut rest = answer.strip_prefix(&[ANSWER])?;
    let count = u32::decode(&mut rest).ok()?;
    let mut held = HeldKeys::default();
    for _ in 0..count {
        let blob = Vec::<u8>::decode(&mut rest).ok()?;
        let comment = Vec::<u8>::decode(&mut rest).ok()?;
        match identity(&blob, String::from_utf8_lossy(&comment).into_owned()) {
            Some(identity) => held.identities.push(identity),
            None => held.unknown += 1,
        }
    }
    rest.is_finished().then_some(held)
}

/// The key or certificate of these bytes. A certificate within a certificate is none: the library decodes them without end.
fn identity(mut blob: &[u8], comment: String) -> Option<AgentIdentity> {
    let marks = blob.windows(CERTIFICATE.len()).filter(|window| *window == CERTIFICATE).count();
    match marks {
        0 => PublicKey::from_bytes(blob).ok().map(|key| AgentIdentity::PublicKey { key, comment }),
        1 => {
            let certificate = Certificate::decode(&mut blob).ok()?;
            Some(AgentIdentity::Certificate { certificate, comment })
        }
        _ => None,
    }
}

/// An agent that signs with a key for a certificate which it does not hold itself.
pub(super) struct KeyOfCertificate<'a> {
    pub(super) agent: &'a mut AgentClient<UnixStream>,
    pub(super) key: &'a AgentIdentity,
}

impl Signer for KeyOfCertificate<'_> {
    type Error = <AgentClient<UnixStream> as Signer>::Error;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        self.agent.auth_sign(self.key, hash, message).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    #[test]
    fn keys_of_unknown_kinds_are_counted_and_take_no_other_along() {
        let key = [string(b"ssh-ed25519"), string(&[7; 32])].concat();
        let unknown = [string(b"ssh-ed448"), string(&[7; 57])].concat();
        let entries = [(&key, &b"M\xfcller"[..]), (&unknown, b""), (&key, b"second")];
        let all = entries.iter().flat_map(|(key, comment)| [string(key), string(comment)].concat());
        let answer = [vec![ANSWER], 3u32.to_be_bytes().to_vec(), all.collect()].concat();
        let held = read(&answer).unwrap();
        assert_eq!((held.identities.len(), held.unknown), (2, 1));
        assert!((1..answer.len()).all(|end| read(&answer[..end]).is_none()), "half a list is none");
        assert!(read(&[answer, vec![0]].concat()).is_none());
    }
}
