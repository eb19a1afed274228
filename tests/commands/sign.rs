//! Signed baselines: what signs them, what counts, and that nothing else does.

use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;

use crate::support::git::{commit_all, git};
use crate::support::keys::{Agent, Keys, Verify};
use crate::support::terminal::on_a_terminal;
use crate::support::{Project, Ran, check_of, status};

const SIGNATURE: &str = "audit/locks/SIGNATURE";
const COMPOSE: &str = "infra/stacks/edge/docker-compose.yml";
const CHECK: &str = "baseline_signed";

/// A project whose baseline must be signed by `alice`, and is not.
fn unsigned(keys: &Keys) -> Project {
    let project = Project::small();
    let text =
        project.read("audit/driftlock.toml") + "[trust]\nallowed_signers = \"audit/allowed_signers\"\n";
    project.file("audit/driftlock.toml", &text);
    keys.make("alice", "ed25519").make("eve", "ed25519");
    project.file("audit/allowed_signers", &format!("alice@example.com {}\n", keys.public("alice")));
    project.ok(&["export", "--accept"]);
    project
}

fn signed(keys: &Keys) -> Project {
    let project = unsigned(keys);
    sign(&project, keys, "alice");
    project
}

fn sign(project: &Project, keys: &Keys, key: &str) -> Ran {
    project.ok(&["sign", "--key", &keys.text_path(key)])
}

/// Makes sure that a check says ERROR of the signature, and verify the same; gives the reason.
fn refused(project: &Project, args: &[&str]) -> String {
    let (code, report) = project.check(args);
    let why = why(&report);
    assert_eq!((code, status(&report, CHECK).as_str()), (1, "ERROR"), "{report:#}");
    let verified = project.run(&[&["verify"], args].concat());
    assert_eq!(verified.code(), 1, "{}", verified.out());
    assert!(verified.err().contains(&why), "{why}\n{}", verified.err());
    why
}

fn why(report: &Value) -> String {
    assert_eq!(report["overall"], "FAIL", "{report:#}");
    check_of(report, CHECK)["error"].as_str().unwrap().to_owned()
}

fn passes(project: &Project, args: &[&str]) {
    let (code, report) = project.check(args);
    assert_eq!((code, status(&report, CHECK).as_str()), (0, "PASS"), "{report:#}");
    assert_eq!(project.run(&[&["verify"], args].concat()).code(), 0);
}

fn is_signed(project: &Project) -> bool {
    project.path(SIGNATURE).exists()
}

/// Flips a bit of a file.
fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn without_trust_nothing_is_asked_of_a_baseline() {
    let project = Project::accepted();
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0);
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["name"] != CHECK));
    let ran = project.run(&["verify"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("nothing says who may sign"), "{}", ran.err());
    let (code, report) = project.check(&["--require", CHECK]);
    assert_eq!(code, 1);
    assert!(why(&report).contains("nothing says who may sign"), "{report:#}");
    assert!(refused(&project, &["--require-signature"]).contains("nothing says who may sign"));
}

#[test]
fn an_unsigned_baseline_is_an_error_until_it_is_signed() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    assert!(refused(&project, &[]).contains("driftlock sign"));
    let ran = sign(&project, &keys, "alice");
    assert!(
        ran.out().starts_with("Signed: audit/locks/SIGNATURE, 4 files, with ssh-ed25519 SHA256:"),
        "{}",
        ran.out()
    );
    assert!(ran.err().is_empty(), "{}", ran.err());
    passes(&project, &[]);
    let ran = project.ok(&["check"]);
    assert!(
        ran.out().contains("[INFO] Signed by alice@example.com with ssh-ed25519 SHA256:"),
        "{}",
        ran.out()
    );
    assert!(ran.out().contains("[PASS] Baseline signed by somebody who may"), "{}", ran.out());
    let before = std::fs::read(project.path(SIGNATURE)).unwrap();
    sign(&project, &keys, "alice");
    assert_eq!(std::fs::read(project.path(SIGNATURE)).unwrap(), before, "ed25519 signs one thing one way");
}

#[test]
fn a_stranger_signs_in_vain_and_is_told_so() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    let ran = sign(&project, &keys, "eve");
    assert!(ran.err().contains("warning: this signature will not count"), "{}", ran.err());
    assert!(refused(&project, &[]).contains("which nobody has who may sign"));
}

