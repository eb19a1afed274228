//! Variables of a deployment that Terraform receives: they may hold secrets, so they are never shown, and lie in a file that
//! nobody else reads.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{ConfigError, invalid};
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::{printable_path, quoted_name};

/// The bits of a mode that let others read or write.
const OTHERS: u32 = 0o077;
/// Variables that would make another program of the one that is started, or that driftlock sets itself.
const TAKEN: [&str; 6] = ["PATH", "HOME", "TF_WORKSPACE", "TF_DATA_DIR", "BASH_ENV", "ENV"];
/// The beginnings of more of them.
const TAKEN_BEGINNINGS: [&str; 4] = ["TF_CLI_ARGS", "TF_LOG", "LD_", "GIT_"];

/// Variables by their names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DeploymentVariables(BTreeMap<String, String>);

impl fmt::Debug for DeploymentVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl DeploymentVariables {
    /// Reads a file of `KEY=VALUE` lines; empty ones, and those that begin with `#`, are passed over.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        let path = printable_path(file);
        let unreadable = |source| ConfigError::Unreadable { path: path.clone(), source };
        let mode = std::fs::metadata(file).map_err(unreadable)?.mode();
        if mode & OTHERS != 0 {
            let command = format!("chmod 600 {}", quoted_name(file.as_os_str().as_encoded_bytes()));
            let reason = format!("others may read it (mode {:o}): run {command}", mode & 0o777);
            return Err(ConfigError::Refused { path, reason });
        }
        let bytes = read_file_within(file, LARGEST_TEXT).map_err(unreadable)?;
        let text =
            String::from_utf8(bytes).map_err(|_| unreadable(std::io::Error::other("it is not UTF-8")))?;
        let (mut variables, mut at) = (Self::default(), 0);
        for line in text.split_inclusive('\n') {
            let bad = |reason: &str| Err(invalid(&path, &text, at, reason));
            let content = line.trim_end_matches(['\r', '\n']);
            if !content.trim().is_empty() && !content.trim_start().starts_with('#') {
                let Some((name, value)) = content.split_once('=') else { return bad("it is no KEY=VALUE") };
                // What stands before the sign may be half a secret.
                if !variables.insert(name, value) {
                    return bad(
                        "KEY is the name of a variable that is free: letters, digits and _, and none of PATH, HOME, LD_*, \
                                GIT_*, TF_CLI_ARGS*, TF_LOG*, TF_WORKSPACE, TF_DATA_DIR",
                    );
                }
            }
            at += line.len();
        }
        Ok(variables)
    }

    /// Adds a variable; `false` where that is none, or is not for others to set.
    pub(super) fn insert(&mut self, name: &str, value: &str) -> bool {
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_name = !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(is_letter);
        let is_taken = TAKEN.contains(&name) || TAKEN_BEGINNINGS.iter().any(|it| name.starts_with(it));
        let is_good = is_name && !is_taken && !value.contains('\0');
        if is_good {
            self.0.insert(name.to_owned(), value.to_owned());
        }
        is_good
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The lines of a file of them; `None` where a value has several lines.
    #[must_use]
    pub fn to_lines(&self) -> Option<String> {
        let is_one_line = |value: &&String| !value.contains(['\n', '\r']);
        let lines = self.0.iter().map(|(name, value)| format!("{name}={value}\n"));
        self.0.values().all(|value| is_one_line(&value)).then(|| lines.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn variables_are_read_from_a_file_of_their_own_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        let read = |text: &str, mode| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            DeploymentVariables::read(&file)
        };
        let text = "# of prod\nAWS_PROFILE=a b\n\nTF_VAR_key= s3cret=1 \r\nEMPTY=\n";
        let variables = read(text, 0o600).unwrap();
        let expected = [("AWS_PROFILE", "a b"), ("EMPTY", ""), ("TF_VAR_key", " s3cret=1 ")];
        assert_eq!(variables.iter().collect::<Vec<_>>(), expected);
        assert!(!format!("{variables:?}").contains("s3cret"));
        assert_eq!(read(&variables.to_lines().unwrap(), 0o600).unwrap(), variables);
        for (text, line) in [
            ("A\n", 1),
            ("A=1\nPATH=/x\n", 2),
            ("LD_PRELOAD=x", 1),
            ("a b=hunter2", 1),
            ("TF_CLI_ARGS_plan=x", 1),
        ] {
            let why = read(text, 0o600).unwrap_err().to_string();
            assert!(why.contains(&format!("env:{line}: ")) && !why.contains("hunter2"), "{text}: {why}");
        }
        assert!(read("A=1", 0o640).unwrap_err().to_string().contains("chmod 600"));
        std::fs::remove_file(&file).unwrap();
        assert!(DeploymentVariables::read(&file).is_err());
    }
}
