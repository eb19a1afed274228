//! What driftlock logs: as text and as JSON, of what it does and of what goes over the wire, and never a secret.

use serde_json::{Value, json};

use crate::support::engine::{FakeEngine, Reply, id, listed};
use crate::support::sshd::Server;
use crate::support::world::Alone as _;
use crate::support::{Project, Ran};

const MODULE: &str = "odoo_modules/seisei/printer/models/order.py";

/// Every line of standard error as a record.
fn records(ran: &Ran) -> Vec<Value> {
    let lines: Vec<Value> = ran
        .err()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for key in ["time", "level", "room", "message"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
        assert!(line["fields"].is_object(), "{line}");
    }
    lines
}

fn said<'a>(records: &'a [Value], room: &str, message: &str) -> &'a Value {
    let found = records.iter().find(|line| line["room"] == room && line["message"] == message);
    found.unwrap_or_else(|| panic!("{room}: {message}: {records:#?}"))
}

/// Output without what differs from run to run.
fn steady(text: &str) -> String {
    let stamps = regex::Regex::new(r"[0-9]{8}_[0-9]{6}(_[0-9]+)?|(?m)^ +seen in .*\n").unwrap();
    stamps.replace_all(text, "").into_owned()
}

#[test]
fn what_is_done_is_said_and_standard_output_is_the_same() {
    let project = Project::accepted();
    project.file(MODULE, "class Order: hand\n");
    let plain = project.run(&["check"]);
    assert_eq!((plain.code(), plain.err().as_str()), (2, ""), "nothing is said that nobody asked for");
    for options in
        [&["-v"][..], &["-vv"], &["--verbose", "--log-format", "json"], &["-vv", "--log-format=json"]]
    {
        let ran = project.run(&[&["check"], options].concat());
        assert_eq!(ran.code(), 2);
        assert_eq!(steady(&ran.out()), steady(&plain.out()), "{options:?}");
        for what in ["found the project", "planned", "looked", "compared", "wrote the run"] {
            assert!(ran.err().contains(what), "{what}: {}", ran.err());
        }
        let asks_git = ran.err().contains("asked git");
        assert_eq!(asks_git, options[0] == "-vv", "{}", ran.err());
    }
    let ran = project.run(&["-v", "check", "--quiet"]);
    let line = ran.err().lines().find(|line| line.contains("planned section=addons")).unwrap().to_owned();
    let form = regex::Regex::new(
        r#"^\d\d:\d\d:\d\d\.\d{3} info  \[local\] audit: planned section=addons asked="modules in .*; 3 named"$"#,
    );
    assert!(form.unwrap().is_match(&line), "{line}");
}

#[test]
fn the_environment_decides_where_no_option_does() {
    let project = Project::accepted();
    let run = |value: &str, options: &[&str]| {
        let args = [&["check", "--quiet"], options].concat();
        Ran(project.driftlock(&args).env("DRIFTLOCK_LOG", value).output().unwrap())
    };
    for (value, options, info, debug) in [
        ("off", &[][..], false, false),
        ("0", &[], false, false),
        ("", &[], false, false),
        ("info", &[], true, false),
        ("1", &[], true, false),
        ("debug", &[], true, true),
        ("2", &[], true, true),
        ("off", &["-vv"], true, true),
        ("debug", &["-v"], true, false),
        ("nonsense", &["-v"], true, false),
    ] {
        let ran = run(value, options);
        assert_eq!(ran.code(), 0);
        let levels = (ran.err().contains(" info "), ran.err().contains(" debug "));
        assert_eq!(levels, (info, debug), "{value} {options:?}: {}", ran.err());
    }
    for wrong in ["verbose", "3", "Info\u{1b}[31m"] {
        let ran = run(wrong, &[]);
        assert_eq!((ran.code(), ran.out().as_str()), (1, ""));
        assert!(
            ran.err().starts_with("error: DRIFTLOCK_LOG=") && ran.err().contains("off, info, debug"),
            "{wrong}"
        );
        assert!(!ran.err().contains('\u{1b}'));
    }
}

