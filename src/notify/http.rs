//! One POST over HTTP: tried again where that may help, for a bounded time, and told of without saying where it went.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

use super::secret::{Secret, Webhook};
use super::undelivered::Undelivered;
use crate::control::waits;
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{Address, in_words, lasting};

/// How much of an answer is looked at, where that counts.
pub(super) const LONGEST_ANSWER: u64 = 64 << 10;
/// How often one message is sent at most.
const ATTEMPTS: u32 = 3;
/// The longest that a server may ask to be left alone before the next attempt.
const LONGEST_WAIT: Duration = waits::NOTIFY_RETRY.most;
/// How often it is looked whether somebody ended the run.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// What to ask of an address of the web where no encryption could be agreed on.
const IS_HTTPS: &str = "is it https there?";

/// What of this machine connections depend on.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Certificates of the authorities that are believed.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The proxy, with user and password where it needs them.
    pub proxy: Option<Address>,
}

/// Speaks to one address: sends to it, or reads from it.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    address: Webhook,
    token: Option<Secret>,
    has_proxy: bool,
    who: &'static str,
}

/// Why nothing was read or taken, in words that name neither the address nor anything that was answered.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(String);

impl FetchError {
    /// A reason of somebody else's words, which must hold no secret.
    pub(crate) fn new(why: String) -> Self {
        Self(why)
    }
}

/// Until when something may be tried.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    /// The end of all attempts.
    pub(super) end: Instant,
    /// How long one of them may take.
    pub(super) attempt: Duration,
    /// The pause before the second one.
    pub(super) pause: Duration,
    /// Who may end them before.
    pub(super) watch: Arc<Watch>,
}

impl Limit {
    /// How much time is left for all.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// The system's resolver. An error of the standard library that comes from it has no kind of its own, so it gets one here.
#[derive(Debug, Default)]
struct NameResolver(DefaultResolver);

impl Resolver for NameResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })
    }
}

/// Reads an answer of at most [`LONGEST_ANSWER`].
fn answer_of(from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.take(LONGEST_ANSWER).read_to_end(&mut bytes);
    bytes
}

/// How an attempt ended, where it did not succeed.
pub(super) struct Failed {
    why: String,
    /// Whether another attempt may end differently.
    is_passing: bool,
    /// How long the server wants to be left alone.
    wait: Option<Duration>,
}

/// Attempts something until it succeeds, at most so often and so long as `limit` says.
pub(super) fn tried<T>(
    limit: &Limit,
    attempt: impl Fn(Duration) -> Result<T, Failed>,
) -> Result<T, Undelivered> {
    let mut pause = limit.pause;
    let mut number = 1;
    loop {
        let failed = match attempt(limit.attempt.min(limit.left())) {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let times = if number > 1 { format!(", {number} times") } else { String::new() };
        let why = format!("{}{times}", failed.why);
        if !failed.is_passing || number == ATTEMPTS {
            return Err(Undelivered::new(why));
        }
        let wait = failed.wait.unwrap_or(pause);
        if wait > LONGEST_WAIT {
            let asked = lasting(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
            return Err(Undelivered::new(format!("{why}, and wants to be left alone for {asked}")));
        }
        if wait >= limit.left() {
            return Err(Undelivered::new(format!("{why}; there was no time left to try again")));
        }
        sleep(wait, &limit.watch)?;
        pause *= 2;
        number += 1;
    }
}

impl Failed {
    pub(super) fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: false, wait: None }
    }

    pub(super) fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: true, wait: None }
    }
}

