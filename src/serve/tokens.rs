//! Tokens of those who call the agent: `tokens.json` in its state directory, which holds their digests alone.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq as _};

use super::secret::{NoRandomness, random_bytes};
use crate::control::{clock, file_lock, waits};
use crate::model::{Digest, escaped, in_words, printable_path};

/// The name of the format.
const FORMAT: &str = "driftlock.tokens/1";
/// The largest file of tokens that is read.
const LARGEST: u64 = 1 << 20;

/// Roles of a caller; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenRole {
    /// Reads `/metrics`, and nothing else.
    Scrape,
    /// Reads verdicts and names.
    Read,
    /// Reads lines and values, too.
    Detail,
    /// Acknowledges, approves, starts checks.
    Operate,
    /// Changes policies, remediates.
    Admin,
}

impl TokenRole {
    /// Every role, the least first.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [Self::Scrape, Self::Read, Self::Detail, Self::Operate, Self::Admin];

    /// Its name in files and on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Scrape => "scrape",
            Self::Read => "read",
            Self::Detail => "detail",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    #[cfg(test)]
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRecord {
    /// Its name, which no other one has.
    pub(crate) name: String,
    /// What whoever has it may do.
    pub(crate) role: TokenRole,
    /// The SHA-256 of its 32 bytes, in hex.
    sha256: String,
    /// When it was made: RFC 3339, in UTC.
    pub(crate) created: String,
    /// The same in seconds since 1970.
    pub(crate) created_unix: i64,
    /// When it ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_unix: Option<i64>,
}

impl TokenRecord {
    /// Whether it counts no more.
    pub(crate) fn is_over(&self) -> bool {
        self.expires_unix.is_some_and(|end| end <= clock::unix())
    }

    fn digest(&self) -> Option<Digest> {
        Digest::parse(self.sha256.as_bytes())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    format: String,
    tokens: Vec<TokenRecord>,
}

/// Why tokens cannot be read or changed; no message holds a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The system refused.
    #[error("{}: {}", printable_path(.path), in_words(.source))]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is damaged, or written by another version.
    #[error("{}: {reason}; move the file away and make new tokens", printable_path(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Others may write it.
    #[error(
        "{}: it must belong to the user that driftlock runs as or to root, and nobody else may write it; run: chmod 600 on it",
        printable_path(.path)
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Another process changes it for long.
    #[error("{}: another process changes the tokens; try again", printable_path(.path))]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// It is no name.
    #[error(
        "{0} is no name of a token: it has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or a digit"
    )]
    Name(String),
    /// There is one of that name.
    #[error("there is a token {0} already; revoke it first, or choose another name")]
    Taken(String),
    /// There is none of that name.
    #[error("there is no token {0}")]
    Absent(String),
    /// No token can be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Who a token belongs to, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenOwner {
    /// The token's name.
    pub(crate) name: String,
    /// Its role.
    pub(crate) role: TokenRole,
    /// Its digest, which names it for ever: another token may take its name.
    pub(crate) digest: Digest,
}

/// Tells one content of the file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    place: (u64, u64),
    size: u64,
    changed: [i64; 4],
}

impl FileStamp {
    fn new(meta: &Metadata) -> Self {
        let changed = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        Self { place: (meta.dev(), meta.ino()), size: meta.size(), changed }
    }

    /// Whether a change after this moment must show in a stamp, however coarse the system's clock is.
    fn is_settled(&self) -> bool {
        self.changed[2].max(self.changed[0]) + 1 < clock::unix()
    }
}

/// What was read of the file.
#[derive(Clone)]
struct HeldTokens {
    /// None where the file must be read again in any case.
    stamp: Option<FileStamp>,
    records: Arc<Vec<TokenRecord>>,
}

/// The tokens of one state directory.
pub(crate) struct TokenStore {
    path: PathBuf,
    held: Mutex<Option<HeldTokens>>,
}

