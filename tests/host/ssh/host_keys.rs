//! Host keys: what `known_hosts` files say to driftlock and to the real client, side by side.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use assert_fs::TempDir;
use driftlock::host::ssh::{Judgement, PublicKeyOrCertificate, Trust};
use russh::keys::{Algorithm, Certificate, PublicKey};

use crate::support::daemon::{key_pair, keygen};
use crate::support::sshd::{Server, Setup};

/// What both must think of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It is let pass without a question.
    Trusted,
    /// It is let pass only by those who take new hosts.
    Unknown,
    /// It is never let pass.
    Refused,
}
use Expected::{Refused, Trusted, Unknown};

/// A host that is asked for, what its files hold, and what follows. In the files `{key}` is the server's key,
/// `{base64}` that without its type, `{other}` another one of its type, `{rsa}` and `{ecdsa}` ones of other types, `{ca}` the authority of its
/// certificate, `{ca2}` another, and `{hashed NAME}` a hashed name.
struct Case {
    host: &'static str,
    port: u16,
    alias: Option<&'static str>,
    files: &'static [&'static str],
    expected: Expected,
}

const fn case(host: &'static str, port: u16, files: &'static [&'static str], expected: Expected) -> Case {
    Case { host, port, alias: None, files, expected }
}

/// Port 22.
const fn plain(file: &'static [&'static str], expected: Expected) -> Case {
    case("web.example.org", 22, file, expected)
}

/// Another port.
const fn port(file: &'static [&'static str], expected: Expected) -> Case {
    case("web.example.org", 2222, file, expected)
}

