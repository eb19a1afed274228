//! What one connection does when its server speaks: judge the host key, and remember why it ended.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::{Channel, ChannelId, Names};

use super::connect::ConnectError;
use super::{Hop, Judgement, NewKeys, PublicKeyOrCertificate};
use crate::model::escaped;

/// Why a connection ended, as far as is known; shared with whoever waits on it.
#[derive(Clone, Default)]
pub(super) struct Lost(Arc<Mutex<Option<String>>>);

impl Lost {
    fn note(&self, why: String) {
        if let Ok(mut lost) = self.0.lock() {
            lost.get_or_insert(why);
        }
    }

    /// The reason in words.
    pub(super) fn reason(&self) -> String {
        let known = self.0.lock().ok().and_then(|lost| lost.clone());
        known.unwrap_or_else(|| "the server ended it".to_owned())
    }
}

/// The side of a connection that answers the server.
pub(super) struct Client {
    hop: Hop,
    /// The server's IP address, where it was dialled and not forwarded to.
    peer: Option<IpAddr>,
    lost: Lost,
    /// Notes about a key that was recorded.
    notes: Arc<Mutex<Vec<String>>>,
    /// How often keys were exchanged.
    exchanges: usize,
    /// How many banners came.
    banners: usize,
}

/// How often keys may be exchanged anew: once an hour or a gigabyte is usual.
const EXCHANGES: usize = 100;
/// How many banners a server may show before it lets anybody in.
const BANNERS: usize = 100;
/// What is said of a server that opens channels: nobody asked for any.
const UNASKED: &str = "the server opens channels that nobody asked for";

impl Client {
    pub(super) fn new(hop: Hop, peer: Option<IpAddr>, lost: Lost, notes: Arc<Mutex<Vec<String>>>) -> Self {
        Self { hop, peer, lost, notes, exchanges: 0, banners: 0 }
    }
}

impl Handler for Client {
    type Error = ConnectError;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, ConnectError> {
        let Hop { address, port, trust, .. } = &self.hop;
        let judgement = trust.judge_at(address, *port, self.peer, offered);
        let word = match &judgement {
            Judgement::Trusted => "trusted",
            Judgement::Unknown(_) => "unknown",
            Judgement::Refused(_) => "refused",
        };
        log::info!(address = address.as_str(), port = *port, judgement = word; "judged the host key");
        match judgement {
            Judgement::Trusted => Ok(true),
            Judgement::Refused(why) => Err(ConnectError::HostKey(why)),
            // A key that is pinned and another one is shown: that is no new host.
            Judgement::Unknown(unknown) if !trust.fingerprints.is_empty() => {
                let pinned = trust.fingerprints.join(", ");
                Err(ConnectError::HostKey(format!(
                    "{}; the target's host_keys name another one: {pinned}",
                    unknown.refusal()
                )))
            }
            Judgement::Unknown(unknown) => match trust.new_keys {
                NewKeys::Refuse => Err(ConnectError::HostKey(unknown.refusal())),
                NewKeys::Ask => Err(ConnectError::Unknown(unknown)),
                NewKeys::Record => {
                    let note = self.hop.record(&unknown).map_err(ConnectError::HostKey)?;
                    self.notes.lock().map(|mut notes| notes.push(note)).ok();
                    Ok(true)
                }
            },
        }
    }

    async fn auth_banner(&mut self, _: &str, _: &mut Session) -> Result<(), ConnectError> {
        self.banners += 1;
        if self.banners > BANNERS {
            return Err(ConnectError::Refused("the server shows banners without end".to_owned()));
        }
        Ok(())
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, _: &Names, _: &mut Session) -> Result<(), ConnectError> {
        self.exchanges += 1;
        if self.exchanges > EXCHANGES {
            return Err(ConnectError::Refused("the server exchanges keys without end".to_owned()));
        }
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ConnectError> {
        Err(ConnectError::Refused(UNASKED.to_owned()))
    }

    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, _: &str) -> bool {
        false
    }

    async fn disconnected(&mut self, reason: DisconnectReason<ConnectError>) -> Result<(), ConnectError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(told) => {
                let message: String = told.message.chars().take(200).collect();
                self.lost.note(format!("the server ended it: {}", escaped(message.as_bytes())));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.lost.note(error.to_string());
                Err(error)
            }
        }
    }
}

/// An error of the protocol, for people.
pub(super) fn in_words(error: &russh::Error) -> String {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError | russh::Error::RecvError => {
            "the server ended it".to_owned()
        }
        russh::Error::IO(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the server ended it".to_owned(),
            _ => crate::model::in_words(error),
        },
        russh::Error::KeepaliveTimeout => "the server answers nothing any more".to_owned(),
        russh::Error::Version => "what answers there is no SSH server".to_owned(),
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let list = |names: &[String]| {
                names.iter().map(|name| escaped(name.as_bytes())).collect::<Vec<_>>().join(", ")
            };
            let option = match kind {
                russh::AlgorithmKind::Key => "HostKeyAlgorithms",
                russh::AlgorithmKind::Kex => "KexAlgorithms",
                russh::AlgorithmKind::Cipher => "Ciphers",
                russh::AlgorithmKind::Mac => "MACs",
                russh::AlgorithmKind::Compression => "Compression",
            };
            let (ours, theirs) = (list(ours), list(theirs));
            format!(
                "no algorithm in common ({option}): the server has {theirs}; driftlock, and ssh_config, allow {ours}"
            )
        }
        error => escaped(error.to_string().as_bytes()),
    }
}
