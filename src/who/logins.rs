//! Logins as wtmp(5) records them: who was logged in when a file changed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Accounts, FileMoment, TOLERANCE};
use crate::atomic::read_file_within;
use crate::model::{Rung, Who, escaped, printable_path};

/// The size of a record on 64-bit Linux.
const RECORD: usize = 384;
/// How large the file may be.
const LARGEST: u64 = 64 << 20;
/// Kinds of records.
const RUN_LEVEL: i16 = 1;
const BOOT: i16 = 2;
const USER: i16 = 7;
const DEAD: i16 = 8;

/// One login.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LoginSpan {
    user: String,
    from_host: String,
    begin: i64,
    end: Option<i64>,
}

/// The record of logins.
pub(super) struct LoginRecord {
    spans: Vec<LoginSpan>,
    shown: String,
}

impl LoginRecord {
    /// Reads the record.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let shown = printable_path(path);
        let meta = path.symlink_metadata().map_err(|_| "there is no record of logins".to_owned())?;
        let own = rustix::process::geteuid().as_raw();
        if meta.uid() != 0 && meta.uid() != own || meta.mode() & 0o002 != 0 {
            return Err(format!("{shown} may be written by others"));
        }
        let bytes = read_file_within(path, LARGEST)
            .map_err(|error| format!("{shown}: {}", crate::model::in_words(&error)))?;
        Ok(Self { spans: spans(&bytes), shown })
    }

    /// The only login that overlaps a change.
    pub(super) fn claim(&self, moment: FileMoment, accounts: &Accounts) -> Result<Who, String> {
        let is_overlapping = |it: &&LoginSpan| {
            it.begin <= moment.changed + TOLERANCE
                && it.end.is_none_or(|end| end >= moment.changed - TOLERANCE)
        };
        let overlapping: Vec<&LoginSpan> = self.spans.iter().filter(is_overlapping).collect();
        let users: BTreeSet<&str> = overlapping.iter().map(|it| it.user.as_str()).collect();
        let owner = accounts.name(moment.owner);
        let user = match users.iter().copied().collect::<Vec<_>>().as_slice() {
            [] => return Err("nobody was logged in at that time".to_owned()),
            // Whoever is logged in may have become root; but not another user.
            [user] if moment.owner == 0 || owner == Some(*user) => *user,
            [_] => return Err("who was logged in at that time is not its owner".to_owned()),
            all => match all.iter().find(|user| owner == Some(**user) && moment.owner != 0) {
                Some(user) => *user,
                None => return Err(format!("{} users were logged in at that time", all.len())),
            },
        };
        let span = overlapping.iter().find(|it| it.user == user);
        let from = span.filter(|it| !it.from_host.is_empty());
        let from = from.map(|it| format!(" from {}", escaped(it.from_host.as_bytes())));
        let words = escaped(user.as_bytes());
        let source =
            format!("the login{} that overlaps its change, in {}", from.unwrap_or_default(), self.shown);
        Ok(Who {
            file: String::new(),
            rung: Rung::Login,
            name: Some(words.clone()),
            words,
            source: Some(source),
        })
    }
}

/// All logins of a file.
fn spans(bytes: &[u8]) -> Vec<LoginSpan> {
    let mut done = Vec::new();
    let mut open: BTreeMap<String, LoginSpan> = BTreeMap::new();
    for record in bytes.chunks_exact(RECORD) {
        let kind = i16::from_le_bytes([record[0], record[1]]);
        let line = text(&record[8..40]);
        let seconds = i32::from_le_bytes([record[340], record[341], record[342], record[343]]);
        let at = i64::from(seconds.cast_unsigned());
        match kind {
            USER => {
                let (user, from_host) = (text(&record[44..76]), text(&record[76..332]));
                let span = LoginSpan { user, from_host, begin: at, end: None };
                done.extend(open.insert(line, span).map(|before| LoginSpan { end: Some(at), ..before }));
            }
            DEAD => done.extend(open.remove(&line).map(|span| LoginSpan { end: Some(at), ..span })),
            BOOT => done.extend(
                std::mem::take(&mut open).into_values().map(|span| LoginSpan { end: Some(at), ..span }),
            ),
            RUN_LEVEL if text(&record[44..76]) == "shutdown" => {
                done.extend(
                    std::mem::take(&mut open).into_values().map(|span| LoginSpan { end: Some(at), ..span }),
                );
            }
            _ => {}
        }
    }
    done.extend(open.into_values());
    done
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn record(kind: i16, line: &str, user: &str, host: &str, at: u32) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        record[..2].copy_from_slice(&kind.to_le_bytes());
        record[8..8 + line.len()].copy_from_slice(line.as_bytes());
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[76..76 + host.len()].copy_from_slice(host.as_bytes());
        record[340..344].copy_from_slice(&at.to_le_bytes());
        record
    }

    fn told(records: &[Vec<u8>], owner: u32) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wtmp");
        std::fs::write(&path, records.concat()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        let accounts = Accounts(vec![(0, "root".to_owned()), (1001, "ada".to_owned())]);
        let moment = FileMoment { device: 1, inode: 2, changed: 1000, owner };
        LoginRecord::read(&path)?.claim(moment, &accounts).map(|claim| claim.sentence())
    }

    #[test]
    fn one_login_is_likely_and_several_are_nobody() {
        let ada = record(USER, "pts/0", "ada", "10.0.0.7", 900);
        let bob = record(USER, "pts/1", "bob", "", 950);
        let likely = told(std::slice::from_ref(&ada), 0).unwrap();
        assert!(
            likely
                .starts_with("likely changed by ada (the login from 10.0.0.7 that overlaps its change, in "),
            "{likely}"
        );
        assert_eq!(told(&[ada.clone(), bob.clone()], 0).unwrap_err(), "2 users were logged in at that time");
        assert!(told(&[ada.clone(), bob.clone()], 1001).unwrap().starts_with("likely changed by ada"));
        assert_eq!(
            told(std::slice::from_ref(&bob), 1001).unwrap_err(),
            "who was logged in at that time is not its owner"
        );
        let over = [ada.clone(), record(DEAD, "pts/0", "", "", 960)];
        assert_eq!(told(&over, 0).unwrap_err(), "nobody was logged in at that time");
        let boot = [ada.clone(), record(BOOT, "~", "reboot", "", 970)];
        assert_eq!(told(&boot, 0).unwrap_err(), "nobody was logged in at that time");
        assert_eq!(
            told(&[record(USER, "pts/0", "ada", "", 1100)], 0).unwrap_err(),
            "nobody was logged in at that time"
        );
        assert_eq!(told(&[ada[..200].to_vec()], 0).unwrap_err(), "nobody was logged in at that time");
    }
}
