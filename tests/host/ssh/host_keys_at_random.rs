//! Host keys at random: `known_hosts` files that nobody wrote, before servers of every kind, as the real client and as
//! driftlock take them over a real connection. What `ssh` refuses driftlock refuses.
//!
//! `DRIFTLOCK_HOST_KEY_FILES` sets how many files, `DRIFTLOCK_SEED` which.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assert_fs::TempDir;
use data_encoding::BASE64;
use driftlock::host::ssh::{
    Access, EngineAccess, Hop, Identities, Judgement, Limits, Policy, PublicKeyOrCertificate, Route, SshHost,
    Trust,
};
use driftlock::host::{Host as _, Layout, Watch};
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{Certificate, PublicKey};
use sha1::Sha1;

use crate::support::daemon::{key_pair, keygen};
use crate::support::dice::Dice;
use crate::support::sshd::{Nobody, Server};

/// How many files are tried where nobody says.
const FILES: usize = 60;

/// What is thought of a server: from what is let pass to what is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thought {
    Trusted,
    Unknown,
    Refused,
}
use Thought::{Refused, Trusted, Unknown};

/// A host key of a server: its file, its type, and how a certificate of it is made, if there is one.
type HostKey = (&'static str, &'static str, Option<(&'static str, &'static [&'static str])>);

const NAMES: &str = "127.0.0.1,localhost,web.example.org,box";

/// What servers there are. Keys of one name are the same key.
const SERVERS: &[&[HostKey]] = &[
    &[("e1", "ed25519", None), ("c1", "ecdsa", None), ("r1", "rsa", None)],
    &[
        ("e2", "ed25519", Some(("ca1", &["-h", "-z", "7", "-I", "lucky", "-n", NAMES]))),
        ("c2", "ecdsa", None),
    ],
    &[
        ("e3", "ed25519", None),
        ("c3", "ecdsa", Some(("ca2", &["-h", "-z", "100", "-I", "other"]))),
        ("r1", "rsa", None),
    ],
    &[("r2", "rsa", Some(("ca1", &["-h", "-z", "12", "-I", "r2", "-n", NAMES])))],
    &[("e4", "ed25519", Some(("ca1", &["-h", "-I", "old", "-V", "20200101:20200102"])))],
    &[
        ("e5", "ed25519", Some(("ca1", &["-h", "-I", "else", "-n", "www.example.org,*"]))),
        ("r1", "rsa", None),
    ],
    &[("e6", "ed25519", Some(("ca1", &["-I", "user", "-n", NAMES])))],
    &[("e7", "ed25519", Some(("ca2", &["-h", "-I", "option", "-O", "critical:no-such-option=x"])))],
    &[("short1", "short", None)],
    &[("e8", "ed25519", Some(("ca3", &["-h", "-I", "sha1", "-t", "ssh-rsa"])))],
    &[("short2", "short", Some(("ca1", &["-h", "-z", "9", "-I", "short"]))), ("c4", "ecdsa", None)],
    &[
        ("e9", "ed25519", Some(("ca3", &["-h", "-z", "9", "-I", "by rsa", "-n", NAMES]))),
        ("r3", "rsa", Some(("ca2", &["-h", "-I", "r3"]))),
    ],
    &[("c5", "ecdsa", Some(("ca4", &["-h", "-I", "by ecdsa"]))), ("e2", "ed25519", None)],
];

const AUTHORITIES: [(&str, &str); 4] =
    [("ca1", "ed25519"), ("ca2", "ed25519"), ("ca3", "rsa"), ("ca4", "ecdsa")];

/// The host-key algorithms of OpenSSH 9, by their plain names.
const ALGORITHMS: [&str; 9] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
];

/// Lists of revoked keys as `ssh-keygen -k` makes them: of an authority, by these lines.
const REVOCATIONS: &[(&str, Option<&str>, &str)] = &[
    ("serials", Some("ca1"), "serial: 5-8\nserial: 100\n"),
    ("ids", Some("ca2"), "id: other\nid: option\n"),
    ("many", Some("ca1"), "serial: 9\nserial: 11-13\nserial: 15\nserial: 17\nserial: 19\nserial: 21-90\n"),
    ("keys", None, "key: {e1}\nkey: {ca3}\n"),
    ("sha1", None, "sha1: {c3}\nsha1: {ca1}\n"),
    ("sha256", None, "sha256: {r1}\nsha256: {e2}\n"),
    ("empty", None, ""),
];

/// Servers, and the keys that files may name.
struct Stage {
    dir: TempDir,
    /// An address of this machine's own beside 127.0.0.1, for which `ssh` heeds `CheckHostIP`; the servers listen there, too.
    address: Option<&'static str>,
    servers: Vec<Server>,
    keys: BTreeMap<String, String>,
}

/// An address of this machine's own that is none of its loopback.
fn own_address() -> Option<&'static str> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system only says from where it would be.
    socket.connect("203.0.113.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string().leak() as &str)
}

impl Stage {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let make = |name: &str, kind: &str| {
            if kind == "short" {
                keygen(&["-t", "rsa", "-b", "1024", "-N", "", "-C", "x", "-f", path(name).to_str().unwrap()]);
            } else {
                key_pair(&path(name), kind);
            }
        };
        let mut keys = BTreeMap::new();
        let more = [("o1", "ed25519"), ("o2", "ecdsa"), ("o3", "rsa")];
        let of_servers = SERVERS.iter().flat_map(|keys| keys.iter().map(|(name, kind, _)| (*name, *kind)));
        for (name, kind) in of_servers.chain(AUTHORITIES).chain(more) {
            if !keys.contains_key(name) {
                make(name, kind);
                let text = std::fs::read_to_string(path(&format!("{name}.pub"))).unwrap();
                keys.insert(name.to_owned(), text.split(' ').take(2).collect::<Vec<_>>().join(" "));
            }
        }
        for (name, authority, lines) in REVOCATIONS {
            let mut text = (*lines).to_owned();
            for (key, line) in &keys {
                text = text.replace(&format!("{{{key}}}"), line);
            }
            std::fs::write(path("spec"), text).unwrap();
            let authority = authority.map(|name| path(&format!("{name}.pub")).display().to_string());
            let mut args = vec!["-k", "-f"];
            let (list, spec) = (path(&format!("{name}.krl")), path("spec"));
            args.push(list.to_str().unwrap());
            args.extend(authority.iter().flat_map(|authority| ["-s", authority.as_str()]));
            args.push(spec.to_str().unwrap());
            keygen(&args);
        }
        let address = own_address();
        let servers = SERVERS.iter().enumerate().map(|(at, keys)| serve(dir.path(), at, keys, address));
        let servers = servers.collect();
        Self { dir, address, servers, keys }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A server with these keys, which have been made.
fn serve(dir: &Path, at: usize, keys: &[HostKey], address: Option<&str>) -> Server {
    Server::start(|setup| {
        if let Some(address) = address {
            setup.line(&format!("ListenAddress {address}"));
        }
        setup.host_keys(&[]);
        for (name, _, certificate) in keys {
            // Each server has its own copy, for one key may have several certificates.
            let own = dir.join(format!("{at}_{name}"));
            let public = own.with_extension("pub");
            std::fs::copy(dir.join(name), &own).unwrap();
            std::fs::copy(dir.join(name).with_extension("pub"), &public).unwrap();
            setup.line(&format!("HostKey {}", own.display()));
            if let Some((authority, options)) = certificate {
                let authority = dir.join(authority);
                let mut args = vec!["-s", authority.to_str().unwrap()];
                if !options.contains(&"-I") {
                    args.extend(["-I", "x"]);
                }
                args.extend(*options);
                args.push(public.to_str().unwrap());
                keygen(&args);
                setup.line(&format!("HostCertificate {}-cert.pub", own.display()));
            }
        }
    })
}

/// A host that is asked for, and all that is said of its keys.
#[derive(Debug)]
struct Case {
    server: usize,
    host: &'static str,
    alias: Option<&'static str>,
    /// Whether a key must be that of the server's address, too.
    check_ip: bool,
    /// What the two files of the user and the file of the system hold; nothing where there is none.
    files: Vec<Option<String>>,
    host_keys: Option<Vec<String>>,
    authorities: Option<Vec<String>>,
    rsa_bits: u32,
    revoked: Option<String>,
}

impl Case {
    fn new(stage: &Stage, dice: &mut Dice) -> Self {
        let server = dice.roll(SERVERS.len());
        let mut case = Self {
            server,
            host: dice.one_of(&["127.0.0.1", "127.0.0.1", "localhost"]),
            alias: dice.one_of(&[None, None, None, Some("web.example.org"), Some("BOX")]),
            check_ip: false,
            files: Vec::new(),
            host_keys: dice.once_in(3).then(|| algorithms(dice, true)),
            authorities: dice.once_in(5).then(|| algorithms(dice, false)),
            rsa_bits: dice.one_of(&[1024, 1024, 1024, 2048, 2049, 3072]),
            revoked: None,
        };
        // Only a name that is not the address itself is held against that.
        if let Some(address) = stage.address.filter(|_| case.alias.is_some() && !dice.once_in(4)) {
            case.host = address;
            case.check_ip = !dice.once_in(4);
        }
        for at in 0..3 {
            let lines = if at == 0 { 1 + dice.roll(5) } else { dice.roll(4) };
            let text: String = (0..lines).map(|_| case.line(stage, dice)).collect();
            case.files.push((at == 0 || dice.once_in(2)).then_some(text));
        }
        if dice.once_in(4) {
            case.revoked = Some(case.revocation(stage, dice));
        }
        case
    }

    fn port(&self, stage: &Stage) -> u16 {
        stage.servers[self.server].port
    }

    /// The name of a file of revoked keys.
    fn revocation(&self, stage: &Stage, dice: &mut Dice) -> String {
        match dice.roll(12) {
            0 => return "missing".to_owned(),
            1 => std::fs::write(stage.path("revoked"), "no key at all\n").unwrap(),
            2..5 => {
                let lines: Vec<String> = (0..=dice.roll(3)).map(|_| self.key(stage, dice)).collect();
                std::fs::write(stage.path("revoked"), format!("# old\n\n{}\n", lines.join(" why\n")))
                    .unwrap();
            }
            5 => {
                let mut bytes = std::fs::read(stage.path("many.krl")).unwrap();
                let at = dice.roll(bytes.len());
                bytes[at] ^= 1 << dice.roll(8);
                bytes.truncate(bytes.len() - dice.roll(3));
                std::fs::write(stage.path("revoked"), bytes).unwrap();
            }
            _ => return format!("{}.krl", dice.one_of(REVOCATIONS).0),
        }
        "revoked".to_owned()
    }

    /// The name of a key: mostly one that matters for the server.
    fn key(&self, stage: &Stage, dice: &mut Dice) -> String {
        let own = SERVERS[self.server];
        let (name, _, certificate) = dice.one_of(own);
        let name = match (dice.roll(10), certificate) {
            (0..5, _) | (5..8, None) => name,
            (5..8, Some((authority, _))) => authority,
            _ => return stage.keys.values().nth(dice.roll(stage.keys.len())).unwrap().clone(),
        };
        stage.keys[name].clone()
    }

    /// A name or a pattern: mostly one that means the host.
    fn pattern(&self, stage: &Stage, dice: &mut Dice) -> String {
        let port = self.port(stage);
        let bare = self.alias.unwrap_or(self.host);
        let name = if self.alias.is_some() { bare.to_owned() } else { format!("[{bare}]:{port}") };
        if Some(self.host) == stage.address && dice.once_in(2) {
            let host = self.host;
            return [format!("[{host}]:{port}"), host.to_owned(), format!("[{host}]:*")][dice.roll(3)]
                .clone();
        }
        let pattern = match dice.roll(16) {
            0..6 => name,
            6 => bare.to_owned(),
            7 => format!("[{bare}]:{port}"),
            8 => "*".to_owned(),
            9 => format!("[{bare}]:*"),
            10 => format!("?{}", &name[1..]),
            11 => format!("{}*", &name[..name.len() / 2]),
            12 => name.to_uppercase(),
            13 => format!("[{bare}]:{}", port - 1),
            14 => "*.example.com".to_owned(),
            _ => format!("{name}?"),
        };
        if dice.once_in(9) { format!("!{pattern}") } else { pattern }
    }

    fn line(&self, stage: &Stage, dice: &mut Dice) -> String {
        let key = self.key(stage, dice);
        let hosts = if dice.once_in(6) {
            hashed(&self.pattern(stage, dice).to_lowercase(), dice)
        } else {
            let patterns = [1, 1, 1, 2, 3][dice.roll(5)];
            (0..patterns).map(|_| self.pattern(stage, dice)).collect::<Vec<_>>().join(",")
        };
        let blank = |dice: &mut Dice| dice.one_of(&[" ", " ", " ", " ", "  ", "\t", " \t "]);
        let marker = match dice.roll(20) {
            0..9 => "",
            9..14 => "@cert-authority",
            14..19 => "@revoked",
            _ => "@other",
        };
        let key = match dice.roll(25) {
            0 => key[..key.len() - 5].to_owned(),
            1 => key.replacen("ssh-", "sh-", 1),
            2 => key.split(' ').next_back().unwrap().to_owned(),
            3 => key.replacen("ssh-rsa", "rsa-sha2-512", 1),
            _ => key.replacen(' ', blank(dice), 1),
        };
        let before = dice.one_of(&["", "", "", "", "", " ", "\t", "#", "# "]);
        let after = dice.one_of(&["", "", " of the web", "\r", " \t", "\t# x"]);
        let marker = if marker.is_empty() { String::new() } else { format!("{marker}{}", blank(dice)) };
        let end = dice.one_of(&["\n", "\n", "\n", "\n\n", "\n\r\n", "\nrubbish here\n"]);
        format!("{before}{marker}{hosts}{}{key}{after}{end}", blank(dice))
    }

    /// Writes the files anew: those of the user, and that of the system.
    fn write(&self, stage: &Stage) -> (Vec<PathBuf>, PathBuf) {
        let write = |(at, text): (usize, &Option<String>)| {
            let path = stage.path(&format!("known.{at}"));
            let _ = std::fs::remove_file(&path);
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            path
        };
        let mut files: Vec<PathBuf> = self.files.iter().enumerate().map(write).collect();
        let system = files.pop().unwrap();
        (files, system)
    }

    /// Whether the real client gets past the host key.
    fn passes(&self, stage: &Stage, strict: &str) -> bool {
        let (user, system) = self.write(stage);
        let user: Vec<String> = user.iter().map(|path| path.display().to_string()).collect();
        let mut options = vec![
            format!("UserKnownHostsFile={}", user.join(" ")),
            format!("GlobalKnownHostsFile={}", system.display()),
            format!("StrictHostKeyChecking={strict}"),
            format!("HostName={}", self.host),
            format!("CheckHostIP={}", if self.check_ip { "yes" } else { "no" }),
            format!("RequiredRSASize={}", self.rsa_bits),
            "PreferredAuthentications=none".to_owned(),
            "KexAlgorithms=curve25519-sha256".to_owned(),
        ];
        options.extend(self.alias.map(|alias| format!("HostKeyAlias={alias}")));
        let list = |names: &Vec<String>| names.join(",");
        options.extend(self.host_keys.as_ref().map(|names| format!("HostKeyAlgorithms={}", list(names))));
        options
            .extend(self.authorities.as_ref().map(|names| format!("CASignatureAlgorithms={}", list(names))));
        options.extend(
            self.revoked.as_ref().map(|name| format!("RevokedHostKeys={}", stage.path(name).display())),
        );
        let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option.as_str()]).collect();
        let output = stage.servers[self.server].ssh(&options, "true");
        let told = String::from_utf8_lossy(&output.stderr);
        // A client that a signal ended has let no key pass.
        let refused = output.status.signal().is_some()
            || ["Host key verification failed.", "Bad server host key", "no matching host key type"]
                .iter()
                .any(|word| told.contains(word));
        assert!(told.contains("Permission denied") != refused, "{:?} {self:#?}: {told}", output.status);
        !refused
    }

    fn real(&self, stage: &Stage) -> Thought {
        if self.passes(stage, "yes") {
            Trusted
        } else if self.passes(stage, "accept-new") {
            Unknown
        } else {
            Refused
        }
    }

    /// What driftlock says on a connection of its own, on which it gets past the host key and has no key to log in.
    fn ours(&self, stage: &Stage) -> (Thought, String) {
        let (mut files, system) = self.write(stage);
        files.push(system);
        let mut policy = Policy { rsa_bits: self.rsa_bits, check_ip: self.check_ip, ..Policy::default() };
        policy.host_keys = self.host_keys.clone().unwrap_or(policy.host_keys);
        policy.authorities = self.authorities.clone().unwrap_or(policy.authorities);
        let hop = Hop {
            name: self.host.to_owned(),
            address: self.host.to_owned(),
            port: self.port(stage),
            user: stage.servers[self.server].user().to_owned(),
            trust: Trust {
                files,
                alias: self.alias.map(str::to_ascii_lowercase),
                revoked: self.revoked.as_ref().map(|name| stage.path(name)),
                now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
                policy,
                ..Trust::default()
            },
            identities: Identities::default(),
        };
        let access = Access {
            timeout: Duration::from_secs(30),
            sudo: false,
            engine: EngineAccess::Auto,
            limits: Limits::default(),
        };
        let layout = Layout::of_root(stage.dir.path());
        let host = SshHost::new(Route { hops: vec![hop] }, layout, access, Arc::new(Nobody));
        let why = host.observe(&[], &Watch::default()).unwrap_err().to_string();
        let thought = if why.contains("there is no key to log in with") {
            Trusted
        } else if why.contains("no known_hosts file knows that host") {
            Unknown
        } else {
            Refused
        };
        (thought, why)
    }

    /// Why driftlock may be stricter than `ssh` here; each is deliberate.
    fn stricter(&self, why: &str) -> Option<&'static str> {
        let text: String = self.files.iter().flatten().cloned().collect();
        if text.contains("@revoked\t") && why.contains("revokes") {
            return Some("a tab behind @revoked voids the line for ssh");
        }
        let has_port = self.alias.is_none();
        if has_port && why.contains("revokes") && text.contains("@revoked") {
            return Some("what is revoked for a host without its port is refused for a new port of it, too");
        }
        if self.check_ip && why.contains("revokes") {
            return Some("a key that is revoked for the server's address is refused");
        }
        // OpenSSH 9.2 reads the lines of the address only where the key came without a certificate.
        let is_certified = SERVERS[self.server].iter().any(|(_, _, certificate)| certificate.is_some());
        if self.check_ip && is_certified && why.contains("(CheckHostIP)") {
            return Some("the key in a certificate that does not count must be that of the address, too");
        }
        let of_sha1 = |names: &Option<Vec<String>>| names.iter().flatten().any(|name| name == "ssh-rsa");
        if of_sha1(&self.host_keys) || of_sha1(&self.authorities) {
            return Some("SHA-1 is never used");
        }
        if has_port && (why.contains("its certificate does not count") || why.contains(", but ")) {
            return Some("a certificate of an authority that is not known makes no name without port count");
        }
        None
    }
}

