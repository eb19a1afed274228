//! Recording a new host key in a `known_hosts` file.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use russh::keys::{PublicKey, ssh_key};

use super::Trust;
use super::known_hosts::path_for_people;
use super::presented::fingerprint;

/// The reason why a host key is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No file is meant for new keys.
    #[error(
        "there is no file to record the host key of {host} in; put host_keys = [\"{fingerprint}\"] into the target"
    )]
    NoFile {
        /// The host, for people.
        host: String,
        /// The key's fingerprint.
        fingerprint: String,
    },
    /// The name would mean other hosts too.
    #[error("{host} cannot stand in a line of {}; put host_keys = [\"{fingerprint}\"] into the target", path_for_people(.file))]
    UnfitName {
        /// The host, for people.
        host: String,
        /// The file for new keys.
        file: PathBuf,
        /// The key's fingerprint.
        fingerprint: String,
    },
    /// The key has no text form.
    #[error("the host key of {host} cannot be recorded in {}: {source}; make the file writable", path_for_people(.file))]
    Encoding {
        /// The host, for people.
        host: String,
        /// The file for new keys.
        file: PathBuf,
        /// The cause.
        source: ssh_key::Error,
    },
    /// The file cannot be written.
    #[error("the host key of {host} cannot be recorded in {}: {source}; make the file writable", path_for_people(.file))]
    Write {
        /// The host, for people.
        host: String,
        /// The file for new keys.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Trust {
    /// Records a new key at the end of the file for new keys, which is made where it is missing: the file.
    ///
    /// # Errors
    /// When no file is meant for it or that cannot be written, and for a name that would mean other hosts too.
    pub fn record(&self, host: &str, port: u16, key: &PublicKey) -> Result<PathBuf, RecordError> {
        let name = self.host_name(host, port);
        let (host, name) = (name.to_string(), name.name());
        let fingerprint = || fingerprint(key.key_data());
        let Some(file) = self.record_in.clone() else {
            return Err(RecordError::NoFile { host, fingerprint: fingerprint() });
        };
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || ",*?".contains(c);
        if name.is_empty() || name.contains(is_bad) || name.starts_with(['!', '|', '#', '@']) {
            return Err(RecordError::UnfitName { host, file, fingerprint: fingerprint() });
        }
        let key = match PublicKey::from(key.key_data().clone()).to_openssh() {
            Ok(key) => key,
            Err(source) => return Err(RecordError::Encoding { host, file, source }),
        };
        match append(&file, &format!("{name} {}\n", key.trim_end())) {
            Ok(()) => Ok(file),
            Err(source) => Err(RecordError::Write { host, file, source }),
        }
    }
}

/// Adds a line to a file without touching those before it.
fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(dir) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let before = if last == [b'\n'] { "" } else { "\n" };
    // In one write, so that two who record at the same time do not mix their lines.
    file.write_all(format!("{before}{line}").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::host::ssh::host_key::Judgement;
    use crate::host::ssh::host_key::samples::{key, known, line};

    /// The text and the rights of a file after a key was recorded in it.
    fn recorded(trust: &Trust, host: &str, port: u16) -> (String, u32) {
        let file = trust.record(host, port, &key(1)).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        (std::fs::read_to_string(file).unwrap(), mode)
    }

    #[test]
    fn a_new_key_is_recorded_behind_what_is_there() {
        let (_dir, trust) = known(&["# mine\r".to_owned(), "no newline".to_owned()]);
        let file = trust.record_in.clone().unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let before = "# mine\r\nno newline\n".to_owned();
        let first = before + &line("[web]:2222", &key(1)) + "\n";
        assert_eq!(recorded(&trust, "WEB", 2222), (first.clone(), 0o644));
        assert!(matches!(trust.judge("web", 2222, &key(1).into()), Judgement::Trusted));
        let second = first + &line("web", &key(1)) + "\n";
        assert_eq!(recorded(&trust, "web", 22), (second.clone(), 0o644));
        let trust = Trust { alias: Some("Box".to_owned()), ..trust };
        assert_eq!(recorded(&trust, "web", 2222).0, second + &line("box", &key(1)) + "\n");
    }

    #[test]
    fn a_missing_file_is_made_for_its_owner_alone() {
        let (dir, trust) = known(&[]);
        let file = dir.path().join("home/.ssh/known_hosts");
        let trust = Trust { record_in: Some(file.clone()), ..trust };
        assert_eq!(recorded(&trust, "::1", 2222), (line("[::1]:2222", &key(1)) + "\n", 0o600));
        let mode = std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn many_record_at_the_same_time() {
        let (_dir, trust) = known(&[]);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let trust = &trust;
                scope.spawn(move || {
                    for i in 0..50 {
                        trust.record(&format!("web{thread}-{i}"), 22, &key(1)).unwrap();
                    }
                });
            }
        });
        for host in (0..8).flat_map(|thread| (0..50).map(move |i| format!("web{thread}-{i}"))) {
            assert!(matches!(trust.judge(&host, 22, &key(1).into()), Judgement::Trusted), "{host}");
        }
    }

    #[test]
    fn what_cannot_be_recorded_says_so() {
        let (dir, trust) = known(&[]);
        for bad in ["*", "a,b", "a b", "we?b", "", "#a", "|1|x", "a\nb", "!a", "@revoked"] {
            let told = trust.record(bad, 22, &key(1)).unwrap_err().to_string();
            assert!(told.contains("cannot stand in a line of"), "{bad:?}: {told}");
        }
        let directory = Trust { record_in: Some(dir.path().to_owned()), ..trust.clone() };
        let told = directory.record("web", 22, &key(1)).unwrap_err().to_string();
        assert!(told.contains(&format!("cannot be recorded in {}", dir.path().display())), "{told}");
        let nowhere = Trust { record_in: None, ..trust };
        assert!(nowhere.record("web", 22, &key(1)).is_err());
    }

    #[test]
    fn a_comment_of_the_server_is_not_recorded() {
        let (_dir, trust) = known(&[]);
        let mut key = key(1);
        key.set_comment("x\n* ssh-ed25519 AAAA");
        let file = trust.record("web", 22, &key).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 1);
    }
}
