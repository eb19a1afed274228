//! Repairs without a person: what policies and the host allow, budgets, and what is left to a person.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::commands::remediate::{host_file, released};
use crate::support::http::{Answer, HttpServer};
use crate::support::keys::Keys;
use crate::support::watcher::Watcher;
use crate::support::{Project, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const ORDER: &str = "odoo_modules/seisei/printer/models/order.py";
const GOOD: &str = "class Order: pass\n";
const GOES_BACK: &str = "[[policy]]\nname = \"goes back\"\nmatch = { check = [\"addon_hashes\", \"compose_hashes\"] }\nauto_remediate = true\n";

fn policies(text: &str) -> Project {
    released(|project| project.file("audit/policies.toml", text))
}

fn count(watcher: &mut Watcher, event: &str) -> usize {
    watcher.take();
    watcher.events.iter().filter(|it| it["event"] == event).count()
}

#[test]
fn a_policy_repairs_as_often_as_its_budget_allows_and_then_leaves_it_to_a_person_once() {
    let project = policies(GOES_BACK);
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\nper_subject = \"2/h\"\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    for round in 1..=2 {
        let from = watcher.events.len();
        project.file(ORDER, &format!("by hand {round}\n"));
        let event = watcher.wait_for_subject(from, "drift.remediated", "printer");
        assert_eq!(event["evidence"]["by"], "policy goes back");
        assert_eq!(event["evidence"]["reason"], "auto_remediate of policy goes back");
        watcher.wait_for_subject(from, "drift.resolved", "printer");
        assert_eq!(project.read(ORDER), GOOD);
    }
    project.file(ORDER, "by hand 3\n");
    let event = watcher.wait_for_subject(0, "drift.escalated", "printer");
    assert!(event["evidence"]["reason"].as_str().unwrap().contains("the budget is 2 in 1 hour"), "{event}");
    assert_eq!(event["severity"], "critical");
    project.file(ORDER, "by hand 4\n");
    watcher.wait_for_subject(0, "drift.changed", "printer");
    // Another subject is repaired all the same: that look was taken after the other one.
    project.file(EDGE, "by hand\n");
    watcher.wait_for_subject(0, "drift.remediated", EDGE);
    assert_eq!((count(&mut watcher, "drift.escalated"), count(&mut watcher, "drift.remediated")), (1, 3));
    assert_eq!(project.read(ORDER), "by hand 4\n");
    watcher.end();
    // What a person repairs may be repaired by the policy again, once the budget allows that.
    project.ok(&["remediate", "printer", "--yes", "--host-config", &host]);
    let journal = project.ok(&["events", "--format", "json"]).out();
    let last: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["event"].as_str(), last["subject"].as_str()),
        (Some("drift.remediated"), Some("printer"))
    );
}

