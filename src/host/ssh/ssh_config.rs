//! What `ssh -G` says of a host: the user's `ssh_config`, read by the program it is written for.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::control::Environment;
use crate::control::child::{self, ChildError};
use crate::control::waits;
use crate::error::Failure;
use crate::host::ssh::tokens::{TokenError, expanded, with_variables};
use crate::host::ssh::{KnownHostsCommand, Policy};
use crate::model::{Address, escaped, without_secrets};

/// How long `ssh -G` may take: a `Match exec` runs commands of the user's.
const PATIENCE: Duration = waits::SSH_PROGRAM.most;
/// More than this is no answer.
const MOST: u64 = 1 << 20;
/// What the program that is asked calls itself; Dropbear's `ssh` has no `-G`, and would connect.
const NAME: &[u8] = b"OpenSSH";

/// What the command line and `driftlock.toml` say before `ssh_config` is asked.
#[derive(Default)]
pub(crate) struct Given<'a> {
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<&'a str>,
    pub(crate) key: Option<&'a Path>,
}

/// A host as `ssh_config` has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) identity_files: Vec<PathBuf>,
    pub(crate) certificate_files: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    /// The agent's socket, where it is not that of the environment.
    pub(crate) agent: Option<String>,
    pub(crate) jumps: Vec<String>,
    pub(crate) proxy_command: bool,
    pub(crate) user_known_hosts: Vec<PathBuf>,
    pub(crate) system_known_hosts: Vec<PathBuf>,
    pub(crate) alias: Option<String>,
    /// The file of host keys that are never to be believed.
    pub(crate) revoked: Option<PathBuf>,
    /// Whether nobody is asked about a new host key.
    pub(crate) asks_nobody: bool,
    /// What a connection may use.
    pub(crate) policy: Policy,
    /// A command that knows more host keys.
    pub(crate) known_hosts_command: Option<KnownHostsCommand>,
    /// Why a server is not asked: what is said of it cannot be kept.
    pub(crate) unkept: Option<&'static str>,
}

/// What is said of a server where keys do not log in.
const NO_KEYS: &str = "ssh_config sets PubkeyAuthentication to no, and there is no other way to log in";
/// What is said of a server that nobody is to reach.
const NO_CONNECTION: &str = "ssh_config sets RefuseConnection";

impl Answered {
    /// Says which way to a server was found.
    pub(crate) fn log(&self, host: &str) {
        let known = self.user_known_hosts.iter().chain(&self.system_known_hosts).filter(|file| file.exists());
        let known: Vec<String> = known.map(|file| file.display().to_string()).collect();
        let jumps: Vec<String> = self.jumps.iter().map(|jump| Address::new(jump).to_string()).collect();
        log::info!(
            host, address = self.address.as_str(), port = self.port, user = self.user.as_str(),
            known_hosts = known.join(", "), jumps = jumps.join(", ");
            "worked out the way to the server"
        );
    }
}

