//! Whoever is configured is told of every change once, and of nothing else.

use serde_json::Value;

use crate::deploy::alert_rules as alerts;
use crate::support::http::{Answer, SECRET};
use crate::support::told::{AS_ACCEPTED, EDGE, Message, Told, VARIABLE};
use crate::support::{Ran, wait_until};

const MODULE: &str = "odoo_modules/seisei/printer/models/order.py";
const MODULE_AS_ACCEPTED: &str = "class Order: pass\n";

/// How the project is in one hour of a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// As accepted.
    Clean,
    /// A compose file was changed.
    Edge,
    /// The same file was changed otherwise.
    EdgeAgain,
    /// The compose file, and a module.
    Both,
    /// The compose file cannot be read.
    Unreadable,
}

impl State {
    fn make(self, told: &Told) {
        let edge = told.project.path(EDGE);
        let _ = std::fs::remove_file(&edge);
        match self {
            Self::Clean => told.edge(AS_ACCEPTED),
            Self::Edge | Self::Both => told.edge("services: {web: {image: odoo}}\n"),
            Self::EdgeAgain => told.edge("services: {web: {image: nginx}}\n"),
            Self::Unreadable => {
                assert!(std::process::Command::new("mkfifo").arg(&edge).status().unwrap().success());
            }
        }
        let module = if self == Self::Both { "class Order: print\n" } else { MODULE_AS_ACCEPTED };
        told.project.file(MODULE, module);
    }

    fn code(self) -> i32 {
        match self {
            Self::Clean => 0,
            Self::Edge | Self::EdgeAgain | Self::Both => 2,
            Self::Unreadable => 1,
        }
    }

    /// Holds the message about coming to this state from another one to what somebody must know to act.
    fn judge(self, before: Self, message: &Message) {
        let event = match (before, self) {
            (_, Self::Clean) => "resolved",
            (Self::Clean, _) => "failing",
            _ => "changed",
        };
        assert_eq!(message.event, event, "{before:?} to {self:?}: {}", message.title);
        match self {
            Self::Clean => {
                assert!(message.title.starts_with("Resolved after "), "{}", message.title);
                message.assert_says(&["PASS local: 3 checks passed", "Report: `/"]);
                message.assert_says(&[&format!("Resolved since the run before: `{EDGE}`")]);
                return;
            }
            Self::Edge | Self::EdgeAgain => {
                assert!(message.title.ends_with(&format!("FAIL local: {EDGE} changed")), "{}", message.title);
                message.assert_says(&["modified (content)", "Probably: it changed after "]);
                message.assert_says(&["accept: `driftlock accept "]);
            }
            Self::Both => {
                message.assert_says(&["printer changed", "*Addon drift*: `printer`", "`models/order.py`"]);
                message.assert_says(&["*Compose drift*", "driftlock explain printer"]);
            }
            Self::Unreadable => {
                assert!(
                    message.title.contains("ERROR local: ") && message.title.contains("could not be read"),
                    "{}",
                    message.title
                );
                message.assert_says(&[
                    "*Compose unreadable*",
                    "to see what stands there, and who may read it: `namei -l",
                ]);
            }
        }
        message.assert_says(&[EDGE, "host `", "baseline `audit/locks`", "looked at 20", "Report: `/"]);
        message.assert_says(&[&format!("all that is known: `driftlock explain {EDGE}`")]);
        let since = match (before, self) {
            (Self::Both, Self::Edge) => ", since 20",
            (Self::Edge, Self::EdgeAgain) | (Self::EdgeAgain, Self::Both) => ", changed again in this run",
            (Self::Unreadable, _) | (_, Self::Unreadable) => "20",
            _ => "new in this run",
        };
        message.assert_says(&[since]);
    }
}

/// Lets cron run once for each state, and calls `after` with what came of it: the hour, the run and the messages.
fn day(told: &Told, args: &[&str], states: &[State], mut after: impl FnMut(usize, &Ran, &[Message])) {
    for (hour, state) in states.iter().enumerate() {
        state.make(told);
        let ran = told.check(args, state.code());
        let messages = told.messages();
        after(hour, &ran, &messages);
    }
}

