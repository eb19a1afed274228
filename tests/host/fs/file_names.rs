//! Names that are hard: bytes, control characters, escapes; kept exactly, shown safely, read by coreutils.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Command;

use data_encoding::BASE64;
use serde_json::Value;

use crate::support::git::{commit_all, git};
use crate::support::{Project, check_of};

/// The names, each one component of a path.
fn names() -> Vec<Vec<u8>> {
    let short: [&[u8]; 15] = [
        b"with space",
        b" space around ",
        b"it's \"quoted\"",
        b"new\nline",
        b"carriage\rreturn",
        b"tab\there",
        b"back\\slash",
        b"\\n is no line end",
        b"escape\x1b[31mred\x1b[0m\x07",
        b"latin\xe9\xff\xfe",
        "\u{fc}ber \u{9b}31m \u{202e}txt".as_bytes(),
        b"-rf",
        b"--help",
        b"*?[a]$HOME`id`",
        b"#hash @at",
    ];
    short.iter().map(|name| name.to_vec()).chain([vec![b'n'; 255]]).collect()
}

fn put(project: &Project, parts: &[&[u8]], text: &str) -> PathBuf {
    let path = project.root().join(OsStr::from_bytes(&parts.join(&b'/')));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// A project in which stacks, modules, and files in modules have every name.
fn named() -> Project {
    let project = Project::empty();
    project.file(
        "audit/driftlock.toml",
        concat!(
            "[compose]\nfiles = [\"infra/*/compose.yml\"]\n[addons]\nroots = [\"addons\"]\n",
            "[files]\ninclude = [\"etc/*\"]\n",
        ),
    );
    for name in names() {
        put(&project, &[b"infra", &name, b"compose.yml"], "services: {}\n");
        put(&project, &[b"etc", &name], "x\n");
        put(&project, &[b"addons", &name, b"__manifest__.py"], "{}\n");
        put(&project, &[b"addons", b"whole", b"data", &name], "x\n");
    }
    put(&project, &[b"addons", b"whole", b"__manifest__.py"], "{}\n");
    project
}

fn sorted(mut names: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    names.sort();
    names
}

/// Expects text for a terminal: lines without any character that a terminal obeys.
fn assert_harmless(text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap();
    let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(bad, None, "{text:?}");
}

#[test]
fn they_are_exported_and_checked() {
    let project = named();
    assert_harmless(&project.ok(&["export", "--accept"]).0.stdout);
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    for (check, count) in [("compose_hashes", 16), ("addon_hashes", 17), ("config_hashes", 16)] {
        assert_eq!(check_of(&report, check)["subjects"], count);
    }
    let before = locks(&project);
    project.ok(&["export", "--accept"]);
    assert_eq!(locks(&project), before, "the same bytes again");
}

fn locks(project: &Project) -> Vec<Vec<u8>> {
    let names = [
        "compose_sha256.lock.txt",
        "odoo_addons_modules.hash.txt",
        "odoo_addons_files.sha256.txt",
        "config_sha256.lock.txt",
    ];
    names.iter().map(|name| std::fs::read(project.path("audit/locks").join(name)).unwrap()).collect()
}

#[test]
fn coreutils_reads_the_lock_files_and_agrees() {
    let project = named();
    project.ok(&["export", "--accept"]);
    let sha256sum = |lock: &str| {
        let mut command = Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet"]).arg(format!("audit/locks/{lock}"));
        command.current_dir(project.root()).output().unwrap()
    };
    for lock in ["compose_sha256.lock.txt", "odoo_addons_files.sha256.txt", "config_sha256.lock.txt"] {
        let output = sha256sum(lock);
        assert!(output.status.success() && output.stdout.is_empty(), "{lock}: {output:?}");
    }
    put(&project, &[b"infra", b"new\nline", b"compose.yml"], "drift\n");
    assert_eq!(sha256sum("compose_sha256.lock.txt").status.code(), Some(1));
    assert_eq!(project.check(&[]).0, 2);
}

/// The command that the digest of a module without links is defined by.
const MODULE_DIGEST: &str = r#"cd -- "$1" && find . \( -name .git -o -name .hg -o -name .svn \) -prune -o -type f ! -name .DS_Store ! -name '*.swp' ! -name '*~' ! -regex '.*/__pycache__/[^/]*\.pyc\(\.[0-9]+\)?' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum -- | sha256sum"#;

fn coreutils_digest(module: &std::path::Path) -> String {
    let output = Command::new("sh").args(["-c", MODULE_DIGEST, "sh"]).arg(module).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// A line as `sha256sum` prints it.
fn line(hex: &str, name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in name {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            byte => escaped.push(byte),
        }
    }
    let mark: &[u8] = if escaped == name { b"" } else { b"\\" };
    [mark, hex.as_bytes(), b"  ", &escaped, b"\n"].concat()
}

#[test]
fn the_digest_of_a_module_is_what_the_coreutils_command_prints() {
    let project = named();
    put(&project, &[b"addons", b"whole", b"models", b"__pycache__", b"a.pyc"], "x");
    put(&project, &[b"addons", b"whole", b"models", b"a.py~"], "x");
    put(&project, &[b"addons", b"whole", b"models.py"], "");
    put(&project, &[b"addons", b"whole", b"models", b"a.pyc"], "x");
    project.ok(&["export", "--accept"]);
    let modules = sorted(names().into_iter().chain([b"whole".to_vec()]).collect());
    let expected = modules.iter().flat_map(|name| {
        line(&coreutils_digest(&project.root().join("addons").join(OsStr::from_bytes(name))), name)
    });
    let lock = std::fs::read(project.path("audit/locks/odoo_addons_modules.hash.txt")).unwrap();
    assert_eq!(String::from_utf8_lossy(&expected.collect::<Vec<u8>>()), String::from_utf8_lossy(&lock));
}

/// The bytes of a name in a report.
fn bytes_of(value: &Value, key: &str) -> Vec<u8> {
    let text = value[key].as_str().unwrap();
    match &value[format!("{key}_bytes")] {
        Value::String(code) => {
            let bytes = BASE64.decode(code.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&bytes), text);
            assert!(std::str::from_utf8(&bytes).is_err(), "only where anything was lost");
            bytes
        }
        _ => text.as_bytes().to_vec(),
    }
}

