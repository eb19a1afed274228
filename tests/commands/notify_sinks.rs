//! Slack, webhooks and commands: what they get, and what is said where they do not take it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::http::{Answer, Authority, HttpServer, SECRET};
use crate::support::told::{AS_ACCEPTED, EDGE, Message, Told, VARIABLE};
use crate::support::{Ran, ended, wait_until};

const QUICK: &str = "timeout = \"1s\"";
/// A token that nothing may show.
const TOKEN: &str = "t0kenThatNobodyMaySee";

/// One change, and how the server answers: what is said of it, and how many requests came.
fn change(told: &Told, text: &str, answers: &[Answer]) -> (Ran, usize) {
    told.edge(text);
    told.server.answer(answers);
    let ran = told.check(&[], 2);
    (ran, told.server.taken().len())
}

/// Runs some cases at once: they wait for clocks, and not for one another.
fn at_once<C: Sync>(cases: &[C], case: impl Fn(&C) + Sync) {
    std::thread::scope(|scope| cases.iter().for_each(|one| _ = scope.spawn(|| case(one))));
}

/// Holds a change to not being delivered, which its report says in the same words.
fn assert_not_told(told: &Told, ran: &Ran, why: &str) {
    assert_eq!(ran.err(), format!("warning: ops was not told: {why}\n"));
    assert!(ran.out().contains(&format!("\nNot notified: ops ({why})\n")), "{}", ran.out());
    let report = told.latest();
    assert_eq!(report["notifications"], serde_json::json!([{"name": "ops", "sent": false, "error": why}]));
    assert_eq!(report["exit_code"], 2);
    crate::support::assert_valid(&report);
}

#[test]
fn what_may_pass_is_tried_again_and_the_rest_is_not() {
    let told = Told::slack("");
    for (code, rest) in [
        (400, ""),
        (401, ": it refuses this address or token"),
        (403, ": it refuses this address or token"),
        (404, ": nothing takes messages at this address"),
        (410, ": nothing takes messages at this address"),
    ] {
        let (ran, count) = change(&told, &format!("{code}\n"), &[Answer::Status(code)]);
        assert_not_told(&told, &ran, &format!("the webhook answered {code}{rest}"));
        assert_eq!(count, 1);
    }
    let start = Instant::now();
    let (ran, count) = change(&told, "500, then 200\n", &[Answer::Status(500)]);
    assert!(ran.err().is_empty() && count == 2, "{}", ran.err());
    assert!(start.elapsed() >= Duration::from_secs(1), "a pause is between them");
    let start = Instant::now();
    let (ran, count) = change(&told, "500\n", &[500; 3].map(Answer::Status));
    assert_not_told(&told, &ran, "the webhook answered 500, 3 times");
    assert_eq!(count, 3);
    assert!(start.elapsed() >= Duration::from_secs(3), "and a longer one");
    let (_, count) = change(&told, "500\n", &[]);
    assert_eq!(count, 1, "what was not delivered is told by the next run");
    assert_eq!(change(&told, "500\n", &[]).1, 0);
}

fn later(code: u16, after: &str) -> Answer {
    Answer::Raw(format!("HTTP/1.1 {code} Later\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"))
}

/// A check that has made its first attempt, and pauses for ten seconds unless it is asked for another time.
fn pausing(answers: &[Answer]) -> (Child, Told) {
    let told = Told::slack("retry_pause = \"10s\"");
    told.edge("changed\n");
    told.server.answer(answers);
    let mut check = crate::support::world::driftlock();
    check.arg("check").current_dir(told.project.root()).env(VARIABLE, told.server.url());
    let check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| told.server.count() > 0);
    (check, told)
}

/// Whether two pauses of no time are over before one of the usual length that began earlier.
fn is_asked_before_the_pause_is_over() -> bool {
    let (mut slow, usual) = pausing(&[Answer::Status(500)]);
    let (quick, asked) = pausing(&[later(429, "0"), later(503, "0"), Answer::Status(500)]);
    let ran = ended(quick);
    assert_eq!(ran.code(), 2);
    assert_not_told(&asked, &ran, "the webhook answered 500, 3 times");
    assert_eq!(asked.server.count(), 3);
    let is_first = usual.server.count() == 1;
    slow.kill().unwrap();
    slow.wait().unwrap();
    is_first
}