#[test]
fn ssh_keygen_accepts_what_driftlock_signs_and_the_other_way_round() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    let kinds = ["ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521", "rsa -b 2048", "rsa -b 3072"];
    for (at, kind) in kinds.iter().enumerate() {
        let name = format!("key{at}");
        keys.make(&name, kind);
        let signers = format!("alice@example.com {}\n", keys.public(&name));
        project.file("audit/allowed_signers", &signers);
        sign(&project, &keys, &name);
        passes(&project, &[]);
        let message = project.ok(&["sign", "--print"]).0.stdout;
        assert_eq!(project.ok(&["verify", "--print"]).0.stdout, message);
        let signature = std::fs::read(project.path(SIGNATURE)).unwrap();
        let case = |message| Verify {
            signers: signers.as_bytes(),
            who: "alice@example.com",
            namespace: "driftlock",
            signature: &signature,
            message,
            time: None,
            zone: "UTC0",
        };
        assert!(keys.verifies(&case(&message)), "{kind}");
        assert!(!keys.verifies(&case(b"other")), "{kind}");
        std::fs::remove_file(project.path(SIGNATURE)).unwrap();
        std::fs::write(project.path(SIGNATURE), keys.sign(&name, "driftlock", &message)).unwrap();
        passes(&project, &[]);
    }
}

#[test]
fn the_list_is_what_sha256sum_makes() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    project.file(
        "audit/locks/production/compose_sha256.lock.txt",
        &project.read("audit/locks/compose_sha256.lock.txt"),
    );
    project.file("audit/locks/README", "no lock file\n");
    let list = project.ok(&["sign", "--print"]).out();
    let script =
        "find audit/driftlock.toml audit/locks -type f ! -name README | LC_ALL=C sort | xargs sha256sum";
    let made = Command::new("sh").current_dir(project.root()).args(["-c", script]).output().unwrap();
    assert_eq!(list, String::from_utf8(made.stdout).unwrap());
    assert_eq!(list.lines().count(), 5);
    sign(&project, &keys, "alice");
    passes(&project, &[]);
}

#[test]
fn an_agent_signs_with_the_key_that_may() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    keys.make("rsa", "rsa -b 2048").make("ecdsa", "ecdsa -b 256");
    let agent = Agent::holding(&keys, &["eve", "rsa", "ecdsa", "alice"]);
    let run = |args: &[&str]| {
        let ran = Ran(project.driftlock(args).env("SSH_AUTH_SOCK", agent.socket()).output().unwrap());
        (ran.code(), ran.out(), ran.err())
    };
    for args in [&["sign"][..], &["sign", "--key", "agent"], &["sign", "--key", &keys.text_path("alice.pub")]]
    {
        let (code, out, err) = run(args);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("(the agent, "), "{out}");
        passes(&project, &[]);
        std::fs::remove_file(project.path(SIGNATURE)).unwrap();
    }
    for name in ["rsa", "ecdsa", "eve"] {
        project.file("audit/allowed_signers", &format!("a {}\n", keys.public(name)));
        assert_eq!(run(&["sign"]).0, 0);
        passes(&project, &[]);
        let message = project.ok(&["sign", "--print"]).0.stdout;
        let signature = std::fs::read(project.path(SIGNATURE)).unwrap();
        let signers = project.read("audit/allowed_signers");
        let (who, namespace, time, zone) = ("a", "driftlock", None, "UTC0");
        let case = Verify {
            signers: signers.as_bytes(),
            who,
            namespace,
            signature: &signature,
            message: &message,
            time,
            zone,
        };
        assert!(keys.verifies(&case), "{name}");
    }
    project.file("audit/allowed_signers", "");
    let (code, _, err) = run(&["sign"]);
    assert!(code == 1 && err.contains("the agent holds several keys: ssh-ed25519 SHA256:"), "{err}");
    let (code, _, err) = run(&["sign", "--key", &keys.text_path("nobody.pub")]);
    assert!(code == 1 && err.contains("nobody.pub"), "{err}");
    std::fs::remove_file(keys.path("alice")).unwrap();
    assert_eq!(run(&["sign", "--key", &keys.text_path("alice.pub")]).0, 0);
    let without = project
        .driftlock(&["sign", "--key", &keys.text_path("alice.pub")])
        .env_remove("SSH_AUTH_SOCK")
        .output();
    let ran = Ran(without.unwrap());
    assert!(ran.code() == 1 && ran.err().contains("does not hold its private half"), "{}", ran.err());
}

