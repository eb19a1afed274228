//! A mail over SMTP: one encrypted connection a message, for a bounded time, and told of without what the server said.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::email::MailText;
use super::http::{Failed, Limit, TICK, of_system, of_tls, tried};
use super::secret::Secret;
use super::undelivered::Undelivered;
use crate::config::{Email, MailTls};
use crate::control::runtime::Runtime;
use crate::control::waits;
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{in_words, lasting};

/// What messages call the other side.
const SERVER: &str = "mail server";
/// What to ask where no encryption could be agreed on.
const IS_TLS: &str = "is tls (\"starttls\" or \"implicit\") the one of this port?";
/// How much of one conversation is read at most: an answer without an end is parsed anew with each of its lines.
const MOST_READ: usize = 64 << 10;
/// How a mail says that no person wrote it, so that nobody's absence is answered: RFC 3834.
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");
/// The event that a mail is about.
const EVENT: HeaderName = HeaderName::new_from_ascii_str("Driftlock-Event");

/// Sends mails through one server.
#[derive(Debug, Clone)]
pub struct Mailer {
    email: Box<Email>,
    password: Option<Secret>,
    authorities: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
}

impl Mailer {
    /// A mailer for what is configured.
    ///
    /// # Errors
    /// When nothing could be believed of an encrypted server.
    pub(super) fn new(
        email: Email,
        password: Option<Secret>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        // Of the machine's certificates some may be of a kind that nothing reads.
        let authorities: Vec<_> =
            authorities.into_iter().filter(|it| roots.add(it.clone()).is_ok()).collect();
        if email.tls != MailTls::None && authorities.is_empty() {
            return Err(Failure::new(
                "this machine has no certificates of authorities to know a server by; install ca-certificates, or name a file in SSL_CERT_FILE",
            ));
        }
        Ok(Self { email: Box::new(email), password, authorities, roots })
    }

    /// Sends a mail until the server takes it, at most so often and so long as `limit` says. However often that is, it has one
    /// `Message-ID`.
    pub(super) fn send(&self, text: &MailText, event: &str, limit: &Limit) -> Result<(), Undelivered> {
        let message = self.message(text, event)?;
        tried(limit, |time| self.attempt(&message, time, &limit.watch))
    }

