//! The alert script of `docs/alerting.md`: what it sends to a webhook, and when.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::deploy::{demo, in_repository, program, run};

/// The script between the marks of its here-document.
fn script() -> String {
    let page = std::fs::read_to_string(in_repository("docs/alerting.md")).unwrap();
    let text = page.split("<<'SH'\n").nth(1).unwrap();
    text.split("\nSH\n").next().unwrap().to_owned() + "\n"
}

/// Takes one request, and gives its body.
fn webhook() -> (String, JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let taken = spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        body_of(&mut client, &String::from_utf8(head).unwrap())
    });
    (address, taken)
}

fn body_of(client: &mut TcpStream, head: &str) -> Value {
    let length = head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    client.read_exact(&mut body).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn alert(project: &Project, webhook: &str) -> Command {
    let mut sh = program("sh");
    sh.args(["-c", &script()]).current_dir(project.root()).env("WEBHOOK", webhook);
    sh.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env("no_proxy", "127.0.0.1");
    sh
}

/// What is sent when the script runs now.
fn sent(project: &Project) -> Value {
    let (address, taken) = webhook();
    let ended = run(&mut alert(project, &address));
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    taken.join().unwrap()
}

#[test]
fn the_script_sends_what_was_found_and_nothing_on_a_pass() {
    let project = demo();
    let silent = run(&mut alert(&project, "http://127.0.0.1:1/"));
    assert_eq!((silent.code, silent.out + &silent.err), (0, String::new()), "nothing is sent on a pass");
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let drift = json!({"text": "FAIL local: qr_ordering edited by hand (exit code 2)"});
    assert_eq!(sent(&project), drift);
}

#[test]
fn an_old_report_is_not_sent_as_a_new_one() {
    let project = demo();
    project.ok(&["check", "--docker", "off"]);
    project.file("audit/driftlock.toml", "[nonsense]\n");
    let told = sent(&project)["text"].as_str().unwrap().to_owned();
    assert!(told.starts_with("FAIL local: Lock files: audit/driftlock.toml:1: unknown field"), "{told}");
    assert!(told.ends_with(" (exit code 1)"), "{told}");
}

#[test]
fn a_webhook_that_cannot_be_reached_fails_the_script() {
    let project = demo();
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let ended = run(&mut alert(&project, "http://127.0.0.1:1/"));
    assert_ne!(ended.code, 0);
    assert!(!ended.err.is_empty(), "cron mails it");
}

#[test]
fn where_no_report_can_be_written_that_is_what_is_sent() {
    let project = demo();
    let (address, taken) = webhook();
    let ended = run(alert(&project, &address).env("TMPDIR", "/nonexistent"));
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!(taken.join().unwrap(), json!({"text": "driftlock ended with 1 and left no report"}));
}
