//! Stub.
use super::*;
pub enum Judgement {
    Trusted,
    Unknown(Unknown),
    Refused(String),
}
#[derive(Debug)]
pub struct Unknown {
    pub key: russh::keys::PublicKey,
}
impl Unknown {
    pub fn refusal(&self) -> String {
        String::new()
    }
    pub fn fingerprint(&self) -> String {
        String::new()
    }
    pub fn question(&self) -> String {
        String::new()
    }
}
pub(super) struct Offer {
    pub(super) keys: Vec<russh::keys::Algorithm>,
    pub(super) certificates: Vec<russh::keys::Algorithm>,
}
impl Trust {
    pub(super) fn algorithms(&self, _: &str, _: u16) -> Offer {
        Offer { keys: vec![], certificates: vec![] }
    }
    pub fn judge(&self, _: &str, _: u16, _: &PublicKeyOrCertificate) -> Judgement {
        Judgement::Trusted
    }
    pub fn record(&self, _: &str, _: u16, _: &russh::keys::PublicKey) -> Result<PathBuf, String> {
        Err(String::new())
    }
}