/// Asks `ssh -G`. `None`: there is no such program, or it is not that of OpenSSH.
pub(crate) fn ask(
    host: &str,
    given: &Given<'_>,
    environment: &Environment,
) -> Result<Option<Answered>, Failure> {
    let shown = escaped(host.as_bytes());
    if !is_openssh()? {
        log::info!(host; "there is no ssh of OpenSSH to ask: its configuration does not count");
        return Ok(None);
    }
    let mut command = Command::new("ssh");
    command.arg("-G");
    command.args(given.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
    command.args(given.user.iter().flat_map(|user| ["-l", user]));
    command.args(given.key.iter().flat_map(|key| ["-i".as_ref(), key.as_os_str()]));
    command.arg("--").arg(host).env("LC_ALL", "C");
    let printed = child::printed(&mut command, PATIENCE, MOST).map_err(|error| {
        let failure = Failure::new(format!("ssh -G {shown}: {error}"));
        match error {
            ChildError::Late(_) => failure.hint("a \"Match exec\" in your ssh_config may hang"),
            _ => failure,
        }
    })?;
    log::info!(host; "asked ssh -G for the configuration of ssh");
    if printed.status.success() {
        return parse(host, &String::from_utf8_lossy(&printed.stdout), environment).map(Some);
    }
    let why = String::from_utf8_lossy(&printed.stderr);
    let last = why.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(Failure::new(format!("ssh -G {shown}: {}", without_secrets(&escaped(last.as_bytes())))))
}

/// Whether there is an `ssh`, and it is that of OpenSSH; once it was, it is not asked again.
fn is_openssh() -> Result<bool, Failure> {
    static IS_KNOWN: AtomicBool = AtomicBool::new(false);
    if IS_KNOWN.load(Ordering::Relaxed) {
        return Ok(true);
    }
    let is_openssh = match child::printed(Command::new("ssh").arg("-V").env("LC_ALL", "C"), PATIENCE, MOST) {
        Ok(told) => [told.stdout, told.stderr].concat().windows(NAME.len()).any(|window| window == NAME),
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(Failure::new(format!("ssh -V: {error}"))),
    };
    IS_KNOWN.store(is_openssh, Ordering::Relaxed);
    Ok(is_openssh)
}

/// Reads the answer of `ssh -G`: a key and its value a line.
fn parse(host: &str, text: &str, environment: &Environment) -> Result<Answered, Failure> {
    let mut answered = Answered::default();
    let mut known = (String::new(), String::new());
    let mut command = None;
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "hostname" => value.clone_into(&mut answered.address),
            "port" => answered.port = value.parse().unwrap_or_default(),
            "user" => value.clone_into(&mut answered.user),
            "identityfile" if value != "none" => answered.identity_files.push(PathBuf::from(value)),
            "certificatefile" if value != "none" => answered.certificate_files.push(PathBuf::from(value)),
            "identitiesonly" => answered.identities_only = value == "yes",
            "identityagent" if value != "SSH_AUTH_SOCK" => answered.agent = Some(value.to_owned()),
            "proxyjump" if value != "none" => {
                answered.jumps = value.split(',').map(|jump| jump.trim().to_owned()).collect();
            }
            "proxycommand" => answered.proxy_command = value != "none",
            "userknownhostsfile" => value.clone_into(&mut known.0),
            "globalknownhostsfile" => value.clone_into(&mut known.1),
            "revokedhostkeys" if value != "none" => answered.revoked = Some(PathBuf::from(value)),
            "hostkeyalias" => answered.alias = Some(value.to_owned()),
            "stricthostkeychecking" => answered.asks_nobody |= matches!(value, "true" | "yes"),
            "batchmode" => answered.asks_nobody |= value == "yes",
            "knownhostscommand" if value != "none" => command = Some(value),
            "pubkeyauthentication" if matches!(value, "false" | "no") => answered.unkept = Some(NO_KEYS),
            "refuseconnection" if value != "none" => answered.unkept = Some(NO_CONNECTION),
            _ => allow(&mut answered.policy, key, value)
                .map_err(|failure| failure.before(&format!("ssh -G {}: ", escaped(host.as_bytes()))))?,
        }
    }
    if answered.address.is_empty() || answered.port == 0 || answered.user.is_empty() {
        return Err(Failure::new(format!("ssh -G {}: its answer is incomplete", escaped(host.as_bytes()))));
    }
    let places = Places { host, answered: &answered, environment };
    let told = |what: &str, value: &Path, why: &TokenError| {
        let value = escaped(value.as_os_str().as_bytes());
        let failure =
            Failure::new(format!("{}: {what} of ssh_config, {value}: {why}", escaped(host.as_bytes())));
        failure.hint("name it without")
    };
    let expand = |what: &'static str| {
        let places = &places;
        move |path: &Path| places.expand(path).map_err(|why| told(what, path, &why))
    };
    let all = |what: &'static str, paths: &[PathBuf]| -> Result<Vec<PathBuf>, Failure> {
        paths.iter().map(|path| expand(what)(path)).collect()
    };
    let identity_files = all("IdentityFile", &answered.identity_files)?;
    let certificate_files = all("CertificateFile", &answered.certificate_files)?;
    let agent = answered.agent.as_deref().map(|agent| match agent.strip_prefix('$') {
        // The name of a variable, which may not be set.
        Some(name) if !name.starts_with('{') => Ok(environment.text(name).unwrap_or("none").to_owned()),
        _ => expand("IdentityAgent")(Path::new(agent)).map(|path| path.display().to_string()),
    });
    let agent = agent.transpose()?;
    let known_hosts_command = command.map(|line| {
        let read = with_variables(line, environment)
            .and_then(|line| KnownHostsCommand::read(&line, places.tokens()));
        read.map_err(|why| told("KnownHostsCommand", Path::new(line), &why))
    });
    let known_hosts_command = known_hosts_command.transpose()?;
    let user_known_hosts = files(&known.0, expand("UserKnownHostsFile"))?;
    let answered = Answered {
        identity_files,
        certificate_files,
        agent,
        user_known_hosts,
        known_hosts_command,
        ..answered
    };
    let mut answered = answered;
    // Of these only a home directory in front stands for anything; the file of revoked keys is read by its name.
    answered.system_known_hosts = files(&known.1, |path| Ok(environment.expand_home(path)))?;
    let lists = [&answered.user_known_hosts, &answered.system_known_hosts];
    if let Some(path) = lists.into_iter().flatten().find(|path| path.as_os_str().as_bytes().starts_with(b"~"))
    {
        let path = escaped(path.as_os_str().as_bytes());
        let failure =
            Failure::new(format!("ssh_config names the known_hosts file {path} in another user's home"));
        return Err(failure.hint("name it by its whole path"));
    }
    Ok(answered)
}

