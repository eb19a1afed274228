//! A password in an address is on no terminal, in no report and in no log: every place where one may stand, before every
//! command that could show it.

use std::path::Path;

use data_encoding::{BASE64, BASE64URL};
use driftlock::report::REPORTERS;

use crate::support::Project;
use crate::support::git::{commit_all, git};

/// The password; nothing may show it in any spelling.
const CANARY: &str = "c4naryThatNobodyMaySee";

/// Addresses with a password, as people write and miswrite them.
const ADDRESSES: [&str; 16] = [
    "tcp://bob:CANARY@127.0.0.1:1",
    "tcp://CANARY@127.0.0.1:1",
    "http://bob:CANARY@127.0.0.1:1/x",
    "https://127.0.0.1:1/x?token=CANARY",
    "ssh://bob:CANARY@127.0.0.1",
    "tcp://bob:p@CANARY@127.0.0.1:1",
    "tcp://bob:p/CANARY@127.0.0.1:1",
    "tcp://bob:p%2FCANARY@127.0.0.1:1",
    "tcp://bob:p CANARY x@127.0.0.1:1",
    "tcp://bob:CANARY",
    "tcp:/bob:CANARY@127.0.0.1:1",
    "bob:CANARY@127.0.0.1",
    "bob%3ACANARY@127.0.0.1",
    "unix://bob:CANARY@127.0.0.1/x.sock",
    "unix:///nowhere/tcp://bob:CANARY@127.0.0.1",
    "://bob:CANARY@127.0.0.1:1#CANARY",
];

/// Where an address stands: variables, lines of the configuration, and commands besides those of [`COMMANDS`].
struct Source {
    name: &'static str,
    variables: &'static [&'static str],
    configuration: &'static str,
    commands: &'static [&'static [&'static str]],
}

const fn arguments(commands: &'static [&'static [&'static str]]) -> Source {
    Source { name: "arguments", variables: &[], configuration: "", commands }
}

const TEST: &[&[&str]] = &[&["notify"], &["notify", "test", "ops"]];
const TARGET: &[&[&str]] = &[
    &["check", "--target", "t"],
    &["check", "--all", "--format", "json"],
    &["export", "--target", "t"],
    &["explain", "qr_ordering", "--target", "t"],
    &["diff", "baseline", "t"],
    &["accept", "--target", "t", "--yes"],
];

const SOURCES: &[Source] = &[
    Source {
        name: "DOCKER_HOST",
        variables: &["DOCKER_HOST"],
        configuration: "[docker]\nmode = \"required\"\n",
        commands: &[],
    },
    Source {
        name: "a docker context",
        variables: &["DOCKER_CONTEXT"],
        configuration: "[docker]\nmode = \"required\"\n",
        commands: &[],
    },
    Source {
        name: "a proxy",
        variables: &["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"],
        configuration: "[notify.ops]\nkind = \"webhook\"\nurl_env = \"PLAIN_HOOK\"\ntimeout = \"1s\"\n",
        commands: TEST,
    },
    Source {
        name: "a webhook",
        variables: &["HOOK"],
        configuration: "[notify.ops]\nkind = \"webhook\"\nurl_env = \"HOOK\"\ntimeout = \"1s\"\n",
        commands: TEST,
    },
    Source {
        name: "the name of a variable",
        variables: &[],
        configuration: "[notify.ops]\nkind = \"slack\"\nurl_env = \"ADDRESS\"\n",
        commands: TEST,
    },
    Source {
        name: "the file of a webhook",
        variables: &[],
        configuration: "[notify.ops]\nkind = \"slack\"\nurl_file = \"ADDRESS\"\n",
        commands: TEST,
    },
    Source {
        name: "a command",
        variables: &[],
        configuration: "[notify.ops]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", 'echo \"no way to $1\" >&2; exit 1', \"sh\", \"ADDRESS\"]\n",
        commands: TEST,
    },
    Source {
        name: "a target",
        variables: &[],
        configuration: "[targets.t]\nhost = \"ADDRESS\"\nroot = \"/x\"\n",
        commands: TARGET,
    },
    Source {
        name: "a user",
        variables: &[],
        configuration: "[targets.t]\nhost = \"127.0.0.1\"\nport = 1\nuser = \"bob:CANARY\"\n",
        commands: TARGET,
    },
    Source {
        name: "a port",
        variables: &[],
        configuration: "[targets.t]\nhost = \"127.0.0.1\"\nport = \"ADDRESS\"\n",
        commands: TARGET,
    },
    Source {
        name: "a fingerprint",
        variables: &[],
        configuration: "[targets.t]\nhost = \"127.0.0.1\"\nhost_keys = [\"ADDRESS\"]\n",
        commands: TARGET,
    },
    Source { name: "no key", variables: &[], configuration: "\"ADDRESS\" = 1\n", commands: &[] },
    Source {
        name: "a level of the log",
        variables: &["DRIFTLOCK_LOG"],
        configuration: "",
        commands: &[&["check"]],
    },
    arguments(&[
        &["check", "--server", "ADDRESS"],
        &["check", "--server", "ADDRESS", "--docker", "off", "--format", "json"],
        &["export", "--server", "ADDRESS"],
        &["check", "--server", "127.0.0.1", "--ssh-port", "1", "--ssh-user", "bob:CANARY"],
        &["check", "--server", "127.0.0.1", "--ssh-port", "ADDRESS"],
        &["check", "--ssh-port=ADDRESS", "--server", "127.0.0.1"],
        &["check", "ADDRESS"],
        &["ADDRESS"],
        &["--ADDRESS"],
        &["check", "--target", "ADDRESS"],
        &["check", "--docker", "ADDRESS"],
        &["check", "--baseline", "ADDRESS"],
        &["check", "--baseline", "git:ADDRESS"],
        &["check", "--format", "ADDRESS"],
        &["check", "--only", "ADDRESS"],
        &["export", "--from", "git:ADDRESS"],
        &["diff", "ADDRESS", "baseline"],
        &["diff", "git:ADDRESS", "git:HEAD"],
        &["explain", "ADDRESS"],
        &["notify", "test", "ADDRESS"],
        &["history", "--since", "ADDRESS"],
        &["accept", "ADDRESS"],
        &["report", "ADDRESS"],
    ]),
];

/// What is done wherever an address stands.
const COMMANDS: &[&[&str]] = &[
    &["check"],
    &["check", "--log-format", "json"],
    &["check", "--docker", "required", "--format", "json"],
    &["export"],
    &["accept", "--yes"],
    &["diff", "baseline", "local"],
    &["explain", "qr_ordering"],
    &["history"],
    &["notify"],
    &["verify"],
    &["ack", "list"],
    &["prune"],
];

/// The spellings of the password that are looked for.
fn spellings() -> Vec<String> {
    let percent: String = CANARY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut all = vec![CANARY.to_owned(), percent.to_lowercase(), percent];
    for before in ["", "b", "ob", "bob:", "tcp://bob:", "x:"] {
        let text = format!("{before}{CANARY}");
        // Letters at both ends depend on what stands beside.
        for encoded in [BASE64.encode(text.as_bytes()), BASE64URL.encode(text.as_bytes())] {
            let begin = (before.len() * 4).div_ceil(3) + 1;
            all.push(encoded[begin.min(encoded.len() - 8)..encoded.len() - 6].to_owned());
        }
    }
    all
}

/// What is written below a directory, but for what the test itself has put there.
fn written(dir: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.display().to_string();
        if path.is_dir() && entry.file_name() != ".git" {
            all.push((name.clone(), name));
            written(&path, all);
        } else if path.is_file() && entry.file_name() != "driftlock.toml" {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            all.push((name.clone(), format!("{name}\n{text}")));
        }
    }
}

