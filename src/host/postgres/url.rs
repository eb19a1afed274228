//! The file that holds the address of a PostgreSQL server with its password, and what the address says.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::atomic::read_within;
use crate::model::{escaped, in_words, printable_path};

/// The longest file, in bytes.
const LONGEST: u64 = 8192;
/// The bits of a mode that let somebody else than the owner at the file.
const FOR_OTHERS: u32 = 0o077;
/// The directory of the socket where the address names no host.
const SOCKETS: &str = "/var/run/postgresql";

/// Where a server listens, as its machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// At a Unix socket.
    Socket(PathBuf),
    /// At a TCP address.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Whether the connection is encrypted. There is none whose server is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encryption {
    Off,
    /// By the authorities of this file, or the system's.
    Verified(Option<PathBuf>),
}

/// An address with user and password. It has no way to be shown but for [`PostgresUrl::listener`].
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    listener: Listener,
    pub(super) encryption: Encryption,
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A file with an address that is of no use.
#[derive(Debug, Clone, thiserror::Error)]
#[error("url_file {path}: {fault}")]
pub struct UrlFileError {
    path: String,
    fault: UrlFault,
}

/// The reason; it repeats nothing of the file.
#[derive(Debug, Clone, thiserror::Error)]
enum UrlFault {
    #[error("{0}")]
    Read(String),
    #[error("it is no file of at most {LONGEST} bytes of text")]
    NoText,
    #[error("others than its owner may use this file, which holds a password (mode {0:04o}): chmod 600 it")]
    TooOpen(u32),
    #[error(
        "it is no address like postgres://USER:PASSWORD@HOST:5432/DATABASE, where %40 stands for an @ in the password"
    )]
    NoUrl,
    #[error("it names several hosts: name one")]
    SeveralHosts,
    #[error("it names no user: postgres://USER:PASSWORD@HOST/DATABASE")]
    NoUser,
    #[error(
        "sslmode is disable, require, verify-ca or verify-full here: with all but the first the server must have a certificate for its name"
    )]
    SslMode,
}

impl PostgresUrl {
    /// Reads the file at `path`, which its owner alone may read.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it holds no address; nothing of it is repeated.
    pub fn read(path: &Path) -> Result<Self, UrlFileError> {
        let named = |fault| UrlFileError { path: printable_path(path), fault };
        let text = text_of(path).map_err(named)?;
        Self::parse(text.trim()).map_err(named)
    }

    fn parse(text: &str) -> Result<Self, UrlFault> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(UrlFault::NoUrl);
        }
        let (bare, ssl, authorities) = without_ssl(text);
        let mut config: Config = bare.parse().map_err(|_| UrlFault::NoUrl)?;
        if config.get_hosts().len() > 1 || config.get_ports().len() > 1 {
            return Err(UrlFault::SeveralHosts);
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(UrlFault::NoUser);
        }
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let socket = |dir: &Path| Listener::Socket(dir.join(format!(".s.PGSQL.{port}")));
        let listener = match config.get_hosts().first() {
            None => socket(Path::new(SOCKETS)),
            Some(Host::Unix(dir)) => socket(dir),
            Some(Host::Tcp(host)) => {
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                Listener::Tcp { host: host.to_owned(), port }
            }
        };
        let encryption = match (ssl.as_deref(), &listener) {
            (Some("disable"), _) => Encryption::Off,
            (None, listener) if authorities.is_none() && stays_there(listener) => Encryption::Off,
            (None | Some("require" | "verify-ca" | "verify-full"), Listener::Tcp { .. }) => {
                Encryption::Verified(authorities)
            }
            _ => return Err(UrlFault::SslMode),
        };
        config.ssl_mode(if encryption == Encryption::Off { SslMode::Disable } else { SslMode::Require });
        config.application_name("driftlock");
        Ok(Self { config, listener, encryption })
    }

    /// Where the server listens.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The database that it names.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname().filter(|name| !name.is_empty())
    }
}

