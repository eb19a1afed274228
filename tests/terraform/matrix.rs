//! What the exit code of `terraform plan` says of a situation, what a script makes of that, and what is true: a table that
//! the real program fills, with `terraform_data` and with a provider whose things are files, so that they can drift.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::{CHECK, environment};
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, check_of, needs};

/// Where the table stands.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/terraform.md");
/// The lines around it.
const MARKS: [&str; 2] = ["<!-- situations -->\n", "<!-- /situations -->\n"];
/// Directory of the code.
const DIR: &str = "environments/prod";
/// Code of resources that cannot drift.
const PLAIN: &str = "resource \"terraform_data\" \"a\" {\n  input = \"one\"\n}\nresource \"terraform_data\" \"b\" {\n  input = \"one\"\n}\n\
    output \"o\" {\n  value = \"one\"\n}\n";
/// Code of things that can.
const LAB: &str = "terraform {\n  required_providers {\n    lab = { source = \"driftlock/lab\" }\n  }\n}\nprovider \"lab\" {\n  dir = \"lab\"\n}\n\
    resource \"lab_thing\" \"a\" {\n  name  = \"a\"\n  size  = 1\n  rules = [\"tcp 80\", \"tcp 443\"]\n  steps = [\"x\", \"y\"]\n}\n\
    resource \"lab_thing\" \"b\" {\n  name = \"b\"\n  size = 1\n  lifecycle {\n    ignore_changes = [size]\n  }\n}\n\
    resource \"lab_thing\" \"s\" {\n  name     = \"s\"\n  password = \"c4nary-one\"\n  zone     = \"z1\"\n  lifecycle {\n    create_before_destroy = true\n  }\n}\n";

/// An assertion that fails.
const FAILING: &str = "check \"c\" {\n  assert {\n    condition     = terraform_data.a.output == \"two\"\n    error_message = \"not two\"\n  }\n}\n";

/// What is true of a situation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// Infrastructure is as code and state have it.
    Conforms,
    /// Something was changed outside.
    Drift,
    /// The code wants what was not applied.
    Pending,
    /// Nobody can tell.
    Unknown,
}

impl Truth {
    fn word(self) -> &'static str {
        match self {
            Self::Conforms => "conforms",
            Self::Drift => "drift",
            Self::Pending => "not applied",
            Self::Unknown => "nobody can tell",
        }
    }

    /// The exit code of a check that is right.
    fn exit(self) -> i32 {
        match self {
            Self::Conforms => 0,
            Self::Drift | Self::Pending => 2,
            Self::Unknown => 1,
        }
    }
}

/// One row of the table.
struct Situation {
    name: &'static str,
    /// More keys of the environment's table, a comma before each.
    more: &'static str,
    /// Variables of whoever plans and checks.
    variables: &'static [(&'static str, &'static str)],
    /// Brings it about; what it gives is kept open.
    make: fn(&Place) -> Option<File>,
    /// The exit code of `plan -detailed-exitcode`.
    exit: i32,
    /// What the check says.
    told: &'static str,
    truth: Truth,
}

/// The place of one situation.
struct Place {
    project: Project,
    config: PathBuf,
}

impl Place {
    fn code(&self, edit: impl Fn(String) -> String) {
        let path = format!("{DIR}/main.tf");
        self.project.file(&path, &edit(self.project.read(&path)));
    }

    fn add(&self, text: &str) {
        self.code(|code| code + text);
    }

    fn replace(&self, from: &str, to: &str) {
        self.code(|code| {
            assert!(code.contains(from), "{code}");
            code.replacen(from, to, 1)
        });
    }

    /// Edits a thing of the lab outside of Terraform.
    fn thing(&self, name: &str, key: &str, value: &Value) {
        let path = format!("{DIR}/lab/t-{name}.json");
        let mut thing: Value = serde_json::from_str(&self.project.read(&path)).unwrap();
        assert_ne!(&thing[key], value);
        thing[key] = value.clone();
        self.project.file(&path, &thing.to_string());
    }

