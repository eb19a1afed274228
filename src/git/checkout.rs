//! Files of a commit as a checkout would write them, without touching the repository or its work tree.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::attributes::is_harmless;
use super::error::GitError;
use super::limit::ask;
use super::repository::Repository;
use super::revision::Revision;

/// The attributes by which git decides whether a file's content is converted.
const ATTRIBUTES: [&str; 6] = ["text", "crlf", "eol", "ident", "working-tree-encoding", "filter"];

/// Settings under which the index of a commit lies in its own file alone and is whole, and files are written by as
/// many processes as there are processors.
const SETTINGS: [&str; 6] = [
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.sparseCheckout=false",
    "index.sparse=false",
    "submodule.recurse=false",
    "checkout.workers=0",
];

/// How many files are written one by one, once writing all at once has failed.
const ONE_BY_ONE: usize = 200;

/// What a checkout does with a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It is written as it is stored.
    Plain,
    /// It may be written otherwise: only a checkout tells how.
    Converted,
    /// Git LFS has its content, if what is stored is a pointer; else it is treated as said here.
    Lfs(Box<Treatment>),
    /// A program of somebody else's would have to be run for it, with the reason.
    Forbidden(String),
}

/// The index of a commit and a directory to write its files into, both temporary.
pub struct Checkout<'a> {
    repository: Repository,
    dir: TempDir,
    ended: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Checkout<'a> {
    /// Reads the commit's index; `ended` is asked now and then whether to give up.
    ///
    /// # Errors
    /// When there is no room for it, or git cannot read the commit.
    pub fn of(revision: &Revision, ended: &'a (dyn Fn() -> bool + Sync)) -> Result<Self, GitError> {
        let mode = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(".driftlock-tmp-").permissions(mode).tempdir();
        let dir = dir.map_err(|error| no_room(&error))?;
        let checkout = Self { repository: revision.repository.clone(), dir, ended };
        std::fs::create_dir(checkout.files()).map_err(|error| no_room(&error))?;
        checkout.ask("read the commit", &["read-tree", &revision.commit], &[])?;
        Ok(checkout)
    }

    /// Where the files are written.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// Tells what a checkout does with each of `paths` (relative to the work tree's uppermost directory).
    ///
    /// # Errors
    /// When git does not answer for all of them.
    pub fn treatments(&self, paths: &[&[u8]]) -> Result<Vec<Treatment>, GitError> {
        treatments(&self.repository, &|| self.git(), &["--cached"], paths, self.ended)
    }

    /// Writes `paths` below [`Checkout::files`]; the reason stands for each that could not be written.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn write(&self, paths: &[&[u8]]) -> Result<Vec<Result<(), CheckoutFault>>, GitError> {
        if self.write_at_once(paths)?.is_ok() {
            return Ok(vec![Ok(()); paths.len()]);
        }
        // What is there now may be a part of a file, and of any.
        let files = self.files();
        let anew = std::fs::remove_dir_all(&files).and_then(|()| std::fs::create_dir(&files));
        anew.map_err(|error| no_room(&error))?;
        let mut results = Vec::new();
        for (n, path) in paths.iter().enumerate() {
            results.push(if n < ONE_BY_ONE {
                self.write_at_once(&[*path])?
            } else {
                Err(CheckoutFault::Together)
            });
        }
        Ok(results)
    }

    fn write_at_once(&self, paths: &[&[u8]]) -> Result<Result<(), CheckoutFault>, GitError> {
        let mut git = self.git();
        git.args(["checkout-index", "--force", "--stdin", "-z"]);
        let answer = ask(git, &joined(paths), self.ended)?;
        Ok(if answer.code == Some(0) { Ok(()) } else { Err(CheckoutFault::Refused(reason(answer.said))) })
    }

    fn ask(&self, what: &'static str, args: &[&str], input: &[u8]) -> Result<Vec<u8>, GitError> {
        let mut git = self.git();
        git.args(args);
        let answer = ask(git, input, self.ended)?;
        if answer.code == Some(0) {
            return Ok(answer.stdout);
        }
        Err(GitError::Refused { what, reason: reason(answer.said) })
    }

    /// A git that takes the commit's index and the temporary directory for the repository's own.
    fn git(&self) -> Command {
        let mut git = self.repository.git();
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        git.env("GIT_INDEX_FILE", self.dir.path().join("index")).env("GIT_WORK_TREE", self.files());
        git
    }
}

/// Why a file could not be checked out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutFault {
    /// Git refused, with its own reason.
    #[error("git could not check it out: {0}")]
    Refused(String),
    /// Git refused files of which it is not known which one it was.
    #[error("git could not check it out together with others")]
    Together,
}