#[test]
fn the_key_is_named_in_the_configuration_or_nobody_signs() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    let run = |args: &[&str]| Ran(project.driftlock(args).env_remove("SSH_AUTH_SOCK").output().unwrap());
    let ran = run(&["sign"]);
    assert!(ran.code() == 1 && ran.err().contains("there is no key to sign with"), "{}", ran.err());
    let ran = run(&["sign", "--key", "agent"]);
    assert!(ran.code() == 1 && ran.err().contains("SSH_AUTH_SOCK is not set"), "{}", ran.err());
    let text = project.read("audit/driftlock.toml") + &format!("key = \"{}\"\n", keys.text_path("alice"));
    project.file("audit/driftlock.toml", &text);
    assert_eq!(run(&["sign"]).code(), 0);
    passes(&project, &[]);
}

#[test]
fn an_encrypted_key_wants_its_passphrase() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    keys.make_with("locked", "ed25519", "open sesame");
    project.file("audit/allowed_signers", &format!("a {}\n", keys.public("locked")));
    let path = keys.text_path("locked");
    for (passphrase, code, word) in [
        (None, 1, "no passphrase was given"),
        (Some("close sesame"), 1, "is wrong"),
        (Some("open sesame"), 0, ""),
    ] {
        let mut command = project.driftlock(&["sign", "--key", &path]);
        command.env_remove("DRIFTLOCK_SSH_PASSPHRASE");
        passphrase.map(|text| command.env("DRIFTLOCK_SSH_PASSPHRASE", text));
        let ran = Ran(command.output().unwrap());
        assert!(ran.code() == code && ran.err().contains(word), "{}", ran.err());
    }
    passes(&project, &[]);
}

#[test]
fn an_encrypted_key_that_the_agent_holds_wants_no_passphrase() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    keys.make("open", "ed25519");
    project.file("audit/allowed_signers", &format!("a {}\n", keys.public("open")));
    let agent = Agent::holding(&keys, &["open", "eve"]);
    keys.encrypt("open", "open sesame");
    let path = keys.text_path("open");
    let mut command = project.driftlock(&["sign", "--key", &path]);
    let ran = Ran(command.env("SSH_AUTH_SOCK", agent.socket()).output().unwrap());
    assert!(ran.code() == 0 && ran.out().contains("(the agent, "), "{}{}", ran.out(), ran.err());
    passes(&project, &[]);
    let without = Agent::holding(&keys, &["eve"]);
    let mut command = project.driftlock(&["sign", "--key", &path]);
    let ran = Ran(command.env("SSH_AUTH_SOCK", without.socket()).output().unwrap());
    assert!(ran.code() == 1 && ran.err().contains("no passphrase was given"), "{}", ran.err());
}

#[test]
fn a_certificate_of_an_authority_counts() {
    let keys = Keys::new();
    let project = unsigned(&keys);
    keys.make("ca", "ed25519");
    keys.certify("ca", "eve", &["-n", "eve@example.com", "-V", "-1d:+1d"]);
    project.file("audit/allowed_signers", &format!("*@example.com cert-authority {}\n", keys.public("ca")));
    sign(&project, &keys, "eve");
    assert!(refused(&project, &[]).contains("which nobody has who may sign"), "a bare key is no certificate");
    sign(&project, &keys, "eve-cert.pub");
    passes(&project, &[]);
    assert!(
        project.ok(&["verify"]).out().contains("by eve@example.com with certificate of ssh-ed25519 SHA256:")
    );
    let signature = std::fs::read(project.path(SIGNATURE)).unwrap();
    let (message, signers) =
        (project.ok(&["sign", "--print"]).0.stdout, project.read("audit/allowed_signers"));
    let case = Verify {
        signers: signers.as_bytes(),
        who: "eve@example.com",
        namespace: "driftlock",
        signature: &signature,
        message: &message,
        time: None,
        zone: "UTC0",
    };
    assert!(keys.verifies(&case));
    let agent = Agent::holding(&keys, &["eve"]);
    let args = ["sign", "--key", &keys.text_path("eve-cert.pub")];
    std::fs::remove_file(project.path(SIGNATURE)).unwrap();
    assert!(project.driftlock(&args).env("SSH_AUTH_SOCK", agent.socket()).output().unwrap().status.success());
    passes(&project, &[]);
    keys.certify("ca", "eve", &["-n", "eve@example.com", "-V", "-2d:-1d"]);
    sign(&project, &keys, "eve-cert.pub");
    assert!(refused(&project, &[]).contains("it has expired"));
}

