//! The way to a server: what the command line, `driftlock.toml` and `ssh_config` say, in this order.

use std::path::{Path, PathBuf};

use crate::control::Environment;
use crate::error::Failure;
use crate::host::ssh::ssh_config::{Answered, Given, ask};
use crate::host::ssh::{Hop, Identities, NewKeys, Route, Secret, Trust};
use crate::model::{Address, escaped, is_user_name};

/// How many jump hosts may lie one behind the other.
const JUMPS: usize = 8;
/// The private keys that ssh tries where none is named.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// A server as it was asked for.
pub(crate) struct Wanted {
    /// An address, or a Host of `ssh_config`; `user@` may stand before it.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) known_hosts: Option<PathBuf>,
    pub(crate) fingerprints: Vec<String>,
    pub(crate) new_keys: NewKeys,
}

/// Works out the way to a server.
pub(crate) fn route(wanted: &Wanted, environment: &Environment) -> Result<Route, Failure> {
    let mut hops = Vec::new();
    let mut hop = resolve(wanted, environment, &mut hops, 0)?;
    hop.trust.fingerprints.clone_from(&wanted.fingerprints);
    hops.push(hop);
    Ok(Route { hops })
}

/// One server, after the jump hosts before it.
fn resolve(
    wanted: &Wanted,
    environment: &Environment,
    before: &mut Vec<Hop>,
    depth: usize,
) -> Result<Hop, Failure> {
    let Called { user, host, port } = Called::read(&wanted.host)?;
    let user = wanted.user.clone().or(user);
    if user.as_deref().is_some_and(|user| !is_user_name(user)) {
        let failure =
            Failure::new(format!("the user of {} is none that can log in", escaped(host.as_bytes())));
        return Err(failure.hint("a user's name, without a password: keys alone log in"));
    }
    let port = wanted.port.or(port);
    let given = Given { port, user: user.as_deref(), key: wanted.key.as_deref() };
    let mut answered =
        ask(&host, &given, environment)?.unwrap_or_else(|| without_ssh(&host, &given, environment));
    if answered.proxy_command && answered.jumps.is_empty() {
        let failure = Failure::new(format!(
            "{}: ssh_config sets a ProxyCommand, which is not run",
            escaped(host.as_bytes())
        ));
        return Err(failure.hint("use ProxyJump instead"));
    }
    if let Some(why) = answered.unkept.map(str::to_owned).or_else(|| answered.policy.fault()) {
        let failure = Failure::new(format!("{}: {why}", escaped(host.as_bytes())));
        return Err(failure.hint("set it otherwise for this Host in ssh_config"));
    }
    jump(&answered.jumps, wanted, environment, before, depth)?;
    answered.log(&host);
    let agent = match answered.agent.as_deref() {
        Some("none") => None,
        Some(path) => Some(PathBuf::from(path)),
        None => environment.non_empty("SSH_AUTH_SOCK").map(PathBuf::from),
    };
    let files = std::mem::take(&mut answered.identity_files)
        .into_iter()
        .filter(|file| Some(file) != wanted.key.as_ref());
    Ok(Hop {
        name: host,
        identities: Identities {
            key: wanted.key.clone(),
            files: files.collect(),
            certificates: std::mem::take(&mut answered.certificate_files),
            only: answered.identities_only,
            agent,
            passphrase: environment.text("DRIFTLOCK_SSH_PASSPHRASE").map(|text| Secret(text.to_owned())),
        },
        trust: trust(wanted, &mut answered, environment),
        address: answered.address,
        port: answered.port,
        user: answered.user,
    })
}

/// The jump hosts of a server: the first one may lie behind others itself.
fn jump(
    jumps: &[String],
    wanted: &Wanted,
    environment: &Environment,
    before: &mut Vec<Hop>,
    depth: usize,
) -> Result<(), Failure> {
    for (position, jump) in jumps.iter().enumerate() {
        if depth == JUMPS || before.len() == JUMPS {
            return Err(Failure::new(format!("more than {JUMPS} jump hosts: does one lie behind itself?")));
        }
        let next = Wanted {
            host: jump.trim_start_matches("ssh://").to_owned(),
            port: None,
            user: None,
            key: None,
            known_hosts: wanted.known_hosts.clone(),
            fingerprints: Vec::new(),
            new_keys: wanted.new_keys,
        };
        let mut behind = Vec::new();
        let hop = resolve(&next, environment, &mut behind, depth + 1)?;
        // Only the way to the first one is its own: the others are reached through it.
        before.extend(behind.into_iter().filter(|_| position == 0));
        before.push(hop);
    }
    Ok(())
}

