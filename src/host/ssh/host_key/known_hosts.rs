//! `known_hosts` files as OpenSSH reads them: which lines speak of a host, and which keys they name.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use rustix::fs::{CWD, Mode, OFlags};
use sha1::Sha1;

use super::command::{CommandError, KnownHostsCommand, Reason};
use crate::atomic::LARGEST_TEXT;
use crate::model::escaped;

use crate::host::ssh::policy::LEAST_RSA_BITS;

/// OpenSSH passes over lines with longer patterns.
const LONGEST_PATTERN: usize = 1022;

/// The mark in the name of every kind of certificate. The library decodes certificates within certificates without end.
pub(in crate::host::ssh) const CERTIFICATE: &[u8] = b"-cert-v01@";

/// The role that a line gives its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is the host's.
    HostKey,
    /// It signs the host's certificates (`@cert-authority`).
    Authority,
    /// Nobody may use it any more (`@revoked`).
    Revoked,
}

/// A line that speaks of the host that was looked for.
#[derive(Debug, Clone)]
pub(super) struct HostKeyLine {
    /// The file it stands in.
    pub(super) file: PathBuf,
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) marker: Marker,
    pub(super) key: KeyData,
    /// Whether OpenSSH passes over the line.
    pub(super) is_void_for_ssh: bool,
}

impl HostKeyLine {
    /// The line for people: `FILE:LINE`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", path_for_people(&self.file), self.line)
    }
}

/// A path for people.
pub(super) fn path_for_people(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// The content of a file of keys, which may be `/dev/null`; nobody is waited for who would write into a pipe.
pub(super) fn content(file: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::openat(CWD, file, flags, Mode::empty())?);
    let kind = opened.metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    opened.take(LARGEST_TEXT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_TEXT {
        return Err(io::Error::other(format!("it has more than {} MiB", LARGEST_TEXT >> 20)));
    }
    Ok(bytes)
}

/// `known_hosts` files as they were when they were read: once for a connection.
#[derive(Debug, Clone)]
pub(in crate::host::ssh) struct KnownHosts(Result<Vec<(PathBuf, Vec<u8>)>, KnownHostsError>);

/// Something that knows host keys and does not tell them: it might say that a key is revoked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum KnownHostsError {
    /// A file that is there and cannot be read.
    #[error("{} cannot be read ({source}), so nobody knows which host keys it holds; make it readable", path_for_people(.file))]
    File { file: PathBuf, source: Arc<io::Error> },
    /// The command of `ssh_config`.
    #[error(
        "the KnownHostsCommand of ssh_config failed ({0}), so nobody knows which host keys it names or revokes"
    )]
    Command(Arc<CommandError>),
}

impl KnownHosts {
    /// Reads the files in their order; missing ones are passed over.
    pub(in crate::host::ssh) fn read(files: &[PathBuf]) -> Self {
        let texts = files.iter().filter_map(|file| match content(file) {
            Ok(bytes) => Some(Ok((file.clone(), bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(KnownHostsError::File { file: file.clone(), source: Arc::new(error) })),
        });
        Self(texts.collect())
    }

    /// The same files, and what a command says of a name.
    pub(super) fn and_of(
        self,
        command: &KnownHostsCommand,
        reason: Reason,
        name: &str,
        offered: Option<&PublicKeyOrCertificate>,
    ) -> Self {
        let asked = self.0.and_then(|mut texts| {
            let lines = command.lines(reason, name, offered);
            let lines = lines.map_err(|error| KnownHostsError::Command(Arc::new(error)))?;
            texts.push((PathBuf::from("KnownHostsCommand"), lines));
            Ok(texts)
        });
        Self(asked)
    }

    /// The lines of all files about a name in lower case: `host` or `[host]:port`.
    ///
    /// # Errors
    /// When one of the files could not be read.
    pub(super) fn entries(&self, name: &str) -> Result<Vec<HostKeyLine>, KnownHostsError> {
        let files = self.0.as_ref().map_err(Clone::clone)?;
        Ok(files.iter().flat_map(|(file, bytes)| entries_of(file, bytes, name)).collect())
    }
}

/// The lines with a marker.
pub(super) fn with(entries: &[HostKeyLine], marker: Marker) -> impl Iterator<Item = &HostKeyLine> {
    entries.iter().filter(move |entry| entry.marker == marker)
}

/// The lines of one file that speak of a name. Lines that make no sense are passed over.
fn entries_of(file: &Path, bytes: &[u8], name: &str) -> Vec<HostKeyLine> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let about = lines.filter_map(|(at, line)| {
        let (marker, key) = about(line, name)?;
        let is_void_for_ssh = marker == Marker::Revoked && is_void(line);
        Some(HostKeyLine { file: file.to_owned(), line: at + 1, marker, key, is_void_for_ssh })
    });
    about.collect()
}

/// The marker and key of a line about a name.
fn about(line: &[u8], name: &str) -> Option<(Marker, KeyData)> {
    // OpenSSH reads lines as C strings.
    let line = line.split(|byte| *byte == 0).next()?;
    let (first, rest) = word(line);
    let (marker, (hosts, rest)) = match first {
        b"" => return None,
        _ if first.starts_with(b"#") => return None,
        b"@revoked" => (Marker::Revoked, word(rest)),
        // A revocation that OpenSSH passes over counts here: nobody can have meant that.
        b"@cert-authority" if is_void(line) => return None,
        b"@cert-authority" => (Marker::Authority, word(rest)),
        _ => (Marker::HostKey, (first, rest)),
    };
    if !speaks_of(hosts, name) {
        return None;
    }
    let (kind, rest) = word(rest);
    let (base64, _) = word(rest);
    Some((marker, key(kind, base64)?))
}

/// The key of a line that begins with its type and base64.
pub(super) fn key_of_line(line: &[u8]) -> Option<KeyData> {
    let (kind, rest) = word(line);
    key(kind, word(rest).0)
}

/// Whether OpenSSH passes over a line that has a marker: it wants a space behind that when the line has any.
fn is_void(line: &[u8]) -> bool {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let line = &line[line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len())..];
    line.contains(&b' ') && word(line).1.starts_with(b"\t")
}