/// Some algorithms in some order; of host keys, with those of certificates among them.
fn algorithms(dice: &mut Dice, certificates: bool) -> Vec<String> {
    let mut names: Vec<String> = ALGORITHMS.iter().map(|name| (*name).to_owned()).collect();
    if certificates {
        let certified =
            |name: &&str| format!("{}-cert-v01@openssh.com", name.trim_end_matches("@openssh.com"));
        names.extend(ALGORITHMS.iter().map(certified));
    }
    let mut chosen = Vec::new();
    for _ in 0..=dice.roll(names.len()) {
        chosen.push(names.remove(dice.roll(names.len())));
    }
    chosen
}

/// A name as `ssh-keygen -H` hashes it.
fn hashed(name: &str, dice: &mut Dice) -> String {
    let salt: Vec<u8> = (0..20).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    mac.update(name.as_bytes());
    format!("|1|{}|{}", BASE64.encode(&salt), BASE64.encode(&mac.finalize().into_bytes()))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn what_ssh_refuses_is_refused() {
    let files = number("DRIFTLOCK_HOST_KEY_FILES").map_or(FILES, |files| usize::try_from(files).unwrap());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("DRIFTLOCK_SEED").unwrap_or(clock.as_secs() ^ u64::from(clock.subsec_nanos()));
    println!("DRIFTLOCK_SEED={seed} DRIFTLOCK_HOST_KEY_FILES={files}");
    let stage = Stage::new();
    let mut counts: BTreeMap<(Thought, Thought), usize> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = String::new();
    for at in 0..files {
        let mut dice = Dice(seed.wrapping_add((at as u64) << 32));
        let case = Case::new(&stage, &mut dice);
        let (real, (ours, why)) = (case.real(&stage), case.ours(&stage));
        *counts.entry((real, ours)).or_default() += 1;
        if ours > real {
            match case.stricter(&why) {
                Some(reason) => *reasons.entry(reason).or_default() += 1,
                None => writeln!(wrong, "file {at}: stricter: ssh {real:?}, ours {ours:?}: {why}\n{case:#?}")
                    .unwrap(),
            }
        } else if ours < real {
            writeln!(wrong, "file {at}: WEAKER: ssh {real:?}, ours {ours:?}: {why}\n{case:#?}").unwrap();
        }
    }
    println!("(ssh, driftlock): {counts:#?}\nstricter on purpose: {reasons:#?}");
    assert!(wrong.is_empty(), "DRIFTLOCK_SEED={seed}\n{wrong}");
}

/// A line of what `ssh-keygen -k` makes a list of.
fn revoking(stage: &Stage, dice: &mut Dice) -> String {
    let serial = 1 + dice.roll(40);
    let key = stage.keys.values().nth(dice.roll(stage.keys.len())).unwrap();
    match dice.roll(7) {
        0 => format!("serial: {serial}\n"),
        1 => format!("serial: {serial}-{}\n", serial + 1 + dice.roll(200)),
        2 => format!("id: {}\n", dice.one_of(&["lucky", "other", "r2", "by rsa", "nobody"])),
        3 => format!("key: {key}\n"),
        4 => format!("sha1: {key}\n"),
        5 => format!("sha256: {key}\n"),
        _ => (0..20).map(|_| format!("serial: {}\n", 1 + dice.roll(120))).collect(),
    }
}

#[test]
fn lists_of_revoked_keys_are_read_as_ssh_keygen_reads_them() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("DRIFTLOCK_SEED").unwrap_or(clock.as_secs() ^ u64::from(clock.subsec_nanos()));
    println!("DRIFTLOCK_SEED={seed}");
    let mut dice = Dice(seed);
    let stage = Stage::new();
    let (list, spec) = (stage.path("list.krl"), stage.path("list.spec"));
    let mut revoked = 0;
    for _ in 0..number("DRIFTLOCK_REVOCATION_LISTS").unwrap_or(25) {
        let lines: String = (0..dice.roll(5)).map(|_| revoking(&stage, &mut dice)).collect();
        std::fs::write(&spec, &lines).unwrap();
        let authority = stage.path(&format!("{}.pub", dice.one_of(&AUTHORITIES).0));
        keygen(&[
            "-k",
            "-f",
            list.to_str().unwrap(),
            "-s",
            authority.to_str().unwrap(),
            spec.to_str().unwrap(),
        ]);
        // A point beside its curve is found by `ssh-keygen` alone.
        let is_damaged = !authority.ends_with("ca4.pub") && dice.once_in(2);
        if is_damaged {
            let mut bytes = std::fs::read(&list).unwrap();
            let at = dice.roll(bytes.len());
            bytes[at] ^= 1 << dice.roll(8);
            bytes.truncate(bytes.len() - dice.one_of(&[0, 0, 0, 1, 5]));
            std::fs::write(&list, bytes).unwrap();
        }
        for (at, keys) in SERVERS.iter().enumerate() {
            for (name, kind, certificate) in *keys {
                let shown = match certificate {
                    Some(_) => stage.path(&format!("{at}_{name}-cert.pub")),
                    None => stage.path(&format!("{at}_{name}.pub")),
                };
                let text = std::fs::read_to_string(&shown).unwrap();
                let offered: PublicKeyOrCertificate = match certificate {
                    Some(_) => Certificate::from_openssh(&text).unwrap().into(),
                    None => PublicKey::from_openssh(&text).unwrap().into(),
                };
                let asked =
                    std::process::Command::new("ssh-keygen").arg("-Qf").arg(&list).arg(&shown).output();
                let real = !asked.unwrap().status.success();
                let trust = Trust { revoked: Some(list.clone()), ..Trust::default() };
                let judged = trust.judge("erp", 22, &offered);
                let ours = matches!(&judged, Judgement::Refused(why) if why.contains("RevokedHostKeys"));
                // What `ssh-keygen` reads of a damaged list may still be refused here.
                let is_right = if is_damaged { ours || !real } else { ours == real };
                assert!(
                    is_right,
                    "DRIFTLOCK_SEED={seed} {name} {kind} {lines}: {judged:?}, ssh-keygen {real}"
                );
                revoked += usize::from(real);
            }
        }
    }
    assert!(revoked > 0, "no list revoked anything");
}