    fn message(&self, text: &MailText, event: &str) -> Result<Message, Undelivered> {
        let Email { from, to, .. } = &*self.email;
        let id = format!("<{}@{}>", Uuid::now_v7(), from.email.domain());
        let builder = Message::builder().from(from.clone()).subject(text.subject.clone());
        let builder = builder.message_id(Some(id)).header(ContentType::TEXT_PLAIN);
        let builder = to.iter().cloned().fold(builder, |builder, to: Mailbox| builder.to(to));
        let built = builder.body(text.body.clone());
        let mut message = built.map_err(|_| Undelivered::new("no mail could be made of the report"))?;
        let headers = message.headers_mut();
        headers.insert_raw(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()));
        headers.insert_raw(HeaderValue::new(EVENT, event.to_owned()));
        Ok(message)
    }

    fn attempt(&self, message: &Message, time: Duration, watch: &Watch) -> Result<(), Failed> {
        let runtime = Runtime::new().map_err(|error| Failed::for_now(in_words(&error)))?;
        let ended = async {
            while !watch.is_cancelled() {
                tokio::time::sleep(TICK).await;
            }
        };
        let sent = runtime.block_on(async {
            let connection = tokio::select! {
                sent = tokio::time::timeout(time, self.deliver(message)) => sent.map_err(|_| late(time))??,
                () = ended => return Err(Failed::for_good("the run was ended")),
            };
            leave(connection).await;
            Ok(())
        });
        sent.map_err(|error| Failed::for_now(in_words(&error)))?
    }

    /// Hands the mail over. Gives the connection, which is still to be ended.
    async fn deliver(&self, message: &Message) -> Result<AsyncSmtpConnection, Failed> {
        let hello = hello();
        let mut connection = self.connect(&hello).await?;
        if self.email.tls == MailTls::StartTls {
            if !connection.can_starttls() {
                return Err(Failed::for_good("the mail server offers no STARTTLS"));
            }
            let parameters = self.parameters()?;
            connection.starttls(parameters, &hello).await.map_err(|error| failed(&error, ""))?;
        }
        if let (Some((user, _)), Some(password)) = (&self.email.login, &self.password) {
            let known = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&known).is_none() {
                return Err(Failed::for_good("the mail server takes no user and password"));
            }
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            let login = connection.auth(&known, &credentials).await;
            login.map_err(|error| failed(&error, ": it refuses this user or password"))?;
        }
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        sent.map_err(|error| failed(&error, ": it refuses the sender, a recipient or the message"))?;
        Ok(connection)
    }

    async fn connect(&self, hello: &ClientId) -> Result<AsyncSmtpConnection, Failed> {
        let Email { server, port, tls, .. } = &*self.email;
        let unknown = || Failed::for_now("the host of the mail server is not known");
        let found = lookup_host((server.as_str(), *port)).await.map_err(|_| unknown())?;
        let addresses: Vec<SocketAddr> = found.collect();
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| of_io(&error))?;
        let stream: Box<dyn AsyncTokioStream> = if *tls == MailTls::Implicit {
            Box::new(Bounded::new(self.encrypted(stream).await?))
        } else {
            Box::new(Bounded::new(stream))
        };
        let connected = AsyncSmtpConnection::connect_with_transport(stream, hello).await;
        connected.map_err(|error| failed(&error, ""))
    }

    async fn encrypted(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failed> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| of_tls(&error, SERVER, IS_TLS))?;
        let config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        let name = ServerName::try_from(self.email.server.clone());
        let name = name.map_err(|_| Failed::for_good("the mail server's name is none of a certificate"))?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.map_err(|error| of_io(&error))
    }

    fn parameters(&self) -> Result<TlsParameters, Failed> {
        let mut builder =
            TlsParameters::builder(self.email.server.clone()).certificate_store(CertificateStore::None);
        for authority in &self.authorities {
            let certificate = Certificate::from_der(authority.to_vec());
            builder = builder.add_root_certificate(certificate.map_err(|error| failed(&error, ""))?);
        }
        builder.build_rustls().map_err(|error| failed(&error, ""))
    }
}

/// Says goodbye, which no server needs to answer: the mail is its own by now.
async fn leave(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(waits::NOTIFY_GRACE.most, connection.quit()).await;
}

/// The name by which a client greets a server.
fn hello() -> ClientId {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST);
    }
    ClientId::Domain(name.into_owned())
}

fn late(time: Duration) -> Failed {
    let time = lasting(i64::try_from(time.as_secs().max(1)).unwrap_or(i64::MAX));
    Failed::for_now(format!("the {SERVER} did not answer within {time}"))
}

/// An error in words that repeat nothing of what the server said; `refusal` is what one means that is for good.
fn failed(error: &lettre::transport::smtp::Error, refusal: &str) -> Failed {
    if let Some(code) = error.status() {
        let answered = format!("the {SERVER} answered {code}");
        return if error.is_permanent() {
            Failed::for_good(format!("{answered}{refusal}"))
        } else {
            Failed::for_now(answered)
        };
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return of_io(error);
        }
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            return of_tls(error, SERVER, IS_TLS);
        }
        source = inner.source();
    }
    if error.is_response() {
        return Failed::for_now(format!("what the {SERVER} answered is no SMTP, or not to its end"));
    }
    Failed::for_now(format!("the conversation with the {SERVER} failed"))
}

fn of_io(error: &io::Error) -> Failed {
    if error.kind() == io::ErrorKind::InvalidData
        && error.get_ref().is_none_or(|it| !it.is::<rustls::Error>())
    {
        return Failed::for_now(format!("what the {SERVER} answered is no SMTP"));
    }
    of_system(error, SERVER, SERVER, IS_TLS)
}

/// A connection of which only so much is read.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    left: usize,
}

impl<S> Bounded<S> {
    fn new(stream: S) -> Self {
        Self { stream, left: MOST_READ }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let left = self.left.checked_sub(buffer.filled().len() - before);
        self.left = left.ok_or(io::ErrorKind::InvalidData)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Bounded<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncTokioStream for Bounded<tokio_rustls::client::TlsStream<TcpStream>> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}
