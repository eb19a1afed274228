//! What `ssh -G` says of a host: the user's `ssh_config`, read by the program it is written for.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Failure;
use crate::model::{escaped, in_words};

/// How long `ssh -G` may take: a `Match exec` runs commands of the user's.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than this is no answer.
const MOST: u64 = 1 << 20;
/// How often it is looked whether it has ended.
const POLL: Duration = Duration::from_millis(1);

/// What the command line and `driftlock.toml` say before `ssh_config` is asked.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) port: Option<u16>,
    pub(super) user: Option<&'a str>,
    pub(super) key: Option<&'a Path>,
}

/// A host as `ssh_config` has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) identities_only: bool,
    /// The agent's socket, where it is not that of the environment.
    pub(super) agent: Option<String>,
    pub(super) jumps: Vec<String>,
    pub(super) proxy_command: bool,
    pub(super) user_known_hosts: Vec<PathBuf>,
    pub(super) system_known_hosts: Vec<PathBuf>,
    pub(super) alias: Option<String>,
    /// The file of host keys that are never to be believed.
    pub(super) revoked: Option<PathBuf>,
}

impl Answered {
    /// Says which way to a server was found.
    pub(super) fn log(&self, host: &str) {
        let known = self.user_known_hosts.iter().chain(&self.system_known_hosts).filter(|file| file.exists());
        let known: Vec<String> = known.map(|file| file.display().to_string()).collect();
        log::info!(
            host, address = self.address.as_str(), port = self.port, user = self.user.as_str(),
            known_hosts = known.join(", "), jumps = self.jumps.join(", ");
            "worked out the way to the server"
        );
    }
}

/// Asks `ssh -G`. `None`: there is no such program.
pub(super) fn ask(host: &str, given: &Given<'_>) -> Result<Option<Answered>, Failure> {
    let mut command = Command::new("ssh");
    command.arg("-G");
    command.args(given.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
    command.args(given.user.iter().flat_map(|user| ["-l", user]));
    command.args(given.key.iter().flat_map(|key| ["-i".as_ref(), key.as_os_str()]));
    command.arg("--").arg(host).env("LC_ALL", "C");
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => {
            log::info!(host; "asked ssh -G for the configuration of ssh");
            child
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            log::info!(host; "there is no ssh to ask: its configuration does not count");
            return Ok(None);
        }
        Err(error) => return Err(Failure::new(format!("ssh -G: {}", in_words(&error)))),
    };
    let shown = escaped(host.as_bytes());
    let Some(status) = ended(&mut child) else {
        let failure = Failure::new(format!("ssh -G {shown}: no end within {} s", PATIENCE.as_secs()));
        return Err(failure.hint("a \"Match exec\" in your ssh_config may hang"));
    };
    let said = child.stdout.take().map(text_of).unwrap_or_default();
    if status.success() {
        return parse(host, &said).map(Some);
    }
    let why = child.stderr.take().map(text_of).unwrap_or_default();
    let last = why.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(Failure::new(format!("ssh -G {shown}: {}", escaped(last.as_bytes()))))
}

/// How a program ended; `None` when it had to be ended.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => std::thread::sleep(POLL),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn text_of(pipe: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.take(MOST).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the answer of `ssh -G`: a key and its value a line.
fn parse(host: &str, text: &str) -> Result<Answered, Failure> {
    let mut answered = Answered::default();
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "hostname" => value.clone_into(&mut answered.address),
            "port" => answered.port = value.parse().unwrap_or_default(),
            "user" => value.clone_into(&mut answered.user),
            "identityfile" if value != "none" => answered.identity_files.push(PathBuf::from(value)),
            "identitiesonly" => answered.identities_only = value == "yes",
            "identityagent" if value != "SSH_AUTH_SOCK" => answered.agent = Some(value.to_owned()),
            "proxyjump" if value != "none" => {
                answered.jumps = value.split(',').map(|jump| jump.trim().to_owned()).collect();
            }
            "proxycommand" => answered.proxy_command = value != "none",
            "userknownhostsfile" => answered.user_known_hosts = files(value),
            "globalknownhostsfile" => answered.system_known_hosts = files(value),
            "revokedhostkeys" if value != "none" => answered.revoked = Some(PathBuf::from(value)),
            "hostkeyalias" => answered.alias = Some(value.to_owned()),
            _ => {}
        }
    }
    if answered.address.is_empty() || answered.port == 0 || answered.user.is_empty() {
        return Err(Failure::new(format!("ssh -G {}: its answer is incomplete", escaped(host.as_bytes()))));
    }
    let places = Places { host, address: &answered.address, port: answered.port, user: &answered.user };
    answered.identity_files = answered.identity_files.iter().map(|path| places.expand(path)).collect();
    answered.user_known_hosts = answered.user_known_hosts.iter().map(|path| places.expand(path)).collect();
    answered.revoked = answered.revoked.as_deref().map(|path| places.expand(path));
    answered.agent = answered.agent.as_ref().map(|path| places.expand(Path::new(path)).display().to_string());
    Ok(answered)
}

/// A list of files, which `ssh -G` does not quote: what does not begin a path belongs to the one before.
fn files(value: &str) -> Vec<PathBuf> {
    let mut files: Vec<String> = Vec::new();
    for word in value.split(' ').filter(|word| *word != "none") {
        match files.last_mut() {
            Some(last) if !word.starts_with(['/', '~']) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => files.push(word.to_owned()),
        }
    }
    files.into_iter().map(PathBuf::from).collect()
}

/// What the percent signs of `ssh_config` stand for.
struct Places<'a> {
    host: &'a str,
    address: &'a str,
    port: u16,
    user: &'a str,
}

impl Places<'_> {
    fn expand(&self, path: &Path) -> PathBuf {
        let text = path.to_string_lossy();
        let mut out = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => out.push('%'),
                Some('d') => out += &super::ssh::home().to_string_lossy(),
                Some('h') => out += self.address,
                Some('n') => out += self.host,
                Some('p') => out += &self.port.to_string(),
                Some('r') => out += self.user,
                Some('u') => out += &super::ssh::own_name(),
                Some(other) => out.extend(['%', other]),
                None => {}
            }
        }
        super::ssh::expand_home(Path::new(&out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "user bob\nhostname 10.0.0.1\nport 2222\nidentityfile /k/%h-%r\nidentityfile none\n\
        proxyjump al@jump:2200, second\nuserknownhostsfile /h/one /with space/two\n\
        globalknownhostsfile /etc/ssh/ssh_known_hosts\nhostkeyalias erp\nidentitiesonly yes\n";

    #[test]
    fn an_answer_is_read() {
        let answered = parse("erp", SAID).unwrap();
        assert_eq!(
            (answered.address.as_str(), answered.port, answered.user.as_str()),
            ("10.0.0.1", 2222, "bob")
        );
        assert_eq!(answered.identity_files, [PathBuf::from("/k/10.0.0.1-bob")]);
        assert_eq!(answered.jumps, ["al@jump:2200", "second"]);
        assert_eq!(answered.user_known_hosts, [PathBuf::from("/h/one"), PathBuf::from("/with space/two")]);
        assert_eq!(answered.alias.as_deref(), Some("erp"));
        assert!(answered.identities_only && !answered.proxy_command);
    }

    #[test]
    fn half_an_answer_is_none() {
        assert!(parse("erp", "user bob\nhostname x\n").is_err());
    }
}
