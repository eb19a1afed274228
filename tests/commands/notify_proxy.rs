//! The way to a webhook through a proxy, or past it, with curl and ssh as the judges.

use assert_cmd::Command;
use driftlock::notify::Webhook;

use crate::support::dice::Dice;
use crate::support::http::{Answer, HttpServer};
use crate::support::listening::Listening;
use crate::support::random::seed;
use crate::support::sshd::Server;
use crate::support::told::{Told, VARIABLE};

/// What hosts and entries are made of. The hosts cannot be reached, so that nobody but the proxy is. curl 7.88 finds no
/// address of IPv6 in a range.
const HOSTS: [&str; 9] = [
    "hooks.example.invalid",
    "HOOKS.Example.invalid.",
    "example.invalid",
    "hooksexample.invalid",
    "127.0.0.1",
    "127.1.2.3",
    "127.128.2.3",
    "[::1]",
    "[::2]",
];
const ENTRIES: [&str; 32] = [
    "*",
    "*",
    "invalid",
    ".invalid",
    "*.invalid",
    "example.invalid",
    ".example.invalid",
    "..example.invalid",
    "EXAMPLE.invalid.",
    "hooks.example.invalid",
    "ample.invalid",
    "hooks",
    ".",
    "127.0.0.1",
    "127.1.2.3",
    "127",
    "127.0.0.0/8",
    "127.0.0.1/8",
    "127.0.0.0/9",
    "127.128.0.0/9",
    "127.0.0.0/32",
    "127.0.0.1/32",
    "127.0.0.1/33",
    "127.0.0.1/0",
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "127.1.2.0/24",
    "127.1.2.2/31",
    "127.1.2.2/30",
    "::1",
    "::2",
];
const GAPS: [&str; 5] = [",", " ", ", ", ",,", "\t"];

#[test]
fn who_is_excepted_from_the_proxy_is_excepted_by_curl() {
    let mut dice = Dice(seed());
    let proxy = HttpServer::start();
    let mut excepted = 0;
    for _ in 0..150 {
        let host = dice.one_of(&HOSTS);
        let mut list = dice.one_of(&ENTRIES).to_owned();
        for _ in 0..dice.roll(3) {
            list += dice.one_of(&GAPS);
            list += dice.one_of(&ENTRIES);
        }
        let url = format!("http://{host}:1/x");
        let mut curl = Command::new("curl");
        curl.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        curl.env("http_proxy", proxy.root()).env("no_proxy", &list).args([
            "--silent",
            "--disable",
            "--max-time",
            "20",
        ]);
        let _ = curl.arg(&url).output().unwrap();
        let is_excepted = proxy.taken().is_empty();
        excepted += usize::from(is_excepted);
        let ours = Webhook::parse(&url).unwrap().is_among(&list);
        assert_eq!(ours, is_excepted, "{host} {list:?}");
    }
    assert!((10..140).contains(&excepted), "{excepted}");
}

#[test]
fn needs_mounts_every_kind_of_proxy_is_gone_through_or_refused_in_words() {
    let server = Server::start(|_| {});
    // `ssh -D` is a server of SOCKS.
    let socks = Listening::start(|at| server.client(&["-N", "-o", "ExitOnForwardFailure=yes", "-D", at]));
    let told = Told::slack("");
    let tell = |proxy: &str| {
        let mut command = told.command(&["notify", "test", "ops"]);
        command.env(VARIABLE, told.server.url()).env("http_proxy", proxy);
        let ran = told.done(command);
        (told.server.taken().len(), ran.err())
    };
    for kind in ["socks5h", "socks5", "socks4a", "socks4"] {
        let (count, err) = tell(&format!("{kind}://127.0.0.1:{}", socks.port));
        assert_eq!((count, err.as_str()), (1, ""), "{kind}");
    }
    let proxy = HttpServer::start();
    proxy.answer(&[Answer::Tunnel]);
    let (_, err) = tell(&proxy.root());
    assert_eq!(err, "");
    for (address, why) in [
        ("socks5h://127.0.0.1:1", "cannot be reached"),
        ("https://127.0.0.1:1", "cannot be reached"),
        ("ftp://127.0.0.1:1", "is none that can be used"),
        ("http://", "is none that can be used"),
    ] {
        let (count, err) = tell(address);
        assert!(count == 0 && err.contains(why) && !err.contains("panicked"), "{address}: {err}");
    }
}
