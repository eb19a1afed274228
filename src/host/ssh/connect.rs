//! Connecting and logging in: one deadline over all of it, every server on the way judged by its own host key.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::Error::NoCommonAlgo;
use russh::client::{Config, Handle, connect_stream};
use russh::keys::PublicKey;
use russh::{AlgorithmKind, ChannelStream, Preferred, compression};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::auth::{AuthError, authenticate};
use super::client::{Banner, ShownKey, SshClient};
use super::deadline::Deadline;
use super::error::{ConnectError, Ending};
use super::gate;
use super::host_key::{KnownHosts, RecordError};
use super::prompt::Unasked;
use super::{Hop, Offer, Policy, Prompt, Route, Unknown};
use crate::control::waits;
use crate::host::{Phase, Watch};
use crate::model::escaped;

/// A silent server is found out after this, times [`KEEPALIVES`].
const KEEPALIVE: Duration = waits::SSH_KEEPALIVE.most;
const KEEPALIVES: usize = 3;
/// The number of messages of a channel that wait to be read before the server has to wait; unpacked, one may have 256 KiB.
const PIECES: usize = 16;
/// A busy server resets connections that are not yet authenticated: how often one is made anew, and when.
const RETRIES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// The reason why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// A host key that the user may be asked about.
    #[error("{}", .1.refusal())]
    Unknown(Box<Hop>, Box<Unknown>),
    /// A host key that could not be recorded after the user had accepted it.
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("there is no way to this server")]
    NoWay,
    /// A server on the way was not reached; its role and name, where the error does not name it itself.
    #[error("{at}{source}")]
    Connect { at: String, source: Box<ConnectError> },
    /// A server on the way lets nobody in; its role and name, where the error does not name it itself.
    #[error("{at}{source}{said}")]
    Auth { at: String, source: Box<AuthError>, said: String },
}

/// A connection on which the user is logged in.
pub(super) struct Connection {
    pub(super) handle: Arc<Handle<SshClient>>,
    pub(super) lost: Ending,
    /// The jump hosts' connections, which carry this one.
    _jumps: Vec<Handle<SshClient>>,
}

/// Goes through all hops of a route and logs in at each.
pub(super) async fn connect(
    route: &Route,
    prompt: &dyn Prompt,
    timeout: Duration,
    watch: &Watch,
) -> Result<Connection, LoginError> {
    let start = std::time::Instant::now();
    watch.set_phase(Phase::Connecting);
    let mut entering = match route.hops.first() {
        Some(first) => gate::enter(first).await,
        None => None,
    };
    let mut deadline = Deadline::after(timeout);
    let mut jumps: Vec<Handle<SshClient>> = Vec::new();
    let target = route.hops.len().saturating_sub(1);
    let mut lost = Ending::default();
    for (position, hop) in route.hops.iter().enumerate() {
        let role = if position == target { "" } else { "jump host " };
        let at = || format!("{role}{}: ", place(hop));
        lost = Ending::default();
        watch.set_phase(Phase::Connecting);
        let known_hosts = Arc::new(KnownHosts::read(&hop.trust.files));
        let banner = Banner::default();
        let shown = ShownKey::default();
        let step =
            HopStep { hop, known_hosts, deadline: &deadline, lost: &lost, banner: &banner, shown, prompt };
        let mut handle = match step.reach(jumps.last()).await {
            Ok(handle) => handle,
            Err(ConnectError::Unknown(unknown)) => {
                return Err(LoginError::Unknown(Box::new(hop.clone()), unknown));
            }
            Err(source) => {
                let is_named = source.names_host() && position == target && hop.name == hop.address;
                let at = if is_named { String::new() } else { at() };
                return Err(LoginError::Connect { at, source: source.into() });
            }
        };
        watch.set_phase(Phase::Authenticating);
        let entered = authenticate(&mut handle, hop, prompt, &mut deadline).await;
        entered.map_err(|source| {
            let at = if source.names_host() { role.to_owned() } else { at() };
            LoginError::Auth { at, source: source.into(), said: banner.told() }
        })?;
        jumps.push(handle);
        entering = None;
    }
    drop(entering);
    log::info!(ms = start.elapsed().as_millis(), hops = route.hops.len(); "connected and logged in");
    let handle = jumps.pop().ok_or(LoginError::NoWay)?;
    Ok(Connection { handle: Arc::new(handle), lost, _jumps: jumps })
}

/// Connects to a server up to its host key, logs nobody in, and gives the key, which is trusted.
pub(super) async fn host_key(hop: &Hop, timeout: Duration) -> Result<PublicKey, ConnectError> {
    let (deadline, lost, banner) = (Deadline::after(timeout), Ending::default(), Banner::default());
    let known_hosts = Arc::new(KnownHosts::read(&hop.trust.files));
    let (shown, prompt) = (ShownKey::default(), &Unasked);
    let step = HopStep {
        hop,
        known_hosts,
        deadline: &deadline,
        lost: &lost,
        banner: &banner,
        shown: shown.clone(),
        prompt,
    };
    drop(step.reach(None).await?);
    shown.take().ok_or(ConnectError::Misbehaves("the server shows no host key"))
}

