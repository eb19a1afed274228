//! Servers that mean no good: whatever they say, it is an error within bounds of time and memory, never a pass, and no
//! control character of theirs reaches a terminal or a file.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::disk::files_below;
use crate::support::world::Alone as _;
use crate::support::{GUARD, Project};

/// The most memory that any of them may cost, in KiB.
const MEMORY: u64 = 200 << 10;

/// How a run against such a server ended.
struct Ended {
    code: i64,
    out: String,
    err: String,
}

/// Runs driftlock in a project against a server of a kind that `tests/support/hostile.py` knows.
fn ended(project: &Project, kind: &str, args: &[&str]) -> Ended {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/hostile.py");
    let mut server = Command::new("/usr/bin/python3");
    server.arg("-B").arg(script).args([kind, env!("CARGO_BIN_EXE_driftlock")]).args(args);
    let ran = server.alone().current_dir(project.root()).output().unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{kind}: {error}\n{}", String::from_utf8_lossy(&ran.stderr)));
    let (memory, seconds) = (told["memory"].as_u64().unwrap(), told["seconds"].as_f64().unwrap());
    assert!(memory < MEMORY, "{kind}: {memory} KiB");
    assert!(seconds < GUARD.as_secs_f64(), "{kind}: {seconds} s");
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    Ended { code: told["code"].as_i64().unwrap(), out: text("out"), err: text("err") }
}

/// Whether a terminal would do as this text says.
fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c))
}

/// Checks against servers of these kinds, each in a project of its own; the error must say what the pair says.
fn all_are_errors(kinds: &[(&str, &str)]) {
    for (kind, why) in kinds {
        let project = Project::accepted();
        let locks = files_below(&project.path("audit/locks"));
        let Ended { code, out, err } =
            ended(&project, kind, &["check", "--target", "prod", "--connect-timeout", "3"]);
        assert_eq!(code, 1, "{kind}: {out}{err}");
        assert!(out.contains(why) && out.contains("[ERROR]"), "{kind}, not \"{why}\": {out}{err}");
        assert!(out.contains("OVERALL: FAIL") && !out.contains("\nOVERALL: PASS"), "{kind}: {out}");
        assert!(is_harmless(&out) && is_harmless(&err), "{kind}: {out:?}{err:?}");
        assert_eq!(files_below(&project.path("audit/locks")), locks, "{kind}");
        for (path, bytes) in files_below(&project.path("audit/runtime")) {
            let text = String::from_utf8(bytes).unwrap();
            assert!(is_harmless(&text), "{kind}: {}: {text:?}", path.display());
            assert!(!text.contains("\"overall\": \"PASS\""), "{kind}: {text}");
            assert!(text.len() < 1 << 20, "{kind}: {} has {} bytes", path.display(), text.len());
        }
    }
}

#[test]
fn an_answer_that_has_no_end_ends() {
    let too_many = "nothing of that is believed; if there are so many, set max_files in its target";
    all_are_errors(&[
        ("an answer without end", too_many),
        ("a line of a gigabyte", "a record has no end"),
        ("small names below a long path", too_many),
        ("a path that no system has", "a path that no system has"),
        ("talk after the end", "the server talks without end"),
        ("a login shell that talks without end", "talks without end before the script begins"),
        ("one record a moment", "did not come to an end within 3 seconds; time_limit"),
        ("complaints without end", "did not come to an end within 3 seconds"),
    ]);
}

#[test]
fn a_million_files_that_nobody_knows_are_not_believed_packed_or_not() {
    all_are_errors(&[("a million files", "set max_files in its target")]);
}

#[test]
fn odd_names_and_words_are_shown_and_not_obeyed() {
    all_are_errors(&[
        ("odd names", "Compose unreadable"),
        ("an odd refusal", "\\x1b[2JOVERALL: PASS\\n"),
        ("an odd complaint", "\\x1b[2J"),
        ("a forged end", "garbled"),
    ]);
}

#[test]
fn a_protocol_that_is_misused_is_given_up() {
    all_are_errors(&[
        ("ten thousand channels", "opens channels that nobody asked for"),
        ("unknown channels", "within 3 seconds"),
        ("windows without end", "within 3 seconds"),
        ("requests without end", "within 3 seconds"),
        ("nothing but ignored messages", "within 3 seconds"),
        ("keys without end", "exchanges keys without end"),
    ]);
}

#[test]
fn who_lets_nobody_in_is_not_waited_for() {
    all_are_errors(&[
        ("banners without end", "broke while authenticating"),
        ("prompts without end", "no answer within 3 s"),
        ("refusals without end", "permission denied"),
        ("a version without end", "no SSH server"),
        ("lines before the version", "no SSH server"),
        ("banana", "no SSH server"),
    ]);
}

#[test]
fn an_engine_that_says_too_much_is_an_error() {
    let project = Project::accepted();
    let web = serde_json::json!({"image": "app:1", "imageId": format!("sha256:{}", "a".repeat(64)), "state": "running"});
    let lock = serde_json::json!({"images": {"web": web}}).to_string();
    for kind in ["an engine without end", "containers without end", "headers without end"] {
        project.file("audit/locks/docker_images.lock.json", &lock);
        let config = project.read("audit/driftlock.toml");
        let Ended { code, out, err } = ended(&project, kind, &["check", "--target", "prod"]);
        project.file("audit/driftlock.toml", &config);
        assert_eq!(code, 1, "{kind}: {out}{err}");
        assert!(out.contains("[ERROR] Docker images"), "{kind}: {out}{err}");
        assert!(is_harmless(&out) && !out.contains("OVERALL: PASS"), "{kind}: {out:?}");
    }
}
