//! The report formats, each judged by a tool that knows the format and not driftlock.

mod changes;
mod github;
mod html;
mod junit;
mod markdown;
mod prometheus;
mod sarif;
mod tap;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use crate::support::cases::without_engine;
use crate::support::disk::copy;
use crate::support::{Project, Ran};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";

/// A name, how the project is made, the command, and its exit code.
type Sketch = (&'static str, fn() -> Project, &'static [&'static str], i32);

/// What every format must tell of.
const SITUATIONS: [Sketch; 16] = [
    ("pass", Project::accepted, CHECK, 0),
    ("drift", drifted, CHECK, 2),
    ("error and drift", broken, CHECK, 1),
    ("skip", without_engine, CHECK, 0),
    ("no lock file", Project::small, CHECK, 1),
    ("several targets", fleet, &["check", "--all"], 1),
    ("unreachable", unreachable, &["check", "--target", "far"], 1),
    ("acknowledged", acknowledged, CHECK, 0),
    ("paused", paused, CHECK, 2),
    ("excused", paused, &["check", "--honour-pause"], 0),
    ("nothing compared", nothing, CHECK, 1),
    ("not kept", not_kept, CHECK, 1),
    ("hostile", hostile, CHECK, 2),
    ("some checks", drifted, &["check", "--only", "compose_hashes"], 2),
    ("diff", drifted, &["diff", "baseline", "baseline"], 0),
    ("export", Project::accepted, &["export"], 0),
];
const CHECK: &[&str] = &["check"];

/// One of them, set up.
struct Situation {
    name: &'static str,
    project: Project,
    args: &'static [&'static str],
    code: i32,
}

/// Every situation, each set up when it is its turn.
fn situations() -> impl Iterator<Item = Situation> {
    SITUATIONS.into_iter().map(|(name, project, args, code)| Situation {
        name,
        project: project(),
        args,
        code,
    })
}

impl Situation {
    fn of(wanted: &str) -> Self {
        let (name, project, args, code) = *SITUATIONS.iter().find(|(name, ..)| *name == wanted).unwrap();
        Self { name, project: project(), args, code }
    }

    /// What a format makes of it, and how many checks ended how: passed, failed, errors, skipped.
    fn report(&self, format: &str) -> (String, [usize; 4]) {
        let kept = self.project.path("kept.json");
        let ran = self.run(&["--format", format, "--format", &format!("json={}", kept.display())]);
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
        let several = document["reports"].as_array().cloned().unwrap_or_else(|| vec![document]);
        let mut counts = [0; 4];
        for report in &several {
            for check in report["checks"].as_array().unwrap() {
                let words = ["PASS", "FAIL", "ERROR", "SKIP"];
                counts[words.iter().position(|word| check["status"] == **word).unwrap()] += 1;
            }
        }
        (String::from_utf8(ran.0.stdout).unwrap(), counts)
    }

    fn run(&self, more: &[&str]) -> Ran {
        let args = [self.args, more].concat();
        let mut command = self.project.driftlock(&args);
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env_remove("GITHUB_STEP_SUMMARY");
        let ran = Ran(command.output().unwrap());
        assert_eq!(ran.code(), self.code, "{}: {}{}", self.name, ran.out(), ran.err());
        ran
    }
}

fn drifted() -> Project {
    let project = Project::accepted();
    project.file(EDGE, "services: {drift: {}}\n");
    project.file("odoo_modules/seisei/printer/models/order.py", "drift\n");
    project.file("odoo_modules/seisei/printer/models/new.py", "new\n");
    std::fs::remove_dir_all(project.path("odoo_modules/community/ocr")).unwrap();
    project
}

/// Drift, and a file of which nothing can be read.
fn broken() -> Project {
    let project = drifted();
    std::fs::remove_file(project.path(ERP)).unwrap();
    std::fs::create_dir(project.path(ERP)).unwrap();
    project
}

/// A baseline of containers where no engine answers.
/// Targets in several states: as released, two with the same drift, one that is not there.
fn fleet() -> Project {
    let project = Project::accepted();
    let mut toml = project.read("audit/driftlock.toml");
    for name in ["alpha", "beta", "delta", "gone"] {
        writeln!(toml, "[targets.{name}]\nhost = \"local\"\nroot = \"servers/{name}\"").unwrap();
        for tree in ["infra", "odoo_modules"] {
            copy(&project.path(tree), &project.path(&format!("servers/{name}/{tree}")));
        }
    }
    std::fs::remove_dir_all(project.path("servers/gone")).unwrap();
    for name in ["beta", "delta"] {
        project.file(&format!("servers/{name}/{EDGE}"), "drift\n");
    }
    project.file("audit/driftlock.toml", &toml);
    project
}

/// A server that nobody answers for.
fn unreachable() -> Project {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml")
        + "[targets.far]\nhost = \"127.0.0.1\"\nport = 1\nroot = \"/opt/erp\"\n";
    project.file("audit/driftlock.toml", &toml);
    project
}

fn acknowledged() -> Project {
    let project = Project::accepted();
    project.file(EDGE, "services: {drift: {}}\n");
    project.run(&["check"]);
    let reason = "a | hotfix for @ada, see [this](http://x) <b>";
    project.ok(&["ack", &format!("compose_hashes/{EDGE}"), "--until", "7d", "--reason", reason]);
    project
}

fn paused() -> Project {
    let project = drifted();
    project.ok(&["pause", "--for", "20m", "--reason", "release | 18.2 # TODO", "--by", "Ada"]);
    project
}

/// What sections are configured holds nothing.
fn nothing() -> Project {
    let project = Project::empty();
    project
        .file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = []\n[files]\ninclude = []\n");
    project
}

/// A run that cannot be kept.
fn not_kept() -> Project {
    let project = Project::accepted();
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    project.file("audit/runtime", "a file where runs should be\n");
    project
}

/// Names that mean something to a terminal, a shell, a spreadsheet, or to one of the formats.
const HOSTILE: [&[u8]; 22] = [
    b"<script>alert(1)<script>",
    b"x<details><img src=x onerror=y>",
    b"]]>",
    b"a|b\\|c",
    b"=1+1",
    b"new\nline",
    b"two\r\nok 1 - fine",
    b"esc\x1b[31mred",
    "rtl\u{202e}txt".as_bytes(),
    "none\u{fffe}\u{ffff}".as_bytes(),
    b"\xff\xfenot-utf8",
    b"`tick``",
    b"@mention",
    b"[a](b)",
    b"##[stop-commands]token",
    b"::error file=x::y",
    b"100%0A::error::z",
    b"# TODO later",
    b"&amp;&#0;\"'",
    b"{0} ${x} {{y}}",
    b"\x01\x0b\x7f\xc2\x85",
    b" \\n \\ ",
];

/// A project in which every hostile name has drifted: stacks that are new.
fn hostile() -> Project {
    let project = Project::accepted();
    for name in HOSTILE {
        let stack = project.path("infra/stacks").join(OsStr::from_bytes(name));
        std::fs::create_dir(&stack).unwrap();
        std::fs::write(stack.join("docker-compose.yml"), "services: {}\n").unwrap();
        let module = project.path("odoo_modules/seisei/printer").join(OsStr::from_bytes(name));
        std::fs::write(module, "x\n").unwrap();
    }
    project
}

/// Gives `input` to a tool: its exit code, and what it printed on both channels.
fn tool(command: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new("timeout")
        .arg("60")
        .args(command)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_bytes().to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A tool that ends early has not read all.
    let _ = writer.join().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// What a script that is run by Debian's own Python makes of `input`, as JSON.
fn python(script: &str, input: &str) -> serde_json::Value {
    let (code, out) = tool(&["/usr/bin/python3", "-c", script], input);
    assert_eq!(code, 0, "{out}\n{input}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// Whether text holds something that a terminal obeys or nobody sees, line breaks left out.
fn has_hidden(text: &str) -> bool {
    let hidden = |c: char| {
        c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200b}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().any(hidden)
}

#[test]
fn the_help_names_every_format() {
    for command in ["check", "diff", "export"] {
        let help = Project::empty().ok(&[command, "--help"]).out();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let ids: Vec<&str> = driftlock::report::REPORTERS.iter().map(|format| format.id()).collect();
        assert!(words.contains(&format!("Report as NAME ({})", ids.join(", "))), "{words}");
    }
}

/// Every format but the terminal's, which is printed beside those that are written into files.
fn in_files() -> impl Iterator<Item = &'static str> {
    driftlock::report::REPORTERS.iter().map(|reporter| reporter.id()).filter(|id| *id != "terminal")
}

#[test]
fn all_formats_at_once_and_none_holds_a_character_that_nobody_sees() {
    let situation = Situation::of("hostile");
    let formats: Vec<&str> = in_files().collect();
    let args: Vec<String> =
        formats.iter().flat_map(|id| ["--format".to_owned(), format!("{id}=out/{id}")]).collect();
    std::fs::create_dir(situation.project.path("out")).unwrap();
    let ran = situation.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(ran.out().contains("OVERALL: FAIL"));
    for id in formats {
        let text = situation.project.read(&format!("out/{id}"));
        assert!(!text.is_empty() && !has_hidden(&text), "{id}: {text:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_that_says_which_and_the_verdict_is_printed() {
    let project = Project::accepted();
    for id in in_files() {
        let ran = project.run(&["check", "--format", &format!("{id}=/nowhere/at/all/x.prom")]);
        assert_eq!(ran.code(), 1, "{id}");
        assert!(ran.out().contains("OVERALL: PASS"), "{id}: {}", ran.out());
        let expected = format!(
            "error: --format {id}: /nowhere/at/all/x.prom: no such file or directory\n hint: the directory must be there: make it first\n"
        );
        assert_eq!(ran.err(), expected);
    }
    for wrong in ["prometheus=audit", "prometheus=/dev/full", "junit=audit/locks/x"] {
        let ran = project.run(&["check", "--format", wrong]);
        assert!(ran.code() == 1 && ran.err().starts_with("error: "), "{wrong}: {}{}", ran.out(), ran.err());
    }
}
