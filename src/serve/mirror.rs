//! The mirror of a deployment's repository: its branch is fetched, and the files of a commit are written into a directory.
//!
//! The host key of a git server is judged by driftlock before git is started, by the rules of `ssh`; git's own ssh then gets that
//! one key and no other. A token is read from its file by git's helper when the server asks for it: it stands in no argument, no
//! variable and no configuration. Nothing of the repository runs: there are no hooks, no programs of filters and no submodules.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use crate::atomic::{LARGEST_TEXT, hold_alone, read_file_within, replace_private_file};
use crate::config::{GitSource, GitWay};
use crate::control::{Environment, waits};
use crate::git::{BareRepository, GitError, Limit, Remote};
use crate::host::ssh::Unknown;
use crate::host::ssh::server_key::{KeyedServer, ServerKeyError, known_hosts_of};
use crate::model::{escaped, in_words, printable_path, quoted_name, without_secrets};

mod change;

pub(crate) use change::{BranchFile, NewFile};

/// The repository, in the mirror's directory.
const REPOSITORY: &str = "repository.git";
/// The address and the branch that it holds.
const SOURCE: &str = "source";
/// The one host key that git's ssh may accept.
const KNOWN_HOSTS: &str = "known_hosts";
/// The work trees, by their commits.
const TREES: &str = "trees";
/// What stands behind a commit in the name of the file that says that its work tree is whole.
const WHOLE: &str = ".whole";
/// The part of a repository that says what is compared, and with what.
const AUDIT: &str = "audit";
/// The bits of a mode that let others read or write.
const OTHERS: u32 = 0o077;

/// The helper that git asks for a user and a password: the first line of a file, `TOKEN` or `USER:TOKEN`. What it prints goes to git
/// through a pipe, and `printf` is the shell's own.
const HELPER: &str = "!f() { test \"$1\" = get || exit 0; IFS= read -r line <\"$DRIFTLOCK_TOKEN_FILE\" || test -n \"$line\" || exit 1; \
     case $line in *:*) user=${line%%:*}; token=${line#*:};; *) user=oauth2; token=$line;; esac; \
     printf 'username=%s\\npassword=%s\\n' \"$user\" \"$token\"; }; f";

/// A mirror of one branch of a repository.
#[derive(Debug)]
pub(crate) struct Mirror {
    dir: PathBuf,
    source: GitSource,
    environment: Environment,
}

/// What a branch was found at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedCommit {
    /// Its commit.
    pub(crate) commit: String,
    /// The one before, where it has moved.
    pub(crate) before: Option<String>,
    /// Whether the one before is none of its ancestors: somebody has pushed by force.
    pub(crate) is_forced: bool,
}

/// Why there is no commit to check, or no work tree of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    /// The mirror's directory, or a file of the configuration, cannot be used.
    #[error("{}: {}", printable_path(.0), in_words(.1))]
    Disk(PathBuf, #[source] io::Error),
    /// Another process uses it.
    #[error("{}: another process holds it: two agents cannot share one state_dir", printable_path(.0))]
    Held(PathBuf),
    /// A secret lies open.
    #[error(
        "{}: others may read it (mode {mode:o}): run chmod 600 {}",
        printable_path(.file),
        quoted_name(.file.as_os_str().as_bytes())
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is no token in the file.
    #[error("{}: it holds no token: write one line, TOKEN or USER:TOKEN", printable_path(.0))]
    NoToken(PathBuf),
    /// A host key that nobody has accepted.
    #[error("{}", unseen(.0))]
    Unseen(Box<Unknown>),
    /// The server was not reached, or may not be trusted.
    #[error("{server}: {reason}")]
    Server {
        /// Its address.
        server: String,
        /// What happened.
        reason: String,
    },
    /// Git did not do what it was asked for.
    #[error("{url}: {reason}")]
    Git {
        /// The repository.
        url: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// It took too long.
    #[error("{url}: {what} took more than {seconds} s")]
    Late {
        /// The repository.
        url: String,
        /// What took so long.
        what: &'static str,
        /// How long it may take.
        seconds: u64,
    },
    /// The branch holds no commit.
    #[error("{url}: it has no branch \"{}\"; name another one in git.branch", escaped(.branch.as_bytes()))]
    NoBranch {
        /// The repository.
        url: String,
        /// The branch.
        branch: String,
    },
    /// What decides what is compared is a link.
    #[error(
        "commit {commit}: {} is a symbolic link: what decides what is compared, and with what, is a file of the commit itself",
        escaped(.link.as_os_str().as_bytes())
    )]
    Link {
        /// The commit.
        commit: String,
        /// The link, from the top of the repository.
        link: PathBuf,
    },
    /// Programs of the repository would run.
    #[error(
        "{url}: nothing is pushed to a directory of this machine: git would run its hooks as the agent's user; name an address with ssh:// or https://"
    )]
    HooksHere {
        /// The repository.
        url: String,
    },
    /// There is no project in it.
    #[error("commit {commit}: there is no directory {}; name another one in git.path", escaped(.path.as_os_str().as_bytes()))]
    NoProject {
        /// The commit.
        commit: String,
        /// The project's directory.
        path: PathBuf,
    },
    /// The run was ended.
    #[error("interrupted")]
    Interrupted,
}

