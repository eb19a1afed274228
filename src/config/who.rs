//! `[who]`: where it is recorded who changed a file of this machine, or a resource in the cloud.

use std::path::PathBuf;

use serde::Deserialize;

use crate::model::{BadGlob, Glob, seconds};

/// The time before a look in which records count, unless the configuration says otherwise: a week, in seconds.
const WINDOW: i64 = 7 * 24 * 60 * 60;
/// The longest that it may be: CloudTrail itself tells no more of the past.
const LONGEST_WINDOW: i64 = 90 * 24 * 60 * 60;

/// `[who]`: where it is recorded who changed a file of this machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhoConfig {
    /// The directory of auditd's log.
    pub audit_dir: PathBuf,
    /// The record of logins.
    pub wtmp: PathBuf,
    /// `[who.cloudtrail]`, if it is written.
    pub cloudtrail: Option<CloudTrailConfig>,
}

impl Default for WhoConfig {
    fn default() -> Self {
        Self {
            audit_dir: PathBuf::from("/var/log/audit"),
            wtmp: PathBuf::from("/var/log/wtmp"),
            cloudtrail: None,
        }
    }
}

/// `[who.cloudtrail]`: records of AWS CloudTrail, which name the identity behind a change of a resource.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawCloudTrail")]
pub struct CloudTrailConfig {
    /// Patterns of files as CloudTrail delivers them.
    pub files: Vec<String>,
    /// The `[commands.NAME]` that prints what `aws cloudtrail lookup-events` prints.
    pub command: Option<String>,
    /// Patterns over the ARNs of identities that are meant to write.
    pub expected_identities: Vec<Glob>,
    /// How old a record may be, in seconds.
    pub window: i64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawCloudTrail {
    files: Vec<String>,
    command: Option<String>,
    expected_identities: Vec<String>,
    window: Option<String>,
}

/// What makes no sense in `[who.cloudtrail]`.
#[derive(Debug, thiserror::Error)]
enum BadCloudTrail {
    #[error("who.cloudtrail: it names no records: write files or command")]
    Nothing,
    #[error("who.cloudtrail.files: \"{0}\" is no absolute pattern, such as /var/log/cloudtrail/**/*.json.gz")]
    Files(String),
    #[error("who.cloudtrail.expected_identities: {0}")]
    Identity(#[from] BadGlob),
    #[error("who.cloudtrail.window: it is a duration from \"1m\" to \"90d\"")]
    Window,
}

impl TryFrom<RawCloudTrail> for CloudTrailConfig {
    type Error = BadCloudTrail;

    fn try_from(raw: RawCloudTrail) -> Result<Self, BadCloudTrail> {
        if raw.files.is_empty() && raw.command.is_none() {
            return Err(BadCloudTrail::Nothing);
        }
        let is_pattern = |text: &&String| text.starts_with('/') && glob::Pattern::new(text).is_ok();
        if let Some(odd) = raw.files.iter().find(|text| !is_pattern(text)) {
            return Err(BadCloudTrail::Files(odd.clone()));
        }
        let window = match &raw.window {
            None => WINDOW,
            Some(text) => {
                let found = seconds(text).filter(|it| (60..=LONGEST_WINDOW).contains(it));
                found.ok_or(BadCloudTrail::Window)?
            }
        };
        let globs: Result<Vec<Glob>, BadGlob> =
            raw.expected_identities.iter().map(|text| Glob::new(text)).collect();
        Ok(Self { files: raw.files, command: raw.command, expected_identities: globs?, window })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn records_of_cloudtrail_are_named_with_sense() {
        let text = "[who.cloudtrail]\nfiles = [\"/var/log/cloudtrail/**/*.json.gz\"]\nwindow = \"3d\"\n\
                    expected_identities = [\"arn:aws:sts::111122223333:assumed-role/deploy-role/*\"]\n";
        let who = Config::parse(text).unwrap().who.unwrap();
        let trail = who.cloudtrail.unwrap();
        assert_eq!((trail.window, trail.expected_identities.len()), (3 * 86_400, 1));
        assert_eq!(who.audit_dir, std::path::Path::new("/var/log/audit"));
        assert_eq!(
            Config::parse("[who.cloudtrail]\ncommand = \"trail\"\n")
                .unwrap()
                .who
                .unwrap()
                .cloudtrail
                .unwrap()
                .window,
            super::WINDOW
        );
        for (text, why) in [
            ("", "it names no records"),
            ("files = [\"trail/*.json\"]", "is no absolute pattern"),
            ("files = [\"/trail/***\"]", "is no absolute pattern"),
            ("command = \"a\"\nexpected_identities = [\"[\"]", "expected_identities: bad pattern"),
            ("command = \"a\"\nwindow = \"1y\"", "window: it is a duration"),
            ("command = \"a\"\nwindow = \"91d\"", "window: it is a duration"),
            ("command = \"a\"\nother = 1", "other"),
        ] {
            let error = Config::parse(&format!("[who.cloudtrail]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