/// Reads what a line of the answer lets a connection use, if it is about that.
fn allow(policy: &mut Policy, key: &str, value: &str) -> Result<(), Failure> {
    let names = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
    match key {
        "hostkeyalgorithms" => policy.host_keys = names(),
        "casignaturealgorithms" => policy.authorities = names(),
        "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" => policy.user_keys = Some(names()),
        "kexalgorithms" => policy.kex = Some(names()),
        "ciphers" => policy.ciphers = Some(names()),
        "macs" => policy.macs = Some(names()),
        "checkhostip" => policy.check_ip = value == "yes",
        "requiredrsasize" => {
            let unknown = |_| Failure::new(format!("RequiredRSASize {}", escaped(value.as_bytes())));
            policy.rsa_bits = value.parse().map_err(unknown)?;
        }
        _ => {}
    }
    Ok(())
}

/// A list of files, which `ssh -G` does not quote: what does not begin a path may belong to the one before.
///
/// # Errors
/// When both could be meant: one of the two readings would leave out keys that are revoked.
fn files(value: &str, expand: impl Fn(&Path) -> Result<PathBuf, Failure>) -> Result<Vec<PathBuf>, Failure> {
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Failure::new("ssh -G names a known_hosts file whose name is not UTF-8"));
    }
    let mut files: Vec<String> = Vec::new();
    let is_there = |text: &str| named(text, &expand).is_ok_and(|path| path.exists());
    for word in value.split(' ').filter(|word| *word != "none" && !word.is_empty()) {
        let begins = word.starts_with(['/', '~', '%', '$']);
        let joined = files.last().filter(|_| !begins).map(|last| format!("{last} {word}"));
        match joined {
            Some(joined) if is_there(word) && is_there(&joined) => {
                let (word, joined) = (escaped(word.as_bytes()), escaped(joined.as_bytes()));
                let failure = Failure::new(format!(
                    "ssh -G does not tell whether ssh_config names the known_hosts file {joined}, or {word} by itself"
                ));
                return Err(failure.hint("name it by a path that begins with / or ~/"));
            }
            Some(joined) if !is_there(word) => {
                files.pop();
                files.push(joined);
            }
            _ => files.push(word.to_owned()),
        }
    }
    files.iter().map(|file| named(file, &expand)).collect()
}

/// A file by its name, as it is or with what stands for something else in it.
fn named(text: &str, expand: &impl Fn(&Path) -> Result<PathBuf, Failure>) -> Result<PathBuf, Failure> {
    let path = Path::new(text);
    if path.symlink_metadata().is_ok() { Ok(path.to_owned()) } else { expand(path) }
}

/// What stands for something else in `ssh_config`.
struct Places<'a> {
    host: &'a str,
    answered: &'a Answered,
    environment: &'a Environment,
}