/// Two days of one run an hour: drift that comes, grows, changes, shrinks, turns into an error, flaps, and goes.
fn two_days() -> Vec<State> {
    use State::{Both, Clean, Edge, EdgeAgain, Unreadable};
    let hours = [
        (Clean, 5),
        (Edge, 4),
        (EdgeAgain, 2),
        (Both, 3),
        (Edge, 1),
        (Clean, 6),
        (Unreadable, 2),
        (Edge, 2),
        (Unreadable, 1),
        (Clean, 7),
        (Edge, 1),
        (Clean, 1),
        (Edge, 1),
        (Clean, 1),
        (Both, 5),
        (Clean, 6),
    ];
    hours.iter().flat_map(|(state, times)| std::iter::repeat_n(*state, *times)).collect()
}

#[test]
fn a_day_of_cron_tells_of_each_change_once() {
    let told = Told::slack("");
    let states = two_days();
    assert_eq!(states.len(), 48);
    let mut told_of = 0;
    let metrics = told.project.path("driftlock.prom");
    let format = format!("prometheus={}", metrics.display());
    let mut scraped = Vec::new();
    day(&told, &["--quiet", "--format", &format], &states, |hour, ran, messages| {
        scraped.push(std::fs::read_to_string(&metrics).unwrap());
        let before = if hour == 0 { State::Clean } else { states[hour - 1] };
        if before == states[hour] {
            assert!(messages.is_empty(), "{hour}: {messages:#?}");
            assert!(!ran.out().contains("Notified"));
        } else {
            assert_eq!(messages.len(), 1, "{hour}: {messages:#?}");
            states[hour].judge(before, &messages[0]);
            told_of += 1;
            assert_eq!(told.latest()["notifications"][0]["sent"], true);
        }
        assert!(ran.err().is_empty(), "{}", ran.err());
        assert_eq!(ran.out().is_empty(), states[hour] == State::Clean);
    });
    assert_eq!(told_of, 15);
    alerts::judge(&scraped, &states.iter().map(|state| state.code()).collect::<Vec<_>>());
}

#[test]
fn a_first_pass_is_no_news_and_a_first_failure_is() {
    let told = Told::slack("");
    told.check(&[], 0);
    assert!(told.messages().is_empty());
    let told = Told::slack("");
    told.edge("changed\n");
    let ran = told.check(&[], 2);
    assert!(ran.out().contains("\nNotified: ops\n"), "{}", ran.out());
    assert_eq!(told.message().event, "failing");
    let run = crate::support::disk::runs(&told.project.root()).pop().unwrap();
    let kept = told.project.read(&format!("audit/runtime/{run}/drift_report.txt"));
    assert_eq!(kept, ran.out(), "what is kept is what was shown");
    let json = told.project.read(&format!("audit/runtime/{run}/drift_report.json"));
    assert_eq!(json, told.project.read("audit/runtime/latest.json"));
    crate::support::assert_valid(&told.latest());
}

#[test]
fn who_is_configured_later_knows_what_the_newest_report_says() {
    let told = Told::slack("");
    let toml = told.project.read("audit/driftlock.toml");
    let (before, _) = toml.split_once("[notify").unwrap();
    told.project.file("audit/driftlock.toml", before);
    told.edge("changed\n");
    told.check(&[], 2);
    told.project.file("audit/driftlock.toml", &toml);
    told.check(&[], 2);
    assert!(told.messages().is_empty());
    told.edge(AS_ACCEPTED);
    told.check(&[], 0);
    assert_eq!(told.message().event, "resolved");
}

#[test]
fn what_stays_wrong_is_told_again_after_a_time() {
    let told = Told::slack("remind_after = \"1s\"");
    told.edge("changed\n");
    told.check(&[], 2);
    assert_eq!(told.message().event, "failing");
    wait_until(|| {
        told.check(&[], 2);
        told.server.count() > 0
    });
    let message = &told.messages()[0];
    assert_eq!(message.event, "reminder");
    assert!(message.title.starts_with("Still FAIL on local for "), "{}", message.title);
    message.assert_says(&[EDGE, "since 20", " runs)"]);
    told.edge(AS_ACCEPTED);
    told.check(&[], 0);
    told.messages();
    shift(&told, -2);
    told.check(&[], 0);
    assert!(told.messages().is_empty(), "of what passes nobody is reminded");
}

/// Moves every point in time of the record by so many seconds.
fn shift(told: &Told, seconds: i64) {
    let path = "audit/runtime/notified.ops.json";
    let mut state: Value = serde_json::from_str(&told.project.read(path)).unwrap();
    for place in state["places"].as_array_mut().unwrap() {
        for key in ["told_at_unix", "run_at_unix", "open_since_unix"] {
            if let Some(at) = place[key].as_i64() {
                place[key] = (at + seconds).into();
            }
        }
    }
    told.project.file(path, &state.to_string());
}

