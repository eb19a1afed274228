//! Connecting and logging in: one deadline over all of it, every server on the way judged by its own host key.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::Error::NoCommonAlgo;
use russh::client::{Config, Handle, connect_stream};
use russh::{AlgorithmKind, ChannelStream, Preferred, compression};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::auth::authenticate;
use super::client::{Client, Lost, in_words};
use super::deadline::Deadline;
use super::{Hop, Offer, Policy, Prompt, Route, Unknown};
use crate::host::{Phase, Watch};
use crate::model::escaped;

/// A silent server is found out after this, times [`KEEPALIVES`].
const KEEPALIVE: Duration = Duration::from_secs(1);
const KEEPALIVES: usize = 3;
/// How many messages of a channel wait to be read before the server has to wait; unpacked, one may have 256 KiB.
const PIECES: usize = 16;
/// A busy server resets connections that are not yet authenticated: how often one is made anew, and when.
const RETRIES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// A host key that nobody knows, and that the user may be asked about.
    #[error("unknown host key")]
    Unknown(Box<Unknown>),
    /// A host key that may not be believed; the text says whose it is.
    #[error("{0}")]
    HostKey(String),
    /// There is no way there.
    #[error("{0}")]
    Refused(String),
    /// The protocol, or what carries it, failed.
    #[error("{}", in_words(.0))]
    Protocol(#[from] russh::Error),
}

impl ConnectError {
    /// Whether a busy server may have reset the connection before it looked at it.
    fn is_reset(&self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match self {
            Self::Protocol(russh::Error::IO(error)) => {
                matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
            }
            Self::Protocol(russh::Error::Disconnect | russh::Error::HUP) => true,
            _ => false,
        }
    }
}

/// Why nobody is logged in.
pub(super) enum Failed {
    /// A host key that the user may be asked about.
    Unknown(Box<Hop>, Box<Unknown>),
    /// The reason in words.
    Because(String),
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

/// A connection on which the user is logged in.
pub(super) struct Connection {
    pub(super) handle: Arc<Handle<Client>>,
    pub(super) lost: Lost,
    /// The jump hosts' connections, which carry this one.
    _jumps: Vec<Handle<Client>>,
}

/// Goes through all hops of a route and logs in at each.
pub(super) async fn connect(
    route: &Route,
    prompt: &dyn Prompt,
    timeout: Duration,
    watch: &Watch,
) -> Result<Connection, Failed> {
    let start = std::time::Instant::now();
    let mut deadline = Deadline::after(timeout);
    let mut jumps: Vec<Handle<Client>> = Vec::new();
    let target = route.hops.len().saturating_sub(1);
    let mut lost = Lost::default();
    for (position, hop) in route.hops.iter().enumerate() {
        let role = if position == target { "" } else { "jump host " };
        let told = |why: String| Failed::Because(format!("{role}{}: {why}", place(hop)));
        lost = Lost::default();
        watch.set_phase(Phase::Connecting);
        let step = Step { hop, deadline: &deadline, lost: &lost, prompt };
        let mut handle = match step.reach(jumps.last()).await {
            Ok(handle) => handle,
            Err(ConnectError::Unknown(unknown)) => {
                return Err(Failed::Unknown(Box::new(hop.clone()), unknown));
            }
            Err(ConnectError::HostKey(why)) if position == target && hop.name == hop.address => {
                return Err(Failed::Because(why));
            }
            Err(ConnectError::HostKey(why)) => return Err(told(why)),
            Err(error) => return Err(told(error.to_string())),
        };
        watch.set_phase(Phase::Authenticating);
        let entered = authenticate(&mut handle, hop, prompt, &mut deadline).await;
        entered.map_err(|why| {
            if why.contains(&hop.name) { Failed::Because(format!("{role}{why}")) } else { told(why) }
        })?;
        jumps.push(handle);
    }
    log::info!(ms = start.elapsed().as_millis(), hops = route.hops.len(); "connected and logged in");
    let handle = jumps.pop().ok_or_else(|| Failed::Because("there is no way to this server".to_owned()))?;
    Ok(Connection { handle: Arc::new(handle), lost, _jumps: jumps })
}

/// How a hop is called in messages.
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
struct Step<'a> {
    hop: &'a Hop,
    deadline: &'a Deadline,
    lost: &'a Lost,
    prompt: &'a dyn Prompt,
}

impl Step<'_> {
    /// Connects, through the jump host before this one if there is one, up to the judged host key. A server that has
    /// none of what is offered first is offered what follows.
    async fn reach(&self, through: Option<&Handle<Client>>) -> Result<Handle<Client>, ConnectError> {
        let mut offers = self.hop.trust.offers(&self.hop.address, self.hop.port).into_iter();
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
        through: Option<&Handle<Client>>,
    ) -> Result<Handle<Client>, ConnectError> {
        let bounded = |error: String| ConnectError::Refused(error);
        if let Some(jump) = through {
            let stream = self.deadline.bound(self.forwarded(jump)).await.map_err(bounded)??;
            return self.deadline.bound(self.greet(stream, None, offer)).await.map_err(bounded)?;
        }
        let mut retries = RETRIES.iter();
        loop {
            let result = async {
                let stream = self.dial().await?;
                let peer = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
                self.greet(stream, peer, offer).await
            };
            let result = self.deadline.bound(result).await.map_err(bounded)?;
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
        jump: &Handle<Client>,
    ) -> Result<ChannelStream<russh::client::Msg>, ConnectError> {
        let Hop { address, port, .. } = self.hop;
        log::debug!(address = address.as_str(), port = *port; "forwarded by the jump host");
        let opened = jump.channel_open_direct_tcpip(address, u32::from(*port), "127.0.0.1", 0).await;
        let channel = opened.map_err(|error| {
            let why = match &error {
                russh::Error::ChannelOpenFailure(reason) => match reason {
                    russh::ChannelOpenFailure::AdministrativelyProhibited => {
                        "it forbids forwarding".to_owned()
                    }
                    _ => "it cannot reach that address".to_owned(),
                },
                error => in_words(error),
            };
            ConnectError::Refused(format!("the jump host before it does not forward to it: {why}"))
        })?;
        Ok(channel.into_stream())
    }

    /// A TCP connection to the first address that takes one.
    async fn dial(&self) -> Result<TcpStream, ConnectError> {
        let Hop { address, port, .. } = self.hop;
        let found = lookup_host((address.as_str(), *port)).await;
        let addresses: Vec<SocketAddr> =
            found.map_err(|_| ConnectError::Refused("there is no host of this name".to_owned()))?.collect();
        let mut last = ConnectError::Refused("its name has no address".to_owned());
        for (position, address) in addresses.iter().enumerate() {
            let share = self.deadline.left() / u32::try_from(addresses.len() - position).unwrap_or(1);
            log::debug!(address:%; "connecting");
            last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => ConnectError::Refused(refusal(&error)),
                Err(_) => ConnectError::Refused("no answer in time".to_owned()),
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
    ) -> Result<Handle<Client>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let client = Client::new(self.hop.clone(), peer, self.lost.clone(), Arc::clone(&notes));
        let connected = connect_stream(Arc::new(config(&self.hop.trust.policy, offer)), stream, client).await;
        for note in notes.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default() {
            self.prompt.note(&note);
        }
        connected
    }
}

fn refusal(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused: no SSH server listens there".to_owned(),
        _ => crate::model::in_words(error),
    }
}

/// What a connection is made with: the algorithms that are offered, and when a server counts as silent.
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