#[test]
fn drift_in_them_is_found_and_named_exactly() {
    let project = named();
    project.ok(&["export", "--accept"]);
    for name in names() {
        put(&project, &[b"infra", &name, b"compose.yml"], "drift\n");
        put(&project, &[b"addons", b"whole", b"data", &name], "drift\n");
        put(&project, &[b"addons", &name, b"__manifest__.py"], "drift\n");
        std::fs::remove_file(project.root().join("etc").join(OsStr::from_bytes(&name))).unwrap();
    }
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2);
    let each = |check: &str, key: &str| -> Vec<Vec<u8>> {
        let found = check_of(&report, check)["findings"].as_array().unwrap();
        found.iter().map(|finding| bytes_of(finding, key)).collect()
    };
    let below = |before: &[u8], after: &[u8]| {
        sorted(names().iter().map(|name| [before, name, after].concat()).collect())
    };
    assert_eq!(each("compose_hashes", "subject"), below(b"infra/", b"/compose.yml"));
    assert_eq!(each("config_hashes", "subject"), below(b"etc/", b""));
    let modules = sorted(names().into_iter().chain([b"whole".to_vec()]).collect());
    assert_eq!(each("addon_hashes", "subject"), modules);
    let places: Vec<_> = modules.iter().map(|name| [b"addons/", &name[..]].concat()).collect();
    assert_eq!(each("addon_hashes", "place"), places);
    let whole = modules.iter().position(|name| name == b"whole").unwrap();
    let files = check_of(&report, "addon_hashes")["findings"][whole]["files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|file| bytes_of(file, "path")).collect();
    assert_eq!(paths, below(b"data/", b""));
}