fn unseen(unknown: &Unknown) -> String {
    let Unknown { host, port, key_type, fingerprint, .. } = unknown;
    format!(
        "{} port {port} shows the {key_type} host key {fingerprint}, which nobody has accepted: compare it with what whoever runs that \
         server publishes, and if it is the same, put host_keys = [\"{fingerprint}\"] into git of the deployment",
        escaped(host.as_bytes())
    )
}

/// Until when something may go on, by whoever asks for it.
type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

impl Mirror {
    /// Opens the mirror of a repository in `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(crate) fn open(
        dir: &Path,
        source: &GitSource,
        environment: &Environment,
    ) -> Result<Self, MirrorError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| MirrorError::Disk(dir.to_owned(), error))?;
        let dir = dir.canonicalize().map_err(|error| MirrorError::Disk(dir.to_owned(), error))?;
        Ok(Self { dir, source: source.clone(), environment: environment.clone() })
    }

    /// Fetches the branch, and tells where it is now.
    ///
    /// # Errors
    /// When the server is not reached, not trusted, or has no such branch: what was fetched earlier is not taken in its place.
    pub(crate) fn fetch(&self, cancelled: Cancelled<'_>) -> Result<FetchedCommit, MirrorError> {
        let _held = self.hold()?;
        let remote = self.remote(cancelled)?;
        let repository = self.repository()?;
        let branch = &self.source.branch;
        let before =
            repository.branch(branch).map_err(|error| self.failed(error, cancelled, waits::GIT_FETCH))?;
        let limit = Limit::new(waits::GIT_FETCH.most, cancelled);
        let failed = |error| self.failed(error, cancelled, waits::GIT_FETCH);
        repository.fetch(&remote, branch, &limit).map_err(failed)?;
        let commit = repository.branch(branch).map_err(failed)?;
        let url = self.url();
        let commit = commit.ok_or_else(|| MirrorError::NoBranch { url, branch: branch.clone() })?;
        let before = before.filter(|before| *before != commit);
        let is_behind = match &before {
            Some(before) => repository.is_ancestor(before, &commit, &limit).map_err(failed)?,
            None => true,
        };
        log::info!(commit = commit.as_str(), forced = !is_behind; "fetched");
        Ok(FetchedCommit { commit, before, is_forced: !is_behind })
    }

    /// The object of a commit that was fetched, with its signature.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn commit_object(
        &self,
        commit: &str,
        cancelled: Cancelled<'_>,
    ) -> Result<Vec<u8>, MirrorError> {
        let _held = self.hold()?;
        let limit = Limit::new(waits::GIT_SOON.most, cancelled);
        let object = self.repository()?.commit_object(commit, &limit);
        object.map_err(|error| self.failed(error, cancelled, waits::GIT_SOON))
    }

    /// Writes the files of a commit that was fetched into a directory, where they are not there yet: the project's directory in it.
    ///
    /// # Errors
    /// When they cannot be written, or what decides what is compared is a link.
    pub(crate) fn tree(&self, commit: &str, cancelled: Cancelled<'_>) -> Result<PathBuf, MirrorError> {
        let _held = self.hold()?;
        if !is_commit(commit) {
            return Err(MirrorError::Git { url: self.url(), reason: "that is no commit".to_owned() });
        }
        let tree = self.dir.join(TREES).join(commit);
        let whole = self.dir.join(TREES).join(format!("{commit}{WHOLE}"));
        if !(whole.exists() && tree.join(".git").exists()) {
            let limit = Limit::new(waits::GIT_TREE.most, cancelled);
            let written = self.repository()?.check_out(commit, &tree, &limit);
            written.map_err(|error| self.failed(error, cancelled, waits::GIT_TREE))?;
            File::create(&whole).map_err(|error| MirrorError::Disk(whole, error))?;
        }
        self.judge_links(commit, &tree)?;
        let project = tree.join(&self.source.path);
        if !project.is_dir() {
            return Err(MirrorError::NoProject { commit: commit.to_owned(), path: self.source.path.clone() });
        }
        Ok(project)
    }

    /// Removes the work trees of all other commits, and packs what many fetches left behind.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn prune(&self, keep: &[&str], cancelled: Cancelled<'_>) -> Result<(), MirrorError> {
        let _held = self.hold()?;
        let repository = self.repository()?;
        let trees = self.dir.join(TREES);
        let entries = std::fs::read_dir(&trees).map_err(|error| MirrorError::Disk(trees.clone(), error))?;
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let commit = name.strip_suffix(WHOLE).unwrap_or(&name);
            if !is_commit(commit) || keep.contains(&commit) {
                continue;
            }
            // Without its mark a half of it is none.
            let _ = std::fs::remove_file(trees.join(format!("{commit}{WHOLE}")));
            let removed = repository.remove_tree(&trees.join(commit));
            removed.map_err(|error| self.failed(error, cancelled, waits::GIT_TREE))?;
        }
        let limit = Limit::new(waits::GIT_TREE.most, cancelled);
        repository.tidy(&limit).map_err(|error| self.failed(error, cancelled, waits::GIT_TREE))
    }

    /// Keeps other processes away.
    fn hold(&self) -> Result<File, MirrorError> {
        hold_alone(&self.dir, waits::MIRROR.most).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => MirrorError::Held(self.dir.clone()),
            other => MirrorError::Disk(self.dir.clone(), other.into()),
        })
    }

    /// The repository, beside the directory of work trees, for whoever holds the mirror; one of another address or branch is replaced, so
    /// that neither's commits are taken for the other's.
    fn repository(&self) -> Result<BareRepository, MirrorError> {
        let (place, note) = (self.dir.join(REPOSITORY), self.dir.join(SOURCE));
        let source = format!("{}\n{}\n", self.source.url, self.source.branch);
        let noted = read_file_within(&note, LARGEST_TEXT).unwrap_or_default();
        if noted != source.as_bytes() {
            for dir in [&place, &self.dir.join(TREES)] {
                match std::fs::remove_dir_all(dir) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(MirrorError::Disk(dir.clone(), error));
                    }
                    _ => {}
                }
            }
            let written = replace_private_file(&note, source.as_bytes());
            written.map_err(|error| MirrorError::Disk(note, error))?;
        }
        let trees = self.dir.join(TREES);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&trees);
        made.map_err(|error| MirrorError::Disk(trees, error))?;
        BareRepository::open(&place).map_err(|error| self.failed(error, &|| false, waits::GIT_SOON))
    }

    /// How the repository is reached, once whoever answers there is known.
    fn remote(&self, cancelled: Cancelled<'_>) -> Result<Remote, MirrorError> {
        let GitSource { url, way, .. } = &self.source;
        let remote = Remote { url: url.clone(), ..Remote::default() };
        match way {
            GitWay::Here => Ok(Remote { protocol: "file", ..remote }),
            GitWay::Web => self.web(remote),
            GitWay::Ssh { host, port } => self.ssh(remote, host, *port, cancelled),
        }
    }

    fn web(&self, remote: Remote) -> Result<Remote, MirrorError> {
        let protocol = if remote.url.starts_with("https:") { "https" } else { "http" };
        let Some(file) = &self.source.token_file else { return Ok(Remote { protocol, ..remote }) };
        let file = self.secret_file(file)?;
        let bytes =
            read_file_within(&file, LARGEST_TEXT).map_err(|error| MirrorError::Disk(file.clone(), error))?;
        if bytes.split(|byte| *byte == b'\n').next().is_none_or(<[u8]>::is_empty) {
            return Err(MirrorError::NoToken(file));
        }
        // Only the server that is named is told.
        let server = remote.url.split('/').take(3).collect::<Vec<_>>().join("/");
        let settings = vec!["credential.helper=".to_owned(), format!("credential.{server}.helper={HELPER}")];
        let variables = BTreeMap::from([("DRIFTLOCK_TOKEN_FILE", file.into_os_string())]);
        Ok(Remote { protocol, settings, variables, ..remote })
    }

    fn ssh(
        &self,
        remote: Remote,
        host: &str,
        port: u16,
        cancelled: Cancelled<'_>,
    ) -> Result<Remote, MirrorError> {
        let known_hosts = known_hosts_of(&self.environment);
        let server = KeyedServer { host, port, fingerprints: &self.source.host_keys, known_hosts };
        let line = server.trusted_line(cancelled).map_err(|error| match error {
            ServerKeyError::Unseen(unknown) => MirrorError::Unseen(unknown),
            ServerKeyError::Interrupted => MirrorError::Interrupted,
            other => MirrorError::Server {
                server: format!("{} port {port}", escaped(host.as_bytes())),
                reason: other.to_string(),
            },
        })?;
        let file = self.dir.join(KNOWN_HOSTS);
        let written = replace_private_file(&file, line.as_bytes());
        written.map_err(|error| MirrorError::Disk(file.clone(), error))?;
        let mut command = OsString::from(
            "ssh -F none -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none",
        );
        for option in [
            "UpdateHostKeys=no",
            "CheckHostIP=no",
            "ConnectTimeout=30",
            "ServerAliveInterval=15",
            "ClearAllForwardings=yes",
        ] {
            command.push(format!(" -o {option}"));
        }
        command.push(" -o UserKnownHostsFile=");
        command.push(quoted_option(&file));
        let mut variables = BTreeMap::new();
        match &self.source.ssh_key {
            Some(key) => {
                let key = self.secret_file(key)?;
                command.push(" -o IdentitiesOnly=yes -o IdentityAgent=none -o IdentityFile=");
                command.push(quoted_option(&key));
            }
            None => {
                if let Some(agent) = self.environment.non_empty("SSH_AUTH_SOCK") {
                    variables.insert("SSH_AUTH_SOCK", agent.to_owned());
                }
            }
        }
        variables.insert("GIT_SSH_COMMAND", command);
        variables.insert("GIT_SSH_VARIANT", "ssh".into());
        Ok(Remote { protocol: "ssh", variables, ..remote })
    }

    /// The path of a file with a secret, which nobody else may read.
    fn secret_file(&self, file: &Path) -> Result<PathBuf, MirrorError> {
        let file = self.environment.expand_home(file);
        let absolute = std::path::absolute(&file).map_err(|error| MirrorError::Disk(file.clone(), error))?;
        let meta =
            std::fs::metadata(&absolute).map_err(|error| MirrorError::Disk(absolute.clone(), error))?;
        if !meta.is_file() {
            return Err(MirrorError::Disk(absolute, io::Error::other("it is no file")));
        }
        if meta.mode() & OTHERS != 0 {
            return Err(MirrorError::Open { file: absolute, mode: meta.mode() & 0o777 });
        }
        Ok(absolute)
    }

    /// Refuses a link on the way to the project, and below what decides what is compared: it could lead to a file of this machine.
    fn judge_links(&self, commit: &str, tree: &Path) -> Result<(), MirrorError> {
        let refused =
            |link: &Path| Err(MirrorError::Link { commit: commit.to_owned(), link: link.to_owned() });
        let mut way = PathBuf::new();
        for part in self.source.path.components().chain([Component::Normal(OsStr::new(AUDIT))]) {
            way.push(part);
            if tree.join(&way).is_symlink() {
                return refused(&way);
            }
        }
        match link_below(tree, &way) {
            Some(link) => refused(&link),
            None => Ok(()),
        }
    }

    /// The repository's address, for people.
    fn url(&self) -> String {
        escaped(without_secrets(&self.source.url).as_bytes())
    }

    fn failed(&self, error: GitError, cancelled: Cancelled<'_>, wait: waits::Wait) -> MirrorError {
        match error {
            GitError::Interrupted if cancelled() => MirrorError::Interrupted,
            GitError::Interrupted => {
                MirrorError::Late { url: self.url(), what: wait.on, seconds: wait.most.as_secs() }
            }
            other => MirrorError::Git {
                url: self.url(),
                reason: escaped(without_secrets(&other.to_string()).as_bytes()),
            },
        }
    }
}