#[test]
fn reminders_come_once_a_day_unless_they_are_turned_off() {
    for (more, expected) in [("", 1), ("remind_after = \"never\"", 0), ("remind_after = \"3d\"", 0)] {
        let told = Told::slack(more);
        told.edge("changed\n");
        told.check(&[], 2);
        told.messages();
        shift(&told, -23 * 3600);
        told.check(&[], 2);
        assert!(told.messages().is_empty());
        shift(&told, -2 * 3600);
        told.check(&[], 2);
        let messages = told.messages();
        assert_eq!(messages.len(), expected, "{more}");
        if let Some(message) = messages.first() {
            assert!(message.title.starts_with("Still FAIL on local for 1 day"), "{}", message.title);
        }
        told.check(&[], 2);
        assert!(told.messages().is_empty());
    }
}

#[test]
fn a_clock_that_was_ahead_neither_hides_a_change_nor_puts_off_a_reminder() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&[], 2);
    told.messages();
    shift(&told, 400 * 86_400);
    told.check(&[], 2);
    assert!(told.messages().is_empty());
    shift(&told, -25 * 3600);
    told.check(&[], 2);
    assert_eq!(told.message().event, "reminder", "the record was set right");
    shift(&told, 400 * 86_400);
    told.edge(AS_ACCEPTED);
    told.check(&[], 0);
    assert_eq!(told.message().event, "resolved");
}

#[test]
fn in_ci_each_change_is_told_once_with_the_report_before() {
    let states = [State::Clean, State::Edge, State::Edge, State::Both, State::Clean, State::Clean];
    let mut before: Option<String> = None;
    for (step, state) in states.iter().enumerate() {
        let told = Told::slack("");
        let mut args = vec!["--previous", "before.json"];
        match &before {
            Some(report) => told.project.file("before.json", report),
            None => args.clear(),
        }
        state.make(&told);
        told.check(&args, state.code());
        let expected = usize::from(step > 0 && states[step - 1] != *state);
        let messages = told.messages();
        assert_eq!(messages.len(), expected, "{step}: {messages:#?}");
        before = Some(told.latest().to_string());
    }
}

#[test]
fn in_ci_what_was_not_delivered_is_told_by_the_next_job() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.server.answer(&[Answer::Status(404)]);
    let ran = told.check(&[], 2);
    assert!(ran.err().starts_with("warning: ops was not told: the webhook answered 404"), "{}", ran.err());
    let report = told.latest();
    assert_eq!(report["notifications"][0]["sent"], false);
    told.messages();
    let next = Told::slack("");
    next.edge("changed\n");
    next.project.file("before.json", &report.to_string());
    next.check(&["--previous", "before.json"], 2);
    assert_eq!(next.message().event, "changed");
}

/// Makes a report look as if its run had begun so many seconds earlier, and its findings with it.
fn older(report: &Value, seconds: i64) -> String {
    let mut report = report.clone();
    report["started_at_unix"] = (report["started_at_unix"].as_i64().unwrap() - seconds).into();
    for check in report["checks"].as_array_mut().unwrap() {
        for finding in check["findings"].as_array_mut().unwrap() {
            finding["since"] = serde_json::json!({"run": "20200101_000000", "runs": 3, "before": null,
                "started_at": "2020-01-01T00:00:00+00:00", "changed": null});
        }
    }
    report.to_string()
}

#[test]
fn in_ci_a_reminder_comes_when_its_time_passes_between_two_jobs() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&[], 2);
    told.messages();
    let report = told.latest();
    for (seconds, expected) in [(86_400, 1), (0, 0)] {
        let next = Told::slack("");
        next.edge("changed\n");
        next.project.file("before.json", &older(&report, seconds));
        next.check(&["--previous", "before.json"], 2);
        let events: Vec<String> = next.messages().into_iter().map(|message| message.event).collect();
        assert_eq!(events, vec!["reminder"; expected], "{seconds}");
    }
}

#[test]
fn two_checks_at_once_tell_once() {
    let told = Told::slack("");
    told.check(&[], 0);
    for text in ["one\n", "two\n", "three\n"] {
        told.edge(text);
        told.server.answer(&[Answer::Late(200), Answer::Late(200)]);
        std::thread::scope(|scope| {
            let both = [0, 1].map(|_| scope.spawn(|| told.command(&["check"]).output().unwrap()));
            for one in both {
                assert_eq!(one.join().unwrap().status.code(), Some(2));
            }
        });
        told.message().assert_says(&[EDGE]);
    }
    told.assert_nowhere(SECRET);
}

