//! `git` of a deployment: the repository and branch that its released state is fetched from, and who proves to be whom.

use std::path::{Component, PathBuf};

use serde::Deserialize;

use super::target::is_fingerprint;
use super::{ConfigError, senseless};
use crate::model::Address;

/// The longest name of a branch.
const LONGEST: usize = 200;
/// The port of SSH.
const SSH: u16 = 22;

/// A repository, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// Its address, without a password.
    pub url: String,
    /// The way to it.
    pub way: GitWay,
    /// The branch that holds the released state.
    pub branch: String,
    /// The private key to log in with.
    pub ssh_key: Option<PathBuf>,
    /// Accepted fingerprints of the server's host key.
    pub host_keys: Vec<String>,
    /// A file that holds a token, or `USER:TOKEN`.
    pub token_file: Option<PathBuf>,
    /// The project's directory in the repository; empty at its top.
    pub path: PathBuf,
}

/// The way to a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitWay {
    /// By SSH: host and port.
    Ssh {
        /// A name or an address, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// By HTTPS, or by HTTP on this machine alone.
    Web,
    /// A directory of this machine.
    Here,
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGitSource {
    pub(super) url: String,
    pub(super) branch: String,
    pub(super) ssh_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) host_keys: Vec<String>,
    pub(super) token_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) path: PathBuf,
}

impl RawGitSource {
    /// Makes sure that it has sense; `key` names it.
    pub(super) fn checked(self, key: &str) -> Result<GitSource, ConfigError> {
        let bad = |name: &str, reason: &str| Err(senseless(&format!("{key}.{name}"), reason));
        let way = match way_to(&self.url) {
            Ok(way) => way,
            Err(reason) => return bad("url", reason),
        };
        if !is_branch(&self.branch) {
            return bad("branch", &format!("\"{}\" is no name of a branch", self.branch));
        }
        if let Some(odd) = self.host_keys.iter().find(|text| !is_fingerprint(text)) {
            let reason = format!(
                "\"{odd}\" is no fingerprint: \"SHA256:\" and 43 letters, as ssh-keygen -l prints it"
            );
            return bad("host_keys", &reason);
        }
        let is_ssh = matches!(way, GitWay::Ssh { .. });
        for (name, is_there, is_meant) in [
            ("ssh_key", self.ssh_key.is_some(), is_ssh),
            ("host_keys", !self.host_keys.is_empty(), is_ssh),
            ("token_file", self.token_file.is_some(), way == GitWay::Web),
        ] {
            if is_there && !is_meant {
                let wanted = if name == "token_file" { "https://" } else { "ssh://" };
                return bad(name, &format!("it counts for {wanted} alone, and this is another address"));
            }
        }
        let is_empty = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str().is_empty());
        if is_empty(&self.ssh_key) || is_empty(&self.token_file) {
            return bad("ssh_key", "\"\" is no file; neither is it for token_file");
        }
        let Some(path) = directory(&self.path) else {
            return bad("path", "it is a directory of the repository: relative, and without \"..\"");
        };
        Ok(GitSource {
            url: self.url,
            way,
            branch: self.branch,
            ssh_key: self.ssh_key,
            host_keys: self.host_keys,
            token_file: self.token_file,
            path,
        })
    }
}

/// A directory of a repository without `.`; `None` for what leads out of it, or into git's own files.
fn directory(path: &std::path::Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) if !name.eq_ignore_ascii_case(".git") => clean.push(name),
            _ => return None,
        }
    }
    Some(clean)
}

/// The way to a repository by its address.
fn way_to(url: &str) -> Result<GitWay, &'static str> {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
    if url.is_empty() || url.starts_with('-') || !url.chars().all(is_plain) {
        return Err(
            "it is an address without blanks: ssh://git@example.com/erp.git, git@example.com:erp.git, \
                    https://example.com/erp.git, or an absolute path",
        );
    }
    if let Some(rest) = url.strip_prefix("https://") {
        return web(rest);
    }
    if let Some(rest) = url.strip_prefix("http://") {
        let host = rest.split('/').next().unwrap_or_default();
        let is_here = ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|here| host.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
        return if is_here {
            web(rest)
        } else {
            Err(
                "http:// travels in the open, and whoever sits on the way decides what is fetched; use https://",
            )
        };
    }
    if let Some(path) = url.strip_prefix("file://") {
        return if path.starts_with('/') {
            Ok(GitWay::Here)
        } else {
            Err("behind file:// stands an absolute path")
        };
    }
    if url.starts_with('/') {
        return Ok(GitWay::Here);
    }
    if let Some(rest) = url.strip_prefix("ssh://") {
        let (server, path) = rest.split_once('/').ok_or("it names no repository on that server")?;
        return ssh(server, path, true);
    }
    if url.contains("://") || url.contains("::") {
        return Err(
            "it is reached by ssh://, https:// or a path of this machine; git:// and programs of git's own are not used",
        );
    }
    let (server, path) = url.split_once(':').ok_or("a directory of this machine is an absolute path")?;
    ssh(server, path, false)
}