#[test]
fn warnings_and_errors_are_records_where_all_else_is() {
    let project = Project::accepted();
    std::fs::create_dir_all(project.path("audit/runtime/no\u{1b}tes\n\u{202e}")).unwrap();
    let ran = project.ok(&["history", "--log-format", "json"]);
    let all = records(&ran);
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["level"], &all[0]["room"]), (&"warn".into(), &"cli".into()));
    let ran = project.run(&["history", "--target", "nowhere", "--log-format", "json"]);
    let all = records(&ran);
    assert_eq!((ran.code(), &all[0]["level"]), (1, &"error".into()));
    assert!(all[0]["message"].as_str().unwrap().contains("hint: "), "{all:?}");
}

#[test]
fn names_obey_nobody() {
    let project = Project::small();
    project.file("infra/stacks/e\u{1b}[31m vil\n\u{202e}/docker-compose.yml", "services: {}\n");
    project.ok(&["export", "--accept"]);
    project.file("infra/stacks/e\u{1b}[31m vil\n\u{202e}/docker-compose.yml", "services: {a: {image: b}}\n");
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        let ran = git.alone().args(args).current_dir(project.root()).output().unwrap();
        assert!(ran.status.success());
    };
    git(&["init", "-q"]);
    let ran = project.run(&["check", "-vv"]);
    assert!(ran.err().contains("\\033[31m vil"), "{}", ran.err());
    assert!(!ran.err().contains(['\u{1b}', '\u{202e}']), "{}", ran.err());
    let all = records(&project.run(&["check", "-vv", "--log-format", "json"]));
    let asked = all.iter().filter_map(|record| record["fields"]["command"].as_str());
    let named: Vec<&str> = asked.filter(|command| command.contains("vil")).collect();
    assert!(!named.is_empty(), "{all:#?}");
    assert!(
        named.iter().all(|command| command.contains("/e\\033[31m vil\\012\\342\\200\\256/")),
        "{named:?}"
    );
}