#[test]
fn no_bit_of_what_is_signed_can_be_changed() {
    let keys = Keys::new();
    let project = signed(&keys);
    let list = project.ok(&["sign", "--print"]).out();
    let paths: Vec<&str> = list.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(paths.len(), 4);
    for path in paths.iter().filter(|path| **path != "audit/driftlock.toml") {
        let length = std::fs::read(project.path(path)).unwrap().len();
        for (at, bit) in [(0, 0), (length / 2, 3), (length - 2, 6), (length - 1, 1)] {
            flip(&project.path(path), at, bit);
            let why = refused(&project, &[]);
            assert!(why.contains("something was changed after it was made"), "{path}: {why}");
            flip(&project.path(path), at, bit);
        }
        let whole = project.read(path);
        std::fs::remove_file(project.path(path)).unwrap();
        assert!(refused(&project, &[]).contains("something was changed"), "{path}");
        project.file(path, &whole);
    }
    let config = project.read("audit/driftlock.toml");
    for other in
        [config.clone() + "#", config.replace("docker-compose*", "docker-compose"), format!(" {config}")]
    {
        project.file("audit/driftlock.toml", &other);
        assert!(refused(&project, &[]).contains("something was changed"), "{other}");
    }
    project.file("audit/driftlock.toml", &config);
    project.file(
        "audit/locks/anybody/compose_sha256.lock.txt",
        &project.read("audit/locks/compose_sha256.lock.txt"),
    );
    assert!(refused(&project, &[]).contains("something was changed"), "a target's own lock files");
    std::fs::remove_dir_all(project.path("audit/locks/anybody")).unwrap();
    let length = std::fs::read(project.path(SIGNATURE)).unwrap().len();
    for at in (0..length).step_by(11) {
        flip(&project.path(SIGNATURE), at, 0);
        refused(&project, &[]);
        flip(&project.path(SIGNATURE), at, 0);
    }
    passes(&project, &[]);
}

#[test]
fn a_signature_that_is_none_is_an_error_and_nothing_hangs() {
    let keys = Keys::new();
    let project = signed(&keys);
    let message = project.ok(&["sign", "--print"]).0.stdout;
    let place = project.path(SIGNATURE);
    for (bytes, word) in [
        (b"".to_vec(), "no signature"),
        (b"hello\n".to_vec(), "no signature"),
        (vec![b'x'; (1 << 20) + 1], "no more than 1 MiB"),
        (keys.sign("alice", "git", &message), "made for \"git\""),
        (keys.sign("alice", "driftlock-report", &message), "made for \"driftlock-report\""),
    ] {
        std::fs::write(&place, bytes).unwrap();
        let why = refused(&project, &[]);
        assert!(why.contains(word), "{why}");
    }
    std::fs::remove_file(&place).unwrap();
    mkfifoat(CWD, &place, Mode::from_raw_mode(0o600)).unwrap();
    assert!(refused(&project, &[]).contains("not a file"));
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    assert!(refused(&project, &[]).contains("not a file"));
}

/// A signature in its armour whose innermost field is two bytes longer, which are no part of anything.
fn lengthened(armoured: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(armoured).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut blob = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    // The magic and the version, then the key, the namespace, a reserved field, the hash, the signature (PROTOCOL.sshsig).
    let length = |blob: &[u8], at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
    let last = (0..4).fold(10, |at, _| at + 4 + length(&blob, at) as usize);
    let longer = length(&blob, last) + 2;
    blob[last..last + 4].copy_from_slice(&longer.to_be_bytes());
    blob.extend_from_slice(b"xx");
    let base64 = data_encoding::BASE64.encode(&blob);
    format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n").into_bytes()
}

