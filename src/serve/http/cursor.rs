//! Cursors of pages: opaque, and authenticated, so that nobody makes one up.

use std::io;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use super::problem::Problem;
use crate::serve::secret::{NoRandomness, random_bytes};

/// The length of what authenticates a cursor.
const TAG: usize = 16;
/// The length of the longest cursor that is read.
const LONGEST: usize = 1024;

/// The key that cursors are authenticated with.
pub(crate) struct CursorKey([u8; 32]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CursorKeyError {
    /// The system gave none.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// Its file cannot be read or written, or is none.
    #[error("cursor.key of the state directory: {0}; remove it, and pages begin anew")]
    File(#[from] io::Error),
}

impl CursorKey {
    /// A key of this process: its cursors end with it.
    ///
    /// # Errors
    /// When the system gives none.
    #[cfg(test)]
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        Ok(Self(random_bytes()?))
    }

    /// The key of a state directory; it is made where there is none.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn of_directory(dir: &Path) -> Result<Self, CursorKeyError> {
        let path = dir.join("cursor.key");
        match crate::atomic::read_file_within(&path, 32) {
            Ok(bytes) => {
                let key = bytes.try_into().map_err(|_| io::Error::other("it does not have 32 bytes"))?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = random_bytes()?;
                crate::atomic::replace_private_file(&path, &key)?;
                Ok(Self(key))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn mac(&self, scope: &str, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(&(scope.len() as u64).to_be_bytes());
        mac.update(scope.as_bytes());
        mac.update(payload);
        Some(mac)
    }

    /// A cursor for `scope`: the route and whatever else a page of it depends on, such as its filters.
    ///
    /// # Errors
    /// When the position cannot be written as JSON, which is a defect.
    pub(crate) fn seal(&self, scope: &str, position: &impl Serialize) -> Result<String, Problem> {
        let payload = serde_json::to_vec(position).map_err(|_| Problem::internal())?;
        let tag = self.mac(scope, &payload).ok_or_else(Problem::internal)?.finalize().into_bytes();
        Ok(BASE64URL_NOPAD.encode(&[&tag[..TAG], &payload].concat()))
    }

    /// The position in a cursor.
    ///
    /// # Errors
    /// When it was not made here for this scope (400).
    pub(crate) fn open<T: DeserializeOwned>(&self, scope: &str, cursor: &str) -> Result<T, Problem> {
        self.opened(scope, cursor)
            .ok_or_else(|| Problem::bad_request("the cursor is not one of this list: begin without one"))
    }

    fn opened<T: DeserializeOwned>(&self, scope: &str, cursor: &str) -> Option<T> {
        let bytes = Some(cursor).filter(|cursor| cursor.len() <= LONGEST)?;
        let bytes = BASE64URL_NOPAD.decode(bytes.as_bytes()).ok()?;
        let (tag, payload) = bytes.split_at_checked(TAG)?;
        self.mac(scope, payload)?.verify_truncated_left(tag).ok()?;
        serde_json::from_slice(payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cursors_of_this_key_and_scope_are_read() {
        let key = CursorKey::random().unwrap();
        let cursor = key.seal("events?status=open", &(42_u64, "x")).unwrap();
        let read = |scope: &str, cursor: &str| key.open::<(u64, String)>(scope, cursor).ok();
        assert_eq!(read("events?status=open", &cursor), Some((42, "x".to_owned())));
        assert_eq!(read("events?status=closed", &cursor), None);
        for at in 0..cursor.len() {
            let other = if &cursor[at..=at] == "A" { "B" } else { "A" };
            let forged = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
            assert_eq!(read("events?status=open", &forged), None, "{at}");
            assert_eq!(read("events?status=open", &cursor[..at]), None, "{at}");
        }
        assert_eq!(read("events?status=open", &"A".repeat(2000)), None);
        assert!(CursorKey::random().unwrap().open::<(u64, String)>("events?status=open", &cursor).is_err());
    }

    #[test]
    fn the_key_of_a_directory_stays() {
        let dir = assert_fs::TempDir::new().unwrap();
        let cursor = CursorKey::of_directory(dir.path()).unwrap().seal("x", &1).unwrap();
        assert_eq!(CursorKey::of_directory(dir.path()).unwrap().open::<u8>("x", &cursor).unwrap(), 1);
        std::fs::write(dir.path().join("cursor.key"), "short").unwrap();
        assert!(CursorKey::of_directory(dir.path()).is_err());
    }
}
