//! A mail server of its own: aiosmtpd, with TLS and a user.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::deploy::in_repository;
use super::http::Authority;
use super::needs;

/// The user that the server knows.
pub(crate) const USER: &str = "driftlock";
/// The user's password, which nothing may show; the server repeats it in what it says.
pub(crate) const PASSWORD: &str = "pa5swordThatNobodyMaySee";

/// The server; it ends when it is dropped.
pub(crate) struct MailServer {
    process: Child,
    /// Where it listens.
    pub(crate) port: u16,
    /// By whom its certificate is issued.
    pub(crate) authority: Authority,
}

impl MailServer {
    /// A server with `starttls`, `implicit` encryption, or a `plain` one without user.
    pub(crate) fn start(mode: &str) -> Self {
        needs::declared(needs::MAIL);
        let modules =
            std::env::var_os("DRIFTLOCK_MAIL").map_or_else(|| in_repository("target/mail"), PathBuf::from);
        let authority = Authority::new();
        let mut command = Command::new("python3");
        command.arg(in_repository("tests/support/mail.py")).arg(authority.directory());
        command
            .args([mode, USER, PASSWORD])
            .env("PYTHONPATH", modules)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONWARNINGS", "ignore");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the mail server did not start: {line}"));
        Self { process, port, authority }
    }

    /// The mails that it has taken, the oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let path = |number: usize| self.authority.directory().join(format!("{number}.json"));
        let read = |number| std::fs::read(path(number)).ok();
        (1..).map_while(read).map(|bytes| Mail(serde_json::from_slice(&bytes).unwrap())).collect()
    }

    /// The recipients that it has refused.
    pub(crate) fn refused(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.authority.directory().join("refused")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A mail as the server's own parser read it.
#[derive(Debug)]
pub(crate) struct Mail(pub(crate) Value);

impl Mail {
    /// The values of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let all = self.0["headers"].as_array().unwrap().iter();
        let named = all.filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name));
        named.map(|header| header[1].as_str().unwrap().to_owned()).collect()
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> String {
        let mut values = self.headers(name);
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        values.remove(0)
    }

    /// Its text.
    pub(crate) fn body(&self) -> &str {
        self.0["body"].as_str().unwrap()
    }
}
