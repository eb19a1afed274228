//! A slow link: a TCP door that lets every byte pass a fixed time later, both ways.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// The door; it takes no more connections when dropped.
pub(crate) struct SlowLink {
    /// Where it listens, on `127.0.0.1`.
    pub(crate) port: u16,
    trips: Arc<Trips>,
    ends: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

/// How often the near side has spoken after it had heard something.
#[derive(Default)]
struct Trips {
    count: AtomicUsize,
    has_heard: AtomicBool,
}

impl Trips {
    fn speak(&self) {
        if self.has_heard.swap(false, Ordering::SeqCst) {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn hear(&self) {
        self.has_heard.store(true, Ordering::SeqCst);
    }
}

impl SlowLink {
    /// A door to a port of this machine; a round trip takes twice `one_way`.
    pub(crate) fn to(port: u16, one_way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().port();
        let ends = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ends);
        let trips = Arc::new(Trips::default());
        let all = Arc::clone(&trips);
        let listening = spawn(move || {
            for near in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let (speaks, hears) = (Arc::clone(&all), Arc::clone(&all));
                let (from, to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                carry(from, to, one_way, move || speaks.speak(), || ());
                carry(far, near, one_way, || (), move || hears.hear());
            }
        });
        Self { port: here, trips, ends, listening: Some(listening) }
    }

    /// Round trips since this was last asked: how often the near side has spoken after it had heard something.
    pub(crate) fn trips(&self) -> usize {
        self.trips.count.swap(0, Ordering::SeqCst)
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
fn carry(
    from: TcpStream,
    to: TcpStream,
    one_way: Duration,
    took: impl Fn() + Send + 'static,
    gave: impl Fn() + Send + 'static,
) {
    let _ = to.set_nodelay(true);
    let (sender, receiver) = channel();
    spawn(move || take(from, &sender, one_way, took));
    spawn(move || give(to, &receiver, gave));
}

fn take(mut from: TcpStream, sender: &Sender<Late>, one_way: Duration, took: impl Fn()) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        took();
        if sender.send((Instant::now() + one_way, buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<Late>, gave: impl Fn()) {
    for (at, bytes) in receiver {
        sleep(at.saturating_duration_since(Instant::now()));
        gave();
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
