//! A real HTTP server on this machine that keeps what it is sent, and answers as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

/// What every address of the server holds and nothing may show.
pub(crate) const SECRET: &str = "s3cr3tPath";

/// How the server answers one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// With this status.
    Status(u16),
    /// With these bytes, then it closes.
    Raw(String),
    /// With 200, after so many milliseconds.
    Late(u64),
    /// Not at all, and the connection stays.
    Hang,
    /// By closing the connection, before the request was read.
    Close,
    /// With 200 and a body without an end.
    Endless,
    /// With a header without an end.
    EndlessHeader,
    /// As a proxy that lets everything through, to itself.
    Tunnel,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The first line.
    pub(crate) line: String,
    /// The headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    /// How the next ones are answered; with 200 when there is none left.
    answers: Mutex<VecDeque<Answer>>,
    is_over: AtomicBool,
}

/// The server; it ends when it is dropped.
pub(crate) struct HttpServer {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    is_tls: bool,
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

impl HttpServer {
    /// A server that answers 200 to all it is sent.
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    /// The same behind TLS.
    pub(crate) fn encrypted(authority: &Authority) -> Self {
        Self::with(Some(authority.server_config()))
    }

    fn with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let is_tls = tls.is_some();
        let all = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if all.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (all, tls) = (Arc::clone(&all), tls.clone());
                std::thread::spawn(move || drop(all.serve(stream, tls)));
            }
        });
        Self { port, shared, accepting: Some(accepting), is_tls }
    }

    /// The address that messages are sent to.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/services/{SECRET}", self.port)
    }

    /// Its address without a path, as a proxy has it.
    pub(crate) fn root(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How the next requests are answered.
    pub(crate) fn answer(&self, answers: &[Answer]) {
        *self.shared.answers.lock().unwrap() = answers.iter().cloned().collect();
    }

    /// What has come since this was last asked.
    pub(crate) fn taken(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    /// How much of that there is.
    pub(crate) fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.accepting.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let stream: Box<dyn Both> = match tls {
            None => Box::new(stream),
            Some(config) => {
                let connection = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
                Box::new(rustls::StreamOwned::new(connection, stream))
            }
        };
        let mut stream = BufReader::new(stream);
        if matches!(self.answers.lock().unwrap().front(), Some(Answer::Close)) {
            self.answers.lock().unwrap().pop_front();
            return Ok(());
        }
        self.converse(&mut stream)
    }

    fn converse(&self, stream: &mut BufReader<Box<dyn Both>>) -> std::io::Result<()> {
        let request = read(stream)?;
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
        self.requests.lock().unwrap().push(request);
        let out = stream.get_mut();
        match answer {
            Answer::Status(code) => whole(out, code),
            Answer::Raw(text) => out.write_all(text.as_bytes()),
            Answer::Late(milliseconds) => {
                std::thread::sleep(Duration::from_millis(milliseconds));
                whole(out, 200)
            }
            Answer::Hang => {
                self.wait();
                Ok(())
            }
            Answer::Endless => {
                write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                self.forever(out, b"5\r\nagain\r\n")
            }
            Answer::EndlessHeader => {
                write!(out, "HTTP/1.1 200 OK\r\nX-Long: ")?;
                self.forever(out, b"again")
            }
            Answer::Tunnel => {
                write!(out, "HTTP/1.1 200 Connection established\r\n\r\n")?;
                self.converse(stream)
            }
            Answer::Close => Ok(()),
        }
    }

    fn wait(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn forever(&self, out: &mut dyn Both, bytes: &[u8]) -> std::io::Result<()> {
        while !self.is_over.load(Ordering::SeqCst) {
            out.write_all(bytes)?;
            out.flush()?;
        }
        Ok(())
    }
}

/// A whole answer whose body repeats a secret, as servers do.
fn whole(out: &mut dyn Both, code: u16) -> std::io::Result<()> {
    let body = format!("{SECRET} was not found");
    write!(out, "HTTP/1.1 {code} Whatever {SECRET}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    out.flush()
}

fn read(stream: &mut BufReader<Box<dyn Both>>) -> std::io::Result<Request> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Request { line: line.trim_end().to_owned(), headers, body })
}

/// An authority for certificates, made anew, and a certificate of this machine.
pub(crate) struct Authority {
    dir: assert_fs::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self { dir: assert_fs::TempDir::new().unwrap() };
        let curve = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        authority.openssl(&format!("{curve} -keyout ca.key -out ca.pem -subj /CN={}", authority.name()));
        let of_machine = "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        authority.openssl(&format!(
            "{curve} -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem -subj /CN=machine {of_machine}"
        ));
        authority
    }

    /// Its name, which no other one has.
    fn name(&self) -> String {
        self.dir.path().file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The directory of its certificate `ca.pem`, and of this machine's `cert.pem` and `key.pem`.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The file of its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn openssl(&self, options: &str) {
        let mut command = Command::new("openssl");
        command.arg("req").args(options.split(' ')).current_dir(self.dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let file = |name: &str| -> PathBuf { Path::join(self.dir.path(), name) };
        let certificate = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
    }
}
