//! What a real server will not do: listeners that say nothing or nonsense, and a wire that is cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// Something that listens on loopback until it is dropped.
pub(crate) struct Wire {
    pub(crate) port: u16,
    end: Arc<AtomicBool>,
    /// Bytes that came from the far side.
    pub(crate) passed: Arc<AtomicUsize>,
    accepting: Option<JoinHandle<()>>,
}

impl Wire {
    /// Serves each connection with `serve`, in a thread of its own; `serve` ends when the flag is set.
    fn listen(serve: impl Fn(TcpStream, &AtomicBool, &AtomicUsize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (end, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, counts, serve) = (Arc::clone(&end), Arc::clone(&passed), Arc::new(serve));
        let accepting = spawn(move || {
            let mut serving = Vec::new();
            while !ends.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let (end, passed, serve) = (Arc::clone(&ends), Arc::clone(&counts), Arc::clone(&serve));
                serving.push(spawn(move || serve(stream, &end, &passed)));
            }
            for thread in serving {
                let _ = thread.join();
            }
        });
        Self { port, end, passed, accepting: Some(accepting) }
    }

    /// Takes connections and says nothing.
    pub(crate) fn silent() -> Self {
        Self::listen(|_stream, end, _| {
            while !end.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    }

    /// Says `text` over and over.
    pub(crate) fn babbling(text: &'static [u8]) -> Self {
        Self::listen(move |mut stream, end, _| {
            stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
            while !end.load(Ordering::SeqCst) {
                match stream.write(text) {
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        })
    }

    /// Passes everything on to a port, and hangs up after `bytes` from there.
    pub(crate) fn cut_after(to: u16, bytes: usize) -> Self {
        Self::listen(move |near, end, passed| {
            let far = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to))).unwrap();
            let (mut near_reads, mut far_writes) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let there = spawn(move || {
                let _ = std::io::copy(&mut near_reads, &mut far_writes);
            });
            pass(&far, &near, bytes, end, passed);
            let _ = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
            let _ = there.join();
        })
    }
}

/// Passes bytes on until `most` of them have passed.
fn pass(mut from: &TcpStream, mut to: &TcpStream, most: usize, end: &AtomicBool, passed: &AtomicUsize) {
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 4096];
    let mut left = most;
    while left > 0 && !end.load(Ordering::SeqCst) {
        let room = left.min(buffer.len());
        match from.read(&mut buffer[..room]) {
            Ok(0) => return,
            Ok(n) => {
                left -= n;
                passed.fetch_add(n, Ordering::SeqCst);
                if to.write_all(&buffer[..n]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        self.accepting.take().map(JoinHandle::join);
    }
}
