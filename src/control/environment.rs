//! The environment of the process: variables, working directory, home and user, read once and handed down.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The variables by which CI systems say that a job of theirs runs.
const CI_SYSTEMS: [&str; 7] = [
    "BITBUCKET_BUILD_NUMBER",
    "BUILDKITE",
    "CIRCLECI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "TF_BUILD",
];

/// The environment as it was when the command began. Clones share it.
#[derive(Debug, Clone)]
pub struct Environment(Arc<Read>);

#[derive(Debug)]
struct Read {
    variables: BTreeMap<OsString, OsString>,
    working_directory: io::Result<PathBuf>,
    home: PathBuf,
    account: OnceLock<Option<Vec<String>>>,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self(Arc::new(Read {
            variables: std::env::vars_os().collect(),
            working_directory: std::env::current_dir(),
            home: std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
            account: OnceLock::new(),
        }))
    }

    /// A variable, which may be empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.0.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The variables whose names begin so, with their values.
    pub fn beginning(&self, beginning: &str) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let all = self.0.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        all.filter(move |(name, _)| name.as_encoded_bytes().starts_with(beginning.as_bytes()))
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn non_empty(&self, name: &str) -> Option<&OsStr> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// Whether this runs as a job of a CI system, by the variable that each of them sets. `CI` alone does not count: test
    /// runners and containers that somebody sits at have it, too.
    #[must_use]
    pub fn is_ci(&self) -> bool {
        CI_SYSTEMS.into_iter().any(|name| self.non_empty(name).is_some_and(|it| it != "false" && it != "0"))
    }

    /// A variable that holds UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variable(name)?.to_str()
    }

    /// The working directory, as the system names it.
    ///
    /// # Errors
    /// When it is gone or may not be looked up.
    pub fn working_directory(&self) -> Result<&Path, &io::Error> {
        self.0.working_directory.as_deref()
    }

    /// The home directory: `$HOME`, else that of the account.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.0.home
    }

    /// The home directory in the list of accounts, whatever `$HOME` says.
    #[must_use]
    pub fn account_home(&self) -> Option<&Path> {
        self.field(5).map(Path::new)
    }

    /// The name of the user who runs this.
    #[must_use]
    pub fn user(&self) -> &str {
        self.field(0).or_else(|| self.text("USER")).unwrap_or("root")
    }

    /// The name of the user who runs this in the list of accounts, or the number that it does not have.
    #[must_use]
    pub fn account_name(&self) -> String {
        let uid = || format!("uid {}", rustix::process::getuid().as_raw());
        self.field(0).map_or_else(uid, str::to_owned)
    }

    /// A field of this user's line in the list of accounts: 0 the name, 5 the home directory.
    fn field(&self, at: usize) -> Option<&str> {
        self.0.account.get_or_init(account).as_ref()?.get(at).map(String::as_str)
    }

    /// A path whose leading `~/` stands for the home directory.
    #[must_use]
    pub fn expand_home(&self, path: &Path) -> PathBuf {
        path.strip_prefix("~").map_or_else(|_| path.to_owned(), |below| self.home().join(below))
    }
}

/// The names of the variables of this process that begin so, for a child that gets none of them.
#[must_use]
pub fn variables_beginning(beginning: &str) -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.as_encoded_bytes().starts_with(beginning.as_bytes())).collect()
}

/// Variables of this process by their names, for a child that gets none of the others.
#[must_use]
pub fn variables_named<'a>(names: &[&'a str]) -> Vec<(&'a str, OsString)> {
    names.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
}

/// The home directory of this user in the list of accounts, whatever `$HOME` says, for a child that gets no variables.
#[must_use]
pub fn account_home() -> Option<String> {
    account()?.into_iter().nth(5)
}

/// The line of this user in the list of accounts (passwd(5)).
fn account() -> Option<Vec<String>> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_stands_for_the_home_directory_and_for_no_other() {
        let environment = Environment::of_process();
        let home = environment.home();
        assert_eq!(environment.expand_home(Path::new("~/a/~")), home.join("a/~"));
        for path in ["/etc/~", "~bob/x", "a/~/b"] {
            assert_eq!(environment.expand_home(Path::new(path)), Path::new(path));
        }
    }
}