/// The name of a hop in messages.
pub(super) fn place(hop: &Hop) -> String {
    let name = escaped(hop.name.as_bytes());
    let address = if hop.address.contains(':') { format!("[{}]", hop.address) } else { hop.address.clone() };
    match (hop.name == hop.address, hop.port) {
        (true, 22) => name,
        (true, port) => format!("{name} port {port}"),
        (false, port) => format!("{name} ({}:{port})", escaped(address.as_bytes())),
    }
}

/// Reaching one hop.
struct HopStep<'a> {
    hop: &'a Hop,
    known_hosts: Arc<KnownHosts>,
    deadline: &'a Deadline,
    lost: &'a Ending,
    banner: &'a Banner,
    shown: ShownKey,
    prompt: &'a dyn Prompt,
}

impl HopStep<'_> {
    /// Connects, through the jump host before this one if there is one, up to the judged host key. A server that has
    /// none of what is offered first is offered what follows.
    async fn reach(&self, through: Option<&Handle<SshClient>>) -> Result<Handle<SshClient>, ConnectError> {
        let mut offers =
            self.hop.trust.offers_with(&self.known_hosts, &self.hop.address, self.hop.port).into_iter();
        let first = offers.next().unwrap_or_default();
        match self.offer(&first, through).await {
            Err(ConnectError::Protocol(NoCommonAlgo { kind: AlgorithmKind::Key, ours, theirs })) => {
                match offers.find(|offer| offer.meets(&theirs)) {
                    Some(offer) => self.offer(&offer, through).await,
                    None => Err(NoCommonAlgo { kind: AlgorithmKind::Key, ours, theirs }.into()),
                }
            }
            result => result,
        }
    }

    async fn offer(
        &self,
        offer: &Offer,
        through: Option<&Handle<SshClient>>,
    ) -> Result<Handle<SshClient>, ConnectError> {
        if let Some(jump) = through {
            let stream = self.deadline.bound(self.forwarded(jump)).await??;
            return self.deadline.bound(self.greet(stream, None, offer)).await?;
        }
        let mut retries = RETRIES.iter();
        loop {
            let result = async {
                let stream = self.dial().await?;
                let peer = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
                self.greet(stream, peer, offer).await
            };
            let result = self.deadline.bound(result).await?;
            match (&result, retries.next()) {
                (Err(error), Some(pause)) if error.is_reset() && self.deadline.left() > *pause => {
                    tokio::time::sleep(*pause).await;
                }
                _ => return result,
            }
        }
    }

    async fn forwarded(
        &self,
        jump: &Handle<SshClient>,
    ) -> Result<ChannelStream<russh::client::Msg>, ConnectError> {
        let Hop { address, port, .. } = self.hop;
        log::debug!(address = address.as_str(), port = *port; "forwarded by the jump host");
        let opened = jump.channel_open_direct_tcpip(address, u32::from(*port), "127.0.0.1", 0).await;
        Ok(opened.map_err(ConnectError::Forward)?.into_stream())
    }

    /// A TCP connection to the first address that takes one.
    async fn dial(&self) -> Result<TcpStream, ConnectError> {
        let Hop { address, port, .. } = self.hop;
        let found = lookup_host((address.as_str(), *port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(ConnectError::NoHost)?.collect();
        let mut last = ConnectError::NoAddress;
        for (position, address) in addresses.iter().enumerate() {
            let share = self.deadline.left() / u32::try_from(addresses.len() - position).unwrap_or(1);
            log::debug!(address:%; "connecting");
            last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => ConnectError::Dial(error),
                Err(_) => ConnectError::Silent,
            };
        }
        Err(last)
    }

    /// Speaks SSH up to the judged host key.
    async fn greet<S>(
        &self,
        stream: S,
        peer: Option<IpAddr>,
        offer: &Offer,
    ) -> Result<Handle<SshClient>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let client = SshClient::new(
            self.hop.clone(),
            peer,
            Arc::clone(&self.known_hosts),
            self.lost.clone(),
            Arc::clone(&notes),
            (self.banner.clone(), self.shown.clone()),
        );
        let connected = connect_stream(Arc::new(config(&self.hop.trust.policy, offer)), stream, client).await;
        for note in notes.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default() {
            self.prompt.note(&note);
        }
        connected
    }
}

/// The settings of a connection: the algorithms that are offered, and when a server counts as silent.
fn config(policy: &Policy, offer: &Offer) -> Config {
    Config {
        preferred: Preferred {
            kex: policy.kex().into(),
            key: offer.keys.clone().into(),
            host_key_certificates: offer.certificates.clone().into(),
            cipher: policy.ciphers().into(),
            mac: policy.macs().into(),
            // Digests are twice as long in hex, and paths repeat themselves: half of it need not travel.
            compression: (&[compression::ZLIB_LEGACY, compression::NONE]).into(),
        },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        channel_buffer_size: PIECES,
        ..Config::default()
    }
}