/// The first link below a directory, in the order of names.
fn link_below(tree: &Path, dir: &Path) -> Option<PathBuf> {
    let mut names: Vec<OsString> =
        std::fs::read_dir(tree.join(dir)).ok()?.flatten().map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    names.into_iter().find_map(|name| {
        let path = dir.join(name);
        let meta = tree.join(&path).symlink_metadata().ok()?;
        if meta.is_symlink() {
            Some(path)
        } else if meta.is_dir() {
            link_below(tree, &path)
        } else {
            None
        }
    })
}

/// Whether a text is the whole id of a commit.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A path as a shell takes it: git gives its ssh command to one.
fn quoted(path: &Path) -> OsString {
    OsStr::from_bytes(quoted_name(path.as_os_str().as_bytes()).as_bytes()).to_owned()
}

/// A path as an option of ssh takes it, which splits at blanks and expands percent signs, behind a shell.
fn quoted_option(path: &Path) -> OsString {
    let escaped: Vec<u8> = path
        .as_os_str()
        .as_bytes()
        .iter()
        .flat_map(|byte| match byte {
            b'%' => vec![b'%', b'%'],
            b'"' | b'\\' => vec![b'\\', *byte],
            byte => vec![*byte],
        })
        .collect();
    quoted(Path::new(OsStr::from_bytes(&[b"\"", escaped.as_slice(), b"\""].concat())))
}

#[cfg(test)]
mod tests;