#[test]
fn needs_mounts_what_goes_over_ssh_is_said_and_no_passphrase() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    let key = project.path("key");
    std::fs::copy(server.key(), &key).unwrap();
    let lock = ["-q", "-p", "-P", "", "-N", "open-sesame-1234", "-f"];
    let locked = std::process::Command::new("ssh-keygen").args(lock).arg(&key).status().unwrap();
    assert!(locked.success());
    let own = |path: &std::path::Path| format!("ssh_key = \"{}\"", path.display());
    let target = server.target("prod", &project.root()).replace(&own(&server.key()), &own(&key));
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    let run = |passphrase: &str, options: &[&str]| {
        let args = [&["check", "--target", "prod", "--docker", "off", "-vv"], options].concat();
        let mut command = project.driftlock(&args);
        Ran(command.env("DRIFTLOCK_SSH_PASSPHRASE", passphrase).env_remove("SSH_AUTH_SOCK").output().unwrap())
    };
    let ran = run("open-sesame-1234", &["--log-format", "json"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let all = records(&ran);
    assert_eq!(said(&all, "ssh", "worked out the way to the server")["fields"]["port"], server.port);
    assert_eq!(said(&all, "ssh", "judged the host key")["fields"]["judgement"], "trusted");
    assert_eq!(said(&all, "ssh", "offered an identity")["fields"]["accepted"], true);
    let ran_script = said(&all, "ssh", "ran a command");
    assert_eq!(ran_script["place"], "prod");
    assert_eq!(
        (&ran_script["fields"]["command"], &ran_script["fields"]["outcome"]),
        (&"sh -s".into(), &"exit code 0".into())
    );
    assert!(ran_script["fields"]["sent"].as_i64().unwrap() > 1000, "{ran_script}");
    assert!(ran_script["fields"]["received"].as_i64().unwrap() > 100, "{ran_script}");
    for passphrase in ["open-sesame-1234", "wrong-sesame-5678"] {
        let ran = run(passphrase, &[]);
        assert!(!ran.err().contains("sesame") && !ran.out().contains("sesame"), "{}", ran.err());
    }
}

#[test]
fn what_the_engine_is_asked_is_said_and_nothing_of_its_answers() {
    let secret = "hunter2-of-the-container";
    let mut web = listed("web", "sha256:abc", &id("a"), "running");
    web["Labels"] = json!({"com.docker.compose.service": "web", "api_token": secret});
    let containers = Value::from(vec![web]).to_string();
    let inspected =
        json!({"Id": "web", "Config": {"Image": "app:1", "Env": [format!("DB_PASSWORD={secret}")]}});
    let engine = FakeEngine::new(move |path| match path.split('?').next().unwrap_or_default() {
        "/containers/json" => Reply::Body(200, containers.clone()),
        "/images/json" => Reply::Body(200, "[]".to_owned()),
        "/containers/web/json" => Reply::Body(200, inspected.to_string()),
        _ => Reply::Body(404, "{\"message\": \"no\"}".to_owned()),
    });
    let project = Project::accepted();
    let run = |options: &[&str]| {
        let args = [&["export", "--docker", "required"], options].concat();
        Ran(project.driftlock(&args).env("DOCKER_HOST", engine.host()).output().unwrap())
    };
    let ran = run(&["-vv", "--log-format", "json"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let all = records(&ran);
    assert_eq!(said(&all, "docker", "asks the engine")["fields"]["method"], "GET");
    assert_eq!(said(&all, "docker", "the engine's answer")["fields"]["status"], 200);
    assert_eq!(said(&all, "docker", "the engine answered")["fields"]["containers"], 1);
    assert!(all.iter().any(|line| line["fields"]["path"] == "/containers/web/json"), "{all:#?}");
    assert!(all.iter().all(|line| line["room"] != "hyper"));
    for options in [&["-vv"][..], &["-v"], &["-vvvv"]] {
        let ran = run(options);
        assert!(!ran.err().contains(secret), "{}", ran.err());
        assert!(ran.err().contains(&id("a")) || !ran.err().contains("(redacted)"), "{}", ran.err());
    }
}

#[test]
fn a_progress_line_and_the_log_do_not_garble_each_other() {
    let project = Project::accepted();
    let engine = FakeEngine::new(|_| {
        std::thread::sleep(std::time::Duration::from_millis(700));
        Reply::Body(200, "[]".to_owned())
    });
    let line = format!("'{}' check --docker required -vv", env!("CARGO_BIN_EXE_driftlock"));
    let mut script = std::process::Command::new("script");
    script
        .alone()
        .args(["-qec", &format!("exec 2>/dev/tty; {line} >/dev/null"), "/dev/null"])
        .current_dir(project.root());
    script.env("DOCKER_HOST", engine.host()).env("TERM", "xterm").stdin(std::process::Stdio::null());
    let text = String::from_utf8_lossy(&script.output().unwrap().stdout).into_owned();
    assert!(
        text.contains('\r') && text.contains("0 files, 0 B hashed")
            || text.contains("asking Docker")
            || text.contains("hashed"),
        "{text:?}"
    );
    // Each record begins a line, on an empty one.
    let logged = text.split('\n').filter(|line| line.contains(" info ") || line.contains(" debug "));
    let form =
        regex::Regex::new(r"^(.*(\x1b\[2?K|\r))?\d\d:\d\d:\d\d\.\d{3} (info |debug) [^\x1b]*\r?$").unwrap();
    let mut seen = 0;
    for line in logged {
        assert!(form.is_match(line), "{line:?}");
        seen += 1;
    }
    assert!(seen > 8, "{text:?}");
}
