//! A real Redis server of a test, whose data survive its end.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::wait_until;

/// A Redis server on a socket of its own, whose data survive its end.
pub(crate) struct Redis {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
    password: &'static str,
    /// Whether what it has survives its end.
    is_durable: bool,
}

impl Redis {
    /// Starts one that listens on a port of its own; a password is needed unless it is empty.
    pub(crate) fn start(password: &'static str) -> Self {
        Self::new(password, true)
    }

    /// The same of one whose end is the end of all that it has.
    pub(crate) fn forgetful() -> Self {
        Self::new("", false)
    }

    fn new(password: &'static str, is_durable: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut redis = Self { dir, port: 0, child: None, password, is_durable };
        while redis.child.is_none() {
            // Another program may take the port before.
            redis.port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            redis.again();
        }
        redis
    }

    /// Starts it again on the same port.
    pub(crate) fn again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        let to_disk = if self.is_durable { "yes" } else { "no" };
        command.args(["--appendonly", to_disk, "--appendfsync", "always", "--dir"]).arg(self.dir.path());
        if !self.password.is_empty() {
            command.args(["--requirepass", self.password]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut has_ended = false;
        wait_until(|| {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || self.ask(&["PING"]) == "PONG"
        });
        self.child = (!has_ended).then_some(child);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it by its own client.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(words);
        if !self.password.is_empty() {
            command.env("REDISCLI_AUTH", self.password);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    /// The events of a stream, as they were added.
    pub(crate) fn stream(&self, name: &str) -> Vec<Value> {
        let told = self.ask(&["--json", "XRANGE", name, "-", "+"]);
        let entries: Vec<(String, Vec<String>)> = serde_json::from_str(&told).unwrap_or_default();
        let payload = |(_, fields): &(String, Vec<String>)| {
            let pair = fields.chunks_exact(2).find(|pair| pair[0] == "payload").unwrap();
            serde_json::from_str(&pair[1]).unwrap()
        };
        entries.iter().map(payload).collect()
    }

    /// Writes a file of the host that names the server; gives the directory that it lies in.
    pub(crate) fn host_file(&self, more: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let table = format!("[events.redis]\nurl = \"redis://127.0.0.1:{}\"\n{more}\n", self.port);
        std::fs::write(dir.path().join("host.toml"), table).unwrap();
        dir
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
