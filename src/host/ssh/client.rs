//! What one connection does when its server speaks: judge the host key, and note why it ended.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKey;
use russh::{Channel, ChannelId, Names};

use super::error::{ConnectError, Ending, telling};
use super::host_key::KnownHosts;
use super::{Hop, Judgement, NewKeys, PublicKeyOrCertificate};
use crate::model::escaped;

/// The side of a connection that answers the server.
pub(super) struct SshClient {
    hop: Hop,
    /// The server's IP address, where it was dialled and not forwarded to.
    peer: Option<IpAddr>,
    known_hosts: Arc<KnownHosts>,
    lost: Ending,
    /// Notes about a key that was recorded.
    notes: Arc<Mutex<Vec<String>>>,
    /// The number of key exchanges.
    exchanges: usize,
    /// The number of banners.
    banners: usize,
    /// What they say.
    banner: Banner,
    /// The host key that is shown.
    shown: ShownKey,
}

/// The host key that a server showed.
#[derive(Clone, Default)]
pub(super) struct ShownKey(Arc<Mutex<Option<PublicKey>>>);

impl ShownKey {
    fn note(&self, key: PublicKey) {
        if let Ok(mut shown) = self.0.lock() {
            *shown = Some(key);
        }
    }

    /// It, once there is one.
    pub(super) fn take(&self) -> Option<PublicKey> {
        self.0.lock().ok()?.take()
    }
}

/// The end of what a server says before it lets anybody in.
#[derive(Clone, Default)]
pub(super) struct Banner(Arc<Mutex<String>>);

impl Banner {
    fn hear(&self, text: &str) {
        if let Ok(mut said) = self.0.lock() {
            said.push_str(text);
            let from = said.len().saturating_sub(LONGEST_BANNER);
            let from = (from..=said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or_default();
            said.drain(..from);
        }
    }

    /// It in words, behind what went wrong.
    pub(super) fn told(&self) -> String {
        let said = self.0.lock().ok().and_then(|said| telling(said.as_bytes()));
        said.map(|said| format!("; the server says: {said}")).unwrap_or_default()
    }
}

/// The most key exchanges: once an hour or a gigabyte is usual.
const EXCHANGES: usize = 100;
/// The part of the banners that is kept, in bytes.
const LONGEST_BANNER: usize = 4096;
/// The most banners before a server lets anybody in.
const BANNERS: usize = 100;
/// The error of a server that opens channels: nobody asked for any.
const UNASKED: &str = "the server opens channels that nobody asked for";

impl SshClient {
    pub(super) fn new(
        hop: Hop,
        peer: Option<IpAddr>,
        known_hosts: Arc<KnownHosts>,
        lost: Ending,
        notes: Arc<Mutex<Vec<String>>>,
        (banner, shown): (Banner, ShownKey),
    ) -> Self {
        Self { hop, peer, known_hosts, lost, notes, exchanges: 0, banners: 0, banner, shown }
    }
}

/// Ends the connection when the server opens a channel of one of these kinds.
macro_rules! refuse_channels {
    ($($kind:ident($($argument:ty),*);)*) => {
        $(async fn $kind(
            &mut self,
            _: Channel<Msg>,
            $(_: $argument,)*
            _: ChannelOpenHandle,
            _: &mut Session,
        ) -> Result<(), ConnectError> {
            Err(ConnectError::Misbehaves(UNASKED))
        })*
    };
}

impl Handler for SshClient {
    type Error = ConnectError;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, ConnectError> {
        let Hop { address, port, trust, .. } = &self.hop;
        self.shown.note(offered.public_key().clone());
        let judgement = trust.judge_with(&self.known_hosts, address, *port, self.peer, offered);
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
                Err(ConnectError::OtherKey { unknown, pinned: trust.fingerprints.join(", ") })
            }
            Judgement::Unknown(unknown) => match trust.new_keys {
                NewKeys::Refuse => Err(ConnectError::HostKey(unknown.refusal())),
                NewKeys::Ask => Err(ConnectError::Unknown(unknown)),
                NewKeys::Record => {
                    let note = self.hop.record(&unknown)?;
                    self.notes.lock().map(|mut notes| notes.push(note)).ok();
                    Ok(true)
                }
            },
        }
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), ConnectError> {
        self.banners += 1;
        self.banner.hear(banner);
        if self.banners > BANNERS {
            return Err(ConnectError::Misbehaves("the server shows banners without end"));
        }
        Ok(())
    }

    async fn kex_done(&mut self, _: Option<&[u8]>, _: &Names, _: &mut Session) -> Result<(), ConnectError> {
        self.exchanges += 1;
        if self.exchanges > EXCHANGES {
            return Err(ConnectError::Misbehaves("the server exchanges keys without end"));
        }
        Ok(())
    }

    refuse_channels! {
        server_channel_open_session();
        server_channel_open_agent_forward();
        server_channel_open_x11(&str, u32);
        server_channel_open_forwarded_tcpip(&str, u32, &str, u32);
        server_channel_open_forwarded_streamlocal(&str);
        server_channel_open_direct_tcpip(&str, u32, &str, u32);
        server_channel_open_direct_streamlocal(&str);
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