#[test]
fn what_ssh_keygen_refuses_to_read_is_not_read_here() {
    let keys = Keys::new();
    let project = signed(&keys);
    keys.make("rsa", "rsa -b 2048");
    project.file("audit/allowed_signers", &format!("a {}\n", keys.public("rsa")));
    let message = project.ok(&["sign", "--print"]).0.stdout;
    let made = keys.sign("rsa", "driftlock", &message);
    std::fs::write(project.path(SIGNATURE), &made).unwrap();
    passes(&project, &[]);
    let signers = project.read("audit/allowed_signers");
    let crlf = String::from_utf8(made.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    for signature in [lengthened(&made), crlf] {
        let (who, namespace, time, zone) = ("a", "driftlock", None, "UTC0");
        let (signers, message) = (signers.as_bytes(), message.as_slice());
        let case = Verify { signers, who, namespace, signature: &signature, message, time, zone };
        assert!(!keys.verifies(&case), "{}", signature.escape_ascii());
        std::fs::write(project.path(SIGNATURE), &signature).unwrap();
        assert!(refused(&project, &[]).contains("it is no signature as ssh-keygen -Y sign writes it"));
    }
}

#[test]
fn a_list_that_excludes_everybody_lets_nobody_sign() {
    let keys = Keys::new();
    let project = signed(&keys);
    for list in ["!alice", "alice,!alice", "a*,!a*", "!*,*"] {
        project.file("audit/allowed_signers", &format!("{list} {}\n", keys.public("alice")));
        assert!(refused(&project, &[]).contains("allows nobody"), "{list}");
    }
    for list in ["alice,!bob", "*,!bob", "a?,!ab", "al*,!alf"] {
        project.file("audit/allowed_signers", &format!("{list} {}\n", keys.public("alice")));
        passes(&project, &[]);
    }
}

#[test]
fn who_may_sign_must_be_readable_and_make_sense() {
    let keys = Keys::new();
    let project = signed(&keys);
    let line = project.read("audit/allowed_signers");
    for (text, word) in [
        (String::new(), "which nobody has who may sign"),
        ("# nobody\n".to_owned(), "which nobody has who may sign"),
        (format!("{line}bob\n"), "audit/allowed_signers: line 2"),
        (line.replace(" ssh", " namespaces=\"git\" ssh"), "for \"git\" alone"),
        (line.replace(" ssh", " valid-before=\"20200101Z\" ssh"), "its time is over"),
        (line.replace(" ssh", " valid-after=\"29990101\" ssh"), "it may not sign yet"),
        ("x".repeat((1 << 20) + 1), "no more than 1 MiB"),
    ] {
        project.file("audit/allowed_signers", &text);
        let why = refused(&project, &[]);
        assert!(why.contains(word), "{why}");
    }
    std::fs::remove_file(project.path("audit/allowed_signers")).unwrap();
    assert!(refused(&project, &[]).contains("nobody can tell who may sign"));
    mkfifoat(CWD, project.path("audit/allowed_signers"), Mode::from_raw_mode(0o600)).unwrap();
    assert!(refused(&project, &[]).contains("not a file"));
}

#[test]
fn one_signer_can_be_asked_for() {
    let keys = Keys::new();
    let project = signed(&keys);
    project.file("audit/allowed_signers", &format!("alice@*,!alice@evil {}\n", keys.public("alice")));
    assert!(
        project.ok(&["verify", "--signer", "alice@example.com"]).out().contains("by alice@example.com with")
    );
    for other in ["bob@example.com", "alice@evil"] {
        assert_eq!(project.run(&["verify", "--signer", other]).code(), 1, "{other}");
    }
}

#[test]
fn what_is_accepted_must_be_signed_anew() {
    let keys = Keys::new();
    let project = signed(&keys);
    project.ok(&["export", "--accept"]);
    assert!(is_signed(&project), "nothing has changed");
    project.file(COMPOSE, "services: {other: {}}\n");
    project.run(&["check"]);
    let ran = project.ok(&["accept", "--yes"]);
    assert!(
        ran.err().contains("audit/locks/SIGNATURE removed") && ran.err().contains("driftlock sign"),
        "{}",
        ran.err()
    );
    assert!(!is_signed(&project));
    assert!(refused(&project, &[]).contains("nobody has signed"));

    project.file(COMPOSE, "services: {third: {}}\n");
    project.run(&["check"]);
    let ran = project.ok(&["accept", "--yes"]);
    assert!(ran.err().contains("warning: the baseline before was not signed"), "{}", ran.err());
    sign(&project, &keys, "alice");
    passes(&project, &[]);

    project.file(COMPOSE, "services: {fourth: {}}\n");
    let ran = project.ok(&["export", "--accept", "--quiet"]);
    assert!(ran.err().contains("audit/locks/SIGNATURE removed"), "{}", ran.err());
    assert!(!is_signed(&project));
    sign(&project, &keys, "alice");
    let ran = project.ok(&["init", "--force"]);
    assert!(ran.err().contains("audit/locks/SIGNATURE removed"), "{}", ran.err());
    assert!(!is_signed(&project));
}

#[test]
fn a_signature_of_what_is_being_accepted_is_carried_over() {
    let keys = Keys::new();
    let project = signed(&keys);
    let signature = std::fs::read(project.path(SIGNATURE)).unwrap();
    let (old, new) = (project.read(COMPOSE), "services: {other: {}}\n");
    project.file(COMPOSE, new);
    project.ok(&["export", "--accept"]);
    std::fs::write(project.path(SIGNATURE), &signature).unwrap();
    project.file(COMPOSE, &old);
    let ran = project.ok(&["export", "--accept"]);
    assert!(ran.err().is_empty(), "{}", ran.err());
    assert_eq!(std::fs::read(project.path(SIGNATURE)).unwrap(), signature);
    passes(&project, &[]);
}

#[test]
fn a_look_before_accepting_says_that_the_baseline_was_not_signed() {
    let keys = Keys::new();
    let project = signed(&keys);
    std::fs::remove_file(project.path(SIGNATURE)).unwrap();
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    project.file(COMPOSE, "services: {other: {}}\n");
    let ran = on_a_terminal(&project, "accept --yes", "");
    assert_eq!(ran.code(), 0, "{}", ran.out());
    assert!(ran.out().contains("Looking at what is there now"), "{}", ran.out());
    assert!(ran.out().contains("the baseline before was not signed as it must be"), "{}", ran.out());
}

#[test]
fn a_commit_is_held_to_its_own_signature() {
    let keys = Keys::new();
    let project = signed(&keys);
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    commit_all(&project, "signed");
    git(&project, &["tag", "v1"]);
    std::fs::remove_file(project.path(SIGNATURE)).unwrap();
    assert!(refused(&project, &[]).contains("nobody has signed"));
    passes(&project, &["--baseline", "git:v1"]);

    flip(&project.path("audit/locks/compose_sha256.lock.txt"), 3, 0);
    git(&project, &["checkout", "v1", "--", SIGNATURE]);
    commit_all(&project, "tampered");
    assert!(refused(&project, &["--baseline", "git:HEAD"]).contains("something was changed"));
    passes(&project, &["--baseline", "git:v1"]);

    git(&project, &["checkout", "v1", "--", "audit/locks"]);
    let config = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &(config + "# later\n"));
    let why = refused(&project, &["--baseline", "git:v1"]);
    assert!(
        why.contains(
            "audit/driftlock.toml or audit/policies.toml is not the one that was signed with git:v1"
        ),
        "{why}"
    );
    sign(&project, &keys, "alice");
    passes(&project, &["--baseline", "git:v1"]);
    passes(&project, &[]);

    git(&project, &["rm", "--quiet", "--cached", "-r", "audit/locks"]);
    git(&project, &["commit", "--quiet", "--message", "no lock files"]);
    let (code, report) = project.check(&["--baseline", "git:HEAD"]);
    assert_eq!(code, 1);
    assert!(why_of(&report).contains("nobody has signed"), "{report:#}");
}

