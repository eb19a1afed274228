//! An engine on a Unix socket for what a real one will not do, and a door to a real one that counts calls.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

use assert_fs::TempDir;
use serde_json::{Value, json};

/// What an engine does with a request.
pub(crate) enum Reply {
    /// Answers with a status and a body.
    Body(u16, String),
    /// Writes these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Says nothing until the client goes away.
    Silence,
    /// Passes everything on to the engine that listens here.
    PassOn(PathBuf),
    /// The same, but the answer breaks off behind so many bytes.
    BreakOff(PathBuf, u64),
}

/// Calls that were made: their paths with query.
type Calls = Arc<Mutex<Vec<String>>>;
type Answering = dyn Fn(&str) -> Reply + Send + Sync;

/// The engine; it ends when dropped.
pub(crate) struct FakeEngine {
    dir: TempDir,
    calls: Calls,
    ends: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl FakeEngine {
    /// Answers requests by their path.
    pub(crate) fn new(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let (calls, ends) = (Calls::default(), Arc::new(AtomicBool::new(false)));
        let (seen, over, answer) = (Arc::clone(&calls), Arc::clone(&ends), Arc::new(answer));
        let listening = spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                spawn(move || stream.map(|stream| serve(stream, &seen, answer.as_ref())));
            }
        });
        Self { dir, calls, ends, listening: Some(listening) }
    }

    /// An engine of these containers and images, none of which can be inspected any more.
    pub(crate) fn of(containers: Vec<Value>, images: Vec<Value>) -> Self {
        let (containers, images) = (Value::from(containers).to_string(), Value::from(images).to_string());
        Self::new(move |path| match path.split('?').next().unwrap_or_default() {
            "/containers/json" => Reply::Body(200, containers.clone()),
            "/images/json" => Reply::Body(200, images.clone()),
            _ => Reply::Body(404, json!({"message": "No such container"}).to_string()),
        })
    }

    /// A door to the real engine at `socket`.
    pub(crate) fn before(socket: &Path) -> Self {
        let socket = socket.to_owned();
        Self::new(move |_| Reply::PassOn(socket.clone()))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    /// Its address for `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// An address by TCP; connections to it are taken as long as the tests run.
    pub(crate) fn by_tcp(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = self.socket();
        spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(engine) = UnixStream::connect(&socket) else { return };
                let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
                spawn(move || std::io::copy(&mut from, &mut to).map(|_| to.shutdown(Shutdown::Write)));
                let (mut from, mut to) = (engine, client);
                spawn(move || std::io::copy(&mut from, &mut to).map(|_| to.shutdown(Shutdown::Write)));
            }
        });
        format!("tcp://{address}")
    }

    /// The calls since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Waits until a call was made whose path begins so.
    pub(crate) fn wait_for(&self, start: &str) {
        super::wait_until(|| self.calls.lock().unwrap().iter().any(|path| path.starts_with(start)));
    }

    /// Waits until it was called.
    pub(crate) fn wait_for_a_call(&self) {
        super::wait_until(|| !self.calls.lock().unwrap().is_empty());
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.socket());
        let _ = self.listening.take().map(JoinHandle::join);
    }
}

/// Answers the requests of one connection.
fn serve(mut stream: UnixStream, calls: &Calls, answer: &Answering) {
    while let Some(head) = head_of(&mut stream) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        calls.lock().unwrap().push(path.clone());
        let written = match answer(&path) {
            Reply::Body(status, body) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
                );
                stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())
            }
            Reply::Bytes(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::Silence => stream.read_to_end(&mut Vec::new()).map(drop),
            Reply::PassOn(socket) => pass_on(&mut stream, &socket, &head, u64::MAX),
            Reply::BreakOff(socket, most) => pass_on(&mut stream, &socket, &head, most),
        };
        if written.is_err() {
            return;
        }
    }
}

/// The head of the next request; `None` when there is none.
fn head_of(stream: &mut UnixStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Sends a request to a real engine and gives the client at most so many bytes of its answer; the connection ends after it.
fn pass_on(stream: &mut UnixStream, socket: &Path, head: &str, most: u64) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(socket)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    engine.write_all(head.as_bytes())?;
    std::io::copy(&mut stream.take(length.unwrap_or(0)), &mut engine)?;
    std::io::copy(&mut engine.take(most), stream)?;
    stream.shutdown(Shutdown::Both)
}

/// A container as an engine of API 1.41 lists it, made by Compose from nothing that is known.
pub(crate) fn listed(name: &str, image: &str, id: &str, state: &str) -> Value {
    let labels = json!({"com.docker.compose.service": "web"});
    json!({"Id": name, "Names": [format!("/{name}")], "Image": image, "ImageID": id, "State": state, "Labels": labels,
        "Mounts": []})
}

/// An image as an engine of API 1.41 lists it.
pub(crate) fn image(id: &str, tags: &Value, digests: &Value) -> Value {
    json!({"Id": id, "ParentId": "", "RepoTags": tags, "RepoDigests": digests, "Created": 0, "Size": 0,
        "SharedSize": -1, "VirtualSize": 0, "Labels": null, "Containers": -1})
}

/// An image's ID of one repeated digit.
pub(crate) fn id(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}
