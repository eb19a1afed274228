//! A watcher: the binary, and the events that it prints as they come.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{GUARD, Project, wait_until};

/// How long one attempt to hear that a watcher is ready lasts.
const TICK: Duration = Duration::from_millis(50);

/// Holds an event to `docs/event.schema.json`.
fn assert_valid(event: &Value) {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/event.schema.json");
        let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    });
    let errors: Vec<String> = schema.iter_errors(event).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{event:#}");
}

/// A running watcher; it is killed when dropped.
pub(crate) struct Watcher {
    child: Child,
    lines: Receiver<String>,
    /// All events so far.
    pub(crate) events: Vec<Value>,
}

/// A finding by check and subject; without a subject it is a check that could not be carried out.
pub(crate) type Open = BTreeMap<(String, Option<String>), String>;

impl Watcher {
    /// Starts `driftlock watch --format jsonl` with more arguments, and waits until it has looked at everything once.
    pub(crate) fn start(project: &Project, args: &[&str]) -> Self {
        let mut command = super::world::driftlock();
        command.current_dir(project.root());
        // What happens to other containers of the machine leads to no look.
        Self::of(command, &[&["--docker", "off"], args].concat())
    }

    /// The same by a command that is set up.
    pub(crate) fn of(mut command: Command, args: &[&str]) -> Self {
        command.args(["watch", "--format", "jsonl"]).args(args).stdin(Stdio::null());
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("ready");
        let ready = UnixDatagram::bind(&place).unwrap();
        // Also for a watcher that is another user's.
        for (path, mode) in [(dir.path(), 0o755), (&place, 0o777)] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        ready.set_read_timeout(Some(TICK)).unwrap();
        command.env("NOTIFY_SOCKET", &place);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut watcher = Self { child, lines, events: Vec::new() };
        let (mut said, start) = ([0; 64], Instant::now());
        while !ready.recv(&mut said).is_ok_and(|length| said[..length].starts_with(b"READY=1")) {
            assert!(
                start.elapsed() < GUARD && watcher.child.try_wait().unwrap().is_none(),
                "it is not ready"
            );
        }
        // What it printed before may come a moment later.
        watcher.wait_for(0, |event| event["event"] == "watch.started");
        watcher
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Takes the events that have come; gives the new ones.
    pub(crate) fn take(&mut self) -> &[Value] {
        let before = self.events.len();
        while let Ok(line) = self.lines.try_recv() {
            let event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_valid(&event);
            self.events.push(event);
        }
        &self.events[before..]
    }

    /// Waits for an event that `is_it`; gives it.
    pub(crate) fn wait_for(&mut self, from: usize, is_it: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            self.take();
            if let Some(event) = self.events[from..].iter().find(|event| is_it(event)) {
                return event.clone();
            }
            assert!(start.elapsed() < GUARD, "no such event: {:#?}", self.events);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for an event of a subject.
    pub(crate) fn wait_for_subject(&mut self, from: usize, event: &str, subject: &str) -> Value {
        self.wait_for(from, |it| it["event"] == event && it["subject"] == subject)
    }

    /// What is open by the events, each with its fingerprint.
    pub(crate) fn open(&mut self, before: &Open) -> Open {
        self.take();
        open_after(before, &self.events)
    }

    /// Ends it as an operator does; gives the exit code.
    pub(crate) fn end(mut self) -> (i32, Vec<Value>) {
        self.signal(Signal::TERM);
        let mut status = None;
        wait_until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        while let Ok(line) = self.lines.recv_timeout(GUARD) {
            self.events.push(serde_json::from_str(&line).unwrap());
        }
        (status.unwrap().code().unwrap_or(-1), std::mem::take(&mut self.events))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is open after events.
pub(crate) fn open_after(before: &Open, events: &[Value]) -> Open {
    let mut open = before.clone();
    for event in events {
        let Some(check) = event["check"].as_str() else { continue };
        let key = (check.to_owned(), event["subject"].as_str().map(str::to_owned));
        if event["event"] == "drift.resolved" {
            assert!(open.remove(&key).is_some(), "nothing of it was open: {event}");
        } else {
            if event["event"] == "drift.detected" {
                assert!(!open.contains_key(&key), "it is open already: {event}");
            }
            open.insert(key, event["fingerprint"].as_str().unwrap().to_owned());
        }
    }
    open
}

/// What a check finds now, in the same form.
pub(crate) fn found_now(project: &Project) -> Open {
    let elsewhere = tempfile::tempdir().unwrap();
    let (_, report) = project.check(&["--output", elsewhere.path().to_str().unwrap()]);
    let mut open = Open::new();
    for check in report["checks"].as_array().unwrap() {
        let id = check["name"].as_str().unwrap().to_owned();
        if check["errors"].as_array().is_some_and(|errors| !errors.is_empty()) {
            open.insert((id.clone(), None), String::new());
        }
        for finding in check["findings"].as_array().into_iter().flatten() {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            open.insert((id.clone(), Some(text("subject"))), text("fingerprint"));
        }
    }
    open
}

/// The same, where the errors of checks count, but not their words.
pub(crate) fn without_words(open: &Open) -> Open {
    let plain = |(key, print): (&(String, Option<String>), &String)| {
        (key.clone(), if key.1.is_some() { print.clone() } else { String::new() })
    };
    open.iter().map(plain).collect()
}
