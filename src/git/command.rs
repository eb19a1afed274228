//! The one way in which `git` is started.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::control::environment::variables_beginning;
use crate::model::quoted_name;

/// Beginnings of the variables of git that the caller's git would heed, too: where its own configuration and programs lie,
/// and who commits. Every other one could make git look elsewhere, or be another git: in a hook there are many.
const KEPT: [&str; 7] = [
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_ATTR_NOSYSTEM",
    "GIT_EXEC_PATH",
];

/// Settings under which git fetches nothing and runs neither hook nor watcher, whatever is configured.
const SETTINGS: [&str; 7] = [
    "core.fsmonitor=false",
    // A directory of a clone that looks like a repository is none.
    "safe.bareRepository=explicit",
    "diff.orderFile=/dev/null",
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
    "log.showSignature=false",
    "log.showRoot=true",
];

/// A git at `dir` that only reads objects that are here: it fetches nothing, asks nobody, follows no replacement
/// and runs no program that the repository's configuration names. `trusted` lets it read another user's.
pub(super) fn git(dir: &Path, trusted: bool) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).arg("--no-optional-locks");
    for setting in SETTINGS.into_iter().chain(trusted.then_some("safe.directory=*")) {
        command.args(["-c", setting]);
    }
    let is_kept =
        |name: &OsString| KEPT.iter().any(|kept| name.as_encoded_bytes().starts_with(kept.as_bytes()));
    for variable in variables_beginning("GIT_").into_iter().filter(|name| !is_kept(name)) {
        command.env_remove(variable);
    }
    // With it git trusts the repositories of whoever called sudo.
    command.env_remove("SUDO_UID");
    for variable in ["GIT_NO_LAZY_FETCH", "GIT_NO_REPLACE_OBJECTS", "GIT_LITERAL_PATHSPECS"] {
        command.env(variable, "1");
    }
    // Grafts would hide a part of the history.
    command.env("GIT_GRAFT_FILE", "/dev/null");
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The command line as a shell would take it, without the settings that every git gets.
pub(super) fn command_line(command: &Command) -> String {
    let mut words = vec!["git".to_owned()];
    let mut arguments = command.get_args().peekable();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--no-optional-locks") => {}
            Some("-c") => drop(arguments.next()),
            _ => words.push(quoted_name(argument.as_bytes())),
        }
    }
    words.join(" ")
}
