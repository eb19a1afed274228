//! Records of the kernel's audit as auditd writes them, also rotated and compressed: which login changed an inode at a moment.
//!
//! Format: the events of audit.log(5): records of one event share `msg=audit(SECONDS.MILLIS:SERIAL)`. Texts that a process chooses are
//! either in quotes or in hexadecimal, so none of them forges a field.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Accounts, FileMoment, TOLERANCE};
use crate::model::{Rung, Who, escaped, printable_path};

/// How much of a log is read at most, compressed ones unpacked.
pub(crate) const LONGEST_LOG: u64 = 256 << 20;
/// How many files of a log are read.
const FILES: usize = 64;
/// A longer line is none of these records.
const LONGEST_LINE: usize = 64 << 10;
/// The number of a process without a login.
const UNSET: u32 = u32::MAX;

/// One event, as far as it counts here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AuditEvent {
    seconds: i64,
    /// The number of the file of the log.
    file: usize,
    succeeded: bool,
    login: Option<u32>,
    user: Option<u32>,
    program: Option<String>,
    /// Device and inode of each path.
    paths: Vec<(u64, u64)>,
}

/// What an audit log says of some moments.
pub(super) struct AuditLog {
    events: BTreeMap<String, AuditEvent>,
    /// The files that were read.
    files: Vec<PathBuf>,
    /// The limit that was met, in words.
    limit: Option<String>,
}

impl AuditLog {
    /// Reads what a log says of the moments, the newest so many bytes of it.
    pub(super) fn read(dir: &Path, moments: &[FileMoment], most: u64) -> Result<Self, String> {
        let mut times: Vec<i64> = moments.iter().map(|moment| moment.changed).collect();
        times.sort_unstable();
        times.dedup();
        let all = logs(dir, times.first().copied().unwrap_or_default())?;
        let mut log = Self { events: BTreeMap::new(), files: Vec::new(), limit: None };
        let (mut left, mut is_all) = (most, all.len() <= FILES);
        for file in all.into_iter().take(FILES) {
            if let Some(why) = untrusted(&file) {
                return Err(why);
            }
            let read = read(&file, log.files.len(), &times, &mut left, &mut log.events);
            read.map_err(|error| {
                format!(
                    "the audit log {} cannot be read: {}",
                    printable_path(&file),
                    crate::model::in_words(&error)
                )
            })?;
            log.files.push(file);
            if left == 0 {
                is_all = false;
                break;
            }
        }
        let mib = most >> 20;
        let limit =
            || format!(", in the newest {mib} MiB or {FILES} files of the audit log; more is not read");
        log.limit = (!is_all).then(limit);
        Ok(log)
    }

    /// The login that changed a file.
    pub(super) fn claim(&self, moment: FileMoment, accounts: &Accounts) -> Result<Who, String> {
        self.record(moment, accounts)
            .map_err(|why| why.to_owned() + self.limit.as_deref().unwrap_or_default())
    }

    fn record(&self, moment: FileMoment, accounts: &Accounts) -> Result<Who, &'static str> {
        let is_of_file = |event: &&AuditEvent| {
            event.succeeded
                && moment.is_at(event.seconds)
                && event.paths.contains(&(moment.device, moment.inode))
                && event.login.is_some()
        };
        let its: Vec<(&String, &AuditEvent)> =
            self.events.iter().filter(|(_, event)| is_of_file(event)).collect();
        let Some((serial, last)) = its.last() else {
            return Err("no audit record is of its inode at that time");
        };
        let logins: BTreeSet<Option<u32>> = its.iter().map(|(_, event)| event.login).collect();
        if logins.len() > 1 {
            return Err("audit records of that moment name several logins");
        }
        let program = last.program.as_ref().map(|it| format!(" with {it}")).unwrap_or_default();
        let user = last.user.filter(|user| Some(*user) != last.login);
        let acting = user.map(|user| format!(" as {}", accounts.called(user))).unwrap_or_default();
        let name = last.login.filter(|login| *login != UNSET).map(|login| accounts.called(login));
        let words = format!("{}{program}{acting}", name.as_deref().unwrap_or("a program without a login"));
        let at = self.files.get(last.file).map(|path| format!(" in {}", printable_path(path)));
        let source = Some(format!("audit record {serial}{}", at.unwrap_or_default()));
        Ok(Who { file: String::new(), rung: Rung::AuditRecord, name, words, source })
    }
}

/// How new a file of a log is: auditd numbers them from the newest, logrotate dates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LogAge {
    /// The one that is written to.
    Current,
    /// So many rotations ago.
    Numbered(u64),
    /// Of this day.
    Dated(Reverse<u64>),
}