fn why_of(report: &Value) -> String {
    check_of(report, CHECK)["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_named_directory_must_be_signed_too() {
    let keys = Keys::new();
    let project = signed(&keys);
    let copied = Command::new("cp").current_dir(project.root()).args(["-r", "audit/locks", "copy"]).status();
    assert!(copied.unwrap().success());
    passes(&project, &["--baseline", "copy"]);
    std::fs::remove_file(project.path("copy/SIGNATURE")).unwrap();
    assert!(refused(&project, &["--baseline", "copy"]).starts_with("copy/SIGNATURE is not there"));
}

#[test]
fn who_writes_the_repository_cannot_switch_it_off() {
    let keys = Keys::new();
    let project = signed(&keys);
    let outside = keys.write("allowed_signers", &project.read("audit/allowed_signers"));
    let demand = ["--require-signature", "--allowed-signers", &outside];
    passes(&project, &demand);

    let config = project.read("audit/driftlock.toml");
    let without = config.split("[trust]").next().unwrap().to_owned();
    project.file("audit/driftlock.toml", &without);
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "nothing is demanded any more: {report:#}");
    assert!(refused(&project, &demand).contains("something was changed"));
    assert!(refused(&project, &["--allowed-signers", &outside]).contains("something was changed"));
    assert!(refused(&project, &["--require-signature"]).contains("nothing says who may sign"));

    project.file("audit/driftlock.toml", &config);
    project.file("audit/allowed_signers", &format!("alice@example.com {}\n", keys.public("eve")));
    project.file(COMPOSE, "services: {evil: {}}\n");
    project.ok(&["export", "--accept"]);
    sign(&project, &keys, "eve");
    passes(&project, &[]);
    assert!(refused(&project, &demand).contains("which nobody has who may sign"));

    let check = |variable: &str| {
        let mut command = project.driftlock(&["check", "--quiet"]);
        Ran(command.env("DRIFTLOCK_ALLOWED_SIGNERS", variable).output().unwrap())
    };
    let ran = check("");
    assert!(
        ran.code() == 1 && ran.err().contains("DRIFTLOCK_ALLOWED_SIGNERS is set, and empty"),
        "{}",
        ran.err()
    );
    let ran = check(&outside);
    assert!(ran.code() == 1 && ran.out().contains("which nobody has who may sign"), "{}", ran.out());
    std::fs::remove_file(project.path(SIGNATURE)).unwrap();
    assert!(check(&outside).out().contains("nobody has signed"));
}

