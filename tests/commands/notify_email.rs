//! Mails: what a real server gets, and what is said where it does not take them.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::support::Ran;
use crate::support::http::Authority;
use crate::support::mail::{MailServer, PASSWORD, USER};
use crate::support::told::{AS_ACCEPTED, EDGE, Told};

const TO: &str = "to = [\"Ops <ops@example.com>\", \"night@example.com\"]";

/// A project that mails to a server at this port.
fn told(port: u16, tls: &str, more: &str) -> Told {
    let login = if more.contains("user") || tls == "none" {
        String::new()
    } else {
        format!("user = \"{USER}\"\npassword_env = \"OPS_PASSWORD\"\n")
    };
    let to = if more.contains("to = ") { "" } else { TO };
    Told::by(&format!(
        "[notify.ops]\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"{tls}\"\n\
         from = \"driftlock <drift@example.com>\"\n{to}\n{login}{more}\n"
    ))
}

/// Runs driftlock with a password and the file of an authority. Wherever it wrote, there is no password.
fn run(told: &Told, args: &[&str], authority: &Path) -> Ran {
    run_with(told, args, authority, PASSWORD)
}

fn run_with(told: &Told, args: &[&str], authority: &Path, password: &str) -> Ran {
    let mut command = told.command(args);
    command.env("OPS_PASSWORD", password).env("SSL_CERT_FILE", authority);
    let ran = told.done(command);
    told.assert_nowhere(password);
    told.assert_nowhere(PASSWORD);
    let said = ran.out() + &ran.err();
    assert!(!said.contains(password) && !said.contains(PASSWORD), "{said}");
    ran
}

/// Why a change is not told.
fn why(told: &Told, text: &str, authority: &Path, password: &str) -> String {
    told.edge(text);
    let ran = run_with(told, &["check"], authority, password);
    assert_eq!(ran.code(), 2);
    let err = ran.err();
    let why = err.strip_prefix("warning: ops was not told: ").unwrap_or_else(|| panic!("{err}"));
    assert_eq!(told.latest()["notifications"][0]["error"], why.trim_end());
    why.trim_end().to_owned()
}

#[test]
fn needs_mail_each_change_is_mailed_once_and_encrypted() {
    for tls in ["starttls", "implicit"] {
        let server = MailServer::start(tls);
        let told = told(server.port, tls, "");
        let authority = server.authority.file();
        let check = |text: &str, code: i32| {
            told.edge(text);
            let ran = run(&told, &["check"], &authority);
            assert_eq!((ran.code(), ran.err().as_str()), (code, ""), "{tls}: {}", ran.out());
            ran
        };
        assert!(check("by hand: 1\n", 2).out().contains("\nNotified: ops\n"));
        check("by hand: 1\n", 2);
        check("by hand: 2\n", 2);
        check(AS_ACCEPTED, 0);
        let mails = server.mails();
        let events: Vec<String> = mails.iter().map(|mail| mail.header("Driftlock-Event")).collect();
        assert_eq!(events, ["failing", "changed", "resolved"], "{tls}");
        for mail in &mails {
            assert_eq!(mail.0["from"], "drift@example.com");
            assert_eq!(mail.0["to"], serde_json::json!(["ops@example.com", "night@example.com"]));
            assert_eq!((&mail.0["user"], &mail.0["is_encrypted"]), (&USER.into(), &true.into()));
            assert_eq!(mail.header("From"), "driftlock <drift@example.com>");
            assert_eq!(mail.header("To"), "Ops <ops@example.com>, night@example.com");
            assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
            assert!(
                mail.header("Date").contains(' ') && mail.header("Content-Type").starts_with("text/plain")
            );
            assert!(mail.0["longest_line"].as_u64().unwrap() <= 998);
        }
        let ids: std::collections::BTreeSet<String> =
            mails.iter().map(|mail| mail.header("Message-ID")).collect();
        assert!(ids.len() == 3 && ids.iter().all(|id| id.ends_with("@example.com>")), "{ids:?}");
        let [failing, changed, resolved] = [0, 1, 2].map(|at: usize| mails[at].header("Subject"));
        assert!(failing.starts_with("[driftlock] FAIL local: ") && failing.contains(EDGE), "{failing}");
        assert!(changed.starts_with("[driftlock] Changed: FAIL local: "), "{changed}");
        assert!(
            resolved.starts_with("[driftlock] Resolved") && resolved.contains("PASS local"),
            "{resolved}"
        );
        let body = mails[0].body();
        assert!(body.contains("OVERALL: FAIL") && body.contains("[FAIL] "), "{body}");
        assert!(body.contains("driftlock explain") || body.contains("driftlock accept"), "{body}");
        assert!(body.contains("\nThe commands work in /"), "{body}");
    }
}