impl Client {
    /// A client for an address.
    ///
    /// # Errors
    /// When the proxy is none that can be used, or nothing could be believed of a server.
    pub fn new(address: Webhook, token: Option<Secret>, network: &Network) -> Result<Self, Failure> {
        if address.is_https && network.authorities.is_empty() {
            return Err(Failure::new(
                "this machine has no certificates of authorities to know a server by; install ca-certificates, or name a file in SSL_CERT_FILE",
            ));
        }
        let proxy = network.proxy.as_ref().map(|proxy| {
            let unusable = "the proxy that the environment names is none that can be used: http, https, socks4, socks4a, socks5 or socks5h://HOST:PORT";
            Proxy::new(proxy.reveal()).map_err(|_| Failure::new(unusable).of_project())
        });
        let proxy = proxy.transpose()?;
        let certificates: Vec<Certificate<'static>> =
            network.authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&certificates))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let has_proxy = proxy.is_some();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            // A redirect would take the token and the report to somebody else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("driftlock/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), NameResolver::default());
        Ok(Self { agent, address, token, has_proxy, who: "webhook" })
    }

    /// The same client, whose errors call what it speaks to by this name.
    #[must_use]
    pub fn called_by(self, who: &'static str) -> Self {
        Self { who, ..self }
    }

    /// Reads JSON from its address, or from another page of the same server; at most so many bytes for so long.
    ///
    /// # Errors
    /// When no whole answer came, it was no success, or the page is another server's.
    pub fn get(&self, page: Option<&str>, most: u64, time: Duration) -> Result<Vec<u8>, FetchError> {
        let page = page.map(|page| self.address.page(page)).transpose();
        let page = page.map_err(|why| FetchError(format!("the next page that it names {why}")))?;
        let url = page.as_ref().unwrap_or(&self.address).url();
        let request = self.agent.get(url).config().timeout_global(Some(time)).build();
        let request = request.header("Accept", "application/json");
        let request = match self.token.as_ref().map(Secret::reveal) {
            Some(token) if token.contains(' ') => request.header("Authorization", token),
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        };
        let mut response = request.call().map_err(|error| FetchError(self.failed(&error, time).why))?;
        let code = response.status().as_u16();
        let answered = format!("the {} answered {code}", self.called());
        match code {
            200 => response.body_mut().with_config().limit(most).read_to_vec().map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(_) => {
                    FetchError(format!("the {} answers more than {} MiB", self.called(), most >> 20))
                }
                error => FetchError(self.failed(&error, time).why),
            }),
            300..=399 => Err(FetchError(format!("{answered}: it has moved; configure its new address"))),
            401 | 403 => Err(FetchError(format!("{answered}: it refuses this address or token"))),
            404 | 410 => Err(FetchError(format!("{answered}: nothing is at this address"))),
            _ => Err(FetchError(answered)),
        }
    }

    /// Sends `body` once, and waits so long for the answer; `key` makes it one message whoever repeats it.
    ///
    /// # Errors
    /// When no answer came, or it was no success.
    pub fn post_once(&self, body: &[u8], event: &str, key: &str, time: Duration) -> Result<(), FetchError> {
        self.attempt(body, (event, Some(key)), time).map(drop).map_err(|failed| FetchError(failed.why))
    }

    /// Sends `body` until it is taken, at most so often and so long as `limit` says.
    pub(super) fn post(&self, body: &[u8], event: &str, limit: &Limit) -> Result<(), Undelivered> {
        self.posted(body, (event, None), limit).map(drop)
    }

    /// The same with a key that makes it one message however often it is sent; gives the answer.
    pub(super) fn post_for_answer(
        &self,
        body: &[u8],
        event: &str,
        key: &str,
        limit: &Limit,
    ) -> Result<Vec<u8>, Undelivered> {
        self.posted(body, (event, Some(key)), limit)
    }

    fn posted(
        &self,
        body: &[u8],
        (event, key): (&str, Option<&str>),
        limit: &Limit,
    ) -> Result<Vec<u8>, Undelivered> {
        tried(limit, |time| self.attempt(body, (event, key), time))
    }

    fn attempt(
        &self,
        body: &[u8],
        (event, key): (&str, Option<&str>),
        time: Duration,
    ) -> Result<Vec<u8>, Failed> {
        let request = self.agent.post(self.address.url()).config().timeout_global(Some(time)).build();
        let request = request.header("Content-Type", "application/json").header("Driftlock-Event", event);
        let request = match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {}", token.reveal())),
            None => request,
        };
        let request = match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        // What is answered beyond the status is not told: it may repeat what was sent.
        let mut response = request.send(body).map_err(|error| self.failed(&error, time))?;
        let code = response.status().as_u16();
        let answered = format!("the {} answered {code}", self.called());
        match code {
            200..=299 if key.is_none() => Ok(Vec::new()),
            200..=299 => Ok(answer_of(response.body_mut().as_reader())),
            300..=399 => {
                Err(Failed::for_good(format!("{answered}: it has moved; configure its new address")))
            }
            408 | 429 | 500..=599 => {
                let after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok());
                let wait = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                Err(Failed { wait: wait.filter(|_| matches!(code, 429 | 503)), ..Failed::for_now(answered) })
            }
            404 | 410 => Err(Failed::for_good(format!("{answered}: nothing takes messages at this address"))),
            401 | 403 => Err(Failed::for_good(format!("{answered}: it refuses this address or token"))),
            _ => Err(Failed::for_good(answered)),
        }
    }

    /// What is spoken to, without its name.
    fn called(&self) -> String {
        let proxy = if self.has_proxy { ", or the proxy before it," } else { "" };
        format!("{}{proxy}", self.who)
    }

    /// An error in words that name neither the address nor anything that was answered.
    fn failed(&self, error: &ureq::Error, time: Duration) -> Failed {
        use ureq::Error;
        let who = self.called();
        match error {
            Error::Timeout(_) => Failed::for_now(format!(
                "the {who} did not answer within {}",
                lasting(i64::try_from(time.as_secs().max(1)).unwrap_or(i64::MAX))
            )),
            Error::HostNotFound => Failed::for_now(format!("the host of the {who} is not known")),
            Error::Io(error) => of_system(error, &who, self.who, IS_HTTPS),
            Error::Rustls(error) => of_tls(error, self.who, IS_HTTPS),
            Error::ConnectProxyFailed(_) => Failed::for_now("the proxy did not let it through"),
            Error::ConnectionFailed => Failed::for_now(format!("the {who} cannot be reached")),
            Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
                Failed::for_now(format!("what the {who} answered is no HTTP"))
            }
            Error::BadUri(_) | Error::InvalidProxyUrl => Failed::for_good("the address is none to send to"),
            _ => Failed::for_now(format!("the connection to the {who} failed")),
        }
    }
}