fn web(rest: &str) -> Result<GitWay, &'static str> {
    let (server, path) = rest.split_once('/').ok_or("it names no repository on that server")?;
    if server.contains('@') {
        return Err(
            "it holds a user or a password; put the token into a file, and name that with token_file",
        );
    }
    if server.is_empty() || path.is_empty() {
        return Err("it names no repository on that server");
    }
    Ok(GitWay::Web)
}

fn ssh(server: &str, path: &str, may_have_port: bool) -> Result<GitWay, &'static str> {
    let host = server.rsplit_once('@').map_or(server, |(_, host)| host);
    let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("behind ] stands a port")?)),
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let port = match port.filter(|_| may_have_port) {
        None => SSH,
        Some(port) => port.parse().map_err(|_| "its port is no number")?,
    };
    if host.is_empty() || host.starts_with('-') || path.is_empty() || path.starts_with('-') {
        return Err("it names no repository on a server");
    }
    if server.contains("@-") || server.starts_with('-') || !Address::new(server).names_server() {
        return Err("no password, and no more than [user@]host[:port]: keys alone log in");
    }
    Ok(GitWay::Ssh { host: host.to_owned(), port })
}

/// Whether git takes a text for the name of a branch, as `git-check-ref-format(1)` has it.
pub(super) fn is_branch(text: &str) -> bool {
    let is_letter = |c: char| !c.is_control() && !" ~^:?*[\\\u{7f}".contains(c);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none();
    !text.starts_with('-')
        && !text.starts_with("refs/")
        && text.len() <= LONGEST
        && text != "@"
        && text != "HEAD"
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && text.chars().all(is_letter)
        && text.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<GitWay, &'static str> {
        way_to(url)
    }

    #[test]
    fn a_repository_is_reached_by_ssh_https_or_on_this_machine() {
        let ssh = |host: &str, port| Ok(GitWay::Ssh { host: host.to_owned(), port });
        assert_eq!(of("ssh://git@example.com/a.git"), ssh("example.com", 22));
        assert_eq!(of("ssh://git@example.com:2222/a.git"), ssh("example.com", 2222));
        assert_eq!(of("ssh://git@[::1]:2222/a.git"), ssh("::1", 2222));
        assert_eq!(of("git@example.com:team/a.git"), ssh("example.com", 22));
        assert_eq!(of("https://example.com/a.git"), Ok(GitWay::Web));
        assert_eq!(of("http://127.0.0.1:8080/a.git"), Ok(GitWay::Web));
        assert_eq!(of("/srv/git/a.git"), Ok(GitWay::Here));
        assert_eq!(of("file:///srv/git/a.git"), Ok(GitWay::Here));
        for url in [
            "",
            "a.git",
            "--upload-pack=touch",
            "ext::sh -c touch",
            "ext::sh",
            "git://example.com/a",
            "http://example.com/a",
            "http://localhost.evil/a",
            "https://u:p@example.com/a",
            "https://example.com",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@-oProxyCommand=x/a",
            "-oProxyCommand=x:a",
            "ssh://git:secret@example.com/a",
            "ssh://example.com",
            "ssh://example.com:x/a",
            "git@example.com:",
            "file://example.com/a",
            "ssh://a/b\nc",
        ] {
            assert!(of(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_branch_is_one_as_git_has_it() {
        for name in ["main", "release/18.0", "feature-1", "ä", "a@b"] {
            assert!(is_branch(name), "{name}");
        }
        for name in [
            "",
            "-x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "@",
            "a@{0}",
            ".a",
            "a/.b",
            "a.lock",
            "a/",
            "/a",
            "a//b",
            "a.",
            "a*",
            "HEAD",
            "refs/heads/main",
            "a\\b",
            "a\n",
        ] {
            assert!(!is_branch(name), "{name:?}");
        }
    }

    #[test]
    fn each_key_counts_where_it_is_of_use() {
        let git = |text: &str| {
            let text = format!("[[deployments]]\nname = \"a\"\ngit = {{ branch = \"main\", {text} }}\n");
            super::super::Config::parse(&text).map(|config| config.deployments[0].git.clone().unwrap())
        };
        let fingerprint = format!("SHA256:{}", "a".repeat(43));
        let whole = git(&format!(
            "url = \"git@h:a\", ssh_key = \"k\", host_keys = [\"{fingerprint}\"], path = \"./x//y/\""
        ))
        .unwrap();
        assert_eq!((whole.path, whole.host_keys), (PathBuf::from("x/y"), vec![fingerprint]));
        for (text, why) in [
            ("url = \"https://h/a\", ssh_key = \"k\"", "counts for ssh:// alone"),
            ("url = \"git@h:a\", token_file = \"t\"", "counts for https:// alone"),
            ("url = \"git@h:a\", host_keys = [\"MD5:1\"]", "is no fingerprint"),
            ("url = \"git@h:a\", path = \"../x\"", "without \"..\""),
            ("url = \"git@h:a\", path = \"/x\"", "relative"),
            ("url = \"git@h:a\", path = \"x/.git\"", "directory of the repository"),
            ("url = \"git@h:a\", ssh_key = \"\"", "is no file"),
            ("url = \"https://u:hunter2@h/a\"", "token_file"),
            ("url = \"git@h:a\", tokn_file = \"t\"", "did you mean `token_file`?"),
        ] {
            let error = git(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