#[test]
fn the_terminal_shows_them_escaped() {
    let project = named();
    project.ok(&["export", "--accept"]);
    for name in names() {
        put(&project, &[b"infra", &name, b"compose.yml"], "drift\n");
        put(&project, &[b"addons", &name, b"more", &name], "drift\n");
        put(&project, &[b"etc", &[&b"new"[..], &name[..name.len().min(200)]].concat()], "drift\n");
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, project.path("etc/a\x1b[2J\nfifo"), 0o644.into()).unwrap();
    let ran = project.run(&["check", "--details"]);
    assert_eq!(ran.code(), 1);
    assert_harmless(&ran.0.stdout);
    for shown in [
        "[FAIL] Compose drift: infra/new\\nline/compose.yml\n",
        "[FAIL] Compose drift: infra/escape\\x1b[31mred\\x1b[0m\\x07/compose.yml\n",
        "[FAIL] Compose drift: infra/latin\\xe9\\xff\\xfe/compose.yml\n",
        "[FAIL] Compose drift: infra/it's \"quoted\"/compose.yml\n",
        "[FAIL] Compose drift: infra/back\\\\slash/compose.yml\n",
        "[FAIL] Addon drift: tab\\there\n",
        "       unexpected: more/tab\\there\n",
        "[ERROR] Config unreadable: etc/a\\x1b[2J\\nfifo\n",
    ] {
        assert!(ran.out().contains(shown), "{shown}\n{}", ran.out());
    }
    let (_, report) = project.check(&[]);
    for check in report["checks"].as_array().unwrap() {
        assert_harmless(check["details"].as_str().unwrap().as_bytes());
    }
    assert_harmless(report["headline"].as_str().unwrap().as_bytes());
    assert_harmless(&project.run(&["export"]).0.stdout);
}

#[test]
fn a_project_may_lie_in_such_a_directory() {
    let around = Project::accepted();
    for name in names().into_iter().filter(|name| name.iter().any(|b| !matches!(b, b' '..=b'~'))) {
        let root = around.root().join("below").join(OsStr::from_bytes(&name));
        std::fs::create_dir_all(&root).unwrap();
        for part in ["audit", "infra", "odoo_modules"] {
            let copied = Command::new("cp").arg("-r").args([around.path(part), root.join(part)]).status();
            assert!(copied.unwrap().success());
        }
        let inside = around.driftlock(&["check"]).current_dir(&root).output().unwrap();
        assert_eq!(inside.status.code(), Some(0), "{inside:?}");
        let given = around.driftlock(&["check", "--root"]).arg(&root).output().unwrap();
        assert_eq!(given.status.code(), Some(0), "{given:?}");
        assert_harmless(&given.stdout);
        std::fs::remove_dir_all(root.join("infra")).unwrap();
        std::fs::write(root.join("audit/driftlock.toml"), "[compose]\nfile = 1\n").unwrap();
        let broken = around.driftlock(&["check", "--root"]).arg(&root).output().unwrap();
        assert_eq!(broken.status.code(), Some(1));
        assert_harmless(&broken.stderr);
    }
}

#[test]
fn names_on_the_command_line_are_shown_escaped() {
    let project = Project::accepted();
    let evil = "x\x1b[31m\ny";
    for arguments in [
        ["--only", evil],
        ["--format", evil],
        ["--target", evil],
        ["--baseline", evil],
        ["--root", evil],
        ["--baseline", "git:x\x1b[31m"],
        ["--output", "/dev/null/\x1b[31m"],
    ] {
        let ran = project.run(&[&["check"][..], &arguments].concat());
        assert_eq!(ran.code(), 1, "{arguments:?}");
        assert_harmless(&ran.0.stderr);
        assert_harmless(&ran.0.stdout);
    }
}

#[test]
fn names_in_the_configuration_are_shown_escaped() {
    let project = Project::small();
    for toml in [
        "\"x\\u001b[31m\" = 1\n",
        "[compose]\n\"file\\u009b\" = 1\n",
        "[compose]\nfiles = [\"/x\\u001b[31m\"]\n",
        "[compose]\nfiles = [\"[\\u001b[31m\"]\n",
        "[compose]\nfiles = [\"nothing\\u001b[31m\"]\n",
        "[targets.\"x\\u001b[31m\"]\nhost = \"local\"\n",
        "[targets.x]\nhost = \"local\"\npaths = { \"/\\u001b\" = \"x\" }\n",
        "\u{1b}[31m\n",
    ] {
        project.file("audit/driftlock.toml", toml);
        for command in ["check", "export"] {
            let ran = project.run(&[command]);
            assert_eq!(ran.code(), 1, "{toml:?}");
            assert_harmless(&ran.0.stderr);
            assert_harmless(&ran.0.stdout);
        }
        assert_harmless(&project.run(&["check", "--dry-run"]).0.stdout);
    }
}