/// The first word of a line and what follows it.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = line.iter().position(|byte| !is_blank(byte)).map_or(&[][..], |at| &line[at..]);
    line.split_at(line.iter().position(is_blank).unwrap_or(line.len()))
}

/// A key of a type and its base64.
fn key(kind: &[u8], base64: &[u8]) -> Option<KeyData> {
    // What CRLF leaves at the end of a line counts as nothing.
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let base64: Vec<u8> = base64.iter().copied().filter(|byte| !is_space(byte)).collect();
    let blob = BASE64.decode(&base64).ok()?;
    let name = blob.get(4..)?.get(..u32::from_be_bytes(*blob.first_chunk()?) as usize)?;
    // Names of signatures are taken for that of the key they are made with.
    let kind = if matches!(kind, b"rsa-sha2-256" | b"rsa-sha2-512") { b"ssh-rsa" } else { kind };
    let certificates = blob.windows(CERTIFICATE.len()).filter(|part| *part == CERTIFICATE).count();
    if kind != name || certificates > 1 {
        return None;
    }
    match KeyData::from(PublicKey::from_bytes(&blob).ok()?) {
        KeyData::Rsa(key) if key.key_size() < LEAST_RSA_BITS => None,
        KeyData::Other(_) => None,
        key => Some(key),
    }
}

/// Whether the hosts of a line mean a name in lower case.
fn speaks_of(hosts: &[u8], name: &str) -> bool {
    if hosts.starts_with(b"|") {
        return is_hash_of(hosts, name).unwrap_or(false);
    }
    let mut means = false;
    for pattern in hosts.split(|byte| *byte == b',') {
        let (negated, pattern) = pattern.strip_prefix(b"!").map_or((false, pattern), |rest| (true, rest));
        if pattern.len() > LONGEST_PATTERN {
            return false;
        }
        if matches(&pattern.to_ascii_lowercase(), name.as_bytes()) {
            if negated {
                return false;
            }
            means = true;
        }
    }
    means
}

/// Whether `|1|salt|hash` is of a name; nothing when it is no hash at all.
fn is_hash_of(hosts: &[u8], name: &str) -> Option<bool> {
    let (salt, hash) = std::str::from_utf8(hosts).ok()?.strip_prefix("|1|")?.split_once('|')?;
    let salt = BASE64.decode(salt.as_bytes()).ok().filter(|salt| salt.len() == 20)?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    mac.update(name.as_bytes());
    Some(BASE64.encode(&mac.finalize().into_bytes()) == hash)
}