impl TokenStore {
    /// Those of a directory; nothing is read yet, and no file is as good as one without tokens.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: dir.join("tokens.json"), held: Mutex::new(None) }
    }

    /// Makes a token: its text, which is kept nowhere.
    ///
    /// # Errors
    /// When the name is none or taken, or the file cannot be changed.
    pub(crate) fn add(
        &self,
        name: &str,
        role: TokenRole,
        expires_unix: Option<i64>,
    ) -> Result<String, TokenError> {
        if !is_name(name) {
            return Err(TokenError::Name(escaped(name.as_bytes())));
        }
        let bytes = random_bytes::<32>()?;
        let (created, created_unix) = clock::utc();
        let sha256 = Digest::of(&bytes).to_string();
        let record = TokenRecord { name: name.to_owned(), role, sha256, created, created_unix, expires_unix };
        self.change(|records| {
            if records.iter().any(|other| other.name == name) {
                return Err(TokenError::Taken(name.to_owned()));
            }
            records.push(record);
            Ok(())
        })?;
        Ok(BASE64URL_NOPAD.encode(&bytes))
    }

    /// Makes a token count no more.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be changed.
    pub(crate) fn revoke(&self, name: &str) -> Result<(), TokenError> {
        self.change(|records| {
            let before = records.len();
            records.retain(|record| record.name != name);
            if records.len() == before {
                return Err(TokenError::Absent(escaped(name.as_bytes())));
            }
            Ok(())
        })
    }

    /// Those that are kept, in the order in which they were made.
    ///
    /// # Errors
    /// When the file cannot be read, or is not to be trusted.
    pub(crate) fn list(&self) -> Result<Arc<Vec<TokenRecord>>, TokenError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match std::fs::metadata(&self.path) {
            Ok(meta) => Some(FileStamp::new(&meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(self.at(source)),
        };
        if let Some(known) = held.as_ref().filter(|known| stamp.is_some() && known.stamp == stamp) {
            return Ok(Arc::clone(&known.records));
        }
        // What was known before is not used any more, whatever comes of this.
        *held = None;
        let read = self.read()?;
        let records = Arc::clone(&read.records);
        *held = Some(read);
        Ok(records)
    }

    /// Whose token that text is; none where it is nobody's, or over.
    ///
    /// # Errors
    /// When the file cannot be read, or is not to be trusted.
    pub(crate) fn find(&self, text: &str) -> Result<Option<TokenOwner>, TokenError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_default();
        let owner = self.owner(&Digest::of(&bytes))?;
        Ok(owner.filter(|_| bytes.len() == 32))
    }

    /// Whose token has that digest now; none where it was revoked, or is over.
    ///
    /// # Errors
    /// When the file cannot be read, or is not to be trusted.
    pub(crate) fn owner(&self, digest: &Digest) -> Result<Option<TokenOwner>, TokenError> {
        let mut owner = None;
        // All are compared, so that the time says nothing of which one it is.
        for record in self.list()?.iter() {
            let is_same = record.digest().map_or(Choice::from(0), |own| own.bytes().ct_eq(digest.bytes()));
            if bool::from(is_same) && !record.is_over() {
                owner = Some(TokenOwner { name: record.name.clone(), role: record.role, digest: *digest });
            }
        }
        Ok(owner)
    }

    fn at(&self, source: io::Error) -> TokenError {
        TokenError::File { path: self.path.clone(), source }
    }

    fn damaged(&self, reason: impl Into<String>) -> TokenError {
        TokenError::Damaged { path: self.path.clone(), reason: reason.into() }
    }

    fn read(&self) -> Result<HeldTokens, TokenError> {
        let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(HeldTokens { stamp: None, records: Arc::default() });
            }
            Err(source) => return Err(self.at(source)),
        };
        let meta = file.metadata().map_err(|source| self.at(source))?;
        let user = rustix::process::geteuid().as_raw();
        if meta.mode() & 0o022 != 0 || ![0, user].contains(&meta.uid()) {
            return Err(TokenError::Exposed { path: self.path.clone() });
        }
        let stamp = FileStamp::new(&meta);
        let bytes = crate::atomic::read_within(&file, LARGEST).map_err(|source| self.at(source))?;
        let records = self.parsed(&bytes)?;
        Ok(HeldTokens { stamp: stamp.is_settled().then_some(stamp), records: Arc::new(records) })
    }

    fn parsed(&self, bytes: &[u8]) -> Result<Vec<TokenRecord>, TokenError> {
        let file: TokenFile = serde_json::from_slice(bytes).map_err(|error| {
            self.damaged(format!(
                "it is no file of tokens (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        if file.format != FORMAT {
            return Err(self.damaged(format!("its format is not {FORMAT}")));
        }
        for (position, record) in file.tokens.iter().enumerate() {
            let before = &file.tokens[..position];
            let is_twice =
                before.iter().any(|other| other.name == record.name || other.sha256 == record.sha256);
            if !is_name(&record.name) || record.digest().is_none() || is_twice {
                return Err(
                    self.damaged(format!("its token number {} is none, or is there twice", position + 1))
                );
            }
        }
        Ok(file.tokens)
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut Vec<TokenRecord>) -> Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        let _lock = self.lock()?;
        let mut tokens = self.read()?.records.to_vec();
        edit(&mut tokens)?;
        let file = TokenFile { format: FORMAT.to_owned(), tokens };
        let text = serde_json::to_string_pretty(&file).map_err(|error| self.at(error.into()))? + "\n";
        crate::atomic::replace_private_file(&self.path, text.as_bytes()).map_err(|source| self.at(source))?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// Holds what only one process at a time changes.
    fn lock(&self) -> Result<File, TokenError> {
        let path = self.path.with_file_name(".tokens.lock");
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let at = |source| TokenError::File { path: path.clone(), source };
        let file = options.open(&path).map_err(at)?;
        let is_held = file_lock::hold(&file, waits::TOKENS.most, &|| false).map_err(at)?;
        if is_held { Ok(file) } else { Err(TokenError::Busy { path: path.clone() }) }
    }
}

/// Whether it is a name: such that a log, a path and a page may hold it as it is.
fn is_name(name: &str) -> bool {
    let is_letter = |b: &u8| b.is_ascii_alphanumeric();
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    name.len() <= 64 && name.as_bytes().first().is_some_and(is_letter) && name.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn store() -> (assert_fs::TempDir, TokenStore) {
        let dir = assert_fs::TempDir::new().unwrap();
        let store = TokenStore::new(dir.path());
        (dir, store)
    }

    #[test]
    fn a_token_is_found_until_it_is_revoked_by_any_process() {
        let (dir, store) = store();
        assert!(store.list().unwrap().is_empty());
        let token = store.add("ci", TokenRole::Read, None).unwrap();
        assert_eq!(token.len(), 43);
        let owner = store.find(&token).unwrap().unwrap();
        assert_eq!((owner.name.as_str(), owner.role), ("ci", TokenRole::Read));
        assert_eq!(store.find(&format!("{token}A")).unwrap(), None);
        assert_eq!(store.find("").unwrap(), None);
        assert_eq!(store.find(&token.to_lowercase()).unwrap(), None);
        let kept = std::fs::read_to_string(dir.path().join("tokens.json")).unwrap();
        assert!(!kept.contains(&token) && kept.contains("driftlock.tokens/1"), "{kept}");
        let mode = std::fs::metadata(dir.path().join("tokens.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // As the command line does it, beside a server that runs.
        TokenStore::new(dir.path()).revoke("ci").unwrap();
        assert_eq!(store.find(&token).unwrap(), None);
        let again = store.add("ci", TokenRole::Admin, None).unwrap();
        assert_eq!(store.owner(&owner.digest).unwrap(), None, "the name alone is no token");
        assert!(store.find(&again).unwrap().is_some());
        assert!(matches!(store.revoke("nobody"), Err(TokenError::Absent(_))));
    }

    #[test]
    fn every_change_is_seen_at_once() {
        let (dir, store) = store();
        let other = TokenStore::new(dir.path());
        for _ in 0..100 {
            let token = other.add("one", TokenRole::Read, None).unwrap();
            assert!(store.find(&token).unwrap().is_some());
            other.revoke("one").unwrap();
            assert_eq!(store.find(&token).unwrap(), None);
        }
    }

    #[test]
    fn names_are_unique_and_plain() {
        let (_dir, store) = store();
        store.add("ci.prod-1_x", TokenRole::Read, None).unwrap();
        assert!(matches!(store.add("ci.prod-1_x", TokenRole::Read, None), Err(TokenError::Taken(_))));
        for name in ["", "-x", "a b", "a\nb", "ü", &"a".repeat(65)] {
            assert!(matches!(store.add(name, TokenRole::Read, None), Err(TokenError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn a_token_ends_when_it_expires() {
        let (_dir, store) = store();
        let now = clock::unix();
        let over = store.add("over", TokenRole::Read, Some(now)).unwrap();
        let valid = store.add("valid", TokenRole::Read, Some(now + 3600)).unwrap();
        assert_eq!(store.find(&over).unwrap(), None);
        assert!(store.find(&valid).unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_damaged_or_anybodys_is_an_error_and_no_token_counts() {
        let (dir, store) = store();
        let token = store.add("ci", TokenRole::Read, None).unwrap();
        assert!(store.find(&token).unwrap().is_some());
        let path = dir.path().join("tokens.json");
        let good = std::fs::read_to_string(&path).unwrap();
        for text in [
            "",
            "{}",
            &good[..good.len() / 2],
            &good.replace("tokens/1", "tokens/2"),
            &good.replace("read", "root"),
            &good.replace("\"name\"", "\"x\": 1, \"name\""),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(store.find(&token), Err(TokenError::Damaged { .. })), "{text}");
            assert!(store.add("other", TokenRole::Read, None).is_err(), "nothing is written over");
        }
        std::fs::write(&path, &good).unwrap();
        assert!(store.find(&token).unwrap().is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(store.find(&token), Err(TokenError::Exposed { .. })));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.find(&token).unwrap(), None);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(store.find(&token), Err(TokenError::File { .. })), "nobody waits at a FIFO");
    }

    #[test]
    fn roles_include_those_before_them() {
        let words = TokenRole::ALL.map(TokenRole::word);
        assert_eq!(words, ["scrape", "read", "detail", "operate", "admin"]);
        assert!(TokenRole::ALL.is_sorted());
        assert!(TokenRole::ALL.iter().all(|role| TokenRole::named(role.word()) == Some(*role)));
        assert_eq!(TokenRole::named("root"), None);
    }

    #[test]
    fn writers_in_turn_lose_nothing() {
        let (dir, store) = store();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let own = TokenStore::new(dir.path());
                scope.spawn(move || {
                    for number in 0..5 {
                        own.add(&format!("w{writer}-{number}"), TokenRole::Read, None).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.list().unwrap().len(), 20);
    }
}