impl Repository {
    /// Tells what `git restore` does with each of `paths` (relative to the work tree's uppermost directory), by the
    /// attributes that lie in the work tree now.
    ///
    /// # Errors
    /// When git does not answer for all of them.
    pub fn treatments(
        &self,
        paths: &[&[u8]],
        ended: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Treatment>, GitError> {
        treatments(self, &|| self.git(), &[], paths, ended)
    }
}

/// Tells what `git` does with each of `paths`; `options` say where it looks for attributes.
fn treatments(
    repository: &Repository,
    git: &dyn Fn() -> Command,
    options: &[&str],
    paths: &[&[u8]],
    ended: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Treatment>, GitError> {
    let mut asked = git();
    asked.arg("check-attr").args(options).args(["--stdin", "-z"]).args(ATTRIBUTES);
    let answer = ask(asked, &joined(paths), ended)?;
    let refused = |reason| GitError::Refused { what: "tell attributes", reason };
    if answer.code != Some(0) {
        return Err(refused(reason(answer.said)));
    }
    let fields: Vec<&[u8]> = answer.stdout.split(|&b| b == 0).collect();
    let config = Config::of(git, ended)?;
    let mut each = fields.chunks_exact(3 * ATTRIBUTES.len());
    let one = |path: &&[u8]| {
        let fields = each.next().filter(|fields| fields[0] == *path)?;
        let values: Vec<&[u8]> = fields.iter().skip(2).step_by(3).copied().collect();
        Some(config.treatment(&values, repository))
    };
    let all: Option<Vec<Treatment>> = paths.iter().map(one).collect();
    all.ok_or_else(|| refused("its answer is cut short".to_owned()))
}

/// What is configured of converting files.
struct Config {
    /// Whether a text file may get CR LF without an attribute that says so.
    crlf: bool,
    /// Filters that have a program.
    filters: Vec<Vec<u8>>,
}

impl Config {
    fn of(git: &dyn Fn() -> Command, ended: &(dyn Fn() -> bool + Sync)) -> Result<Self, GitError> {
        let wanted = r"^(core\.(autocrlf|eol)|filter\..*\.(smudge|process))$";
        let mut git = git();
        git.args(["config", "-z", "--get-regexp", wanted]);
        let output = ask(git, &[], ended)?;
        let mut config = Self { crlf: false, filters: Vec::new() };
        for setting in output.stdout.split(|&b| b == 0).filter(|setting| !setting.is_empty()) {
            let end = setting.iter().position(|&b| b == b'\n').unwrap_or(setting.len());
            let (key, value) = (&setting[..end], setting.get(end + 1..).unwrap_or(b"true"));
            if let Some(filter) = key.strip_prefix(b"filter.") {
                let name = filter.iter().rposition(|&b| b == b'.').map(|dot| filter[..dot].to_vec());
                config.filters.extend(name.filter(|_| !value.is_empty()));
            } else {
                // A later setting may take it back; then a checkout only shows that nothing is converted.
                config.crlf |= !is_harmless(value);
            }
        }
        Ok(config)
    }

    /// Goes by the values of [`ATTRIBUTES`]. Where in doubt it is a checkout that tells.
    fn treatment(&self, values: &[&[u8]], repository: &Repository) -> Treatment {
        let is_off = |value: &[u8]| matches!(value, b"unspecified" | b"unset");
        let [text, crlf, eol, ident, encoding, filter] = values else { return Treatment::Converted };
        let has_program = self.filters.iter().any(|name| name == filter);
        let is_text = *text != b"unset" && (*text != b"unspecified" || *crlf != b"unset");
        let is_filtered = !is_off(filter) || !is_off(ident) || !is_off(encoding);
        let is_plain = !is_filtered && !(is_text && (self.crlf || *eol == b"crlf"));
        let treatment = match repository.forbids(&String::from_utf8_lossy(filter), has_program) {
            _ if is_plain => Treatment::Plain,
            Some(why) => Treatment::Forbidden(why),
            None => Treatment::Converted,
        };
        // Where no program is configured for it, a checkout leaves the pointer as it is.
        if *filter == b"lfs" && has_program { Treatment::Lfs(Box::new(treatment)) } else { treatment }
    }
}

fn joined(paths: &[&[u8]]) -> Vec<u8> {
    paths.iter().flat_map(|path| path.iter().copied().chain([0])).collect()
}

fn reason(said: String) -> String {
    if said.is_empty() { "it gave no reason".to_owned() } else { said }
}

fn no_room(error: &std::io::Error) -> GitError {
    GitError::Refused { what: "be given a temporary directory", reason: crate::model::in_words(error) }
}