/// A project that alice has signed, to which somebody has added `more` configuration since; and her line outside of it.
fn tampered(keys: &Keys, more: &str) -> (Project, String) {
    let project = signed(keys);
    let outside = keys.write("allowed_signers", &project.read("audit/allowed_signers"));
    let config = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{config}{more}"));
    (project, outside)
}

#[test]
fn nobody_is_told_as_an_unsigned_configuration_says() {
    let keys = Keys::new();
    let more = "[notify.evil]\nkind = \"command\"\ncommand = [\"touch\", \"told\"]\n";
    let (project, outside) = tampered(&keys, more);
    let ran = project.run(&["check", "--allowed-signers", &outside]);
    assert!(ran.code() == 1 && !project.path("told").exists());
    let silent =
        "warning: nobody is told (evil): audit/driftlock.toml is not signed by any of --allowed-signers";
    assert!(ran.err().contains(silent), "{}", ran.err());
    // A check that cannot begin has not found out either.
    project.file("audit/acknowledged.toml", "x");
    let ran = project.run(&["check", "--allowed-signers", &outside]);
    assert!(ran.code() == 1 && !project.path("told").exists(), "{}", ran.err());
    std::fs::remove_file(project.path("audit/acknowledged.toml")).unwrap();

    sign(&project, &keys, "alice");
    project.file(COMPOSE, "services: {evil: {}}\n");
    assert_eq!(project.run(&["check", "--allowed-signers", &outside]).code(), 2);
    assert!(project.path("told").exists(), "whoever signs may say who is told");
}

#[test]
fn no_server_is_asked_that_an_unsigned_configuration_names() {
    let keys = Keys::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let more = format!("[targets.evil]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"/srv\"\n");
    let (project, outside) = tampered(&keys, &more);
    let args = ["check", "--target", "evil", "--connect-timeout", "1"];
    let ran = project.run(&[&args[..], &["--allowed-signers", &outside]].concat());
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("it was not asked: audit/driftlock.toml is not signed"), "{}", ran.out());
    assert!(listener.accept().is_err(), "nobody has called");
    assert_eq!(project.run(&args).code(), 1);
    assert!(listener.accept().is_ok(), "without the demand the configuration says who is asked");
}

#[test]
fn an_acknowledgement_need_not_count() {
    let keys = Keys::new();
    let (project, outside) = tampered(&keys, "");
    project.file(COMPOSE, "services: {evil: {}}\n");
    let ack = ["ack", COMPOSE, "--until", "30d", "--reason", "known", "--by", "eve"];
    assert_eq!(project.run(&["check"]).code(), 2);
    project.ok(&ack);
    let demand = ["check", "--allowed-signers", &outside];
    assert_eq!(project.run(&demand).code(), 0);
    assert_eq!(project.run(&[&demand[..], &["--no-acknowledged"]].concat()).code(), 2);
}