    fn lab(&self, name: &str) -> PathBuf {
        self.project.path(&format!("{DIR}/lab/{name}"))
    }

    fn state(&self, edit: impl Fn(String) -> String) {
        let path = format!("{DIR}/terraform.tfstate");
        self.project.file(&path, &edit(self.project.read(&path)));
    }

    fn terraform(&self, args: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
        let mut command = Command::new("terraform");
        command.args(args).current_dir(self.project.path(DIR)).stdin(Stdio::null()).alone();
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TF_")) {
            command.env_remove(name);
        }
        command.env("TF_CLI_CONFIG_FILE", &self.config).env("CHECKPOINT_DISABLE", "1");
        let done = command.envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        (done.status.code().unwrap(), text)
    }

    fn done(&self, args: &[&str]) {
        let (exit, text) = self.terraform(args, &[]);
        assert_eq!(exit, 0, "{args:?}: {text}");
    }

    fn driftlock(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.project.driftlock(args);
        super::bare(&mut command).env("TF_CLI_CONFIG_FILE", &self.config).envs(variables.iter().copied());
        Ran(command.output().unwrap())
    }
}

/// What a check says, in short.
fn told(ran: &Ran) -> String {
    let report = ran.report();
    let check = check_of(&report, CHECK);
    match ran.code() {
        0 if check["notes"].as_array().is_some_and(|notes| !notes.is_empty()) => {
            "PASS, with a note".to_owned()
        }
        0 => "PASS".to_owned(),
        2 => {
            let word = |it: &Value| it["change"].as_str().or(it["kind"].as_str()).unwrap().to_owned();
            let words: std::collections::BTreeSet<String> =
                check["findings"].as_array().unwrap().iter().map(word).collect();
            format!("FAIL: {}", words.into_iter().collect::<Vec<_>>().join(", "))
        }
        _ => "ERROR".to_owned(),
    }
}