impl LogAge {
    fn of(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("audit.log")?;
        let rest = rest.strip_suffix(".gz").unwrap_or(rest);
        if rest.is_empty() {
            return Some(Self::Current);
        }
        if let Some(number) = rest.strip_prefix('.') {
            return number.parse().ok().map(Self::Numbered);
        }
        let date: String =
            rest.strip_prefix('-')?.chars().filter(|c| !matches!(c, '-' | '_' | 'T')).collect();
        date.parse().ok().map(|date| Self::Dated(Reverse(date)))
    }
}

/// The files of a log that may have records of a moment, the newest first.
fn logs(dir: &Path, changed: i64) -> Result<Vec<PathBuf>, String> {
    let at = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no audit log".to_owned(),
        _ => format!(
            "the audit log in {} cannot be read: {}",
            printable_path(dir),
            crate::model::in_words(error)
        ),
    };
    let mut files: Vec<(LogAge, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| at(&error))? {
        let entry = entry.map_err(|error| at(&error))?;
        if let Some(age) = LogAge::of(&entry.file_name().to_string_lossy()) {
            files.push((age, entry.path()));
        }
    }
    if files.is_empty() {
        return Err("there is no audit log".to_owned());
    }
    files.sort();
    // What was last written before the change has no record of it.
    let may_have = |path: &PathBuf| {
        path.symlink_metadata().map_or(true, |meta| meta.mtime() >= changed.saturating_sub(TOLERANCE))
    };
    Ok(files.into_iter().map(|(_, path)| path).filter(may_have).collect())
}

/// Why a log is not believed: others than root and this user could have written it.
fn untrusted(path: &Path) -> Option<String> {
    let meta = path.symlink_metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    let is_theirs = meta.uid() != 0 && meta.uid() != own || meta.mode() & 0o022 != 0;
    (is_theirs || !meta.is_file())
        .then(|| format!("the audit log {} may be written by others", printable_path(path)))
}

fn read(
    path: &Path,
    file: usize,
    times: &[i64],
    left: &mut u64,
    events: &mut BTreeMap<String, AuditEvent>,
) -> std::io::Result<()> {
    let open = File::open(path)?;
    let is_packed = path.extension().is_some_and(|it| it == "gz");
    let from: Box<dyn Read> = if is_packed { Box::new(MultiGzDecoder::new(open)) } else { Box::new(open) };
    let mut lines = BufReader::new(from.take(*left));
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut lines).take(LONGEST_LINE as u64).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(());
        }
        *left = left.saturating_sub(count as u64);
        if let Ok(text) = std::str::from_utf8(&line) {
            note(text.trim_end(), file, times, events);
        }
    }
}

/// Notes a record of one of the moments, which are sorted.
fn note(line: &str, file: usize, times: &[i64], events: &mut BTreeMap<String, AuditEvent>) {
    // What stands behind the separator is auditd's own translation.
    let line = line.split('\u{1d}').next().unwrap_or_default();
    let Some(rest) = line.strip_prefix("type=").or_else(|| line.split_once(" type=").map(|(_, rest)| rest))
    else {
        return;
    };
    let Some((kind, rest)) = rest.split_once(" msg=audit(") else { return };
    let Some((serial, rest)) = rest.split_once("):") else { return };
    let seconds = serial.split(['.', ':']).next().and_then(|text| text.parse::<i64>().ok());
    let Some(seconds) = seconds else { return };
    let next = times.partition_point(|&at| at < seconds.saturating_sub(TOLERANCE));
    if times.get(next).is_none_or(|&at| at > seconds.saturating_add(TOLERANCE)) {
        return;
    }
    let new = || AuditEvent { seconds, file, ..AuditEvent::default() };
    let fields = fields(rest);
    let number = |key: &str| fields.get(key).and_then(|text| text.parse::<u32>().ok());
    match kind {
        "SYSCALL" => {
            let event = events.entry(serial.to_owned()).or_insert_with(new);
            event.succeeded = fields.get("success").is_some_and(|it| *it == "yes");
            (event.login, event.user) = (number("auid"), number("uid"));
            event.program = fields.get("exe").and_then(|text| plain(text));
        }
        "PATH" => {
            let device = fields.get("dev").and_then(|text| device(text));
            let inode = fields.get("inode").and_then(|text| text.parse().ok());
            let event = events.entry(serial.to_owned()).or_insert_with(new);
            event.paths.extend(device.zip(inode));
        }
        _ => {}
    }
}