#[test]
fn who_asks_to_be_left_alone_is() {
    at_once(&[429, 503], |code| {
        let told = Told::slack("");
        let start = Instant::now();
        let (ran, count) = change(&told, "changed\n", &[later(*code, "3")]);
        assert!(ran.err().is_empty() && count == 2, "{}", ran.err());
        assert!(start.elapsed() >= Duration::from_secs(3), "and not after its own pause of a second");
    });
    // A busy machine holds up one run, but not each.
    assert!((0..3).any(|_| is_asked_before_the_pause_is_over()), "its own pause is added");
    let told = Told::slack("");
    let (ran, count) = change(&told, "long\n", &[later(429, "3600")]);
    assert_not_told(&told, &ran, "the webhook answered 429, and wants to be left alone for 1 hour");
    assert_eq!(count, 1);
    let (ran, _) = change(&told, "longer\n", &[later(429, "99999999999999999999"), later(429, "31")]);
    assert_not_told(
        &told,
        &ran,
        "the webhook answered 429, 2 times, and wants to be left alone for 31 seconds",
    );
}

#[test]
fn one_that_hangs_is_bounded() {
    let told = Told::slack(QUICK);
    let (ran, count) = change(&told, "hang\n", &[Answer::Hang, Answer::Hang, Answer::Hang]);
    assert_not_told(&told, &ran, "the webhook did not answer within 1 second, 3 times");
    assert_eq!(count, 3);
    let (ran, count) = change(&told, "endless\n", &[Answer::Endless]);
    assert!(ran.err().is_empty() && count == 1, "{}", ran.err());
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    let cut = |text: &str| Answer::Raw(text.to_owned());
    let no_answer = "the webhook closed the connection without an answer";
    let cases = [
        (cut(""), no_answer),
        (cut("HTTP/1.1 20"), no_answer),
        (cut(SECRET), ""),
        (cut("nonsense\r\n\r\n"), "what the webhook answered is no HTTP"),
        (Answer::EndlessHeader, ""),
        (Answer::Close, ""),
    ];
    at_once(&cases, |(answer, why)| {
        let told = Told::slack(QUICK);
        let (ran, count) = change(&told, "changed\n", &[(); 3].map(|()| answer.clone()));
        let err = ran.err();
        assert!(err.contains("ops was not told: "), "{answer:?}: {err}");
        assert!(err.contains(why) && err.ends_with(", 3 times\n"), "{answer:?}: {err}");
        assert_eq!(count, if matches!(answer, Answer::Close) { 0 } else { 3 }, "{answer:?}");
    });
}

