//! A slow link: a TCP door that lets every byte pass a fixed time later, both ways.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// The door; it takes no more connections when dropped.
pub(crate) struct SlowLink {
    /// Where it listens, on `127.0.0.1`.
    pub(crate) port: u16,
    ends: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl SlowLink {
    /// A door to a port of this machine; a round trip takes twice `one_way`.
    pub(crate) fn to(port: u16, one_way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().port();
        let ends = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ends);
        let listening = spawn(move || {
            for near in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
                carry(near.try_clone().unwrap(), far.try_clone().unwrap(), one_way);
                carry(far, near, one_way);
            }
        });
        Self { port: here, ends, listening: Some(listening) }
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.listening.take().map(JoinHandle::join);
    }
}

/// Bytes and when they may arrive.
type Late = (Instant, Vec<u8>);

/// Carries one direction until either side ends it.
fn carry(from: TcpStream, to: TcpStream, one_way: Duration) {
    let _ = to.set_nodelay(true);
    let (sender, receiver) = channel();
    spawn(move || take(from, &sender, one_way));
    spawn(move || give(to, &receiver));
}

fn take(mut from: TcpStream, sender: &Sender<Late>, one_way: Duration) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if sender.send((Instant::now() + one_way, buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<Late>) {
    for (at, bytes) in receiver {
        sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