const fn row(
    name: &'static str,
    make: fn(&Place) -> Option<File>,
    (exit, told, truth): (i32, &'static str, Truth),
) -> Situation {
    Situation { name, more: "", variables: &[], make, exit, told, truth }
}

/// Situations of resources that cannot drift.
#[expect(clippy::too_many_lines, reason = "a table")]
fn plain() -> Vec<Situation> {
    use Truth::{Conforms, Drift, Pending, Unknown};
    let lock = |place: &Place| {
        let path = place.project.path(&format!("{DIR}/terraform.tfstate"));
        let file = File::options().read(true).write(true).open(path).unwrap();
        rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        Some(file)
    };
    vec![
        row("nothing happened", |_| None, (0, "PASS", Conforms)),
        row(
            "an output gets another value",
            |it| {
                it.replace("value = \"one\"", "value = \"two\"");
                None
            },
            (2, "PASS, with a note", Conforms),
        ),
        row(
            "a resource has another name in the code (`moved`)",
            |it| {
                it.replace("\"b\" {", "\"c\" {");
                it.add("moved {\n  from = terraform_data.b\n  to   = terraform_data.c\n}\n");
                None
            },
            (2, "PASS, with a note", Conforms),
        ),
        row(
            "a resource is to be imported (`import`)",
            |it| {
                it.add("resource \"terraform_data\" \"c\" {}\nimport {\n  to = terraform_data.c\n  id = \"x\"\n}\n");
                None
            },
            (2, "PASS, with a note", Conforms),
        ),
        row(
            "a `check` block looks something up",
            |it| {
                it.add(
                    "check \"c\" {\n  data \"terraform_remote_state\" \"s\" {\n    backend = \"local\"\n    config  = { path = \"terraform.tfstate\" }\n  }\n  \
                     assert {\n    condition     = data.terraform_remote_state.s.outputs.o == \"one\"\n    error_message = \"not one\"\n  }\n}\n",
                );
                None
            },
            (2, "PASS, with a note", Conforms),
        ),
        row(
            "a `check` block fails",
            |it| {
                it.add(FAILING);
                None
            },
            (0, "PASS, with a note", Conforms),
        ),
        Situation {
            more: ", checks = \"fail\"",
            ..row(
                "a `check` block fails, and `checks = \"fail\"`",
                |it| {
                    it.add(FAILING);
                    None
                },
                (0, "FAIL: modified", Drift),
            )
        },
        row(
            "the code was changed",
            |it| {
                it.replace("\"one\"", "\"two\"");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        Situation {
            more: ", pending = \"note\"",
            ..row(
                "the code was changed, and `pending = \"note\"`",
                |it| {
                    it.replace("\"one\"", "\"two\"");
                    None
                },
                (2, "PASS, with a note", Conforms),
            )
        },
        row(
            "a resource is new in the code",
            |it| {
                it.add("resource \"terraform_data\" \"c\" {}\n");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "a resource is not in the code any more",
            |it| {
                it.replace("resource \"terraform_data\" \"b\" {\n  input = \"one\"\n}\n", "");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "the code makes a resource anew",
            |it| {
                it.replace("input = \"one\"", "input = \"one\"\n  triggers_replace = 1");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "a resource is tainted",
            |it| {
                it.done(&["taint", "terraform_data.a"]);
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "a resource is to be forgotten (`removed`)",
            |it| {
                it.replace("resource \"terraform_data\" \"b\" {\n  input = \"one\"\n}\n", "");
                it.add("removed {\n  from = terraform_data.b\n  lifecycle {\n    destroy = false\n  }\n}\n");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        Situation {
            variables: &[("TF_CLI_ARGS_plan", "-target=terraform_data.typo")],
            ..row(
                "the code was changed, and the environment has a `-target`",
                |it| {
                    it.replace("\"one\"", "\"two\"");
                    None
                },
                (0, "FAIL: pending", Pending),
            )
        },
        Situation {
            more: ", workspace = \"nowhere\"",
            variables: &[("TF_WORKSPACE", "nowhere")],
            ..row("there is no such workspace", |_| None, (2, "ERROR", Unknown))
        },
        row("somebody else holds the lock of the state", lock, (1, "PASS", Conforms)),
        Situation {
            more: ", lock = \"1s\"",
            ..row("somebody else holds the lock, and `lock = \"1s\"`", lock, (1, "ERROR", Unknown))
        },
        row(
            "the state is lost",
            |it| {
                std::fs::remove_file(it.project.path(&format!("{DIR}/terraform.tfstate"))).unwrap();
                None
            },
            (2, "ERROR", Unknown),
        ),
        row(
            "the state is cut off",
            |it| {
                it.state(|text| text[..text.len() / 2].to_owned());
                None
            },
            (1, "ERROR", Unknown),
        ),
        row(
            "a newer release wrote the state",
            |it| {
                it.state(|text| {
                    let (before, rest) = text.split_once("\"terraform_version\": \"").unwrap();
                    format!("{before}\"terraform_version\": \"1.999.0\"{}", rest.split_once('"').unwrap().1)
                });
                None
            },
            (0, "ERROR", Unknown),
        ),
        row(
            "a variable has no value",
            |it| {
                it.add("variable \"v\" {}\n");
                None
            },
            (1, "ERROR", Unknown),
        ),
        row(
            "the code does not parse",
            |it| {
                it.add("resource \"\n");
                None
            },
            (1, "ERROR", Unknown),
        ),
        row(
            "a precondition fails",
            |it| {
                it.replace(
                    "input = \"one\"\n",
                    "input = \"one\"\n  lifecycle {\n    precondition {\n      condition     = 1 == 2\n      error_message = \"no\"\n    }\n  }\n",
                );
                None
            },
            (1, "ERROR", Unknown),
        ),
    ]
}

/// Situations of things that can drift.
#[expect(clippy::too_many_lines, reason = "a table")]
fn lab() -> Vec<Situation> {
    use Truth::{Conforms, Drift, Pending, Unknown};
    vec![
        row(
            "changed outside; the code says otherwise",
            |it| {
                it.thing("a", "size", &json!(5));
                None
            },
            (2, "FAIL: reverted", Drift),
        ),
        row(
            "changed outside, under `ignore_changes`",
            |it| {
                it.thing("b", "size", &json!(5));
                None
            },
            (0, "FAIL: kept", Drift),
        ),
        row(
            "changed outside; the code says nothing of it",
            |it| {
                it.thing("a", "note", &json!("x"));
                None
            },
            (0, "FAIL: kept", Drift),
        ),
        row(
            "changed outside, and the code was edited to match",
            |it| {
                it.thing("a", "size", &json!(5));
                it.replace("size  = 1", "size  = 5");
                None
            },
            (0, "FAIL: kept", Drift),
        ),
        row(
            "changed outside, and the code wants a third value",
            |it| {
                it.thing("a", "size", &json!(5));
                it.replace("size  = 1", "size  = 9");
                None
            },
            (2, "FAIL: conflicting", Drift),
        ),
        row(
            "a rule was added outside",
            |it| {
                it.thing("a", "rules", &json!(["tcp 22", "tcp 443", "tcp 80"]));
                None
            },
            (2, "FAIL: reverted", Drift),
        ),
        row(
            "a set comes in another order",
            |it| {
                it.thing("a", "rules", &json!(["tcp 80", "tcp 443"]));
                None
            },
            (0, "PASS", Conforms),
        ),
        row(
            "a list is in another order",
            |it| {
                it.thing("a", "steps", &json!(["y", "x"]));
                None
            },
            (2, "FAIL: reverted", Drift),
        ),
        row(
            "a secret was changed outside",
            |it| {
                it.thing("s", "password", &json!("c4nary-two"));
                None
            },
            (2, "FAIL: reverted", Drift),
        ),
        row(
            "deleted outside",
            |it| {
                std::fs::remove_file(it.lab("t-a.json")).unwrap();
                None
            },
            (2, "FAIL: missing", Drift),
        ),
        row(
            "deleted outside, and not in the code any more",
            |it| {
                std::fs::remove_file(it.lab("t-b.json")).unwrap();
                it.code(|code| {
                    let (before, rest) = code.split_once("resource \"lab_thing\" \"b\"").unwrap();
                    before.to_owned()
                        + "resource \"lab_thing\" \"s\""
                        + rest.split_once("resource \"lab_thing\" \"s\"").unwrap().1
                });
                None
            },
            (0, "FAIL: missing", Drift),
        ),
        Situation {
            more: ", inventory = [\"cat\", \"ids.json\"]",
            ..row(
                "created outside, and an inventory names it",
                |it| {
                    it.project.file(
                        &format!("{DIR}/ids.json"),
                        "{\"lab_thing\": [\"t-a\", \"t-b\", \"t-s\", \"t-new\"]}",
                    );
                    None
                },
                (0, "FAIL: unexpected", Drift),
            )
        },
        row(
            "a provider writes nothing in another way",
            |it| {
                std::fs::write(it.lab("noise"), "").unwrap();
                None
            },
            (2, "PASS", Conforms),
        ),
        row(
            "drift that was accepted",
            |it| {
                it.thing("a", "size", &json!(5));
                assert_eq!(it.driftlock(&["check", "--env", "prod"], &[]).code(), 2);
                let ran = it.driftlock(&["accept", "--env", "prod", "--only", "lab_thing.a", "--yes"], &[]);
                assert_eq!(ran.code(), 0, "{}", ran.err());
                None
            },
            (2, "PASS", Conforms),
        ),
        row(
            "one was changed outside, another one in the code",
            |it| {
                it.thing("b", "size", &json!(5));
                it.replace("size  = 1", "size  = 2");
                None
            },
            (2, "FAIL: kept, pending", Drift),
        ),
        row(
            "changed outside and renamed in the code (`moved`)",
            |it| {
                it.thing("a", "size", &json!(5));
                it.replace("\"a\" {", "\"c\" {");
                it.add("moved {\n  from = lab_thing.a\n  to   = lab_thing.c\n}\n");
                None
            },
            (2, "FAIL: reverted", Drift),
        ),
        Situation {
            variables: &[("TF_CLI_ARGS_plan", "-refresh=false")],
            ..row(
                "changed outside, and the environment has `-refresh=false`",
                |it| {
                    it.thing("a", "size", &json!(5));
                    None
                },
                (0, "FAIL: reverted", Drift),
            )
        },
        row(
            "a data source waits for the apply",
            |it| {
                it.add(
                    "data \"lab_look\" \"l\" {\n  id         = \"t-a\"\n  depends_on = [lab_thing.a]\n}\n",
                );
                it.replace("size  = 1", "size  = 2");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "an apply broke off, and left an old object (deposed)",
            |it| {
                std::fs::write(it.lab("fail.delete"), "").unwrap();
                it.replace("\"z1\"", "\"z2\"");
                let (exit, text) = it.terraform(&["apply", "-auto-approve", "-input=false"], &[]);
                assert_eq!(exit, 1, "{text}");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "an apply broke off half-way",
            |it| {
                std::fs::write(it.lab("fail.create"), "").unwrap();
                it.replace("size  = 1", "size  = 2");
                it.add("resource \"lab_thing\" \"d\" {\n  name = \"d\"\n}\n");
                let (exit, text) = it.terraform(&["apply", "-auto-approve", "-input=false"], &[]);
                assert_eq!(exit, 1, "{text}");
                None
            },
            (2, "FAIL: pending", Pending),
        ),
        row(
            "one resource cannot be read",
            |it| {
                std::fs::write(it.lab("fail.read.b"), "").unwrap();
                it.thing("a", "size", &json!(5));
                None
            },
            (1, "ERROR", Unknown),
        ),
        row(
            "the provider cannot be reached",
            |it| {
                std::fs::rename(it.lab(""), it.project.path("away")).unwrap();
                None
            },
            (1, "ERROR", Unknown),
        ),
    ]
}

/// The provider of the tests, as a mirror of the registry has it, and the configuration that leads there.
fn mirror(dir: &Path) -> PathBuf {
    needs::declared(needs::PROVIDER);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = std::env::var_os("DRIFTLOCK_TF").map_or_else(|| root.join("target/tf"), PathBuf::from);
    let version = dir.join("mirror/registry.terraform.io/driftlock/lab/1.0.0");
    let place = version.join(match std::env::consts::ARCH {
        "aarch64" => "linux_arm64",
        _ => "linux_amd64",
    });
    std::fs::create_dir_all(&place).unwrap();
    let program = place.join("terraform-provider-lab_v1.0.0");
    let script = root.join("tests/terraform/provider/lab.py");
    let text = format!(
        "#!/bin/sh\nHOME='{}' PYTHONPATH='{}' PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/env python3 '{}' \"$@\"\n",
        dir.display(),
        modules.display(),
        script.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = dir.join("terraform.rc");
    let mirror = dir.join("mirror");
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
        mirror.display()
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// A place whose code is applied, and which was checked once.
fn applied(code: &str, config: &Path) -> Place {
    let place = Place { project: environment(code, ""), config: config.to_owned() };
    if code == LAB {
        std::fs::create_dir(place.lab("")).unwrap();
    }
    place.done(&["init", "-input=false"]);
    place.done(&["apply", "-auto-approve", "-input=false"]);
    let ran = place.driftlock(&["check", "--env", "prod"], &[]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    place
}

/// The row of a situation: what Terraform, a script and the check say.
fn looked_at(base: &Place, situation: &Situation) -> Result<String, String> {
    let project = Project::empty();
    let from = base.project.root().join(".");
    let copied = Command::new("cp").arg("-a").arg(from).arg(project.root()).alone().status().unwrap();
    assert!(copied.success());
    let table = format!("[targets.prod]\nterraform = {{ dir = \"{DIR}\"{} }}\n", situation.more);
    project.file("audit/driftlock.toml", &table);
    let place = Place { project, config: base.config.clone() };
    let kept = (situation.make)(&place);
    let arguments = ["plan", "-detailed-exitcode", "-input=false", "-no-color"];
    let (exit, text) = place.terraform(&arguments, situation.variables);
    let ran = place.driftlock(&["check", "--env", "prod", "--format", "json"], situation.variables);
    drop(kept);
    let told = told(&ran);
    let Situation { name, truth, .. } = situation;
    if (exit, told.as_str()) != (situation.exit, situation.told) || ran.code() != truth.exit() {
        return Err(format!(
            "{name}: {exit} and {told}, not {} and {}\n{text}\n{}{}",
            situation.exit,
            situation.told,
            ran.out(),
            ran.err()
        ));
    }
    assert!(!ran.out().contains("c4nary"), "{name}: {}", ran.out());
    let script = ["conforms", "error", "drift"][usize::try_from(exit).unwrap()];
    let is_right = match truth {
        Truth::Conforms => exit == 0,
        Truth::Drift | Truth::Pending => exit == 2,
        Truth::Unknown => exit == 1,
    };
    let script = if is_right { script.to_owned() } else { format!("**{script}**") };
    Ok(format!("| {name} | {exit} | {script} | {told} | {} |\n", truth.word()))
}

#[test]
fn needs_terraform_needs_provider_the_check_says_what_is_true_in_every_situation() {
    needs::declared(needs::TERRAFORM);
    let dir = tempfile::tempdir().unwrap();
    let config = mirror(dir.path());
    let (plain_base, lab_base) = (applied(PLAIN, &config), applied(LAB, &config));
    let (plain, lab) = (plain(), lab());
    let all: Vec<(&Place, &Situation)> =
        plain.iter().map(|it| (&plain_base, it)).chain(lab.iter().map(|it| (&lab_base, it))).collect();
    let rows: Mutex<Vec<Option<Result<String, String>>>> = Mutex::new(all.iter().map(|_| None).collect());
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some((base, situation)) = all.get(at) else { break };
                    let row = looked_at(base, situation);
                    rows.lock().unwrap()[at] = Some(row);
                }
            });
        }
    });
    let rows: Vec<Result<String, String>> = rows.into_inner().unwrap().into_iter().flatten().collect();
    let wrong: Vec<&str> = rows.iter().filter_map(|row| row.as_ref().err()).map(String::as_str).collect();
    assert!(wrong.is_empty() && rows.len() == all.len(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    let rows: String = rows.into_iter().flatten().collect();
    let misled = rows.lines().filter(|row| row.contains("**")).count();
    let count = all.len();
    assert!(count >= 30 && misled > 0);
    let table = format!(
        "In {misled} of these {count} situations a script that goes by the exit code is misled (bold); they are made by the tests, with the real program.\n\n\
         | situation | `-detailed-exitcode` | a script by it | `driftlock check` | what is true |\n|---|---|---|---|---|\n{rows}"
    );
    let docs = std::fs::read_to_string(DOCS).unwrap();
    let (before, rest) = docs.split_once(MARKS[0]).unwrap();
    let (there, after) = rest.split_once(MARKS[1]).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let [open, close] = MARKS;
        std::fs::write(DOCS, format!("{before}{open}{table}{close}{after}")).unwrap();
    } else {
        assert_eq!(there, table, "UPDATE_DOCS=1 writes the table anew");
    }
}
