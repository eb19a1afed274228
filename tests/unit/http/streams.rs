//! Streams: what readers get, and when they are cut.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::sites::{Served, bearer, read_to_end, wait_until};
use crate::serve::http::{SiteLimits, StreamEvent};
use crate::serve::tokens::TokenRole;

fn open(served: &Served, token: &str, headers: &str) -> TcpStream {
    let mut stream = served.connect();
    let port = served.port();
    let request =
        format!("GET /stream HTTP/1.1\r\nHost: localhost:{port}\r\n{}\r\n{headers}\r\n", bearer(token));
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut part = [0; 1024];
    while !text.contains(wanted) {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "it ended: {text}");
        text += &String::from_utf8_lossy(&part[..count]);
    }
    text
}

fn event(data: &str) -> StreamEvent {
    StreamEvent { data: data.to_owned(), ..StreamEvent::default() }
}

#[test]
fn readers_get_events_from_where_they_were_until_their_token_is_revoked() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let mut stream = open(&served, &token, "Last-Event-ID: 41\r\n");
    let head = read_until(&mut stream, "data: 41\n\n");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    served.state.audience.send(&event("42"));
    read_until(&mut stream, "data: 42\n\n");
    served.tokens.revoke("read").unwrap();
    served.state.audience.send(&event("secret"));
    assert!(!read_to_end(&mut stream).contains("secret"));
}

#[test]
fn a_reader_that_never_reads_is_cut_and_another_one_misses_nothing() {
    let limits = SiteLimits { stall_wait: Duration::from_millis(500), ..SiteLimits::default() };
    let served = Served::with(limits, false);
    let token = served.token(TokenRole::Read);
    let slow = open(&served, &token, "");
    let mut quick = open(&served, &token, "");
    wait_until(|| served.state.audience.len() == 2);
    let data = "x".repeat(60_000);
    let mut sent = 0;
    wait_until(|| {
        served.state.audience.send(&event(&format!("{data}{sent}")));
        read_until(&mut quick, &format!("{sent}\n\n"));
        sent += 1;
        served.state.audience.len() == 1
    });
    drop(slow);
    served.state.audience.send(&event("after"));
    read_until(&mut quick, "after");
}

#[test]
fn a_reader_that_goes_is_noticed_without_an_event() {
    let limits = SiteLimits { streams: 1, ..SiteLimits::default() };
    let served = Served::with(limits, false);
    let token = served.token(TokenRole::Read);
    let mut first = open(&served, &token, "");
    read_until(&mut first, "data: none");
    assert_eq!(served.get("/stream", &token).status(), 503);
    drop(first);
    wait_until(|| {
        let mut next = open(&served, &token, "");
        let mut head = [0; 12];
        next.read_exact(&mut head).unwrap();
        head.ends_with(b"200")
    });
}

#[test]
fn quiet_streams_are_kept_open_and_end_with_the_server() {
    let limits = SiteLimits {
        heartbeat: Duration::from_millis(50),
        request_wait: Duration::from_millis(100),
        ..SiteLimits::default()
    };
    let served = Served::with(limits, false);
    let token = served.token(TokenRole::Read);
    let mut stream = open(&served, &token, "");
    let mut heard = read_until(&mut stream, "data: none");
    while heard.matches(":\n\n").count() < 20 {
        heard += &read_until(&mut stream, ":\n\n");
    }
    served.server.end();
    assert!(read_to_end(&mut stream).ends_with("0\r\n\r\n"), "it ends as a whole");
}

#[test]
fn a_stream_of_a_session_ends_with_the_logout() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let port = served.port();
    let form = [
        "Content-Type: application/x-www-form-urlencoded".to_owned(),
        format!("Origin: http://localhost:{port}"),
    ];
    let login = served.ask("POST /login", &[&form[0], &form[1]], &format!("token={token}"));
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap();
    let cookie = format!("Cookie: {cookie}");
    let page = served.ask("GET /", &[&cookie], "");
    let csrf = page.body().split("csrf=").nth(1).unwrap().split(';').next().unwrap();
    let mut stream = served.connect();
    write!(stream, "GET /stream HTTP/1.1\r\nHost: localhost:{port}\r\n{cookie}\r\n\r\n").unwrap();
    read_until(&mut stream, "data: none");
    let out = served.ask("POST /logout", &[&form[0], &form[1], &cookie], &format!("csrf={csrf}"));
    assert_eq!(out.status(), 303);
    served.state.audience.send(&event("secret"));
    assert!(!read_to_end(&mut stream).contains("secret"));
}