/// Whether what is sent to a listener does not leave its machine.
fn stays_there(listener: &Listener) -> bool {
    match listener {
        Listener::Socket(_) => true,
        Listener::Tcp { host, .. } => {
            host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

/// An address without what it says of TLS, and that: `sslmode`, and the file of `sslrootcert`.
fn without_ssl(text: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((place, query)) = text.rsplit_once('?') else { return (text.to_owned(), None, None) };
    let (mut mode, mut authorities, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => authorities = Some(PathBuf::from(value)),
            _ => rest.push(pair),
        }
    }
    let rest = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{place}{rest}"), mode, authorities)
}

fn text_of(path: &Path) -> Result<String, UrlFault> {
    let unread = |error: &io::Error| UrlFault::Read(in_words(error));
    // A FIFO in its place is not waited for.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or_default();
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| unread(&error))?;
    let meta = file.metadata().map_err(|error| unread(&error))?;
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(UrlFault::NoText);
    }
    let mode = meta.mode() & 0o777;
    if mode & FOR_OTHERS != 0 {
        return Err(UrlFault::TooOpen(mode));
    }
    let bytes = read_within(&file, LONGEST).map_err(|error| unread(&error))?;
    String::from_utf8(bytes).map_err(|_| UrlFault::NoText)
}

/// A listener as a terminal may show it.
impl From<&Listener> for String {
    fn from(listener: &Listener) -> Self {
        escaped(listener.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_libpq() {
        let tcp = |host: &str, port| Listener::Tcp { host: host.to_owned(), port };
        for (text, listener, encryption, database) in [
            (
                "postgres://odoo:p%40ss@127.0.0.1:5433/prod",
                tcp("127.0.0.1", 5433),
                Encryption::Off,
                Some("prod"),
            ),
            ("postgresql://odoo@[::1]/prod", tcp("::1", 5432), Encryption::Off, Some("prod")),
            (
                "postgres://odoo@db.internal/prod",
                tcp("db.internal", 5432),
                Encryption::Verified(None),
                Some("prod"),
            ),
            (
                "postgres://odoo@db.internal/prod?sslmode=disable",
                tcp("db.internal", 5432),
                Encryption::Off,
                Some("prod"),
            ),
            (
                "postgres://odoo@127.0.0.1?sslmode=verify-full&sslrootcert=/etc/ca.pem",
                tcp("127.0.0.1", 5432),
                Encryption::Verified(Some("/etc/ca.pem".into())),
                None,
            ),
            (
                "postgres://odoo@/prod?host=/run/pg",
                Listener::Socket("/run/pg/.s.PGSQL.5432".into()),
                Encryption::Off,
                Some("prod"),
            ),
            (
                "postgres://odoo@%2Frun%2Fpg:6000/prod",
                Listener::Socket("/run/pg/.s.PGSQL.6000".into()),
                Encryption::Off,
                Some("prod"),
            ),
        ] {
            let url = PostgresUrl::parse(text).unwrap();
            assert_eq!(
                (url.listener(), &url.encryption, url.database()),
                (&listener, &encryption, database),
                "{text}"
            );
        }
        let url = PostgresUrl::parse("postgres://odoo:p%40ss@127.0.0.1/prod").unwrap();
        assert_eq!(url.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(format!("{url:?}"), "(secret)");
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        for text in [
            "",
            "host=127.0.0.1 user=odoo password=s3cr3t",
            "mysql://odoo:s3cr3t@h/x",
            "postgres://odoo:s3cr3t@h:x/y",
            "postgres://odoo:s3cr3t@a,b/y",
            "postgres://:s3cr3t@h/y",
            "postgres://odoo:s3cr3t@h/y?sslmode=prefer",
            "postgres://odoo:s3cr3t@/y?host=/run&sslmode=require",
        ] {
            let error = PostgresUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("s3c"), "{error}");
        }
    }
}