fn trust(wanted: &Wanted, answered: &mut Answered, environment: &Environment) -> Trust {
    let user = under_home(std::mem::take(&mut answered.user_known_hosts), environment);
    let files: Vec<PathBuf> = wanted.known_hosts.iter().cloned().chain(user).collect();
    Trust {
        record_in: files.first().cloned(),
        files: files.into_iter().chain(std::mem::take(&mut answered.system_known_hosts)).collect(),
        alias: answered.alias.take(),
        fingerprints: Vec::new(),
        new_keys: match wanted.new_keys {
            NewKeys::Ask if answered.asks_nobody => NewKeys::Refuse,
            new_keys => new_keys,
        },
        revoked: answered.revoked.take(),
        command: answered.known_hosts_command.take(),
        now: crate::control::clock::seconds_since_1970(),
        policy: std::mem::take(&mut answered.policy),
    }
}

/// ssh names its default files below the account's home directory, whatever `$HOME` says; here it is `$HOME`.
/// Any other file is the one that is named.
fn under_home(files: Vec<PathBuf>, environment: &Environment) -> Vec<PathBuf> {
    let Some(account) = environment.account_home().map(|home| home.join(".ssh")) else { return files };
    let moved = |file: PathBuf| match file.strip_prefix(&account).ok().and_then(Path::to_str) {
        Some(name @ ("known_hosts" | "known_hosts2")) => environment.home().join(".ssh").join(name),
        _ => file,
    };
    files.into_iter().map(moved).collect()
}

/// What holds where there is no ssh to ask.
fn without_ssh(host: &str, given: &Given<'_>, environment: &Environment) -> Answered {
    let ssh = environment.home().join(".ssh");
    let keys = if given.key.is_some() { &[][..] } else { &DEFAULT_KEYS };
    Answered {
        address: host.to_owned(),
        port: given.port.unwrap_or(22),
        user: given.user.unwrap_or_else(|| environment.user()).to_owned(),
        identity_files: keys.iter().map(|name| ssh.join(name)).collect(),
        user_known_hosts: ["known_hosts", "known_hosts2"].map(|name| ssh.join(name)).to_vec(),
        system_known_hosts: ["ssh_known_hosts", "ssh_known_hosts2"]
            .map(|name| Path::new("/etc/ssh").join(name))
            .to_vec(),
        ..Answered::default()
    }
}

/// `[user@]host[:port]`, an IPv6 address in brackets where a port follows.
struct Called {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Called {
    fn read(text: &str) -> Result<Self, Failure> {
        let bad = || {
            let failure = Failure::new(format!("\"{}\" is no name of a server", Address::new(text)));
            failure.hint("an address, a host name, or a Host of ssh_config; no password: keys alone log in")
        };
        let plain = text.strip_prefix("ssh://").unwrap_or(text);
        let (user, rest) = match plain.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, plain),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
            None => match rest.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (rest, None),
            },
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "\"'`$\\;&<>|(){}/?#".contains(c);
        // What has a colon is a user with a password, which would be seen in the arguments of ssh.
        let is_odd_user = |user: &String| !is_user_name(user);
        if host.is_empty()
            || host.starts_with('-')
            || host.contains(odd)
            || user.as_ref().is_some_and(is_odd_user)
        {
            return Err(bad());
        }
        let port =
            port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad)).transpose()?;
        Ok(Self { user, host: host.to_owned(), port })
    }
}

/// Looks whether a text can be the name of a server.
///
/// # Errors
/// When it cannot, or holds a password; the words do not repeat that.
pub(crate) fn check_name(text: &str) -> Result<(), Failure> {
    Called::read(text).map(drop)
}

/// Looks whether a text can be the name of a user.
///
/// # Errors
/// When it cannot, or holds a password; the words do not repeat that.
pub(crate) fn check_user(text: &str) -> Result<(), Failure> {
    if is_user_name(text) {
        return Ok(());
    }
    let failure = Failure::new("--ssh-user: that is no name of a user");
    Err(failure.hint("a name without a password: keys alone log in"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<String>, String, Option<u16>)> {
        Called::read(text).ok().map(|called| (called.user, called.host, called.port))
    }

    #[test]
    fn servers_are_called_as_ssh_users_call_them() {
        assert_eq!(read("erp"), Some((None, "erp".into(), None)));
        assert_eq!(read("bob@erp:2222"), Some((Some("bob".into()), "erp".into(), Some(2222))));
        assert_eq!(read("ssh://bob@erp:2222"), Some((Some("bob".into()), "erp".into(), Some(2222))));
        assert_eq!(read("::1"), Some((None, "::1".into(), None)));
        assert_eq!(read("bob@[fe80::1]:22"), Some((Some("bob".into()), "fe80::1".into(), Some(22))));
        assert_eq!(read("a@b@erp"), Some((Some("a@b".into()), "erp".into(), None)));
        assert_eq!(read("CORP\\bob@erp:22"), Some((Some("CORP\\bob".into()), "erp".into(), Some(22))));
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "erp:",
            "erp:0",
            "erp:x",
            "@erp",
            "a;b",
            "[::1]x",
            "a:b@erp",
            "a%3Ab@erp",
            "https://a@erp",
            "erp?a=b",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
