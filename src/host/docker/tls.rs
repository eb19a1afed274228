//! TLS to an engine with the certificates of a directory, as the docker client has them: its authorities alone are believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The reason why there is no TLS to an engine.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the directory cannot be read.
    #[error("{}: {source}", .file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// The reason.
        source: pem::Error,
    },
    /// They do not belong together, or are of no use.
    #[error("{}: {source}", .directory.display())]
    Certificates {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
    /// No certificate can be for that name.
    #[error("{host} is no name that a certificate can have")]
    Name {
        /// The name.
        host: String,
        /// The reason.
        source: InvalidDnsNameError,
    },
}

/// The way to speak TLS with the engine at `host`; where it has no certificate and no key of its own, without them.
pub(super) fn connector(
    host: &str,
    directory: &Path,
) -> Result<(TlsConnector, ServerName<'static>), TlsError> {
    let of_file = |name: &str| {
        let file = directory.join(name);
        move |source| TlsError::File { file: file.clone(), source }
    };
    let wrong = |source| TlsError::Certificates { directory: directory.to_owned(), source };
    let certificates = |name: &str| -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let read = CertificateDer::pem_file_iter(directory.join(name)).map_err(of_file(name))?;
        read.collect::<Result<_, _>>().map_err(of_file(name))
    };
    let mut authorities = RootCertStore::empty();
    for authority in certificates("ca.pem")? {
        authorities.add(authority).map_err(wrong)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrong)?;
    let config = config.with_root_certificates(authorities);
    let has_own = ["cert.pem", "key.pem"].iter().any(|name| directory.join(name).symlink_metadata().is_ok());
    let config = if has_own {
        let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).map_err(of_file("key.pem"))?;
        config.with_client_auth_cert(certificates("cert.pem")?, key).map_err(wrong)?
    } else {
        config.with_no_client_auth()
    };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|source| TlsError::Name { host: host.to_owned(), source })?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::other(error)
    }
}