#[test]
fn signers_within_the_repository_are_no_demand_from_outside() {
    let keys = Keys::new();
    let project = signed(&keys);
    let link = keys.path("link");
    std::os::unix::fs::symlink(project.path("audit/allowed_signers"), &link).unwrap();
    for inside in ["audit/allowed_signers", link.to_str().unwrap()] {
        for command in ["check", "verify"] {
            let ran = project.run(&[command, "--allowed-signers", inside]);
            assert_eq!(ran.code(), 1);
            assert!(ran.err().contains("it lies in the repository"), "{}", ran.err());
        }
    }
    // A link of the repository leads wherever its writer likes, also through others.
    let outside = keys.write("allowed_signers", &project.read("audit/allowed_signers"));
    std::os::unix::fs::symlink(&outside, project.path("audit/led")).unwrap();
    let through = keys.path("through");
    std::os::unix::fs::symlink(project.path("audit/led"), &through).unwrap();
    for led in ["audit/led", through.to_str().unwrap()] {
        let ran = project.run(&["verify", "--allowed-signers", led]);
        assert!(ran.code() == 1 && ran.err().contains("it lies in the repository"), "{led}: {}", ran.err());
    }
    let straight = keys.path("straight");
    std::os::unix::fs::symlink(&outside, &straight).unwrap();
    passes(&project, &["--allowed-signers", straight.to_str().unwrap()]);
    let ran = project.run(&["check", "--allowed-signers", "/nowhere/signers"]);
    assert!(ran.code() == 1 && ran.err().contains("/nowhere/signers: "), "{}", ran.err());
}

#[test]
fn there_is_nothing_to_sign_without_a_baseline() {
    let project = Project::small();
    let ran = project.run(&["sign"]);
    assert!(ran.code() == 1 && ran.err().contains("driftlock export --accept"), "{}", ran.err());
}

#[test]
fn times_without_a_zone_are_those_of_ssh_keygen() {
    let keys = Keys::new();
    let project = signed(&keys);
    let message = project.ok(&["sign", "--print"]).0.stdout;
    let signature = std::fs::read(project.path(SIGNATURE)).unwrap();
    let now = chrono::Utc::now();
    let mut verdicts = [0, 0];
    // One of the two zones has its summer now.
    for zone in ["AAA-2BBB,M3.2.0,M9.2.0", "AAA-2BBB,M9.2.0,M3.2.0"] {
        for minutes in [-90, -30, 30, 90, 150] {
            let standard = now + chrono::TimeDelta::minutes(120 + minutes);
            let text = standard.format("%Y%m%d%H%M%S").to_string();
            let signers = format!("a valid-before=\"{text}\" {}\n", keys.public("alice"));
            project.file("audit/allowed_signers", &signers);
            let ours = project.driftlock(&["verify"]).env("TZ", zone).output().unwrap().status.success();
            let (who, namespace) = ("a", "driftlock");
            let (signers, signature) = (signers.as_bytes(), signature.as_slice());
            let case = Verify { signers, who, namespace, signature, message: &message, time: None, zone };
            assert_eq!(ours, keys.verifies(&case), "{zone} {minutes}");
            verdicts[usize::from(ours)] += 1;
        }
    }
    assert!(verdicts[0] > 2 && verdicts[1] > 2, "{verdicts:?}");
}

#[test]
fn policies_count_only_as_they_were_signed() {
    let keys = Keys::new();
    let project = signed(&keys);
    let policy = "[[policy]]\nname = \"mild\"\nseverity = \"low\"\n";
    project.file("audit/policies.toml", policy);
    assert!(refused(&project, &[]).contains("changed after it was made"));
    let printed = sign(&project, &keys, "alice").out();
    assert!(printed.starts_with("Signed: audit/locks/SIGNATURE, 5 files"), "{printed}");
    assert!(project.ok(&["sign", "--print"]).out().contains("  audit/policies.toml\n"));
    passes(&project, &[]);

    project.file(COMPOSE, "by hand\n");
    project.run(&["check"]);
    let told = project.ok(&["policy", "test"]);
    assert!(told.out().contains("mild") && told.err().is_empty(), "{}{}", told.out(), told.err());
    project.file("audit/policies.toml", &policy.replace("mild", "bold"));
    let told = project.ok(&["policy", "test"]);
    assert!(!told.out().contains("bold"), "{}", told.out());
    let why =
        "audit/policies.toml does not count: signatures are required, and it is not signed with the baseline";
    assert!(told.err().contains(why), "{}", told.err());
    sign(&project, &keys, "eve");
    assert!(project.ok(&["policy", "test"]).err().contains("which nobody has who may sign"));
    // Without a baseline that must be signed they count as they are.
    sign(&project, &keys, "alice");
    assert!(project.ok(&["policy", "test"]).out().contains("bold"));
}