#[test]
fn a_redirect_is_not_followed() {
    let told = Told::slack("");
    let elsewhere = HttpServer::start();
    for code in [301, 302, 307, 308] {
        let answer =
            format!("HTTP/1.1 {code} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
        let (ran, count) = change(&told, &format!("{code}\n"), &[Answer::Raw(answer)]);
        let why = format!("the webhook answered {code}: it has moved; configure its new address");
        assert_not_told(&told, &ran, &why);
        assert_eq!((count, elsewhere.count()), (1, 0));
    }
}

/// Runs check after a change with this in the variable, and gives what is said of it.
fn said_with(told: &Told, text: &str, value: Option<&str>) -> String {
    told.edge(text);
    let mut command = told.command(&["check"]);
    match value {
        Some(value) => command.env(VARIABLE, value),
        None => command.env_remove(VARIABLE),
    };
    let ran = told.done(command);
    assert_eq!(ran.code(), 2);
    let err = ran.err();
    let why = err.strip_prefix("warning: ops was not told: ").unwrap_or_else(|| panic!("{err}")).trim_end();
    assert_not_told(told, &ran, why);
    why.to_owned()
}

#[test]
fn an_address_that_cannot_be_had_is_told_of_without_it() {
    let told = Told::slack("");
    assert_eq!(said_with(&told, "1\n", None), "the variable OPS_URL is not set");
    assert_eq!(said_with(&told, "2\n", Some(" ")), "the variable OPS_URL is empty");
    let no_url = "what the variable OPS_URL holds is no URL";
    assert!(said_with(&told, "3\n", Some(SECRET)).starts_with(no_url));
    assert!(said_with(&told, "4\n", Some(&format!("ftp://{SECRET}/"))).starts_with(no_url));
    assert_eq!(
        said_with(&told, "5\n", Some("http://a/\nhttp://b/")),
        "the variable OPS_URL holds more than one line"
    );
    let refused = format!("http://127.0.0.1:{}/{SECRET}", HttpServer::start().port());
    let unknown = format!("http://{SECRET}.invalid/{SECRET}");
    let cases = [
        (refused, "the webhook cannot be reached: connection refused, 3 times"),
        (unknown, "the host of the webhook is not known, 3 times"),
    ];
    at_once(&cases, |(address, why)| assert_eq!(said_with(&Told::slack(""), "6\n", Some(address)), *why));
    assert_eq!(told.server.count(), 0);
    told.edge(AS_ACCEPTED);
    let mut command = told.command(&["check", "--quiet"]);
    command.env_remove(VARIABLE);
    let ran = told.done(command);
    assert_eq!((ran.code(), ran.out() + &ran.err()), (0, String::new()), "nobody heard of it: no news");
}

#[test]
fn a_file_may_hold_the_address() {
    let told = Told::by("[notify.ops]\nkind = \"slack\"\nurl_file = \"url\"\n");
    let path = told.project.path("url");
    let check = |text: &str| {
        told.edge(text);
        let ran = Ran(told.command(&["check"]).output().unwrap());
        assert_eq!(ran.code(), 2);
        ran.err()
    };
    assert!(check("1\n").contains("ops was not told: the file url: no such file"));
    told.project.file("url", "\n");
    assert!(check("2\n").contains("ops was not told: the file url is empty"));
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(check("3\n").contains("the file url: it is not a file"));
    std::fs::remove_file(&path).unwrap();
    told.project.file("url", &format!("{}\n", told.server.url()));
    assert!(check("4\n").is_empty());
    assert_eq!(told.server.taken().len(), 1);
    let warned = Ran(told.command(&["notify"]).output().unwrap());
    assert_eq!(warned.err(), "warning: others may read url; try: chmod 600 url\n");
    assert!(!warned.out().contains(SECRET) && warned.out().contains("  address: in the file url\n"));
    assert!(Command::new("chmod").arg("600").arg(&path).status().unwrap().success());
    assert!(Ran(told.command(&["notify"]).output().unwrap()).err().is_empty());
}

#[test]
fn a_server_is_known_by_its_certificate() {
    let authority = Authority::new();
    let server = HttpServer::encrypted(&authority);
    let told = Told::slack("");
    let check = |text: &str, file: Option<&std::path::Path>| {
        told.edge(text);
        let mut command = told.command(&["check"]);
        command.env(VARIABLE, server.url());
        file.map(|file| command.env("SSL_CERT_FILE", file));
        let ran = told.done(command);
        assert_eq!(ran.code(), 2);
        (ran.err(), server.taken())
    };
    let (err, none) = check("1\n", Some(&Authority::new().file()));
    assert!(
        err.contains("the certificate of the webhook is not believed: nobody whom this machine knows"),
        "{err}"
    );
    assert!(!err.contains("times") && none.is_empty());
    let missing = told.project.path("no-such-file");
    for file in [&missing, &told.project.path(EDGE)] {
        let (err, none) = check(&format!("{}\n", file.display()), Some(file));
        assert!(err.contains("no certificate could be read from ") && err.contains("SSL_CERT_FILE"), "{err}");
        assert!(none.is_empty());
    }
    let (err, taken) = check("3\n", Some(&authority.file()));
    assert!(err.is_empty() && taken.len() == 1, "{err}");
    Message::of(&taken[0]).assert_says(&[EDGE]);
    told.edge("4\n");
    let mut command = told.command(&["check"]);
    command.env(VARIABLE, format!("https://127.0.0.1:{}/{SECRET}", told.server.port()));
    let err = told.done(command).err();
    assert!(err.contains("no encrypted connection could be made") || err.contains("3 times"), "{err}");
}

#[test]
fn a_proxy_is_used_as_curl_would() {
    let through = |variables: &[(&str, &str)], proxy: &HttpServer, answers: &[Answer]| {
        let told = Told::slack("");
        told.edge("changed\n");
        proxy.answer(answers);
        let mut command = told.command(&["check"]);
        command.env(VARIABLE, format!("http://ops.invalid/{SECRET}")).envs(variables.iter().copied());
        told.done(command).err()
    };
    for variable in ["http_proxy", "ALL_PROXY"] {
        let proxy = HttpServer::start();
        assert!(through(&[(variable, &proxy.root())], &proxy, &[Answer::Tunnel]).is_empty());
        let lines: Vec<String> = proxy.taken().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, ["CONNECT ops.invalid:80 HTTP/1.1".to_owned(), format!("POST /{SECRET} HTTP/1.1")]);
    }
    let unknown = "the host of the webhook is not known";
    // The variable of the proxy, what excepts the host from it, what is said, and how often the proxy is asked.
    let cases = [
        ("http_proxy", None, "the proxy did not", 3),
        ("http_proxy", Some(("no_proxy", "ops.invalid")), unknown, 0),
        ("ALL_PROXY", Some(("NO_PROXY", ".invalid")), unknown, 0),
        ("https_proxy", None, unknown, 0),
        ("HTTP_PROXY", None, unknown, 0),
    ];
    at_once(&cases, |(variable, exception, why, asked)| {
        let proxy = HttpServer::start();
        let at = proxy.root();
        let variables: Vec<_> = std::iter::once((*variable, at.as_str())).chain(*exception).collect();
        let err = through(&variables, &proxy, &[407; 3].map(Answer::Status));
        assert!(err.contains(why) && proxy.count() == *asked, "{variables:?}: {err}");
    });
    let proxy = HttpServer::start();
    assert!(through(&[("http_proxy", "socks5://127.0.0.1:1")], &proxy, &[]).contains("proxy"));
}

