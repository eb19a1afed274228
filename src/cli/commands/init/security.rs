//! Files of the system that say who may do what on it.

use std::collections::BTreeSet;

use crate::error::Failure;
use crate::host::{Answer, FileQuery, Host as _, LocalHost, Query, Scope, Seen, Select, Watch};
use crate::model::{Glob, escaped};

/// Their patterns. Passwords are in none of these files: a digest of `shadow` would help whoever guesses them.
const PATTERNS: [&str; 24] = [
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d/*.conf",
    "/etc/sudoers",
    "/etc/sudoers.d/*",
    "/etc/passwd",
    "/etc/group",
    "/etc/crontab",
    "/etc/cron.d/*",
    "/etc/cron.hourly/*",
    "/etc/cron.daily/*",
    "/etc/cron.weekly/*",
    "/etc/cron.monthly/*",
    "/var/spool/cron/crontabs/*",
    "/root/.ssh/authorized_keys",
    "/home/*/.ssh/authorized_keys",
    "/etc/sysctl.conf",
    "/etc/sysctl.d/*.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/ld.so.preload",
    // Units that no package brings.
    "/etc/systemd/system/*.service",
    "/etc/systemd/system/*.socket",
    "/etc/systemd/system/*.timer",
    "/etc/systemd/system/*.d/*.conf",
];

/// What of it is on this machine.
#[derive(Default)]
pub(super) struct SecurityFiles {
    /// The patterns that match something.
    pub(super) patterns: Vec<String>,
    /// How many files these match.
    pub(super) files: usize,
    /// Files that this user may not read, escaped; a check by this user would be an error.
    pub(super) unread: Vec<String>,
}

/// Looks for them. A pattern that matches something unreadable is not proposed.
pub(super) fn on_this_machine(host: &LocalHost) -> Result<SecurityFiles, Failure> {
    let globs: Vec<Glob> = PATTERNS.iter().filter_map(|text| Glob::new(text).ok()).collect();
    let query = FileQuery {
        select: Select::Patterns(globs.clone()),
        exclude: Vec::new(),
        named: Vec::new(),
        scope: Scope::default(),
        beside: false,
    };
    let mut found = SecurityFiles::default();
    let answers = host.observe(&[Query::Files(query)], &Watch::default())?;
    let Some(Answer::Files(answer)) = answers.into_iter().next() else { return Ok(found) };
    let (mut read, mut unread): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
    for (path, seen) in &answer.files {
        let its = globs.iter().filter(|glob| glob.matches(path)).map(Glob::text);
        match seen {
            Seen::File(..) => {
                found.files += 1;
                read.extend(its);
            }
            Seen::Unreadable(_) => {
                found.unread.push(escaped(path));
                unread.extend(its);
            }
            Seen::Gone => {}
        }
    }
    let is_proposed = |pattern: &&&str| read.contains(**pattern) && !unread.contains(**pattern);
    found.patterns = PATTERNS.iter().filter(is_proposed).map(|text| (*text).to_owned()).collect();
    Ok(found)
}
