//! The server's certificate, which is read again on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::model::{in_words, printable_path};

/// The largest file of certificates or keys that is read.
const LARGEST: u64 = 1 << 20;

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {}", printable_path(.file), in_words(.source))]
    File {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file holds none.
    #[error("{}: {source}; PEM is expected", printable_path(.file))]
    Form {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: pem::Error,
    },
    /// Certificate and key do not belong together, or are of no use.
    #[error("{}: {source}", printable_path(.file))]
    Unfit {
        /// The file of the certificate.
        file: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
}

/// The files of a certificate with its chain and of its key, and what was read of them last.
pub(crate) struct SiteCertificate {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

impl SiteCertificate {
    /// Reads both files.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let current = RwLock::new(Arc::new(config(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// Reads both files again: new connections get what is there now.
    ///
    /// # Errors
    /// As [`SiteCertificate::read`]; what was read before stays in use.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let new = Arc::new(config(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config(certificate: &Path, key: &Path) -> Result<ServerConfig, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(&bytes(certificate)?).collect::<Result<Vec<_>, _>>();
    let chain =
        chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    let chain = chain.map_err(|source| CertificateError::Form { file: certificate.to_owned(), source })?;
    let secret = PrivateKeyDer::from_pem_slice(&bytes(key)?);
    let secret = secret.map_err(|source| CertificateError::Form { file: key.to_owned(), source })?;
    let unfit = |source| CertificateError::Unfit { file: certificate.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, secret).map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn bytes(file: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = crate::atomic::read_file_within(file, LARGEST);
    read.map_err(|source| CertificateError::File { file: file.to_owned(), source })
}