#[test]
fn a_webhook_gets_the_report_and_the_token() {
    let told = Told::by(&format!(
        "[notify.ops]\nkind = \"webhook\"\nurl_env = \"{VARIABLE}\"\ntoken_env = \"OPS_TOKEN\"\n"
    ));
    told.edge("changed\n");
    let with = |token: Option<&str>| {
        let mut command = told.command(&["check"]);
        token.map(|token| command.env("OPS_TOKEN", token));
        let ran = told.done(command);
        told.assert_nowhere(TOKEN);
        assert!(!(ran.out() + &ran.err()).contains(TOKEN));
        ran.err()
    };
    assert_eq!(with(None), "warning: ops was not told: the variable OPS_TOKEN is not set\n");
    assert!(with(Some("two words")).contains("holds is no token"));
    assert!(with(Some(TOKEN)).is_empty());
    let request = told.server.taken().remove(0);
    assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(request.headers["driftlock-event"], "failing");
    assert!(request.headers["user-agent"].starts_with("driftlock/"));
    let mut kept = told.latest();
    assert_eq!(kept["notifications"][0]["sent"], true);
    kept.as_object_mut().unwrap().remove("notifications");
    assert_eq!(request.json(), kept, "the report as it was kept before anybody was told");
    crate::support::assert_valid(&kept);
    told.edge("again\n");
    told.server.answer(&[Answer::Status(401)]);
    assert!(with(Some(TOKEN)).contains("answered 401"));
}