/// A project whose configuration goes on in this way.
fn project(configuration: &str) -> Project {
    let project = Project::accepted();
    let before = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{before}\n{configuration}"));
    git(&project, &["init", "-q"]);
    commit_all(&project, "begin");
    project
}

#[test]
fn the_password_of_an_address_is_nowhere() {
    let spellings = spellings();
    let mut shown = Vec::new();
    let mut runs = 0;
    for source in SOURCES {
        let takes_all = source.name == "DOCKER_HOST" || source.name == "arguments";
        for (at, address) in ADDRESSES.iter().enumerate() {
            let address = address.replace("CANARY", CANARY);
            let place = |text: &str| text.replace("ADDRESS", &address).replace("CANARY", CANARY);
            let project = project(&place(source.configuration));
            git(&project, &["remote", "add", "origin", &address]);
            // Not every command for every address: what differs between addresses is how they are shown.
            let own = source
                .commands
                .iter()
                .chain(COMMANDS.iter().filter(|_| !source.commands.is_empty() || takes_all));
            let own: Vec<_> =
                if source.commands.is_empty() { COMMANDS.iter().collect() } else { own.collect() };
            let own = own.into_iter().enumerate().filter(|(number, _)| {
                *number < source.commands.len() || number % ADDRESSES.len() == at || at == 0 || *number < 2
            });
            for (_, command) in own {
                let mut args: Vec<String> = command.iter().map(|arg| place(arg)).collect();
                if command[0] == "check" && command.len() == 1 {
                    let formats =
                        REPORTERS.iter().map(|each| format!("--format={}=out.{}", each.id(), each.id()));
                    args.extend(formats);
                }
                args.push("-vv".to_owned());
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let mut run = project.driftlock(&args);
                run.env("HOME", project.path("home")).env_remove("DOCKER_HOST").env_remove("SSH_AUTH_SOCK");
                run.env("PLAIN_HOOK", "http://127.0.0.1:1/x");
                for variable in source.variables {
                    run.env(variable, &address);
                }
                let ran = run.output().unwrap();
                runs += 1;
                let mut texts = vec![
                    ("standard output".to_owned(), String::from_utf8_lossy(&ran.stdout).into_owned()),
                    ("standard error".to_owned(), String::from_utf8_lossy(&ran.stderr).into_owned()),
                ];
                written(&project.root(), &mut texts);
                for (name, text) in texts {
                    if let Some(line) =
                        text.lines().find(|line| spellings.iter().any(|each| line.contains(each)))
                    {
                        shown.push(format!("{} {address} {args:?}: {name}: {line}", source.name));
                    }
                }
            }
        }
    }
    assert!(shown.is_empty(), "{} of {runs} runs:\n{}", shown.len(), shown.join("\n"));
    println!("{runs} runs");
}

#[test]
fn the_context_of_docker_shows_no_password() {
    let project = project("[docker]\nmode = \"required\"\n");
    // The name of the directory is the SHA-256 of `prod`.
    let name = driftlock::model::Digest::of(b"prod").to_string();
    for address in ADDRESSES {
        let address = address.replace("CANARY", CANARY);
        let meta = serde_json::json!({"Name": "prod", "Endpoints": {"docker": {"Host": address}}});
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("contexts/meta").join(&name);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("meta.json"), meta.to_string()).unwrap();
        let mut run = project.driftlock(&["check", "-vv", "--format", "json"]);
        let ran =
            run.env("DOCKER_CONFIG", dir.path()).env("DOCKER_CONTEXT", "prod").env_remove("DOCKER_HOST");
        let ran = ran.output().unwrap();
        let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(!text.contains(CANARY), "{address}: {text}");
        assert!(text.contains("docker"), "{text}");
    }
}