/// Another program that has its own idea of a file, and puts that back whenever the file is otherwise, until this is dropped.
struct Opponent {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Opponent {
    fn start(path: PathBuf, good: &'static str, text: impl Fn(usize) -> String + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_over);
        let work = move || {
            let mut count = 0;
            while !end.load(Ordering::SeqCst) {
                if std::fs::read_to_string(&path).is_ok_and(|now| now == good) {
                    count += 1;
                    std::fs::write(&path, text(count)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        Self { is_over, thread: Some(std::thread::spawn(work)) }
    }
}

impl Drop for Opponent {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn what_another_program_puts_back_at_once_is_left_to_a_person_once_and_then_it_is_quiet() {
    let project = policies(GOES_BACK);
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\nper_subject = \"2/h\"\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    // A label that is the same each time, and a secret that is made anew each time.
    let good: &'static str = project.read(EDGE).leak();
    let _label = Opponent::start(project.path(EDGE), good, move |_| format!("{good}# label: theirs\n"));
    let _secret = Opponent::start(project.path(ORDER), GOOD, |count| format!("SECRET = {count}\n"));
    for subject in [EDGE, "printer"] {
        watcher.wait_for_subject(0, "drift.escalated", subject);
    }
    // Another subject is repaired all the same, and nothing more is said or done of those two.
    for text in ["by hand 1\n", "by hand 2\n"] {
        let from = watcher.events.len();
        project.file(ERP, text);
        watcher.wait_for_subject(from, "drift.remediated", ERP);
        watcher.wait_for_subject(from, "drift.resolved", ERP);
    }
    watcher.take();
    for subject in [EDGE, "printer"] {
        let count = |event: &str| {
            watcher.events.iter().filter(|it| it["event"] == event && it["subject"] == subject).count()
        };
        assert!(count("drift.remediated") <= 2, "{:#?}", watcher.events);
        assert_eq!(count("drift.escalated"), 1, "{subject}: {:#?}", watcher.events);
    }
    assert!(
        project.read(EDGE).ends_with("# label: theirs\n") && project.read(ORDER).starts_with("SECRET = ")
    );
    watcher.end();
}

#[test]
fn what_waits_for_an_approval_is_repaired_as_soon_as_it_has_one() {
    let project = policies(&GOES_BACK.replace("auto_remediate", "approval = \"any\"\nauto_remediate"));
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    for text in ["by hand 1\n", "by hand 2\n"] {
        let from = watcher.events.len();
        project.file(ORDER, text);
        let event = watcher.wait_for_subject(from, "drift.escalated", "printer");
        assert!(event["evidence"]["reason"].as_str().unwrap().contains("nobody has approved"), "{event}");
        assert_eq!(project.read(ORDER), text);
        project.ok(&[
            "approve",
            "printer",
            "--until",
            "1h",
            "--reason",
            "seen",
            "--yes",
            "--host-config",
            &host,
        ]);
        let event = watcher.wait_for_subject(from, "drift.remediated", "printer");
        assert_eq!(event["evidence"]["by"], "policy goes back");
        watcher.wait_for_subject(from, "drift.resolved", "printer");
        assert_eq!(project.read(ORDER), GOOD);
    }
    assert_eq!((count(&mut watcher, "drift.escalated"), count(&mut watcher, "drift.remediated")), (2, 2));
    watcher.end();
}

#[test]
fn the_end_in_the_middle_of_repairs_ends_their_program_and_loses_no_outcome() {
    let project = policies(
        "[[policy]]\nname = \"slow\"\nmatch = { check = \"addon_hashes\" }\nauto_remediate = \"slow\"\n\
         [[policy]]\nname = \"goes back\"\nauto_remediate = true\n",
    );
    let begun = project.path("audit/begun");
    let host_text = format!(
        "[remediations.slow]\nrun = [\"/bin/sh\", \"-c\", \"echo $$ > {}; exec sleep 600\"]\n\
         [remediation]\nallow = [\"restore\", \"run\"]\n",
        begun.display()
    );
    let (_dir, host) = host_file(&host_text);
    // A file with two names is never written to.
    std::fs::hard_link(project.path(EDGE), project.path("audit/second name")).unwrap();
    project.file(EDGE, "by hand\n");
    project.file(ORDER, "by hand\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    let pid = || std::fs::read_to_string(&begun).ok().filter(|text| text.ends_with('\n'));
    wait_until(|| pid().is_some());
    // Another configuration is read once the repair is over, and what drifts meanwhile is told at once.
    project.file("audit/policies.toml", &(project.read("audit/policies.toml") + "# more\n"));
    project.file(ERP, "by hand\n");
    watcher.wait_for_subject(0, "drift.detected", ERP);
    watcher.end();
    let pid: i32 = pid().unwrap().trim().parse().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the program goes on");
    let journal = project.ok(&["events", "--format", "json"]).out();
    let events: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (subject, why) in [(EDGE, "name"), ("printer", "interrupted")] {
        let is_it = |it: &&Value| it["event"] == "drift.escalated" && it["subject"] == subject;
        let told: Vec<&Value> = events.iter().filter(is_it).collect();
        assert_eq!(told.len(), 1, "{subject}: {journal}");
        assert!(told[0]["evidence"]["reason"].as_str().unwrap().contains(why), "{}", told[0]);
    }
}

#[test]
fn a_policy_that_is_not_signed_where_it_must_be_repairs_nothing() {
    let keys = Keys::new();
    keys.make("alice", "ed25519");
    let project = policies(GOES_BACK);
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &(toml + "[trust]\nallowed_signers = \"audit/allowed_signers\"\n"));
    project.file("audit/allowed_signers", &format!("alice@example.com {}\n", keys.public("alice")));
    project.ok(&["sign", "--key", &keys.text_path("alice")]);
    project.file("audit/policies.toml", &GOES_BACK.replace("goes back", "goes further"));
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    project.file(ORDER, "by hand\n");
    let event = watcher.wait_for_subject(0, "drift.detected", "printer");
    assert_eq!(event["policy"], Value::Null, "{event}");
    // It is read again once it is signed.
    project.ok(&["sign", "--key", &keys.text_path("alice")]);
    let event = watcher.wait_for_subject(0, "drift.remediated", "printer");
    assert_eq!(event["evidence"]["by"], "policy goes further");
    assert_eq!(project.read(ORDER), GOOD);
    watcher.end();
}

#[test]
fn nothing_is_repaired_that_the_host_does_not_allow() {
    let project = policies(GOES_BACK);
    project.file(ORDER, "by hand\n");
    // What the repository allows itself counts for nothing.
    let toml = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &(toml + "[remediation]\nallow = [\"restore\"]\n"));
    let (_dir, host) = host_file("");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    project.file(EDGE, "by hand\n");
    watcher.wait_for_subject(0, "drift.detected", EDGE);
    watcher.end();
    assert_eq!(project.read(ORDER), "by hand\n");
    let (_dir, host) = host_file("[remediation]\nallow = [\"restart\"]\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    let event = watcher.wait_for_subject(0, "drift.escalated", "printer");
    let why = event["evidence"]["reason"].as_str().unwrap();
    assert!(why.contains("[remediation] allow of the host's own file does not name \"restore\""), "{why}");
    watcher.end();
    assert_eq!(project.read(ORDER), "by hand\n");
}

#[test]
fn where_much_drifts_at_once_nothing_is_repaired_and_a_person_is_told_once() {
    let project = policies(GOES_BACK);
    for path in [EDGE, ERP, ORDER, "odoo_modules/community/ocr/models/order.py"] {
        project.file(path, "by hand\n");
    }
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    let event = watcher.wait_for(0, |event| event["event"] == "drift.escalated");
    assert!(
        event["evidence"]["reason"].as_str().unwrap().starts_with("4 of 5 subjects drift at once"),
        "{event}"
    );
    project.file(EDGE, "by another hand\n");
    watcher.wait_for_subject(0, "drift.changed", EDGE);
    assert_eq!((count(&mut watcher, "drift.escalated"), count(&mut watcher, "drift.remediated")), (1, 0));
    watcher.end();
    assert_eq!(project.read(ORDER), "by hand\n");
}

#[test]
fn only_a_committed_baseline_is_repaired_to_and_no_deploy_is_disturbed() {
    let project = policies(GOES_BACK);
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\n");
    project.ok(&["pause", "--for", "10m", "--reason", "deploy", "--by", "bob"]);
    project.file(ORDER, "by hand\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    watcher.wait_for_subject(0, "drift.detected", "printer");
    project.file(EDGE, "by hand\n");
    watcher.wait_for_subject(0, "drift.detected", EDGE);
    assert_eq!(project.read(ORDER), "by hand\n");
    project.ok(&["pause", "--end"]);
    watcher.signal(rustix::process::Signal::USR1);
    watcher.wait_for_subject(0, "drift.remediated", "printer");
    watcher.wait_for_subject(0, "drift.remediated", EDGE);
    watcher.end();
    project.file(EDGE, "services: {new: {}}\n");
    project.ok(&["export", "--accept"]);
    project.file(ORDER, "by hand\n");
    let mut watcher = Watcher::start(&project, &["--host-config", &host]);
    let event = watcher.wait_for_subject(0, "drift.escalated", "printer");
    assert!(
        event["evidence"]["reason"].as_str().unwrap().contains("lock files are not as they are committed"),
        "{event}"
    );
    watcher.end();
}

#[test]
fn a_change_request_is_opened_once_and_closed_with_the_outcome() {
    let server = HttpServer::start();
    let body = "{\"number\": \"CHG7\"}";
    let created =
        format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    server.answer(&[Answer::Status(503), Answer::Raw(created)]);
    let table = "[change_requests.desk]\nkind = \"webhook\"\nurl_env = \"DESK\"\nretry_pause = \"1s\"\n";
    let (_dir, host) = host_file(table);
    let project = released(|project| {
        let toml = project.read("audit/driftlock.toml");
        project.file("audit/driftlock.toml", &(toml + table));
        project.file("audit/policies.toml", "[[policy]]\nname = \"all\"\nauto_change_request = \"desk\"\n");
    });
    let mut command = crate::support::world::driftlock();
    command.current_dir(project.root()).env("DESK", server.url());
    let mut watcher = Watcher::of(command, &["--docker", "off", "--host-config", &host]);
    project.file(ORDER, "by hand\n");
    let event = watcher.wait_for_subject(0, "drift.detected", "printer");
    wait_until(|| server.count() >= 2);
    project.file(ORDER, GOOD);
    watcher.wait_for_subject(0, "drift.resolved", "printer");
    wait_until(|| server.count() >= 3);
    let taken = server.taken();
    let key = |at: usize| taken[at].headers["idempotency-key"].clone();
    let fingerprint = event["fingerprint"].as_str().unwrap();
    assert_eq!((key(0).as_str(), key(1).as_str()), (fingerprint, fingerprint));
    assert_eq!(taken[1].headers["driftlock-event"], "change_request.opened");
    assert_eq!(taken[1].json()["drift"]["subject"], "printer");
    let closed = taken[2].json();
    assert_eq!(
        (closed["event"].as_str(), closed["reference"].as_str()),
        (Some("change_request.closed"), Some("CHG7"))
    );
    assert_eq!(closed["outcome"], "drift.resolved");
    watcher.end();
}

#[test]
fn the_policy_of_each_finding_is_told_with_the_reason() {
    let text = "[[policy]]\nname = \"stacks\"\nmatch = { subject = \"infra/**\" }\nseverity = \"low\"\n\
                [[policy]]\nname = \"manifests\"\nmonitored_fields = [\"__manifest__.py\"]\nauto_remediate = true\nquiet = \"22:00-06:00\"\n\
                [[policy]]\nname = \"rest\"\nmatch = { check = \"addon_*\" }\n";
    let project = policies(text);
    project.file(ORDER, "by hand\n");
    project.file("odoo_modules/community/ocr/__manifest__.py", "{}\n");
    project.file(EDGE, "by hand\n");
    project.run(&["check"]);
    let (_dir, host) = host_file("[remediation]\nallow = [\"restore\"]\n");
    let told = project.ok(&["policy", "test", "--host-config", &host]).out();
    for part in [
        "  addon_hashes/ocr (category configuration, severity high)\n    policy: manifests\n    - quiet from 22:00 to 06:00\n    - repaired by its undo while driftlock watches; the host allows restore; 2 in 1 hour a subject, 10 in 1 hour in all\n    not stacks: its subject does not match \"ocr\"\n",
        "  addon_hashes/printer (category configuration, severity high)\n    policy: rest\n    not stacks: its subject does not match \"printer\"\n    not manifests: its monitored_fields does not match \"models/order.py\"\n",
        "severity low)\n    policy: stacks\n",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let json = project.ok(&["policy", "test", "--format", "json"]).out();
    let all: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(all.len(), 3);
    assert!(json.contains("[remediation] of the host's own file allows nothing"), "{json}");
}
