//! The server: one address, connections that are bounded in number and in time, and a graceful end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::pace::{Pace, PacedStream};
use super::site::{RequestOrigin, Site};
use super::tls::SiteCertificate;
use crate::control::runtime::WorkerRuntime;
use crate::control::waits;

/// How often the pace of a connection is looked at.
const TICK: Duration = Duration::from_millis(250);
/// The pause after the system refused a connection, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The connections that the system keeps for this server until it is their turn.
const BACKLOG: u32 = 1024;
/// The bytes of what waits to be read or sent.
const BUFFER: usize = 64 << 10;
/// The bytes of a request's head.
const HEAD: usize = 32 << 10;
/// The threads for sockets; handlers have their own.
const THREADS: usize = 2;

/// A server that runs; it ends when it is dropped, or as [`SiteServer::end`] says.
pub(crate) struct SiteServer {
    runtime: WorkerRuntime,
    address: SocketAddr,
    is_ending: watch::Sender<bool>,
    slots: Arc<Semaphore>,
    site: Arc<Site>,
}

/// What every connection is served with.
#[derive(Clone)]
struct Service {
    site: Arc<Site>,
    certificate: Option<Arc<SiteCertificate>>,
    is_ending: watch::Receiver<bool>,
    slots: Arc<Semaphore>,
}

impl SiteServer {
    /// Starts to serve a site at an address; with a certificate, over TLS alone.
    ///
    /// # Errors
    /// When the system gives no such address, or no threads.
    pub(crate) fn start(
        address: SocketAddr,
        certificate: Option<Arc<SiteCertificate>>,
        site: Arc<Site>,
    ) -> io::Result<Self> {
        let runtime = WorkerRuntime::new("http", THREADS, site.limits.handlers)?;
        let listener = runtime.block_on(async { listener(address) })??;
        let address = listener.local_addr()?;
        let slots = Arc::new(Semaphore::new(site.limits.connections));
        let (sender, is_ending) = watch::channel(false);
        let service = Service { site: Arc::clone(&site), certificate, is_ending, slots: Arc::clone(&slots) };
        runtime.spawn(accept(listener, service));
        Ok(Self { runtime, address, is_ending: sender, slots, site })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends: no connection is accepted any more, requests are answered, streams end; what is still open after
    /// [`waits::HTTP_END`] is closed.
    pub(crate) fn end(self) {
        let _ = self.is_ending.send(true);
        let all = u32::try_from(self.site.limits.connections).unwrap_or(u32::MAX);
        let gone = async { timeout(waits::HTTP_END.most, self.slots.acquire_many(all)).await.is_ok() };
        let is_whole = self.runtime.block_on(gone).unwrap_or(false);
        log::info!(is_whole; "the HTTP server ended");
    }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections, each when there is room for it.
async fn accept(listener: TcpListener, service: Service) {
    let mut is_ending = service.is_ending.clone();
    let next = async {
        loop {
            let Ok(slot) = Arc::clone(&service.slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(converse(stream, peer.ip(), service.clone(), slot));
                }
                Err(error) => {
                    log::warn!(error:%; "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = next => {}
        _ = is_ending.wait_for(|is_ending| *is_ending) => {}
    }
}

/// Serves a connection for as long as it holds its slot.
async fn converse(stream: TcpStream, peer: IpAddr, service: Service, _slot: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true);
    let Some(certificate) = &service.certificate else { return serve(stream, peer, service).await };
    let accepting = TlsAcceptor::from(certificate.current()).accept(stream);
    let accepted = tokio::select! {
        accepted = timeout(service.site.limits.head_wait, accepting) => accepted,
        () = crowded_out(&service.slots) => {
            log::info!("an unfinished TLS handshake made room for others");
            return;
        }
    };
    match accepted {
        Ok(Ok(stream)) => serve(stream, peer, service).await,
        Ok(Err(error)) => log::debug!(error:%; "a TLS handshake failed"),
        Err(_) => log::debug!("a TLS handshake did not end in time"),
    }
}

/// Waits until others wait for a connection, and at least as long as a client may take then.
async fn crowded_out(slots: &Semaphore) {
    sleep(waits::HTTP_IDLE.most).await;
    let mut tick = interval(TICK);
    loop {
        tick.tick().await;
        if slots.available_permits() == 0 {
            return;
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr, service: Service) {
    let Service { site, certificate, mut is_ending, slots } = service;
    let limits = site.limits;
    let pace = Arc::new(Pace::new());
    let is_tls = certificate.is_some();
    let from =
        Arc::new(RequestOrigin { peer, is_tls, pace: Arc::clone(&pace), is_ending: is_ending.clone() });
    let answering = service_fn(|request| Arc::clone(&site).answer(request, Arc::clone(&from)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_wait).max_buf_size(BUFFER);
    builder.max_header_size(HEAD);
    let io = TokioIo::new(PacedStream::new(stream, &pace));
    let mut connection = pin!(builder.serve_connection(io, answering));
    let mut tick = interval(TICK);
    let mut is_asked_to_go = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    log::debug!(error:%; "a connection broke");
                }
                return;
            }
            _ = tick.tick() => {
                if pace.is_too_slow(limits.stall_wait, limits.request_wait) {
                    log::info!("a slow client was cut");
                    return;
                }
                if slots.available_permits() == 0 && pace.is_idle(waits::HTTP_IDLE.most) {
                    if is_asked_to_go {
                        log::info!("an unfinished request made room for others");
                        return;
                    }
                    // One between two requests goes at once; one that has begun a head does not.
                    is_asked_to_go = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            is_over = is_ending.changed() => {
                connection.as_mut().graceful_shutdown();
                if is_over.is_err() {
                    return;
                }
            }
        }
    }
}