const fn alias(alias: &'static str, file: &'static [&'static str], expected: Expected) -> Case {
    Case { host: "web.example.org", port: 2222, alias: Some(alias), files: file, expected }
}

/// A server, what it shows, and the keys that files may name.
struct Stage {
    server: Server,
    dir: TempDir,
    offered: PublicKeyOrCertificate,
}

impl Stage {
    /// A server with a plain key.
    fn plain() -> Self {
        Self::with_key("ed25519")
    }

    /// A server with a plain key of this type.
    fn with_key(kind: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let server = Server::start(|setup| {
            setup.host_keys(&[kind]);
        });
        let key = PublicKey::from_openssh(&server.host_key(kind)).unwrap();
        Self::of(server, dir, key.into())
    }

    /// A server with a certificate that an authority of this type made with these options.
    fn certified(ca: &str, options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        key_pair(&dir.path().join("ca"), ca);
        let certify = |setup: &mut Setup| {
            setup.certify(&dir.path().join("ca"), options);
        };
        let server = Server::start(certify);
        let certificate = Certificate::from_openssh(&server.certificate()).unwrap();
        Self::of(server, dir, certificate.into())
    }

    fn of(server: Server, dir: TempDir, offered: PublicKeyOrCertificate) -> Self {
        for (name, kind) in [("other", "ed25519"), ("rsa", "rsa"), ("ecdsa", "ecdsa"), ("ca2", "ed25519")] {
            key_pair(&dir.path().join(name), kind);
        }
        Self { server, dir, offered }
    }

    /// The public key of a name: its type and base64.
    fn key(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.dir.path().join(name).with_extension("pub"));
        text.unwrap_or_default().split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A file's text with keys and hashes in their places.
    fn text(&self, template: &str) -> String {
        let key = self.offered.public_key().to_openssh().unwrap();
        let mut text = template.replace("{key}", key.trim_end());
        text = text.replace("{base64}", key.split(' ').nth(1).unwrap());
        for name in ["other", "rsa", "ecdsa", "ca2", "ca"] {
            text = text.replace(&format!("{{{name}}}"), &self.key(name));
        }
        while let Some((before, rest)) = text.split_once("{hashed ") {
            let (name, after) = rest.split_once('}').unwrap();
            text = format!("{before}{}{after}", hashed(self.dir.path(), name));
        }
        text
    }

    /// Writes the files of a case; those that are `missing` stay so.
    fn write(&self, case: &Case, set: &str) -> Vec<PathBuf> {
        let write = |(at, template): (usize, &&str)| {
            let path = self.dir.path().join(format!("{set}.{at}"));
            let _ = std::fs::remove_file(&path);
            if *template != "missing" {
                std::fs::write(&path, self.text(template)).unwrap();
            }
            path
        };
        case.files.iter().enumerate().map(write).collect()
    }

    fn judged(&self, case: &Case) -> Expected {
        let trust = Trust {
            files: self.write(case, "ours"),
            alias: case.alias.map(str::to_owned),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
            ..Trust::default()
        };
        match trust.judge(case.host, case.port, &self.offered) {
            Judgement::Trusted => Trusted,
            Judgement::Unknown(_) => Unknown,
            Judgement::Refused(_) => Refused,
        }
    }

    /// Whether the real client gets past the host key.
    fn real(&self, case: &Case, strict: &str) -> bool {
        let files: Vec<String> =
            self.write(case, strict).iter().map(|path| path.display().to_string()).collect();
        let mut options = vec![
            format!("UserKnownHostsFile={}", files.join(" ")),
            format!("StrictHostKeyChecking={strict}"),
            format!("ProxyCommand=busybox nc 127.0.0.1 {}", self.server.port),
            format!("HostName={}", case.host),
            format!("Port={}", case.port),
            // No more than is needed to get past the host key.
            "PreferredAuthentications=none".to_owned(),
            "KexAlgorithms=curve25519-sha256".to_owned(),
        ];
        options.extend(case.alias.map(|alias| format!("HostKeyAlias={alias}")));
        let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option.as_str()]).collect();
        let output = self.server.ssh(&options, "true");
        let told = String::from_utf8_lossy(&output.stderr);
        let refused = told.contains("Host key verification failed.");
        assert!(told.contains("Permission denied") != refused, "{:?}: {told}", case.files);
        !refused
    }

    /// What the real client and driftlock think.
    fn both(&self, case: &Case) -> (Expected, Expected) {
        let real = if self.real(case, "ask") {
            Trusted
        } else if self.real(case, "accept-new") {
            Unknown
        } else {
            Refused
        };
        (real, self.judged(case))
    }

    /// Holds driftlock and the real client to what is expected of both.
    fn hold(&self, cases: &[Case]) {
        let mut wrong = Vec::new();
        for case in cases {
            let (real, ours) = self.both(case);
            if (real, ours) != (case.expected, case.expected) {
                let Case { host, port, alias, files, expected } = case;
                wrong.push(format!(
                    "{host} {port} {alias:?} {files:?}: {expected:?}, ssh {real:?}, ours {ours:?}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// A name as `ssh-keygen -H` hashes it.
fn hashed(dir: &Path, name: &str) -> String {
    let path = dir.join("to_hash");
    let key = std::fs::read_to_string(dir.join("other.pub")).unwrap();
    std::fs::write(&path, format!("{name} {key}")).unwrap();
    keygen(&["-H", "-f", path.to_str().unwrap()]);
    std::fs::read_to_string(path).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn names_and_ports_are_matched_as_ssh_matches_them() {
    Stage::plain().hold(&[
        plain(&["web.example.org {key}\n"], Trusted),
        plain(&["www.example.org {key}\n"], Unknown),
        plain(&["www,web.example.org,10.0.0.1 {key}\n"], Trusted),
        plain(&["{hashed web.example.org} {key}\n"], Trusted),
        plain(&["{hashed www.example.org} {key}\n"], Unknown),
        plain(&["{hashed www.example.org},web.example.org {key}\n"], Unknown),
        plain(&["*.example.org {key}\n"], Trusted),
        plain(&["w?b.*.org {key}\n"], Trusted),
        plain(&["w?.example.org,*.example.com {key}\n"], Unknown),
        plain(&["*.example.org,!web.example.org {key}\n"], Unknown),
        plain(&["!web.example.org,*.example.org {key}\n"], Unknown),
        plain(&["!www.example.org {key}\n"], Unknown),
        plain(&["!web.* {other}\n*.example.org {key}\n"], Trusted),
        plain(&["[web.example.org]:22 {key}\n"], Unknown),
        plain(&["[web.example.org] {key}\n"], Unknown),
        plain(&["WEB.Example.ORG {key}\n"], Trusted),
        case("WEB.Example.ORG", 22, &["web.example.org {key}\n"], Trusted),
        case("WEB.Example.ORG", 22, &["{hashed web.example.org} {key}\n"], Trusted),
        case("WEB.Example.ORG", 2222, &["{hashed [web.example.org]:2222} {key}\n"], Trusted),
        port(&["[web.example.org]:2222 {key}\n"], Trusted),
        port(&["[web.example.org]:2223 {key}\n"], Unknown),
        port(&["[*.org]:222? {key}\n"], Trusted),
        port(&["*2 {key}\n"], Trusted),
        port(&["{hashed [web.example.org]:2222} {key}\n"], Trusted),
        case("::1", 22, &["::1 {key}\n"], Trusted),
        case("::1", 2222, &["[::1]:2222 {key}\n"], Trusted),
        case("::1", 2222, &["::1 {key}\n"], Trusted),
        case("::1", 2222, &["[::2]:2222 {key}\n"], Unknown),
        case("0:0:0:0::0001", 2222, &["[::1]:2222 {key}\n"], Trusted),
        case("::FFFF:10.0.0.1", 22, &["::ffff:10.0.0.1 {key}\n"], Trusted),
        case("::1", 22, &["::0001 {key}\n"], Unknown),
    ]);
}

#[test]
fn a_name_without_port_counts_where_nothing_else_is_known() {
    Stage::plain().hold(&[
        port(&["web.example.org {key}\n"], Trusted),
        port(&["{hashed web.example.org} {key}\n"], Trusted),
        port(&["web.example.org {other}\n"], Unknown),
        port(&["web.example.org {other}\nweb.example.org {key}\n"], Trusted),
        port(&["[web.example.org]:2222 {other}\nweb.example.org {key}\n"], Refused),
        port(&["[web.example.org]:2222 {key}\nweb.example.org {other}\n"], Trusted),
        port(&["[web.example.org]:2222 {rsa}\nweb.example.org {key}\n"], Refused),
        port(&["web.example.org {key}\n@revoked * {other}\n"], Trusted),
        port(&["@revoked web.example.org {key}\n[web.example.org]:2222 {key}\n"], Trusted),
    ]);
}

#[test]
fn an_alias_stands_for_host_and_port() {
    Stage::plain().hold(&[
        alias("box", &["box {key}\n"], Trusted),
        alias("box", &["[box]:2222 {key}\n"], Unknown),
        alias("box", &["web.example.org,[web.example.org]:2222 {key}\n"], Unknown),
        alias("box", &["box {other}\nweb.example.org {key}\n"], Refused),
        alias("BOX", &["box {key}\n"], Trusted),
        alias("BOX", &["{hashed box} {key}\n"], Trusted),
        alias("b.x", &["b?x {key}\n"], Trusted),
    ]);
}

#[test]
fn of_several_keys_one_must_be_right() {
    Stage::plain().hold(&[
        plain(&["web.example.org {other}\n"], Refused),
        plain(&["web.example.org {other}\nweb.example.org {key}\n"], Trusted),
        plain(&["web.example.org {key}\nweb.example.org {other}\n"], Trusted),
        plain(&["web.example.org {other}\n*.org {key}\n"], Trusted),
        plain(&["*.org {other}\n"], Refused),
        plain(&["web.example.org {rsa}\n"], Refused),
        plain(&["web.example.org {rsa}\nweb.example.org {ecdsa}\n"], Refused),
        plain(&["web.example.org {rsa}\nweb.example.org {key}\n"], Trusted),
        plain(&["web.example.org {other}\n", "web.example.org {key}\n"], Trusted),
        plain(&["web.example.org {other}\n", "www.example.org {key}\n"], Refused),
        plain(&["missing", "web.example.org {key}\n"], Trusted),
        plain(&["missing"], Unknown),
        plain(&["", ""], Unknown),
    ]);
}

#[test]
fn a_revoked_key_is_refused_wherever_that_stands() {
    Stage::plain().hold(&[
        plain(&["@revoked web.example.org {key}\nweb.example.org {key}\n"], Refused),
        plain(&["web.example.org {key}\n@revoked web.example.org {key}\n"], Refused),
        plain(&["web.example.org {key}\n@revoked * {key}\n"], Refused),
        plain(&["web.example.org {key}\n", "@revoked * {key}"], Refused),
        plain(&["@revoked {hashed web.example.org} {key}\nweb.example.org {key}\n"], Refused),
        plain(&["@revoked * {key}\n"], Refused),
        plain(&["@revoked * {other}\nweb.example.org {key}\n"], Trusted),
        plain(&["@revoked * {other}\n"], Unknown),
        plain(&["@revoked www.example.org {key}\nweb.example.org {key}\n"], Trusted),
        plain(&["@revoked *,!web.example.org {key}\nweb.example.org {key}\n"], Trusted),
        plain(&["  @revoked  \t*  \t{key}  why\nweb.example.org {key}\n"], Refused),
        port(&["[web.example.org]:2222 {key}\n@revoked * {key}\n"], Refused),
        port(&["web.example.org {key}\n@revoked * {key}\n"], Refused),
        plain(&["@cert-authority * {key}\n"], Unknown),
        plain(&["@cert-authority * {key}\nweb.example.org {other}\n"], Refused),
    ]);
}

#[test]
fn lines_that_make_no_sense_spoil_nothing() {
    Stage::plain().hold(&[
        plain(&["web.example.org {key}"], Trusted),
        plain(&["web.example.org {key}\r\n"], Trusted),
        plain(&["web.example.org {key} of the web\r\n"], Trusted),
        plain(&["\r\n# note\r\n\nweb.example.org {other}\r\nweb.example.org {key}\r\n"], Trusted),
        plain(&[" \t web.example.org \t  {key}\t# note\n"], Trusted),
        plain(&["web.example.org\t{key}\n"], Trusted),
        plain(&["# web.example.org {key}\n"], Unknown),
        plain(&["#web.example.org {key}\n"], Unknown),
        plain(&["web.example.org\nweb.example.org {key}\n"], Trusted),
        plain(&["web.example.org ssh-ed25519\nweb.example.org ssh-ed25519 AAAA\n"], Unknown),
        plain(&["web.example.org ssh-ed25519 ????\nrubbish\n|1|x {key}\nweb.example.org {key}\n"], Trusted),
        plain(&["{key}\n"], Unknown),
        plain(&["web.example.org x{key}\n"], Unknown),
        plain(&["web.example.org {key}x\n"], Unknown),
        plain(&["@unknown web.example.org {key}\n"], Unknown),
        plain(&["@revoked @revoked web.example.org {key}\n"], Unknown),
        plain(&["@revoked\nweb.example.org {key}\n"], Trusted),
        plain(&["web.example.org 2048 65537 12345\nweb.example.org {key}\n"], Trusted),
        plain(&["web.example.org \"{key}\"\n"], Unknown),
        plain(&["web.example.org\u{b}{key}\n"], Unknown),
        plain(&["\u{feff}web.example.org {key}\n"], Unknown),
        plain(&["web.example.org ssh-rsa {key}\n"], Unknown),
        plain(&["web.example.org,\u{e9} {key}\n"], Trusted),
        plain(&["web.example.org {key}\u{0}\n"], Trusted),
        plain(&["\u{0}\nweb.example.org {key}\n"], Trusted),
    ]);
}

#[test]
fn the_type_before_a_key_must_be_its_own() {
    Stage::with_key("rsa").hold(&[
        plain(&["web.example.org {key}\n"], Trusted),
        plain(&["web.example.org rsa-sha2-256 {base64}\n"], Trusted),
        plain(&["web.example.org rsa-sha2-512 {base64}\n"], Trusted),
        plain(&["web.example.org rsa-sha2-384 {base64}\n"], Unknown),
        plain(&["web.example.org ssh-rsa-cert-v01@openssh.com {base64}\n"], Unknown),
        plain(&["web.example.org RSA {base64}\n"], Unknown),
        plain(&["web.example.org ssh-ed25519 {base64}\n"], Unknown),
        plain(&["@revoked * rsa-sha2-512 {base64}\nweb.example.org {key}\n"], Refused),
        plain(&["web.example.org {other}\n"], Refused),
    ]);
    Stage::with_key("ecdsa").hold(&[
        plain(&["web.example.org {key}\n"], Trusted),
        plain(&["web.example.org ecdsa-sha2-nistp384 {base64}\n"], Unknown),
        plain(&["web.example.org {ecdsa}\n"], Refused),
    ]);
}

/// What files say of a certificate that is good.
const GOOD: &[Case] = &[
    plain(&["@cert-authority web.example.org {ca}\n"], Trusted),
    plain(&["@cert-authority *.example.org {ca}\n"], Trusted),
    plain(&["@cert-authority {hashed web.example.org} {ca}\n"], Trusted),
    plain(&["@cert-authority www.example.org {ca}\n"], Unknown),
    plain(&["@cert-authority *,!web.example.org {ca}\n"], Unknown),
    plain(&["@cert-authority * {ca2}\n"], Unknown),
    plain(&["@cert-authority * {ca2}\n@cert-authority * {ca}\n"], Trusted),
    plain(&["@cert-authority * {ca2}\n", "missing", "@cert-authority * {ca}\n"], Trusted),
    plain(&["@cert-authority * {ca}\nweb.example.org {other}\n"], Trusted),
    plain(&["@cert-authority * {ca2}\nweb.example.org {key}\n"], Trusted),
    plain(&["@cert-authority * {ca2}\nweb.example.org {other}\n"], Refused),
    plain(&["web.example.org {key}\n"], Trusted),
    plain(&["web.example.org {other}\n"], Refused),
    plain(&["web.example.org {ca}\n"], Refused),
    plain(&["missing"], Unknown),
    plain(&["@cert-authority * {ca}\n@revoked * {ca}\n"], Refused),
    plain(&["@revoked * {ca}\n@cert-authority * {ca}\n"], Refused),
    plain(&["@cert-authority * {ca}\n@revoked * {key}\n"], Refused),
    plain(&["@revoked * {ca}\nweb.example.org {key}\n"], Refused),
    plain(&["@revoked www.* {ca}\n@cert-authority * {ca}\n"], Trusted),
    plain(&["@cert-authority\tweb.example.org {ca}\n"], Unknown),
    plain(&["@cert-authority\tweb.example.org {ca}\nweb.example.org {key}\n"], Trusted),
    port(&["@cert-authority [web.example.org]:2222 {ca}\n"], Trusted),
    port(&["@cert-authority [*.example.org]:* {ca}\n"], Trusted),
    port(&["@cert-authority [web.example.org]:2223 {ca}\n"], Unknown),
    port(&["@cert-authority web.example.org {ca}\n"], Trusted),
    port(&["@cert-authority web.example.org {ca2}\n"], Unknown),
    port(&["@cert-authority [web.example.org]:2222 {ca2}\n@cert-authority web.example.org {ca}\n"], Trusted),
    port(&["@cert-authority [web.example.org]:2222 {ca2}\nweb.example.org {key}\n"], Trusted),
    port(&["[web.example.org]:2222 {other}\n@cert-authority web.example.org {ca}\n"], Trusted),
    port(&["[web.example.org]:2222 {key}\n@revoked web.example.org {ca}\n"], Trusted),
    port(
        &[
            "@cert-authority web.example.org {ca}\n@revoked web.example.org {ca}\n[web.example.org]:2222 {key}",
        ],
        Trusted,
    ),
    case("WEB.example.org", 2222, &["@cert-authority * {ca}\n"], Trusted),
    case("www.example.org", 22, &["@cert-authority * {ca}\n"], Unknown),
    case("www.example.org", 22, &["@cert-authority * {ca}\nwww.example.org {key}\n"], Trusted),
    alias("web.example.org", &["@cert-authority web.example.org {ca}\n"], Trusted),
    alias("WEB.example.org", &["@cert-authority web.example.org {ca}\n"], Trusted),
    alias("www.example.org", &["@cert-authority * {ca}\n"], Unknown),
];

#[test]
fn a_certificate_counts_by_an_authority_of_the_host() {
    Stage::certified("ed25519", &["-h", "-n", "web.example.org"]).hold(GOOD);
}

#[test]
fn a_certificate_of_another_kind_of_authority_counts() {
    for kind in ["ecdsa", "rsa"] {
        let cases = [
            plain(&["@cert-authority * {ca}\n"], Trusted),
            plain(&["@cert-authority * {ca2}\n"], Unknown),
            plain(&["@cert-authority * {ca}\n@revoked * {ca}\n"], Refused),
        ];
        Stage::certified(kind, &["-h", "-n", "web.example.org,box"]).hold(&cases);
    }
    let unnamed = [plain(&["@cert-authority * {ca}\n"], Trusted)];
    Stage::certified("ed25519", &["-h"]).hold(&unnamed);
    Stage::certified("ed25519", &["-h", "-V", "-1h:+1h"]).hold(&unnamed);
    Stage::certified("ed25519", &["-h", "-O", "extension:x=y"]).hold(&unnamed);
}

#[test]
fn a_certificate_that_does_not_count_leaves_the_plain_key() {
    let faults: &[(&str, &[&str])] = &[
        ("ed25519", &["-h", "-V", "20200101:20200102"]),
        ("ed25519", &["-h", "-V", "20400101:20400102"]),
        ("ed25519", &["-h", "-n", "www.example.org,web"]),
        ("ed25519", &["-h", "-n", "*.example.org"]),
        ("ed25519", &["-h", "-n", "WEB.example.org"]),
        ("ed25519", &["-h", "-n", "[web.example.org]:22"]),
        ("ed25519", &["-n", "web.example.org"]),
        ("ed25519", &["-h", "-O", "critical:no-such-option=x"]),
        ("rsa", &["-h", "-t", "ssh-rsa"]),
    ];
    for (ca, options) in faults {
        Stage::certified(ca, options).hold(&[
            plain(&["@cert-authority * {ca}\n"], Unknown),
            plain(&["@cert-authority * {ca}\nweb.example.org {key}\n"], Trusted),
            plain(&["@cert-authority * {ca}\nweb.example.org {other}\n"], Refused),
        ]);
    }
}

/// Files that the real client takes more lightly than driftlock, which refuses.
#[test]
fn what_can_only_be_meant_as_a_refusal_is_one() {
    let refused = |stage: &Stage, case: &Case, real: Expected| {
        assert_eq!(stage.both(case), (real, Refused), "{:?}", case.files);
    };
    let stage = Stage::plain();
    // A tab behind a marker makes ssh pass over the line.
    refused(&stage, &plain(&["web.example.org {key}\n@revoked\t* {key}\n"], Refused), Trusted);
    // A new port of a host is a new host, even with a key that is revoked there.
    refused(&stage, &port(&["@revoked web.example.org {key}\n"], Refused), Unknown);
    let stage = Stage::certified("ed25519", &["-h"]);
    let case = port(&["@cert-authority web.example.org {ca}\n@revoked web.example.org {ca}\n"], Refused);
    refused(&stage, &case, Unknown);
    // A certificate of an unknown authority makes ssh believe the bare name against the one with a port.
    refused(&stage, &port(&["[web.example.org]:2222 {other}\nweb.example.org {key}\n"], Refused), Trusted);
}

/// The first algorithm of an offer that the server of the test has.
fn first(offer: &[Algorithm]) -> String {
    let has =
        |algorithm: &&Algorithm| !matches!(algorithm.as_str(), "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521");
    offer.iter().find(has).unwrap().to_string()
}

#[test]
fn the_key_on_record_is_asked_for_as_by_ssh() {
    let server = Server::start(|setup| {
        setup.host_keys(&["rsa", "ecdsa", "ed25519"]);
    });
    let name = server.entry();
    let tables: [(&[&str], &str); 6] = [
        (&[], "ssh-ed25519"),
        (&["ed25519"], "ssh-ed25519"),
        (&["rsa"], "rsa-sha2-512"),
        (&["ecdsa"], "ecdsa-sha2-nistp256"),
        (&["rsa", "ecdsa"], "ecdsa-sha2-nistp256"),
        (&["rsa", "ed25519"], "ssh-ed25519"),
    ];
    for (known, expected) in tables {
        let lines = known.iter().map(|kind| format!("{name} {}\n", server.host_key(kind)));
        std::fs::write(server.known_hosts(), lines.collect::<String>()).unwrap();
        let trust = Trust { files: vec![server.known_hosts()], ..Trust::default() };
        let keys: Vec<Algorithm> =
            trust.offers("127.0.0.1", server.port).into_iter().flat_map(|offer| offer.keys).collect();
        assert_eq!(first(&keys), expected, "{known:?}");
        assert!(keys.len() == 6 && !keys.contains(&Algorithm::Rsa { hash: None }), "{keys:?}");
        let output = server.ssh(&["-v", "-o", "PreferredAuthentications=none"], "true");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(&format!("kex: host key algorithm: {expected}")), "{told}");
    }
}

#[test]
fn a_recorded_key_is_believed_by_both() {
    let server = Server::start(|_| {});
    let file = server.dir().join("new");
    let trust = Trust { files: vec![file.clone()], record_in: Some(file.clone()), ..Trust::default() };
    let key = PublicKey::from_openssh(&server.host_key("ed25519")).unwrap();
    let option = format!("UserKnownHostsFile={}", file.display());
    assert!(!server.ssh(&["-o", &option], "true").status.success());
    let judged = trust.judge("127.0.0.1", server.port, &key.clone().into());
    let Judgement::Unknown(unknown) = judged else { panic!("{judged:?}") };
    assert_eq!(trust.record("127.0.0.1", server.port, &unknown.key).unwrap(), file);
    assert!(matches!(trust.judge("127.0.0.1", server.port, &key.into()), Judgement::Trusted));
    assert!(server.ssh(&["-o", &option], "true").status.success());
}

#[test]
fn a_certificate_that_nobody_signed_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    key_pair(&path("ca"), "ed25519");
    key_pair(&path("host"), "ed25519");
    let (ca, host) = (path("ca"), path("host.pub"));
    keygen(&["-s", ca.to_str().unwrap(), "-I", "a test", "-h", host.to_str().unwrap()]);
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    std::fs::write(path("known"), format!("@cert-authority * {}* {}", text("ca.pub"), text("host.pub")))
        .unwrap();
    let trust = Trust { files: vec![path("known")], now: 1, ..Trust::default() };
    let good = Certificate::from_openssh(&text("host-cert.pub")).unwrap();
    assert!(matches!(trust.judge("box", 22, &good.clone().into()), Judgement::Trusted));
    let mut bytes = good.to_bytes().unwrap();
    let at = bytes.windows(6).position(|window| window == b"a test").unwrap();
    bytes[at] = b'b';
    let forged = Certificate::from_bytes(&bytes).unwrap();
    let judged = trust.judge("box", 22, &forged.into());
    assert!(matches!(&judged, Judgement::Refused(text) if text.contains("never signed")), "{judged:?}");
}
