//! Many clients, slow clients, large bodies, and the end.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::sites::{GUARD, Heard, Served, bearer, certify, read_to_end, wait_until};
use crate::serve::http::SiteLimits;
use crate::serve::tokens::TokenRole;

const SOON: Duration = Duration::from_millis(300);

#[test]
fn a_thousand_clients_at_once_are_all_answered() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..1000 {
            let (served, token, answered) = (&served, &token, &answered);
            scope.spawn(move || {
                let heard = served.get(&format!("/events/{number}"), token);
                assert_eq!(heard.json()["said"], number.to_string());
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(answered.into_inner(), 1000);
}

#[test]
fn connections_are_bounded_and_idle_ones_make_room() {
    let served = Served::with(SiteLimits { connections: 4, ..SiteLimits::default() }, false);
    let token = served.token(TokenRole::Read);
    let port = served.port();
    let mut idle: Vec<_> = (0..4).map(|_| served.connect()).collect();
    for stream in &mut idle {
        let request = format!("GET /list HTTP/1.1\r\nHost: localhost:{port}\r\n{}\r\n\r\n", bearer(&token));
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert!(head.ends_with(b"200"));
    }
    assert_eq!(served.get("/list", &token).status(), 200);
}

#[test]
fn slow_heads_slow_bodies_and_silence_are_cut() {
    let limits = SiteLimits { head_wait: SOON, body_wait: SOON, ..SiteLimits::default() };
    let served = Served::with(limits, false);
    let token = bearer(&served.token(TokenRole::Operate));
    let mut silent = served.connect();
    assert_eq!(read_to_end(&mut silent), "");
    let mut head = served.connect();
    let written = std::iter::repeat_n(b"GET /list HTTP/1.1\r\nX: ".as_slice(), 1)
        .chain(std::iter::repeat(b"x".as_slice()));
    for bytes in written {
        if head.write_all(bytes).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut body = served.connect();
    let port = served.port();
    let begin = format!(
        "POST /events/x/acknowledge HTTP/1.1\r\nHost: localhost:{port}\r\n{token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    body.write_all(begin.as_bytes()).unwrap();
    assert_eq!(Heard(read_to_end(&mut body)).status(), 408);
}

#[test]
fn an_answer_that_nobody_takes_is_cut() {
    let served =
        Served::with(SiteLimits { connections: 1, stall_wait: SOON, ..SiteLimits::default() }, false);
    let token = served.token(TokenRole::Read);
    let mut deaf = served.connect();
    let port = served.port();
    write!(deaf, "GET /large HTTP/1.1\r\nHost: localhost:{port}\r\n{}\r\n\r\n", bearer(&token)).unwrap();
    assert_eq!(served.get("/list", &token).status(), 200, "its place is free again");
    let got = read_to_end(&mut deaf);
    assert!(got.len() < 64 << 20, "{}", got.len());
    assert!(served.get("/large", &token).body().len() == 64 << 20, "who reads gets all");
}

#[test]
fn a_gigabyte_is_refused_before_it_is_sent() {
    let served = Served::start();
    let token = bearer(&served.token(TokenRole::Operate));
    let path = served.dir.path().join("gigabyte");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let file = path.to_str().unwrap();
    let args = ["-i", "-X", "POST", "-H", &token, "-H", "Content-Type: application/json", "-T", file];
    let heard = served.curl(&args, "/events/x/acknowledge");
    assert!(heard.contains("HTTP/1.1 413"), "{heard}");
    let heard =
        served.curl(&[&args[..], &["-H", "Transfer-Encoding: chunked"]].concat(), "/events/x/acknowledge");
    assert!(heard.contains("413"), "{heard}");
    let line = "POST /events/x/acknowledge";
    let json = format!("{{\"reason\": \"{}\"}}", "x".repeat((64 << 10) - 14));
    assert_eq!(json.len(), 64 << 10);
    let headers = [&*token, "Content-Type: application/json"];
    assert_eq!(served.ask(line, &headers, &json).status(), 200);
    assert_eq!(served.ask(line, &headers, &format!("{json} ")).status(), 413);
    let long = format!("X: {}", "x".repeat(100 << 10));
    assert_eq!(served.ask("GET /list", &[&token, &long], "").status(), 431);
}

#[test]
fn a_handler_that_hangs_holds_up_nobody_else() {
    let served = Served::with(SiteLimits { handler_wait: SOON, handlers: 2, ..SiteLimits::default() }, false);
    let token = served.token(TokenRole::Read);
    assert_eq!(served.get("/sleep", &token).status(), 503);
    assert_eq!(served.get("/list", &token).status(), 200);
    assert_eq!(served.get("/sleep", &token).status(), 503);
    let busy = served.get("/list", &token);
    assert_eq!((busy.status(), busy.header("retry-after")), (503, Some("10")));
}

#[test]
fn the_end_waits_for_answers_and_for_no_one_else() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let address = served.server.address();
    let idle = served.connect();
    let port = served.port();
    let mut asking = served.connect();
    write!(asking, "GET /large HTTP/1.1\r\nHost: localhost:{port}\r\n{}\r\n\r\n", bearer(&token)).unwrap();
    let mut head = [0; 12];
    asking.read_exact(&mut head).unwrap();
    let reading = std::thread::spawn(move || read_to_end(&mut asking).len());
    served.server.end();
    assert!(reading.join().unwrap() > 64 << 20, "the answer came to its end");
    assert!(std::net::TcpStream::connect(address).is_err());
    drop(idle);
}

#[test]
fn a_certificate_is_read_again_on_demand_and_a_broken_one_is_not() {
    let served = Served::with(SiteLimits { head_wait: SOON, ..SiteLimits::default() }, true);
    let name = || {
        let address = format!("127.0.0.1:{}", served.port());
        let mut client = std::process::Command::new("openssl");
        client.args(["s_client", "-connect", &address, "-servername", "localhost", "-alpn", "http/1.1"]);
        let output = client.stdin(std::process::Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let first = name();
    assert!(first.contains("subject=CN = first") && first.contains("ALPN protocol: http/1.1"), "{first}");
    certify(served.dir.path(), "second");
    assert!(name().contains("subject=CN = first"));
    served.certificate().reload().unwrap();
    assert!(name().contains("subject=CN = second"));
    let key = std::fs::read(served.dir.path().join("key.pem")).unwrap();
    certify(served.dir.path(), "third");
    std::fs::write(served.dir.path().join("key.pem"), key).unwrap();
    assert!(served.certificate().reload().is_err(), "certificate and key are not one");
    std::fs::write(served.dir.path().join("cert.pem"), "none").unwrap();
    assert!(served.certificate().reload().is_err());
    assert!(name().contains("subject=CN = second"));
    // A client that never begins its handshake does not stay.
    let mut silent = served.connect();
    assert_eq!(read_to_end(&mut silent), "");
}

#[test]
fn reloading_goes_on_beside_requests() {
    let served = Arc::new(Served::with(SiteLimits::default(), true));
    let ca = served.dir.path().join("cert.pem");
    let asking = {
        let (served, ca) = (Arc::clone(&served), ca.to_str().unwrap().to_owned());
        std::thread::spawn(move || {
            (0..10)
                .all(|_| served.curl(&["--cacert", &ca, "-w", "%{http_code}"], "/healthz").ends_with("200"))
        })
    };
    wait_until(|| {
        served.certificate().reload().unwrap();
        asking.is_finished()
    });
    assert!(asking.join().unwrap());
}

/// The lines of the log of changes: path and status.
fn logged(served: &Served) -> Vec<(String, Option<u64>)> {
    let text = std::fs::read_to_string(served.dir.path().join("changes.jsonl")).unwrap_or_default();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["path"].as_str().unwrap().to_owned(), line["status"].as_u64())
    };
    text.lines().map(line).collect()
}

#[test]
fn an_answer_that_comes_too_late_says_what_is_done() {
    let served = Served::with(SiteLimits { handler_wait: SOON, ..SiteLimits::default() }, false);
    let token = bearer(&served.token(TokenRole::Operate));
    let change =
        |path: &str| served.ask(&format!("POST {path}"), &[&token, "Content-Type: application/json"], "{}");
    assert_eq!(change("/slow/early").status(), 200, "what is being done is waited for");
    assert_eq!(served.state.deeds.load(Ordering::SeqCst), 1);
    assert_eq!(change("/slow/late").status(), 503);
    let line = |path: &str, status| (path.to_owned(), status);
    wait_until(|| logged(&served).len() == 4);
    assert_eq!(
        served.state.deeds.load(Ordering::SeqCst),
        1,
        "who was told that nothing is done is told so rightly"
    );
    assert_eq!(
        logged(&served),
        [
            line("/slow/early", None),
            line("/slow/early", Some(200)),
            line("/slow/late", None),
            line("/slow/late", Some(503))
        ]
    );
}

#[test]
fn what_came_of_a_change_is_logged_though_its_client_has_hung_up() {
    let served = Served::start();
    let token = bearer(&served.token(TokenRole::Operate));
    let mut gone = served.connect();
    let port = served.port();
    let request = format!(
        "POST /slow/early HTTP/1.1\r\nHost: localhost:{port}\r\n{token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    gone.write_all(request.as_bytes()).unwrap();
    wait_until(|| logged(&served).len() == 1);
    drop(gone);
    wait_until(|| logged(&served).len() == 2);
    assert_eq!(logged(&served)[1], ("/slow/early".to_owned(), Some(200)));
}

#[test]
fn clients_that_finish_no_head_make_room_for_those_who_do() {
    for is_tls in [false, true] {
        let limits = SiteLimits { connections: 4, head_wait: 2 * GUARD, ..SiteLimits::default() };
        let served = Served::with(limits, is_tls);
        let mut crowd: Vec<_> = (0..10).map(|_| served.connect()).collect();
        for stream in &mut crowd {
            // The first bytes of a handshake, or of a head.
            let begin: &[u8] = if is_tls { b"\x16\x03\x01" } else { b"GET /list HTTP/1.1\r\nX: " };
            stream.write_all(begin).unwrap();
        }
        let ca = served.dir.path().join("cert.pem");
        let ca = ca.to_str().unwrap();
        let args: &[&str] = if is_tls { &["--cacert", ca] } else { &[] };
        assert_eq!(served.curl(args, "/healthz"), "ok\n");
    }
}