#[test]
fn a_command_gets_the_report_on_its_standard_input() {
    let script = "cat > got.json; echo $DRIFTLOCK_EVENT $DRIFTLOCK_NOTIFY > event; echo noise; pwd > dir";
    let told =
        Told::by(&format!("[notify.ops]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", '{script}']\n"));
    told.edge("changed\n");
    let ran = told.check(&[], 2);
    assert!(ran.err().is_empty() && !ran.out().contains("noise"), "{}", ran.err());
    let got: serde_json::Value = serde_json::from_str(&told.project.read("got.json")).unwrap();
    assert_eq!((&got["run"], &got["overall"]), (&told.latest()["run"], &"FAIL".into()));
    assert_eq!(told.project.read("event"), "failing ops\n");
    assert_eq!(told.project.read("dir").trim(), told.project.root().display().to_string());
}

#[test]
fn a_command_that_fails_is_told_of() {
    for (script, why, said) in [
        ("echo said >&2; exit 3", "the command ended with 3", "; it said: said"),
        ("sleep 600 & exec sleep 600", "the command did not end within 1 second and was ended", ""),
        ("kill -9 $$", "the command was ended by signal 9", ""),
    ] {
        let command = format!("kind = \"command\"\ncommand = [\"sh\", \"-c\", '{script}']\n{QUICK}\n");
        let told = Told::by(&format!("[notify.ops]\n{command}"));
        told.edge("changed\n");
        let ran = told.check(&[], 2);
        assert_eq!(ran.err(), format!("warning: ops was not told: {why}{said}\n"));
        assert_eq!(told.latest()["notifications"][0]["error"], why, "what it says may hold a secret");
    }
    let told = Told::by("[notify.ops]\nkind = \"command\"\ncommand = [\"./no-such\"]\n");
    told.edge("changed\n");
    assert!(told.check(&[], 2).err().contains("the command ./no-such is not there"));
}

#[test]
fn one_that_fails_holds_up_no_other() {
    let table = |name: &str, variable: &str| {
        format!("[notify.{name}]\nkind = \"slack\"\nurl_env = \"{variable}\"\n{QUICK}\n")
    };
    let told = Told::by(&(table("ops", "OTHER_URL") + &table("team", VARIABLE)));
    let other = HttpServer::start();
    other.answer(&[Answer::Hang, Answer::Hang, Answer::Hang]);
    told.edge("changed\n");
    let mut command = told.command(&["check"]);
    command.env("OTHER_URL", other.url());
    let ran = told.done(command);
    assert!(ran.out().contains("\nNotified: team\nNot notified: ops (the webhook did not"), "{}", ran.out());
    let mut command = told.command(&["check"]);
    command.env("OTHER_URL", other.url());
    assert!(told.done(command).out().contains("\nNotified: ops\n"), "each has a record of its own");
    assert_eq!(told.server.taken().len(), 1);
}

#[test]
fn what_cannot_be_told_changes_no_verdict_and_breaks_no_silence_but_with_that() {
    let told = Told::slack("");
    told.edge("changed\n");
    told.check(&["--quiet"], 2);
    told.edge(AS_ACCEPTED);
    told.server.answer(&[Answer::Status(404)]);
    let ran = told.check(&["--quiet"], 0);
    assert!(ran.out().is_empty() && ran.err().lines().count() == 1, "{}{}", ran.out(), ran.err());
    assert_eq!(told.latest()["overall"], "PASS");
    let ran = told.check(&["--quiet"], 0);
    assert_eq!(ran.out() + &ran.err(), "");
    assert_eq!(told.messages().last().unwrap().event, "resolved");
}

#[test]
fn a_signal_ends_the_wait_for_another_attempt() {
    let (check, told) = pausing(&[Answer::Status(500)]);
    kill_process(Pid::from_child(&check), Signal::TERM).unwrap();
    assert_eq!(ended(check).code(), 143);
    assert_eq!(told.server.count(), 1, "there was no other attempt");
    assert!(!told.project.read("audit/runtime/notified.ops.json").contains("FAIL"), "nothing was told");
    assert_eq!(told.latest()["overall"], "FAIL", "the run was kept before");
    told.check(&[], 2);
    assert_eq!(told.messages().len(), 2);
}

#[test]
fn a_test_message_goes_the_real_way() {
    let told = Told::slack("");
    let ran = told.run(&["notify", "test", "ops"]);
    assert_eq!(
        (ran.code(), ran.out(), ran.err()),
        (0, "ops: the test message was taken\n".to_owned(), String::new())
    );
    let message = told.message();
    assert!(
        message.title.starts_with("TEST of driftlock on ") && message.event == "test",
        "{}",
        message.title
    );
    assert!(!told.project.path("audit/runtime/notified.ops.json").exists(), "nothing is recorded");
    told.server.answer(&[Answer::Status(404)]);
    let ran = told.run(&["notify", "test", "ops"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().starts_with("error: ops was not told: the webhook answered 404"), "{}", ran.err());
    let ran = told.run(&["notify", "test", "opps"]);
    assert!(ran.code() == 1 && ran.err().ends_with("hint: configured: ops\n"), "{}", ran.err());
    let webhook = Told::by(&format!("[notify.ops]\nkind = \"webhook\"\nurl_env = \"{VARIABLE}\"\n"));
    assert_eq!(webhook.run(&["notify", "test", "ops"]).code(), 0);
    let report = webhook.server.taken().remove(0).json();
    crate::support::assert_valid(&report);
    assert_eq!((&report["run"], &report["overall"]), (&"test".into(), &"PASS".into()));
    assert!(report["checks"][0]["details"].as_str().unwrap().contains("this is a test message"));
}

#[test]
fn who_is_configured_is_listed_without_a_secret() {
    let told = Told::by(&format!(
        "[targets.production]\nhost = \"local\"\n[notify.ops]\nkind = \"slack\"\nurl_env = \"{VARIABLE}\"\n\
         [notify.hook]\nkind = \"webhook\"\nurl_env = \"NOT_SET\"\ntoken_file = \"token\"\n\
         targets = [\"production\"]\nremind_after = \"never\"\n\
         [notify.mail]\nkind = \"command\"\ncommand = [\"mail\", \"-s\", \"it's drift\", \"ops\"]\n"
    ));
    let ran = told.run(&["notify"]);
    let expected = "\
hook: webhook
  address: not usable: the variable NOT_SET is not set
  token: not usable: the file token: no such file or directory
  told of: production
  reminded: never
mail: command
  command: mail -s 'it'\\\\''s drift' ops
  told of: every place
  reminded: every 1 day while it does not pass
ops: slack
  address: in the variable OPS_URL
  told of: every place
  reminded: every 1 day while it does not pass
";
    assert_eq!((ran.code(), ran.out(), ran.err()), (0, expected.to_owned(), String::new()));
    let none = Told::by("").run(&["notify"]);
    assert!(none.out().starts_with("Nobody is told: "), "{}", none.out());
}

#[test]
fn names_mention_nobody_and_break_no_limit() {
    let told = Told::slack("");
    let long = "é".repeat(100);
    let hostile =
        ["<!channel> & <https:evil|click>", "`@here` *b*", "a\u{202e}b\nc\u{1b}[31m", "'$(x)'", "```"];
    for name in hostile {
        told.project.file(&format!("infra/stacks/{name}/docker-compose.yml"), "x\n");
    }
    for number in 0..60 {
        told.project.file(&format!("infra/stacks/{number}-{long}/docker-compose.{long}.yml"), "x\n");
    }
    told.check(&[], 2);
    let message = told.message();
    message.assert_says(&["FAIL local: 65 files unexpected", "*unexpected (65 files)*: `infra/stacks/"]);
    for number in 0..60 {
        std::fs::remove_dir_all(told.project.path(&format!("infra/stacks/{number}-{long}"))).unwrap();
    }
    told.check(&[], 2);
    let message = told.message();
    message.assert_says(&["&lt;!channel&gt; &amp; &lt;https:evil|click&gt;", "\\x60@here\\x60 *b*"]);
    message.assert_says(&["a\\u{202e}b\\nc\\x1b[31m"]);
    assert!(!message.text.contains(['\u{202e}', '\u{1b}']));
}