/// Whether a pattern of OpenSSH's, where `*` stands for any bytes and `?` for one, is all of a text.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the bytes after a star turn out to be others: behind the star, one byte further.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    /// The lines and markers of a text that speak of a name; `KEY` stands for a key.
    fn found(text: &str, name: &str) -> Vec<(usize, Marker)> {
        let text = text.replace("KEY", KEY);
        let entries = entries_of(Path::new("known_hosts"), text.as_bytes(), name);
        entries.iter().map(|entry| (entry.line, entry.marker)).collect()
    }

    fn speaks(line: &str, name: &str) -> bool {
        !found(line, name).is_empty()
    }

    #[test]
    fn names_are_found_in_lists_and_by_patterns() {
        for line in ["a.example KEY", "b,a.example KEY", "*.example KEY", "?.EXAMPLE KEY x y", "*,!b.* KEY"] {
            assert!(speaks(line, "a.example"), "{line}");
        }
        for line in ["b KEY", "a.exampl KEY", "!a.example,* KEY", "*,!*.example KEY", "?a.example KEY", "* x"]
        {
            assert!(!speaks(line, "a.example"), "{line}");
        }
    }

    #[test]
    fn ports_stand_behind_brackets() {
        assert!(speaks("[a]:2222 KEY", "[a]:2222"));
        assert!(speaks("[*]:2222 KEY", "[a]:2222"));
        assert!(!speaks("[a]:2222 KEY", "a"));
        assert!(!speaks("a KEY", "[a]:2222"));
    }

    #[test]
    fn hashes_are_those_of_ssh_keygen() {
        // Made by `ssh-keygen -H` of a line for `[example.org]:2222`.
        let hash = "|1|IK70WcgpI+zxaQW0wIw9R3bPGyI=|4N+IRmyyYdZQnnjfgrSPYyAS+Y8=";
        let line = format!("{hash} KEY");
        assert!(speaks(&line, "[example.org]:2222"));
        assert!(!speaks(&line, "example.org"));
        assert!(!speaks(&line.replace("4N", "4O"), "[example.org]:2222"));
        assert!(!speaks(&format!("{hash},a KEY"), "a"));
        for bad in ["|1| KEY", "|1|x|y KEY", "|2|x|y KEY", "|1|AAAA|AAAA KEY", "| KEY"] {
            assert!(!speaks(bad, "a"), "{bad}");
        }
    }

    #[test]
    fn blanks_and_line_ends_do_not_matter() {
        let text = "\n# a KEY\n \t a \t KEY\r\na\tKEY\n#\n\r\na  KEY  comment\r\n\n@revoked  a KEY";
        let plain = |line| (line, Marker::HostKey);
        assert_eq!(found(text, "a"), [plain(3), plain(4), plain(7), (9, Marker::Revoked)]);
    }

    #[test]
    fn bad_lines_are_passed_over() {
        let short = &KEY[..KEY.len() - 4];
        let text = format!(
            "a\na ssh-ed25519\n{KEY}\na ssh-ed25519 ????\na ssh-rsa {}\na {short}\n@other a KEY\n\
            @revoked @revoked a KEY\n@revoked\na KEY\u{0}\na none AAAABG5vbmU=\na ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAgD7\na KEY",
            &KEY[12..]
        );
        assert_eq!(found(&text, "a"), [(10, Marker::HostKey), (13, Marker::HostKey)]);
        let bytes = [b"\xff\xfe \x80\na ", KEY.as_bytes(), b" \xff"].concat();
        assert_eq!(entries_of(Path::new("x"), &bytes, "a").len(), 1);
    }

    #[test]
    fn a_tab_behind_a_marker_voids_an_authority_but_no_revocation() {
        assert_eq!(found("@cert-authority a KEY", "a"), [(1, Marker::Authority)]);
        assert_eq!(found("@cert-authority\ta KEY", "a"), []);
        assert_eq!(found(&format!("@cert-authority\ta\t{}", KEY.replace(' ', "\t")), "a").len(), 1);
        assert_eq!(found("@revoked\ta KEY", "a"), [(1, Marker::Revoked)]);
    }

    #[test]
    fn many_stars_cost_no_time() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!speaks(&format!("{pattern} KEY"), &"a".repeat(20_000)));
        let long = "a".repeat(LONGEST_PATTERN + 1);
        assert!(!speaks(&format!("{long},b KEY"), "b"));
        assert!(!speaks(&format!("{long} KEY"), &long));
    }

    #[test]
    fn certificates_within_certificates_end_nothing() {
        let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let kind = b"ssh-ed25519-cert-v01@openssh.com";
        let parts = [field(kind), field(b""), field(&[1; 32]), [0; 11].to_vec(), vec![2], [0; 36].to_vec()];
        let mut blob = Vec::new();
        for _ in 0..4000 {
            blob = [parts.concat(), field(&blob)].concat();
        }
        let line = format!("a {} {}\na KEY", String::from_utf8_lossy(kind), BASE64.encode(&blob));
        assert_eq!(found(&line, "a"), [(2, Marker::HostKey)]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_a_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let entries = |files: &[PathBuf]| KnownHosts::read(files).entries("a");
        assert!(entries(std::slice::from_ref(&missing)).unwrap().is_empty());
        let told = entries(&[missing, dir.path().to_owned()]).unwrap_err().to_string();
        assert!(told.contains(&format!("{} cannot be read", path_for_people(dir.path()))), "{told}");
    }
}