/// Pairs of names that look the same, and how the second one is shown.
const ALIKE: [(&str, &str, &str); 4] = [
    ("caf\u{e9}", "cafe\u{301}", "cafe\\u{301}"),
    ("qr_ordering", "qr_\u{43e}rdering", "qr_\\u{43e}rdering"),
    ("shop-web", "shop\u{2010}web", "shop\\u{2010}web"),
    ("tax", "t\u{3b1}x", "t\\u{3b1}x"),
];

#[test]
fn names_that_look_alike_are_told_apart_wherever_they_are_shown() {
    let project = Project::empty();
    let put_all = |name: &str| {
        put(&project, &[b"infra", name.as_bytes(), b"compose.yml"], "services: {}\n");
        put(&project, &[b"addons", name.as_bytes(), b"__manifest__.py"], "{}\n");
    };
    let file_of = |name: &str| format!("addons/whole/models/{name}.py");
    put(&project, &[b"addons", b"whole", b"__manifest__.py"], "{}\n");
    for (name, _, _) in ALIKE {
        put_all(name);
        project.file(&file_of(name), "x\n");
    }
    git(&project, &["init", "--quiet"]);
    let first = project.ok(&["init"]).out();
    project.ok(&["export", "--accept"]);
    commit_all(&project, "release");
    for (name, other, _) in ALIKE {
        for dir in ["infra", "addons"] {
            std::fs::rename(project.path(&format!("{dir}/{name}")), project.path(&format!("{dir}/{other}")))
                .unwrap();
        }
        std::fs::rename(project.path(&file_of(name)), project.path(&file_of(other))).unwrap();
    }
    let mut outputs = vec![first, project.ok(&["init", "--force"]).out()];
    let formats = ["terminal", "markdown", "html", "tap", "junit"];
    outputs.extend(formats.map(|format| project.run(&["check", "--format", format]).out()));
    project.ok(&["export", "--output", "seen"]);
    outputs.push(project.run(&["diff", "baseline", "seen"]).out());
    outputs.push(project.run(&["history"]).out());
    for (name, other, shown) in ALIKE {
        let explained = |asked: &str| project.run(&["explain", asked]).out();
        let [of_one, of_other] = [name, other].map(|name| explained(&format!("infra/{name}/compose.yml")));
        assert!(of_one.contains(name) && !of_one.contains(shown), "{of_one}");
        assert!(of_other.contains(shown), "{of_other}");
        assert_eq!(
            explained(&format!("infra/{shown}/compose.yml")),
            of_other,
            "as it is shown, it can be asked for"
        );
        // Each by its own name, and no other with it.
        let subject = format!("compose_hashes/infra/{shown}/compose.yml");
        let ran = project.ok(&["ack", &subject, "--until", "1d", "--reason", "x", "--by", "Ada"]);
        outputs.extend([of_one, of_other, ran.out()]);
        let ran = project.ok(&["accept", "--yes", "--only", &format!("addon_hashes/{shown}")]).out();
        assert!(ran.contains("Accepted: 1 change "), "{ran}");
        project.check(&[]);
        outputs.push(ran);
    }
    outputs.extend([project.run(&["check"]).out(), project.ok(&["ack", "list"]).out()]);
    for output in &outputs {
        for (_, other, _) in ALIKE {
            assert!(!output.contains(other), "{other:?} is shown as it is: {output}");
        }
    }
    for output in &outputs[2..9] {
        // TAP writes strings as JSON does.
        let output = output.replace("\\\\", "\\");
        for (name, _, shown) in ALIKE {
            assert!(output.contains(name) && output.contains(shown), "{name}: {output:?}");
        }
    }
}
