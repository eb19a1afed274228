//! Programs that listen on a port of this machine, which has to be chosen for them.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::wait_until;

/// A program that listens; it ends when this is dropped.
pub(crate) struct Listening {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
}

impl Listening {
    /// Starts what `command` makes for an address, until it listens there: another program may take the port before.
    pub(crate) fn start(command: impl Fn(&str) -> Command) -> Self {
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let at = format!("127.0.0.1:{port}");
            let mut command = command(&at);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut this = Self { child: command.spawn().unwrap(), port };
            let mut has_ended = false;
            wait_until(|| {
                has_ended = this.child.try_wait().unwrap().is_some();
                has_ended || TcpStream::connect(&at).is_ok()
            });
            if !has_ended {
                return this;
            }
        }
        panic!("it never listened");
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