/// The fields of a record: names, and values with their quotes.
fn fields(text: &str) -> BTreeMap<&str, &str> {
    let mut fields = BTreeMap::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_start();
        let end = match after.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map_or(after.len(), |at| at + 2),
            None => after.find(' ').unwrap_or(after.len()),
        };
        // The first of a name counts: what follows cannot take its place.
        fields.entry(key).or_insert(&after[..end]);
        rest = after[end..].trim_start();
    }
    fields
}

/// A text as a process chose it.
fn plain(value: &str) -> Option<String> {
    if let Some(quoted) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Some(escaped(quoted.as_bytes()));
    }
    let bytes = data_encoding::HEXUPPER_PERMISSIVE.decode(value.as_bytes()).ok()?;
    Some(escaped(&bytes))
}

/// A device as `stat` numbers it: `fd:01` is major and minor in hexadecimal.
fn device(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    let [major, minor] = [major, minor].map(|part| u32::from_str_radix(part, 16).ok());
    Some(rustix::fs::makedev(major?, minor?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const AT: i64 = 1_700_000_000;

    fn moment() -> FileMoment {
        FileMoment { device: rustix::fs::makedev(0xfd, 1), inode: 4711, changed: AT, owner: 0 }
    }

    fn accounts() -> Accounts {
        Accounts(vec![(0, "root".to_owned()), (1001, "ada".to_owned()), (1002, "bob".to_owned())])
    }

    fn event(serial: u32, seconds: i64, (auid, uid): (u32, u32), exe: &str, inode: u64) -> String {
        format!(
            "type=SYSCALL msg=audit({seconds}.123:{serial}): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c items=2 ppid=1 pid=2 auid={auid} uid={uid} gid=0 tty=pts0 ses=3 comm=\"x auid=1002\" exe={exe} key=\"erp\"\u{1d}AUID=\"mallory\"\n\
             type=CWD msg=audit({seconds}.123:{serial}): cwd=\"/srv\"\n\
             type=PATH msg=audit({seconds}.123:{serial}): item=0 name=\"/srv\" inode=2 dev=fd:01 mode=040755 ouid=0 nametype=PARENT\n\
             type=PATH msg=audit({seconds}.123:{serial}): item=1 name=2F7372762F6120622E7079 inode={inode} dev=fd:01 mode=0100644 ouid=0 nametype=NORMAL\n\
             type=PROCTITLE msg=audit({seconds}.123:{serial}): proctitle=76696D\n"
        )
    }

    fn log(parts: &[(&str, String)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in parts {
            let path = dir.path().join(name);
            if path.extension().is_some_and(|it| it == "gz") {
                let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(text.as_bytes()).unwrap();
                std::fs::write(&path, packed.finish().unwrap()).unwrap();
            } else {
                std::fs::write(&path, text).unwrap();
            }
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        dir
    }

    fn find(dir: &Path, moment: FileMoment, accounts: &Accounts) -> Result<Who, String> {
        AuditLog::read(dir, &[moment], LONGEST_LOG)?.claim(moment, accounts)
    }

    fn told(parts: &[(&str, String)]) -> Result<String, String> {
        find(log(parts).path(), moment(), &accounts()).map(|claim| claim.sentence())
    }

    #[test]
    fn the_login_behind_sudo_is_named_with_its_record() {
        let told = told(&[("audit.log", event(7, AT + 1, (1001, 0), "\"/usr/bin/vim\"", 4711))]).unwrap();
        assert!(
            told.starts_with("changed by ada with /usr/bin/vim as root (audit record 1700000001.123:7 in "),
            "{told}"
        );
        let unset = told_of(u32::MAX, "2F7573722F62696E2F646F636B65722070726F7879");
        assert!(
            unset.starts_with("changed by a program without a login with /usr/bin/docker proxy as root"),
            "{unset}"
        );
    }

    fn told_of(login: u32, exe: &str) -> String {
        told(&[("audit.log", event(7, AT, (login, 0), exe, 4711))]).unwrap()
    }

    #[test]
    fn rotated_and_compressed_logs_are_read() {
        let other = event(9, AT + 900, (1002, 0), "\"/bin/cp\"", 4711);
        for name in ["audit.log.1", "audit.log.3.gz", "audit.log-20231114.gz"] {
            let text = event(7, AT, (1001, 1001), "\"/bin/mv\"", 4711);
            let told = told(&[("audit.log", other.clone()), (name, text)]).unwrap();
            assert!(
                told.contains("changed by ada with /bin/mv (audit record 1700000000.123:7 in "),
                "{told}"
            );
            assert!(told.contains(name), "{told}");
        }
    }

    #[test]
    fn each_of_many_files_has_the_hand_that_changed_it_and_no_other() {
        let at =
            |inode: u64| FileMoment { inode, changed: AT + i64::try_from(inode).unwrap() * 60, ..moment() };
        let of = |inode: u64, login| event(7, at(inode).changed, (login, 0), "\"/bin/cp\"", inode);
        let text: String =
            (1..=300).map(|inode| of(inode, if inode % 2 == 0 { 1001 } else { 1002 })).collect();
        let dir = log(&[("audit.log", text)]);
        let moments: Vec<FileMoment> = (1..=301).map(at).collect();
        let log = AuditLog::read(dir.path(), &moments, LONGEST_LOG).unwrap();
        for moment in moments {
            let name = log.claim(moment, &accounts()).ok().and_then(|claim| claim.name);
            let wanted = if moment.inode % 2 == 0 { "ada" } else { "bob" };
            assert_eq!(name.as_deref(), (moment.inode <= 300).then_some(wanted), "{moment:?}");
        }
        // A record of the same inode at another file's time is none of it.
        let other = FileMoment { inode: 4, ..at(3) };
        assert!(log.claim(other, &accounts()).unwrap_err().contains("no audit record is of its inode"));
    }

    #[test]
    fn what_is_not_certain_names_nobody() {
        let at = |seconds, login, inode| event(7, seconds, (login, 0), "\"/bin/cp\"", inode);
        for (text, why) in [
            (at(AT, 1001, 4712), "no audit record is of its inode"),
            (at(AT + 60, 1001, 4711), "no audit record is of its inode"),
            (at(AT, 1001, 4711).replace("success=yes", "success=no"), "no audit record is of its inode"),
            (at(AT, 1001, 4711).replace("dev=fd:01", "dev=fd:02"), "no audit record is of its inode"),
            (at(AT, 1001, 4711).replace("type=SYSCALL", "type=USER"), "no audit record is of its inode"),
            (at(AT, 1001, 4711) + &event(8, AT, (1002, 0), "\"/bin/cp\"", 4711), "several logins"),
            (String::new(), "no audit record is of its inode"),
            ("junk\ntype=SYSCALL msg=audit(x:y): auid=1\n".to_owned(), "no audit record is of its inode"),
        ] {
            assert!(told(&[("audit.log", text.clone())]).unwrap_err().contains(why), "{text}");
        }
        let dir = log(&[("audit.log", at(AT, 1001, 4711))]);
        let path = dir.path().join("audit.log");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(find(dir.path(), moment(), &accounts()).unwrap_err().contains("may be written by others"));
    }

    #[test]
    fn the_newest_of_dated_logs_comes_first() {
        let names = [
            "audit.log-20231101.gz",
            "audit.log",
            "audit.log-20231114.gz",
            "audit.log-2023-12-01",
            "audit.log.bak",
        ];
        let parts: Vec<(&str, String)> = names.iter().map(|name| (*name, String::new())).collect();
        let dir = log(&parts);
        let found: Vec<String> = logs(dir.path(), AT)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            found,
            ["audit.log", "audit.log-2023-12-01", "audit.log-20231114.gz", "audit.log-20231101.gz"]
        );
        let numbered = log(&[
            ("audit.log.2", String::new()),
            ("audit.log.10", String::new()),
            ("audit.log.1", String::new()),
        ]);
        let ends = logs(numbered.path(), AT).unwrap();
        assert!(ends[0].ends_with("audit.log.1") && ends[2].ends_with("audit.log.10"), "{ends:?}");
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit");
        std::fs::write(&file, "").unwrap();
        let why = find(&file, moment(), &accounts()).unwrap_err();
        assert!(why.starts_with(&format!("the audit log in {} cannot be read: ", file.display())), "{why}");
        let none = find(&dir.path().join("none"), moment(), &accounts()).unwrap_err();
        assert_eq!(none, "there is no audit log");
    }

    #[test]
    fn what_is_too_much_to_read_is_said() {
        let dir = log(&[("audit.log", String::new())]);
        let file = File::options().write(true).open(dir.path().join("audit.log")).unwrap();
        file.set_len(LONGEST_LOG + 1).unwrap();
        let why = find(dir.path(), moment(), &accounts()).unwrap_err();
        assert!(
            why.ends_with("in the newest 256 MiB or 64 files of the audit log; more is not read"),
            "{why}"
        );
    }
}
