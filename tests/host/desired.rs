//! Desired state: containers of a real engine and real machines, here and over SSH, held against what a CMDB answers by a file, a
//! program and HTTP; and every answer that is none.

use std::fs::{Permissions, set_permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::docker::Stage;
use crate::support::http::{Answer, HttpServer};
use crate::support::sshd::Server;
use crate::support::{Project, check_of, findings};

/// What nothing may show.
const TOKEN: &str = "0123456789abcdef-s3cr3t";

/// A project without files that has these lines in its configuration.
fn project(lines: &str) -> Project {
    let project = Project::empty();
    configured(&project, lines);
    project
}

fn configured(project: &Project, lines: &str) {
    let rest = "[compose]\nfiles = []\n[addons]\nroots = []\n[docker]\nmode = \"off\"\n";
    project.file("audit/driftlock.toml", &format!("{rest}{lines}\n"));
}

/// The lines of a source that reads a file of the project.
fn of_file(project: &Project) -> String {
    format!("[desired.cmdb]\nurl = \"file://{}\"\n", project.path("cmdb.json").display())
}

fn error(report: &Value) -> String {
    check_of(report, "desired_state")["error"].as_str().unwrap_or_default().to_owned()
}

/// The findings of the check as `SUBJECT KIND EXPECTED > ACTUAL`.
fn told(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let each = check_of(report, "desired_state")["findings"].as_array().unwrap().iter();
    each.map(|it| {
        let [subject, kind, expected, actual] =
            ["subject", "kind", "expected", "actual"].map(|name| text(&it[name]));
        format!("{subject} {kind} {expected} > {actual}")
    })
    .collect()
}

/// The processors and the MB of this machine, by other programs than ours.
fn machine() -> (u64, u64) {
    let number = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
    };
    (number("getconf _NPROCESSORS_ONLN"), number("awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo"))
}

#[test]
fn needs_mounts_a_machine_is_held_against_its_ci_here_and_over_ssh() {
    let (cpus, memory) = machine();
    let server = Server::start(|_| {});
    let project = project("");
    let target = server.target("prod", &project.root());
    let lines =
        format!("{}names = {{ vm-erp-01 = \"prod\" }}\n{target}docker = \"off\"\n", of_file(&project));
    configured(&project, &lines);
    let answers = |fields: Value| {
        project.file("cmdb.json", &json!({"local": fields, "vm-erp-01": fields}).to_string());
        let look = |args: &[&str]| {
            let (code, report) = project.check(&[&["--only", "desired_state"], args].concat());
            (code, told(&report))
        };
        let (here, there) = (look(&[]), look(&["--target", "prod"]));
        let renamed: Vec<String> = there.1.iter().map(|line| line.replace("vm-erp-01", "local")).collect();
        assert_eq!((here.0, &here.1), (there.0, &renamed));
        here
    };
    let good = json!({"power_state": "on", "cpus": cpus, "memory_mb": memory});
    assert_eq!(answers(good.clone()), (0, Vec::new()));
    // A CMDB has what the machine was given, of which the kernel keeps a part.
    assert_eq!(answers(json!({"memory_mb": memory + 200})), (0, Vec::new()));
    for (field, value, line) in [
        ("power_state", json!("off"), "local:power_state modified stopped > running".to_owned()),
        ("cpus", json!(cpus + 1), format!("local:cpus modified {} > {cpus}", cpus + 1)),
        ("memory_mb", json!(memory - 1), format!("local:memory_mb modified {} MB > {memory} MB", memory - 1)),
        ("memory_mb", json!(memory * 2), format!("local:memory_mb modified {} MB > {memory} MB", memory * 2)),
    ] {
        let mut other = good.clone();
        other[field] = value;
        assert_eq!(answers(other), (2, vec![line]));
    }
    assert_eq!(answers(json!({"image": "odoo:18"})).0, 1, "a machine has no image: nobody looked");
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error_whatever_is_desired_of_it() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = project("");
    let target = format!("[targets.prod]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"/x\"\n");
    configured(&project, &format!("{}{target}", of_file(&project)));
    project.file("cmdb.json", &json!({"prod": {"power_state": "off"}}).to_string());
    let (code, report) = project.check(&["--target", "prod"]);
    assert_eq!((code, error(&report).as_str()), (1, "the server's state was not collected"));
}