/// An error of the system in words; `question` is what to ask where no encryption could be agreed on.
pub(super) fn of_system(error: &std::io::Error, who: &str, server: &str, question: &str) -> Failed {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        return of_tls(tls, server, question);
    }
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Failed::for_now(format!("the {who} closed the connection without an answer"))
        }
        // The system's own words; others could repeat what was received.
        _ if error.raw_os_error().is_some() => {
            Failed::for_now(format!("the {who} cannot be reached: {}", in_words(error)))
        }
        kind => Failed::for_now(format!("the {who} cannot be reached: {kind}")),
    }
}

/// An error of the encryption in words.
pub(super) fn of_tls(error: &rustls::Error, server: &str, question: &str) -> Failed {
    let rustls::Error::InvalidCertificate(why) = error else {
        return Failed::for_now(format!("no encrypted connection could be made: {question}"));
    };
    let why = match why {
        CertificateError::UnknownIssuer => {
            "nobody whom this machine knows vouches for it (SSL_CERT_FILE names a file of other authorities)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is one of another host"
        }
        CertificateError::Revoked => "it was revoked",
        _ => "it is not valid",
    };
    Failed::for_good(format!("the certificate of the {server} is not believed: {why}"))
}

/// Waits, unless somebody ends the run.
fn sleep(time: Duration, watch: &Watch) -> Result<(), Undelivered> {
    let end = Instant::now() + time;
    loop {
        if watch.is_cancelled() {
            return Err(Undelivered::new("the run was ended"));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(TICK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str, proxy: Option<&str>) -> Result<Client, Failure> {
        let proxy = proxy.map(Address::new);
        Client::new(Webhook::parse(url).unwrap(), None, &Network { authorities: Vec::new(), proxy })
    }

    #[test]
    fn without_anybody_to_believe_no_server_is_believed() {
        let why = client("https://hooks.example.com/s3cr3t", None).unwrap_err().in_one_line();
        assert!(why.contains("install ca-certificates") && !why.contains("s3cr3t"), "{why}");
        assert!(client("http://hooks.example.com/s3cr3t", None).is_ok());
    }

    #[test]
    fn a_proxy_that_is_none_is_said_to_be_none() {
        for proxy in ["ftp://u:s3cr3t@p/", "http://"] {
            let why = client("http://a/", Some(proxy)).unwrap_err().in_one_line();
            assert!(why.contains("the proxy that the environment names") && !why.contains("s3cr3t"), "{why}");
        }
        assert!(client("http://a/", Some("proxy.example.com:3128")).is_ok());
    }
}