impl Places<'_> {
    /// The meaning of the letters behind percent signs. Those of the connection's hash and of tunnels are not worked out.
    fn tokens(&self) -> BTreeMap<char, String> {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let answered = self.answered;
        let of = |text: &str| text.to_owned();
        BTreeMap::from([
            ('d', self.environment.home().to_string_lossy().into_owned()),
            ('h', answered.address.clone()),
            ('i', rustix::process::getuid().as_raw().to_string()),
            ('j', answered.jumps.join(",")),
            ('k', of(answered.alias.as_deref().unwrap_or(self.host))),
            ('L', of(machine.split('.').next().unwrap_or_default())),
            ('l', machine),
            ('n', of(self.host)),
            ('p', answered.port.to_string()),
            ('r', answered.user.clone()),
            ('u', of(self.environment.user())),
        ])
    }

    fn expand(&self, path: &Path) -> Result<PathBuf, TokenError> {
        let text = with_variables(&path.to_string_lossy(), self.environment)?;
        let text = expanded(&text, &self.tokens())?;
        Ok(self.environment.expand_home(Path::new(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(host: &str, text: &str) -> Result<Answered, Failure> {
        super::parse(host, text, &Environment::of_process())
    }

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
        assert_eq!(
            (answered.policy, answered.asks_nobody, answered.unkept),
            (Policy::default(), false, None)
        );
    }

    #[test]
    fn what_a_connection_may_use_is_read() {
        let more =
            "hostkeyalgorithms rsa-sha2-512,ssh-rsa\nrequiredrsasize 3072\ncheckhostip yes\nmacs a,b\n";
        let Answered { policy, .. } = parse("erp", &format!("{SAID}{more}")).unwrap();
        assert_eq!(policy.host_keys, ["rsa-sha2-512", "ssh-rsa"]);
        assert_eq!(policy.macs.unwrap(), ["a", "b"]);
        assert!(policy.rsa_bits == 3072 && policy.check_ip);
        assert!(parse("erp", &format!("{SAID}requiredrsasize x\n")).is_err());
        let asks_nobody = |more: &str| parse("erp", &format!("{SAID}{more}\n")).unwrap().asks_nobody;
        assert!(asks_nobody("stricthostkeychecking true") && asks_nobody("batchmode yes"));
        assert!(
            !asks_nobody("stricthostkeychecking accept-new") && !asks_nobody("stricthostkeychecking false")
        );
        for (more, word) in [
            ("pubkeyauthentication false", "PubkeyAuthentication"),
            ("refuseconnection no", "RefuseConnection"),
        ] {
            let unkept = parse("erp", &format!("{SAID}{more}\n")).unwrap().unkept;
            assert!(unkept.unwrap().contains(word), "{unkept:?}");
        }
    }

    #[test]
    fn files_with_blanks_in_their_names_are_told_from_lists() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let one = path("one").display().to_string();
        let read = |value: &str| files(value, |path| Ok(path.to_owned()));
        assert_eq!(read(&format!("{one} two none")).unwrap(), [path("one two")], "none of them is there");
        assert_eq!(read(&format!("{one} Cargo.toml")).unwrap(), [path("one"), PathBuf::from("Cargo.toml")]);
        std::fs::write(path("one Cargo.toml"), "").unwrap();
        assert!(read(&format!("{one} Cargo.toml")).is_err(), "both are there");
        assert_eq!(files("~/x ~/y", |path| Ok(dir.path().join(path))).unwrap().len(), 2);
    }

    #[test]
    fn files_in_a_home_directory_are_found_and_those_of_others_refused() {
        let said = SAID.replace("/etc/ssh/ssh_known_hosts", "~/hosts ~/%h");
        let environment = Environment::of_process();
        let home = environment.home();
        let answered = parse("erp", &said).unwrap();
        assert_eq!(answered.system_known_hosts, [home.join("hosts"), home.join("%h")]);
        for key in ["userknownhostsfile /h/one", "globalknownhostsfile /etc/ssh/ssh_known_hosts"] {
            let (name, path) = key.split_once(' ').unwrap();
            let failure = parse("erp", &SAID.replace(key, &format!("{name} ~bob{path}"))).unwrap_err();
            assert!(failure.to_string().contains("another user's home"), "{failure}");
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        assert!(parse("erp", "user bob\nhostname x\n").is_err());
    }
}
