//! The protocol of PostgreSQL over a stream that a host opens, with TLS where the address asks for it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Join, ReadBuf, ReadHalf, Take, WriteHalf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;

use super::url::Encryption;
use super::{Fault, LOCK_MS, Listener, MOST_BYTES, ONE, PostgresUrl, Rows, STATEMENT_MS, Server, Ways};
use crate::host::docker::{Stream, short};

/// A server at an address.
pub(super) struct Wire<'a, W> {
    pub(super) url: &'a PostgresUrl,
    pub(super) ways: &'a W,
}

/// A stream that ends where its answer would have no end.
type Limited = Join<Take<ReadHalf<Stream>>, WriteHalf<Stream>>;

impl<W: Ways> Server for Wire<'_, W> {
    fn first(&self) -> &str {
        self.url.database().unwrap_or("postgres")
    }

    async fn rows(&self, databases: &[String], statement: &str) -> Result<Vec<Result<Rows, Fault>>, Fault> {
        let mut all = Vec::new();
        for database in databases {
            let rows = tokio::time::timeout(ONE, self.rows_of(database, statement)).await;
            let rows = rows.unwrap_or(Err(Fault::Silent(ONE.as_secs())));
            // What no stream leads to, none leads to for the next database.
            if let (Err(fault @ (Fault::Unreached(_) | Fault::Forward(_))), true) = (&rows, all.is_empty()) {
                return Err(fault.clone());
            }
            all.push(rows);
        }
        Ok(all)
    }
}

impl<W: Ways> Wire<'_, W> {
    async fn rows_of(&self, database: &str, statement: &str) -> Result<Rows, Fault> {
        let mut config = self.url.config.clone();
        config.dbname(database);
        let (read, write) = tokio::io::split(self.ways.dial(self.url.listener()).await?);
        let stream: Limited = tokio::io::join(read.take(MOST_BYTES), write);
        match &self.url.encryption {
            Encryption::Off => talk(&config, stream, NoTls, statement).await,
            Encryption::Verified(authorities) => {
                let tls = Encrypting::new(self.url.listener(), authorities.as_deref())?;
                talk(&config, stream, tls, statement).await
            }
        }
    }
}

/// Asks for the rows of one statement, in a transaction that can change nothing.
async fn talk<T>(config: &Config, stream: Limited, tls: T, statement: &str) -> Result<Rows, Fault>
where
    T: TlsConnect<Limited>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| fault_of(&error))?;
    let driver = tokio::spawn(connection);
    let text = format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS}; \
         SET LOCAL lock_timeout = {LOCK_MS}; {statement}; ROLLBACK"
    );
    let answered = client.simple_query(&text).await;
    driver.abort();
    let rows = answered.map_err(|error| fault_of(&error))?.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

/// The fault of an error of the library, which knows the password and does not repeat it.
fn fault_of(error: &Error) -> Fault {
    if let Some(said) = error.as_db_error() {
        return Fault::of_server(said.code().code(), said.message());
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    let words = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    let mut told: Vec<String> = words.collect();
    told.dedup_by(|cause, before| before.ends_with(cause.as_str()));
    Fault::Connection(short(&told.join(": ")))
}

/// Encrypts with the one who is at the address.
struct Encrypting {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Encrypting {
    fn new(listener: &Listener, authorities: Option<&Path>) -> Result<Self, Fault> {
        let bad = |why: &dyn std::fmt::Display| Fault::Connection(format!("no TLS to it: {why}"));
        let Listener::Tcp { host, .. } = listener else { return Err(bad(&"it is a socket")) };
        let found = match authorities {
            Some(file) => rustls_native_certs::load_certs_from_paths(Some(file), None),
            None => rustls_native_certs::load_native_certs(),
        };
        let mut roots = RootCertStore::empty();
        let (count, _) = roots.add_parsable_certificates(found.certs);
        if count == 0 {
            return Err(bad(&"there is no certificate of an authority in sslrootcert, or on this system"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| bad(&error))?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(host.clone()).map_err(|error| bad(&error))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

impl TlsConnect<Limited> for Encrypting {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Limited) -> Self::Future {
        Box::pin(async move { Ok(Encrypted(self.connector.connect(self.name, stream).await?)) })
    }
}

/// An encrypted stream.
struct Encrypted(client::TlsStream<Limited>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
