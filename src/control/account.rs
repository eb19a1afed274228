//! An account of this machine that a child process runs as, in place of root.

use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{ChildError, printed};
use super::waits;
use crate::model::escaped;

/// The longest line of an account.
const LONGEST: u64 = 64 << 10;

/// An account that is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

/// The reason why nothing can run as an account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Only root becomes somebody else.
    #[error("run_as = \"{0}\" needs root: this process runs as the user {1}, who cannot become another one")]
    NotRoot(String, u32),
    /// There is no such account.
    #[error("run_as = \"{0}\": there is no such account on this machine")]
    Unknown(String),
    /// It is root.
    #[error("run_as = \"{0}\" is root itself: name an account without rights")]
    Root(String),
    /// The accounts could not be read.
    #[error("run_as = \"{0}\": getent: {1}")]
    Accounts(String, String),
}

impl Account {
    /// The account of a name, where this process may become it.
    ///
    /// # Errors
    /// When it may not, or there is none.
    pub fn to_become(name: &str) -> Result<Self, AccountError> {
        let shown = escaped(name.as_bytes());
        let own = rustix::process::geteuid();
        if !own.is_root() {
            return Err(AccountError::NotRoot(shown, own.as_raw()));
        }
        let mut getent = Command::new("getent");
        getent.args(["passwd", "--", name]);
        let said = printed(&mut getent, waits::SYSTEM_PROGRAM.most, LONGEST);
        let said =
            said.map_err(|error: ChildError| AccountError::Accounts(shown.clone(), error.to_string()))?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        match text.lines().find_map(|line| Self::of_line(line, name)) {
            Some(account) if account.uid == 0 => Err(AccountError::Root(shown)),
            Some(account) => Ok(account),
            None => Err(AccountError::Unknown(shown)),
        }
    }

    /// The account of a line of `passwd(5)`.
    fn of_line(line: &str, name: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let [own, _, uid, gid, _, home, _] = fields.as_slice() else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        // A number would be an account by its id.
        (*own == name).then(|| Self { name: name.to_owned(), uid, gid, home: PathBuf::from(home) })
    }

    /// A command that runs as this account, with its groups and its variables, and gains no rights again. All other variables are
    /// those that the command was given.
    #[must_use]
    pub fn becoming(&self, command: &Command) -> Command {
        let mut other = Command::new("setpriv");
        other.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
        other.args(["--init-groups", "--no-new-privs", "--inh-caps=-all", "--"]);
        other.arg(command.get_program()).args(command.get_args()).env_clear();
        other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.env("HOME", &self.home).env("USER", &self.name).env("LOGNAME", &self.name);
        // Entered by root, so that it need not lie where the account may look.
        command.get_current_dir().map(|dir| other.current_dir(dir));
        other
    }

    /// Gives the account a file, a link, or a directory with all that is in it.
    ///
    /// # Errors
    /// When that is refused.
    pub fn own(&self, path: &Path) -> std::io::Result<()> {
        if std::fs::symlink_metadata(path)?.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        lchown(path, Some(self.uid), Some(self.gid))
    }
}

/// Whether a text can be the name of an account.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let first = name.as_bytes().first();
    first.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && name.as_bytes().iter().all(|b| is_inner(*b))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn an_account_is_read_from_its_line_by_its_name_alone() {
        let line = "tf:x:990:991:Terraform,,,:/var/lib/tf:/usr/sbin/nologin";
        let account = Account::of_line(line, "tf").unwrap();
        assert_eq!((account.uid, account.gid, account.home.as_path()), (990, 991, Path::new("/var/lib/tf")));
        assert_eq!(Account::of_line(line, "990"), None);
        assert_eq!(Account::of_line("tf:x:990", "tf"), None);
        let names = ["tf", "_tf", "a.b-c_1", "", "1", "-x", "a b", "a:b", "a\n"];
        assert_eq!(names.map(is_account_name), [true, true, true, false, false, false, false, false, false]);
    }

    #[test]
    fn a_command_becomes_one_of_setpriv_with_its_own_words_and_variables() {
        let account = Account::of_line("tf:x:990:991::/home/tf:", "tf").unwrap();
        let mut command = Command::new("terraform");
        command.args(["plan", "-x y"]).env_clear().env("A", "b").env("HOME", "/root").current_dir("/srv");
        let other = account.becoming(&command);
        let words: Vec<&[u8]> = other.get_args().map(OsStrExt::as_bytes).collect();
        assert_eq!(words[..2], [&b"--reuid=990"[..], b"--regid=991"]);
        assert_eq!(words[words.len() - 4..], [&b"--"[..], b"terraform", b"plan", b"-x y"]);
        let value = |name: &str| other.get_envs().find(|(it, _)| *it == name).and_then(|(_, value)| value);
        assert_eq!(["A", "HOME", "USER"].map(|it| value(it).unwrap()), ["b", "/home/tf", "tf"]);
        assert_eq!(other.get_current_dir(), Some(Path::new("/srv")));
    }
}