#[test]
fn custom_fields_are_held_against_probes() {
    let project = project("");
    let lines = |value: &str| {
        let probe = format!("[[probes]]\nname = \"bios\"\nrun = [\"echo\", \"{value}\"]\n");
        format!("{}custom = {{ bios = \"probe:bios\" }}\n{probe}", of_file(&project))
    };
    configured(&project, &lines("1.2"));
    project
        .file("cmdb.json", &json!({"local": {"custom_fields": {"bios": "1.2", "rack": "a7"}}}).to_string());
    project.ok(&["export", "--accept"]);
    let (code, report) = project.check(&[]);
    assert_eq!((code, told(&report)), (0, Vec::new()));
    let left_out = report["coverage"].to_string();
    assert!(left_out.contains("custom fields that [desired] custom does not name"), "{left_out}");
    configured(&project, &lines("1.3"));
    let (code, report) = project.check(&["--only", "desired_state"]);
    assert_eq!((code, told(&report)), (2, vec!["local:custom_fields.bios modified 1.2 > 1.3".to_owned()]));
}

/// The status of each subject of the check, without its values.
fn kinds(project: &Project) -> (i32, Vec<(String, String)>, String) {
    let (code, report) = project.check(&["--only", "desired_state"]);
    let reasons: Vec<String> = check_of(&report, "desired_state")["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["reason"].as_str().map(str::to_owned))
        .collect();
    (code, findings(&report, "desired_state"), reasons.join("; "))
}

#[test]
fn a_custom_field_is_not_held_against_a_package_that_is_ignored() {
    let project = project("");
    let with = |ignore: &str| {
        let custom = "custom = { shell = \"package:bash\" }";
        configured(&project, &format!("{}{custom}\n[packages]\nignore = [{ignore}]\n", of_file(&project)));
    };
    with("");
    project.file("cmdb.json", &json!({"local": {"power_state": "on"}}).to_string());
    assert!(error(&project.check(&[]).1).contains("custom.shell names \"shell\", which is nowhere"));
    project.file("cmdb.json", &json!({"local": {"custom_fields": {"shell": "0"}}}).to_string());
    project.ok(&["export", "--accept"]);
    let lock = project.read("audit/locks/packages.lock.txt");
    let version = lock.lines().find_map(|line| line.strip_prefix("bash\t")).unwrap();
    let version = version.split('\t').next().unwrap();
    let (code, report) = project.check(&["--only", "desired_state"]);
    assert_eq!((code, told(&report)), (2, vec![format!("local:custom_fields.shell modified 0 > {version}")]));
    // What is ignored is as the baseline has it, and nobody looked.
    project.file("cmdb.json", &json!({"local": {"custom_fields": {"shell": version}}}).to_string());
    assert_eq!(kinds(&project).0, 0);
    with("\"bash\"");
    let unreadable = vec![("local:custom_fields.shell".to_owned(), "unreadable".to_owned())];
    let (code, found, why) = kinds(&project);
    assert_eq!((code, &found), (1, &unreadable), "{why}");
    assert!(why.contains("the baseline is no observation: ignored by audit/driftlock.toml"), "{why}");
    let rest = lock.lines().filter(|line| !line.starts_with("bash\t")).collect::<Vec<_>>().join("\n");
    project.file("audit/locks/packages.lock.txt", &format!("{rest}\n"));
    assert_eq!(kinds(&project).1, unreadable, "neither is it without the baseline");
}

#[test]
fn a_custom_field_is_not_held_against_a_probe_that_has_no_part_here() {
    let project = project("");
    let probes = "[[probes]]\nname = \"bios\"\nfact = \"ansible_bios_version\"\n\
        [[probes]]\nname = \"cis\"\nrun = [\"echo\", '{\"name\": \"5.2.1\", \"value\": \"pass\"}']\n";
    let with = |observable: &str| {
        let custom = format!("custom = {{ field = \"probe:{observable}\" }}");
        configured(&project, &format!("{}{custom}\n{probes}", of_file(&project)));
    };
    project.file("cmdb.json", &json!({"local": {"custom_fields": {"field": "1.2"}}}).to_string());
    let unreadable = vec![("local:custom_fields.field".to_owned(), "unreadable".to_owned())];
    with("bios");
    let (code, found, why) = kinds(&project);
    assert_eq!((code, &found), (1, &unreadable));
    assert!(why.contains("probes of Ansible's facts, of which this place has none"), "{why}");
    // A baseline that was taken where there are facts is no observation of this place.
    project.file(
        "audit/locks/probes.lock.json",
        "{\"probes\": {\"bios\": {\"output\": \"1.2\"}, \"cis\": {\"values\": {\"5.2.1\": \"pass\"}}}}\n",
    );
    assert_eq!(kinds(&project).1, unreadable);
    // Nor is a probe that nobody defines.
    with("boos");
    let (code, found, why) = kinds(&project);
    assert_eq!((code, &found), (1, &unreadable));
    assert!(why.contains("no probe boos tells anything here"), "{why}");
    with("cis:5.2.1");
    assert_eq!(kinds(&project).1, [("local:custom_fields.field".to_owned(), "modified".to_owned())]);
    configured(
        &project,
        &format!(
            "{}custom = {{ field = \"probe:cis:5.2.1\" }}\n[[probes]]\nname = \"cis\"\nrun = [\"false\"]\n",
            of_file(&project)
        ),
    );
    assert_eq!(kinds(&project).1, unreadable, "a probe that failed tells of none of its values");
}

/// A stage with two containers, locked, and its CMDB in a file.
fn stage() -> Stage {
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.start("web", &image, &["--cpus=1.5", "--memory=64m", "--memory-swap=64m"]);
    stage.start("db", &image, &[]);
    stage.ok(&["export", "--accept"]);
    let before = stage.project.read("audit/driftlock.toml");
    stage.project.file("audit/driftlock.toml", &format!("{before}{}", of_file(&stage.project)));
    stage
}

#[test]
fn needs_docker_each_field_of_a_container_is_held_against_its_ci() {
    let stage = stage();
    let (web, db) = (stage.name("web"), stage.name("db"));
    let good = json!({"power_state": "running", "cpus": 1.5, "memory_mb": 64, "networks": ["none"], "image": stage.name("app:1")});
    let answers = |items: Value| {
        stage.project.file("cmdb.json", &items.to_string());
        let (code, report) = stage.check(&["--only", "desired_state"]);
        let told = told(&report).into_iter().map(|line| line.replace(&format!("{}-", stage.prefix), ""));
        (code, told.collect::<Vec<_>>())
    };
    let with = |field: &str, value: Value| {
        let mut other = good.clone();
        other[field] = value;
        json!({web.clone(): other})
    };
    assert_eq!(
        answers(json!({web.clone(): good.clone(), db.clone(): {"power_state": "on"}})),
        (0, Vec::new())
    );
    for (field, value, line) in [
        ("power_state", json!("stopped"), "web:power_state modified stopped > running"),
        ("cpus", json!(2), "web:cpus modified 2 > 1.5"),
        ("memory_mb", json!(65), "web:memory_mb modified 65 MB > 64 MB"),
        ("networks", json!(["none", "edge"]), "web:networks modified edge, none > none"),
        ("image", json!("odoo:18"), "web:image modified odoo:18 > app:1"),
    ] {
        assert_eq!(answers(with(field, value)), (2, vec![line.to_owned()]));
    }
    let unlimited = answers(json!({db.clone(): {"cpus": 1, "memory_mb": 64}}));
    let expected = ["db:cpus modified 1 > no limit", "db:memory_mb modified 64 MB > no limit"];
    assert_eq!(unlimited, (2, expected.map(str::to_owned).to_vec()));
    stage.docker(&["stop", "-t", "0", &db]);
    assert_eq!(
        answers(json!({db.clone(): {"power_state": "on"}})),
        (2, vec!["db:power_state modified running > exited".to_owned()])
    );
    assert_eq!(answers(json!({db.clone(): {"power_state": "off"}})), (0, Vec::new()));
    // What is not there, what cannot be told, and what nobody looks at.
    let gone = answers(json!({stage.name("gone"): {"power_state": "on"}}));
    assert_eq!(gone, (2, vec!["gone missing power_state running > -".to_owned()]));
    assert_eq!(
        answers(json!({"elsewhere": {"power_state": "on"}})),
        (1, vec!["elsewhere unreadable - > -".to_owned()])
    );
    let odd = answers(with("power_state", json!("odd")));
    assert_eq!(odd, (1, vec!["web:power_state unreadable - > -".to_owned()]));
}

#[test]
fn needs_docker_the_line_of_a_finding_is_that_of_the_contract_and_it_can_be_acknowledged_and_not_accepted() {
    let stage = stage();
    let web = stage.name("web");
    stage.project.file("cmdb.json", &json!({web.clone(): {"cpus": 3}}).to_string());
    let ran = stage.run(&["check"]);
    let line = format!("[FAIL] Desired state drift: {web}:cpus\n");
    assert!(ran.code() == 2 && ran.out().contains(&line), "{}", ran.out());
    assert!(ran.out().contains("[INFO] Checking desired state...\n"), "{}", ran.out());
    let details = format!("1 CIs drifted: {web}:cpus;");
    assert_eq!(check_of(&stage.check(&[]).1, "desired_state")["details"], details);
    let subject = format!("desired_state/{web}:cpus");
    let refused = stage.run(&["accept", "--only", &subject, "--yes", "--reason", "x"]);
    assert!(refused.code() == 1 && refused.err().contains("the CMDB is the baseline"), "{}", refused.err());
    stage.ok(&["ack", &subject, "--until", "7d", "--reason", "x"]);
    assert_eq!(stage.run(&["check"]).code(), 0);
    let explained = stage.ok(&["explain", &subject]);
    assert!(explained.out().contains("if the CMDB is right"), "{}", explained.out());
}

#[test]
fn needs_docker_limits_are_locked_where_they_are_set_and_older_lock_files_stay_valid() {
    let stage = stage();
    stage.configure("mode = \"required\"");
    let (web, locked) = (stage.name("web"), stage.locked("web"));
    assert_eq!((&locked["cpus"], &locked["memory"]), (&json!(1.5), &json!(64 << 20)));
    assert!(stage.locked("db").get("cpus").is_none() && stage.locked("db").get("memory").is_none());
    assert_eq!(stage.drift(), (0, Vec::new()));
    let changed = |expected: &str, actual: &str| {
        let (code, report) = stage.check(&["--only", "container_state"]);
        let found = &check_of(&report, "container_state")["findings"][0];
        assert_eq!((code, found["subject"].as_str()), (2, Some(web.as_str())), "{report:#}");
        assert_eq!((found["expected"].as_str(), found["actual"].as_str()), (Some(expected), Some(actual)));
    };
    stage.docker(&["update", "--cpus=2", &web]);
    changed("cpus 1.5, memory 67108864", "cpus 2, memory 67108864");
    // A run of a check and one of an export are accepted alike.
    stage.run(&["check"]);
    stage.ok(&["accept", "--only", &format!("container_state/{web}"), "--yes", "--reason", "x"]);
    assert_eq!((stage.drift().0, &stage.locked("web")["cpus"]), (0, &json!(2)));
    stage.docker(&["update", "--memory=32m", "--memory-swap=32m", &web]);
    changed("cpus 2, memory 67108864", "cpus 2, memory 33554432");
    stage.ok(&["export"]);
    stage.ok(&["accept", "--yes", "--reason", "x"]);
    assert_eq!((stage.drift().0, &stage.locked("web")["memory"]), (0, &json!(32 << 20)));
    let lock = "audit/locks/docker_images.lock.json";
    let mut older: Value = serde_json::from_str(&stage.project.read(lock)).unwrap();
    for entry in older["images"].as_object_mut().unwrap().values_mut() {
        entry.as_object_mut().unwrap().retain(|name, _| name != "cpus" && name != "memory");
    }
    stage.project.file(lock, &format!("{older:#}\n"));
    assert_eq!(stage.drift(), (0, Vec::new()));
    // One that is made anew without its limits: both are gone.
    stage.ok(&["export", "--accept"]);
    let image = stage.name("app:1");
    stage.recreate("web", &image, &[]);
    changed("cpus 2, memory 33554432", "cpus no limit, memory no limit");
}

/// An answer with JSON, as a server sends it.
fn page(body: &Value) -> Answer {
    raw(200, &body.to_string())
}

fn raw(code: u16, body: &str) -> Answer {
    Answer::Raw(format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// A project that asks a server with a token.
fn asking(server: &HttpServer) -> Project {
    let project = project(&format!(
        "[desired.netbox]\nurl = \"{}/api/virtualization/virtual-machines/?limit=2\"\ntoken_file = \"token\"\n",
        server.root()
    ));
    project.file("token", &format!("Token {TOKEN}\n"));
    set_permissions(project.path("token"), Permissions::from_mode(0o600)).unwrap();
    project
}

/// A virtual machine as `NetBox`'s REST API tells of it.
fn virtual_machine(id: u64, name: &Value, status: &str, vcpus: &Value) -> Value {
    json!({
        "id": id, "url": format!("http://x/api/virtualization/virtual-machines/{id}/"), "display": name, "name": name,
        "status": {"value": status, "label": status}, "site": null, "cluster": {"id": 1, "name": "c1"}, "role": null,
        "vcpus": vcpus, "memory": null, "disk": 20, "custom_fields": {"tier": null}, "tags": [],
        "last_updated": "2020-01-01T00:00:00Z"
    })
}

#[test]
fn pages_of_netbox_are_read_to_the_last_with_the_token_of_a_file() {
    let (server, (cpus, _)) = (HttpServer::start(), machine());
    let project = asking(&server);
    let next = format!("{}/api/virtualization/virtual-machines/?limit=2&offset=2", server.root());
    let of = |cpus: u64| {
        let first = [
            virtual_machine(1, &json!("old"), "decommissioning", &json!(64)),
            virtual_machine(2, &Value::Null, "active", &Value::Null),
        ];
        let last = [virtual_machine(3, &json!("local"), "active", &json!(format!("{cpus}.00")))];
        let one = json!({"count": 3, "next": next, "previous": null, "results": first});
        let other = json!({"count": 3, "next": null, "previous": "x", "results": last});
        [page(&one), page(&other)]
    };
    server.answer(&of(cpus));
    let (code, report) = project.check(&[]);
    assert_eq!((code, told(&report)), (0, Vec::new()), "{report:#}");
    let coverage = report["coverage"].to_string();
    assert!(coverage.contains("planned, failed, or being taken out of service"), "{coverage}");
    assert!(coverage.contains("CIs without a name"), "{coverage}");
    let requests = server.taken();
    let lines: Vec<&str> = requests.iter().map(|it| it.line.as_str()).collect();
    let path = "/api/virtualization/virtual-machines/?limit=2";
    assert_eq!(lines, [format!("GET {path} HTTP/1.1"), format!("GET {path}&offset=2 HTTP/1.1")]);
    assert!(requests.iter().all(|it| it.headers["authorization"] == format!("Token {TOKEN}")));
    server.answer(&of(cpus + 1));
    let (code, report) = project.check(&[]);
    assert_eq!((code, told(&report)), (2, vec![format!("local:cpus modified {} > {cpus}", cpus + 1)]));
    project.file("token", TOKEN);
    set_permissions(project.path("token"), Permissions::from_mode(0o600)).unwrap();
    server.answer(&of(cpus));
    server.taken();
    assert_eq!(project.check(&[]).0, 0);
    assert!(server.taken().iter().all(|it| it.headers["authorization"] == format!("Bearer {TOKEN}")));
}

#[test]
fn an_answer_that_is_none_is_an_error_that_shows_neither_token_nor_answer() {
    let server = HttpServer::start();
    let project = asking(&server);
    let list = |count: u64, next: Value, names: &[&str]| {
        let each = names.iter().map(|name| virtual_machine(1, &json!(name), "active", &Value::Null));
        page(&json!({"count": count, "next": next, "results": each.collect::<Vec<_>>()}))
    };
    let own = format!("{}/again", server.root());
    for (answers, words) in [
        (vec![raw(401, TOKEN)], "answered 401: it refuses this address or token"),
        (vec![raw(404, TOKEN)], "nothing is at this address"),
        (vec![raw(500, TOKEN)], "answered 500"),
        (
            vec![Answer::Raw(
                "HTTP/1.1 302 X\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            )],
            "it has moved",
        ),
        (vec![raw(200, "<html>login</html>")], "it is no JSON"),
        (vec![raw(200, "{\"count\": 1, \"next\": null, \"results\": [{\"na")], "it is no JSON"),
        (
            vec![Answer::Raw("HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n{}".to_owned())],
            "closed the connection",
        ),
        (vec![raw(200, &" ".repeat(65 << 20))], "more than 64 MiB"),
        (vec![Answer::Close], "[desired.netbox]"),
        (vec![list(3, Value::Null, &["local"])], "it changed meanwhile"),
        (vec![list(2, Value::Null, &["local", "local"])], "local stands there twice"),
        (vec![list(0, Value::Null, &[])], "it names no CI"),
        (vec![list(1, json!("http://evil.example.com/api/"), &["local"])], "one of another host"),
        (vec![list(1, json!(own), &["a"]), list(1, json!(own), &["b"])], "its pages have no end"),
    ] {
        server.answer(&answers);
        let ran = project.run(&["check", "--format", "json", "-vv"]);
        let why = error(&ran.report());
        assert!(ran.code() == 1 && why.contains(words), "{words}: {why}");
        assert!(!format!("{}{}", ran.out(), ran.err()).contains(TOKEN), "{words}");
    }
    server.taken();
    set_permissions(project.path("token"), Permissions::from_mode(0o640)).unwrap();
    assert!(error(&project.check(&[]).1).contains("chmod 600"));
    std::fs::remove_file(project.path("token")).unwrap();
    assert!(error(&project.check(&[]).1).contains("token"));
    assert_eq!(server.count(), 0, "without its token nothing is asked");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    configured(&project, &format!("[desired.netbox]\nurl = \"http://127.0.0.1:{port}/\"\n"));
    let (code, report) = project.check(&[]);
    assert!(code == 1 && error(&report).contains("the server cannot be reached"), "{}", error(&report));
}

#[test]
fn an_answer_that_is_too_old_is_an_error() {
    let project = project("");
    configured(&project, &format!("{}max_age = \"2h\"\n", of_file(&project)));
    let dated = |seconds: i64| {
        let time = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
        let answer = json!({"generated_at": time.to_rfc3339(), "local": {"power_state": "on"}});
        project.file("cmdb.json", &answer.to_string());
        let (code, report) = project.check(&[]);
        (code, error(&report))
    };
    assert_eq!(dated(-3600), (0, String::new()));
    let (code, why) = dated(-3 * 3600);
    assert!(code == 1 && why.contains("older than max_age, 2 hours"), "{why}");
    let (code, why) = dated(3600);
    assert!(code == 1 && why.contains("ahead of this machine"), "{why}");
    // What does not say when it was made is as old as its file.
    project.file("cmdb.json", &json!({"local": {"power_state": "on"}}).to_string());
    assert_eq!(project.check(&[]).0, 0);
    let touched = Command::new("touch").args(["-d", "3 hours ago"]).arg(project.path("cmdb.json")).status();
    assert!(touched.unwrap().success());
    let (code, report) = project.check(&[]);
    assert!(code == 1 && error(&report).contains("older than max_age"), "{}", error(&report));
}

#[test]
fn an_answer_that_is_of_no_use_is_an_error_that_says_what_to_do() {
    let project = project("");
    let ours = json!({"power_state": "on"});
    let bulk = "x".repeat(10 << 20);
    let old = json!({"generated_at": "2020-01-01T00:00:00Z", "local": ours.clone()});
    let mapped = "fields = { items = \"all\", cpus = \"hw.cors\" }";
    let of_prod = "targets = [\"local\"]\n[targets.prod]\nhost = \"local\"\nroot = \".\"";
    for (answer, lines, words) in [
        (String::new(), "", "it is no JSON"),
        ("{}".to_owned(), "", "it names no CI: correct its address"),
        ("[]".to_owned(), "", "it names no CI"),
        (json!([{"power_state": "on"}]).to_string(), "", "it names no CI"),
        (json!({"local": ours}).to_string().replace("}}", ""), "", "half of an answer is none"),
        (
            json!({"prod": ours}).to_string(),
            of_prod,
            "none of its 1 CIs is of local: say in names which one is",
        ),
        (
            json!({"local": ours}).to_string(),
            "names = { vm1 = \"local\" }",
            "names names vm1, and none of its CIs",
        ),
        (json!({"local": ours}).to_string(), "include = [\"vm*\"]", "include names vm*, and none of its CIs"),
        (
            json!({"all": [{"name": "local", "hw": {"cores": 1}}]}).to_string(),
            mapped,
            "fields.cpus names \"hw.cors\"",
        ),
        (bulk.clone(), "", "it is no JSON"),
        (json!({bulk.clone(): ours}).to_string(), "", "a name of 10485760 letters"),
        (json!({"local": {"custom_fields": {"a": bulk}}}).to_string(), "custom = { a = \"probe:a\" }", ""),
        (old.to_string(), "", "older than max_age, 1 day: renew it"),
        ("[".repeat(1 << 20), "", "it is no JSON"),
    ] {
        project.file("cmdb.json", &answer);
        let command = "[commands.cmdb]\nrun = [\"cat\", \"CMDB\"]\n";
        let command = command.replace("CMDB", project.path("cmdb.json").to_str().unwrap());
        for from in [of_file(&project), "[desired.cmdb]\ncommand = \"cmdb\"\n".to_owned()] {
            configured(&project, &format!("{from}{lines}\n{command}"));
            let ran = project.run(&["check", "--only", "desired_state", "--format", "json"]);
            let why = error(&ran.report());
            assert!(ran.code() == 1 && why.contains(words), "{words}: {why}");
            assert!(ran.out().len() < 64 << 10, "{words}: the answer itself is not told");
        }
    }
}

#[test]
fn a_program_answers_where_nobody_else_could_have_named_it() {
    let project = project("");
    let with = |run: &str| {
        configured(
            &project,
            &format!(
                "[desired.cmdb]\ncommand = \"export\"\n[commands.export]\nrun = {run}\ntimeout = \"2s\"\n"
            ),
        );
        let (code, report) = project.check(&[]);
        (code, error(&report))
    };
    let answer = r#"["echo", '{"local": {"power_state": "on"}}']"#;
    assert_eq!(with(answer), (0, String::new()));
    for (run, words) in [
        ("[\"false\"]", "it ended with exit code 1"),
        ("[\"no-such-program\"]", "no-such-program is not there"),
        ("[\"sleep\", \"600\"]", "it did not end in time"),
        ("[\"yes\"]", "[commands.export]"),
        ("[\"echo\", \"x\"]", "it is no JSON"),
    ] {
        let (code, why) = with(run);
        assert!(code == 1 && why.contains(words), "{run}: {why}");
    }
    with(answer);
    set_permissions(project.path("audit/driftlock.toml"), Permissions::from_mode(0o666)).unwrap();
    let (code, report) = project.check(&[]);
    assert!(code == 1 && error(&report).contains("was not run: others may write"), "{}", error(&report));
    configured(&project, "[desired.cmdb]\ncommand = \"nowhere\"\n");
    assert!(error(&project.check(&[]).1).contains("no [commands.nowhere] defines the program"));
}

#[test]
fn a_run_asks_nobody_where_it_is_dry_or_wants_other_checks() {
    let server = HttpServer::start();
    let project = asking(&server);
    let ran = project.ok(&["check", "--dry-run"]);
    assert!(ran.out().contains("desired: the CIs of [desired.netbox], from http://"), "{}", ran.out());
    project.run(&["check", "--only", "compose_hashes"]);
    assert_eq!(server.count(), 0);
    server.answer(&[page(&json!({"elsewhere": {}, "local": {}}))]);
    configured(
        &project,
        &format!(
            "[desired.netbox]\nurl = \"{}/\"\ntargets = [\"x\"]\n[targets.x]\nhost = \"local\"\nroot = \".\"\n",
            server.root()
        ),
    );
    let (_, report) = project.check(&["--require", "desired_state"]);
    assert!(error(&report).contains("no [desired.NAME] of audit/driftlock.toml is of this place"));
    assert_eq!(server.count(), 0);
    assert!(findings(&report, "desired_state").is_empty());
}