#[test]
fn runs_of_some_checks_do_not_take_turns_with_whole_ones() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&[], 2);
    told.message();
    for _ in 0..2 {
        told.check(&["--only", "addon_hashes"], 0);
        told.check(&["--only", "compose_hashes"], 2);
        told.check(&[], 2);
        told.check(&["--output", "out"], 2);
    }
    assert!(told.messages().is_empty(), "all of that was told");
    let report: Value = serde_json::from_str(&told.project.read("out/drift_report.json")).unwrap();
    assert!(report.get("notifications").is_none());
    told.project.file(MODULE, "changed\n");
    told.check(&["--only", "addon_hashes", "--output", "out"], 2);
    told.message().assert_says(&["only some checks", "printer"]);
    let report: Value = serde_json::from_str(&told.project.read("out/drift_report.json")).unwrap();
    assert_eq!(report["notifications"], serde_json::json!([{"name": "ops", "sent": true}]));
    told.check(&[], 2);
    assert_eq!(told.message().event, "changed");
}

#[test]
fn a_deploy_that_excuses_drift_is_told_to_nobody() {
    let told = Told::slack("");
    told.check(&[], 0);
    told.run(&["pause", "--for", "20m", "--reason", "release 18.2", "--by", "Ada"]);
    told.edge("changed\n");
    told.check(&["--honour-pause"], 0);
    assert!(told.messages().is_empty());
    let told_of = told.project.read("audit/runtime/notified.ops.json");
    assert!(told_of.contains("\"PASS\"") && !told_of.contains("FAIL"), "{told_of}");
    told.check(&[], 2);
    told.message().assert_says(&["deploying since ", "release 18.2"]);
    told.run(&["pause", "--end"]);
    told.edge(AS_ACCEPTED);
    told.check(&["--honour-pause"], 0);
    assert_eq!(told.message().event, "resolved");
}

#[test]
fn what_is_acknowledged_is_told_as_such() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&[], 2);
    told.messages();
    let ack = ["ack", EDGE, "--until", "7d", "--reason", "hotfix", "--by", "Ada"];
    assert_eq!(told.run(&ack).code(), 0);
    told.check(&[], 0);
    let message = told.message();
    assert_eq!(message.event, "resolved");
    message.assert_says(&["PASS local: 3 checks passed; 1 acknowledged", "(by Ada, until 20"]);
}

#[test]
fn a_target_is_told_of_where_that_is_configured() {
    let target = "[targets.production]\nhost = \"local\"\nroot = \".\"\ndocker = \"off\"\n";
    let notify = |name: &str, about: &str| {
        format!("[notify.{name}]\nkind = \"slack\"\nurl_env = \"{VARIABLE}\"\ntargets = [\"{about}\"]\n")
    };
    let told = Told::by(&format!("{target}{}{}", notify("here", "local"), notify("there", "production")));
    told.edge("changed\n");
    told.check(&[], 2);
    assert_eq!(told.latest()["notifications"][0]["name"], "here");
    told.message().assert_says(&["FAIL local: "]);
    let ran = told.check(&["--all"], 2);
    assert!(ran.out().contains("Notified: there"), "{}", ran.out());
    told.message().assert_says(&["FAIL production: ", "target `production`", "--target production"]);
    told.check(&["--all"], 2);
    assert!(told.messages().is_empty());
}

#[test]
fn a_damaged_record_is_told_of_and_mended() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&[], 2);
    told.messages();
    for text in ["", "{\"schema\": 1}", "\u{0}\u{0}"] {
        told.project.file("audit/runtime/notified.ops.json", text);
        let ran = told.check(&[], 2);
        assert!(
            ran.err().starts_with("warning: audit/runtime/notified.ops.json: it is damaged"),
            "{}",
            ran.err()
        );
        assert!(told.messages().is_empty(), "the newest report tells that it was told");
        assert!(told.check(&[], 2).err().is_empty());
    }
}

#[test]
fn a_record_that_cannot_be_written_stops_nothing() {
    let told = Told::slack("");
    std::fs::create_dir_all(told.project.path("audit/runtime/notified.ops.json/x")).unwrap();
    told.edge("changed\n");
    let ran = told.check(&[], 2);
    assert!(ran.err().contains("it may be told again"), "{}", ran.err());
    told.message();
}

#[test]
fn a_dry_run_tells_nobody() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&["--dry-run"], 0);
    assert!(told.messages().is_empty());
}