#[test]
fn needs_mail_what_the_server_refuses_is_said_without_its_words() {
    let server = MailServer::start("starttls");
    let authority = server.authority.file();
    let usual = told(server.port, "starttls", "");
    assert_eq!(
        why(&usual, "1\n", &authority, "an0therPassword"),
        "the mail server answered 535: it refuses this user or password"
    );
    let other = Authority::new();
    assert_eq!(
        why(&usual, "2\n", &other.file(), PASSWORD),
        "the certificate of the mail server is not believed: nobody whom this machine knows vouches for it \
         (SSL_CERT_FILE names a file of other authorities)"
    );
    let named = Told::by(&format!(
        "[notify.ops]\nkind = \"email\"\nserver = \"localhost\"\nport = {}\nfrom = \"a@example.com\"\n{TO}\n",
        server.port
    ));
    let said = why(&named, "3\n", &authority, PASSWORD);
    assert_eq!(said, "the certificate of the mail server is not believed: it is one of another host");
    let nobody = told(server.port, "starttls", "to = [\"nobody@example.com\"]");
    let said = why(&nobody, "4\n", &authority, PASSWORD);
    assert_eq!(said, "the mail server answered 550: it refuses the sender, a recipient or the message");
    assert_eq!(server.refused(), ["nobody@example.com"], "what is for good is not tried again");
    let busy = told(server.port, "starttls", "to = [\"busy@example.com\"]");
    assert_eq!(why(&busy, "5\n", &authority, PASSWORD), "the mail server answered 451, 3 times");
    assert_eq!(server.refused().len(), 4);
    assert_eq!(server.mails().len(), 0);
    // What was not delivered is told by the next run.
    let ran = run(&usual, &["check"], &authority);
    assert_eq!((ran.code(), ran.err().as_str(), server.mails().len()), (2, "", 1));
}

#[test]
fn needs_mail_nothing_is_said_to_a_server_that_does_not_encrypt() {
    let server = MailServer::start("plain");
    let other = Authority::new();
    let by = told(server.port, "starttls", "");
    assert_eq!(why(&by, "1\n", &other.file(), PASSWORD), "the mail server offers no STARTTLS");
    let by = told(server.port, "implicit", "timeout = \"2s\"");
    let said = why(&by, "2\n", &other.file(), PASSWORD);
    assert!(
        said.contains("no encrypted connection could be made: is tls (") && said.ends_with("3 times"),
        "{said}"
    );
    assert_eq!(server.mails().len(), 0);
    // A server of this machine may be spoken to in the clear, where the configuration says so.
    let by = told(server.port, "none", "");
    by.edge("3\n");
    let ran = run(&by, &["check"], &other.file());
    assert_eq!((ran.code(), ran.err().as_str(), server.mails().len()), (2, "", 1));
}

#[test]
fn needs_mail_a_name_begins_no_header() {
    let server = MailServer::start("plain");
    let by = told(server.port, "none", "");
    let name = "infra/stacks/edge\r\nBcc: eve@example.com\r\n\r\nbody\n.\r\nQUIT/docker-compose.yml";
    by.project.file(name, "services: {}\n");
    let ran = run(&by, &["check"], Path::new("no-such-file"));
    assert_eq!((ran.code(), ran.err().as_str()), (2, ""));
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].0["to"], serde_json::json!(["ops@example.com", "night@example.com"]));
    assert!(
        mails[0].headers("Bcc").is_empty()
            && mails[0].header("Subject").starts_with("[driftlock] FAIL local: ")
    );
    let body = mails[0].body();
    assert!(body.contains("Bcc: eve@example.com") && !body.contains("\nBcc: "), "{body}");
    assert!(body.contains("OVERALL: FAIL"), "{body}");
}

#[test]
fn needs_mail_it_can_be_tried_out() {
    let server = MailServer::start("implicit");
    let by = told(server.port, "implicit", "");
    let authority = server.authority.file();
    let listed = run(&by, &["notify"], &authority);
    let port = server.port;
    assert_eq!(
        listed.out(),
        format!(
            "ops: email\n  server: 127.0.0.1, port {port}, TLS\n  from: driftlock <drift@example.com>\n  \
             to: Ops <ops@example.com>, night@example.com\n  user: driftlock\n  \
             password: in the variable OPS_PASSWORD\n  told of: every place\n  \
             reminded: every 1 day while it does not pass\n"
        )
    );
    let tried = run(&by, &["notify", "test", "ops"], &authority);
    assert_eq!((tried.code(), tried.out().as_str()), (0, "ops: the test message was taken\n"));
    let mails = server.mails();
    assert_eq!((mails.len(), mails[0].header("Driftlock-Event").as_str()), (1, "test"));
    assert!(mails[0].header("Subject").starts_with("[driftlock] TEST of driftlock on "));
    let tried = run_with(&by, &["notify", "test", "ops"], &authority, "an0therPassword");
    assert_eq!(tried.code(), 1);
    assert!(tried.err().contains("ops was not told: the mail server answered 535"), "{}", tried.err());
}

/// A server that says this to whoever comes, again and again, with this pause.
fn saying(text: impl Into<String>, pause: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, text) = (listener.local_addr().unwrap().port(), text.into());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let text = text.clone();
            std::thread::spawn(move || {
                while stream.write_all(text.as_bytes()).is_ok() {
                    std::thread::sleep(pause);
                }
            });
        }
    });
    port
}

#[test]
fn one_that_is_away_hangs_or_talks_without_an_end_is_bounded() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let late = "the mail server did not answer within 1 second, 3 times";
    let none = "what the mail server answered is no SMTP, 3 times";
    let cases = [
        (closed, "starttls", "the mail server cannot be reached: connection refused, 3 times"),
        (silent.local_addr().unwrap().port(), "starttls", late),
        (silent.local_addr().unwrap().port(), "implicit", late),
        (saying("2", Duration::from_millis(100)), "starttls", late),
        (saying(format!("220-{}\r\n", "and so on ".repeat(90)), Duration::ZERO), "starttls", ""),
        (saying("no line has an end here", Duration::ZERO), "starttls", none),
    ];
    let authority = Authority::new();
    std::thread::scope(|scope| {
        for (port, tls, expected) in cases {
            let authority = authority.file();
            scope.spawn(move || {
                let by = told(port, tls, "timeout = \"1s\"");
                let said = why(&by, "1\n", &authority, PASSWORD);
                assert!(said.starts_with(expected) && said.ends_with(", 3 times"), "{port}: {said}");
            });
        }
    });
    drop(silent);
}
