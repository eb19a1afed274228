//! The site that the tests ask, and ways to ask it.

#![expect(clippy::unnecessary_wraps, reason = "handlers have one signature")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::serve::http::{
    Audience, ChangeLog, CursorKey, Problem, QueryForm, QueryKey, RouteKind, Site, SiteAnswer,
    SiteCertificate, SiteLimits, SiteRequest, SiteRoute, SiteServer, StreamEvent, Verb, feed, openapi,
};
use crate::serve::tokens::{TokenRole, TokenStore};

/// The longest that anything may take that must not hang: a guard, and no measure of speed.
pub(super) const GUARD: Duration = Duration::from_secs(120);

/// What the handlers of the site get.
pub(super) struct State {
    pub(super) audience: Audience,
    cursors: CursorKey,
    /// How many changes were made.
    pub(super) deeds: AtomicUsize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// Why.
    reason: String,
    /// How often.
    #[serde(default)]
    times: u8,
}

#[derive(Serialize, JsonSchema)]
struct Said {
    /// Who.
    caller: String,
    /// What.
    said: String,
}

type Answered = Result<SiteAnswer, Problem>;

fn said(request: &SiteRequest, said: impl Into<String>) -> Answered {
    let caller = request.caller().map(|caller| caller.name.clone()).unwrap_or_default();
    SiteAnswer::json(&Said { caller, said: said.into() })
}

fn page(_: &State, request: &SiteRequest) -> Answered {
    let csrf = request.csrf().unwrap_or_default();
    Ok(SiteAnswer::Html(format!("<p nonce=\"{}\">csrf={csrf};</p>", request.nonce())))
}

fn acknowledge(_: &State, request: &SiteRequest) -> Answered {
    let reason: Reason = request.json()?;
    said(request, format!("{} {} {}", request.value("id")?, reason.reason, reason.times))
}

fn list(state: &State, request: &SiteRequest) -> Answered {
    let begin: u64 = match request.query("cursor") {
        Some(cursor) => state.cursors.open("list", cursor)?,
        None => 0,
    };
    let most: u64 = request.query_as("most")?.unwrap_or(10);
    said(request, state.cursors.seal("list", &(begin + most))?)
}

fn stream(state: &State, request: &SiteRequest) -> Answered {
    let (sender, feed) = feed(16);
    let first =
        StreamEvent { data: request.last_event_id().unwrap_or("none").to_owned(), ..StreamEvent::default() };
    sender.send(&first).map_err(|_| Problem::internal())?;
    state.audience.add(sender);
    Ok(SiteAnswer::Stream(feed))
}

fn form(_: &State, request: &SiteRequest) -> Answered {
    let field = request.field("reason")?;
    Ok(SiteAnswer::Redirect(format!("/?{field}")))
}

fn metrics(_: &State, _: &SiteRequest) -> Answered {
    Ok(SiteAnswer::Text("text/plain; version=0.0.4", "up 1\n".to_owned()))
}

fn large(_: &State, _: &SiteRequest) -> Answered {
    Ok(SiteAnswer::Text("text/plain", "x".repeat(64 << 20)))
}

/// A change that takes its time, before or after what cannot be taken back.
fn slow(state: &State, request: &SiteRequest) -> Answered {
    let begin = || request.deed().begin().map_err(|late| Problem::unavailable(late.to_string()));
    let is_early = request.value("when")? == "early";
    if is_early {
        begin()?;
    }
    std::thread::sleep(Duration::from_secs(1));
    if !is_early {
        begin()?;
    }
    state.deeds.fetch_add(1, Ordering::SeqCst);
    said(request, "done")
}

const READ: Option<TokenRole> = Some(TokenRole::Read);
const OPERATE: Option<TokenRole> = Some(TokenRole::Operate);

pub(super) static ROUTES: [SiteRoute<State>; 12] = [
    SiteRoute::new(Verb::Get, "/healthz", None, RouteKind::Api, |_, _| {
        Ok(SiteAnswer::Text("text/plain", "ok\n".to_owned()))
    })
    .summary("Whether the agent runs.")
    .gives("text/plain"),
    SiteRoute::new(Verb::Get, "/metrics", Some(TokenRole::Scrape), RouteKind::Api, metrics)
        .summary("Metrics.")
        .gives("text/plain"),
    SiteRoute::new(Verb::Get, "/", READ, RouteKind::Page, page).summary("The page."),
    SiteRoute::new(Verb::Get, "/list", READ, RouteKind::Api, list)
        .summary("A list.")
        .query(&[
            QueryKey { name: "cursor", summary: "Where it begins.", form: QueryForm::Text },
            QueryKey { name: "most", summary: "How many.", form: QueryForm::Number(0, 10) },
        ])
        .gives("Said"),
    SiteRoute::new(Verb::Get, "/events/{id}", READ, RouteKind::Api, |_, request| {
        said(request, request.value("id")?)
    })
    .summary("One event.")
    .gives("Said"),
    SiteRoute::new(Verb::Post, "/events/{id}/acknowledge", OPERATE, RouteKind::Api, acknowledge)
        .summary("Acknowledges one.")
        .takes("Reason")
        .gives("Said"),
    SiteRoute::new(Verb::Post, "/acknowledge", OPERATE, RouteKind::Form, form).summary("The same by a form."),
    SiteRoute::new(Verb::Get, "/stream", READ, RouteKind::Stream, stream).summary("Events."),
    SiteRoute::new(Verb::Get, "/large", READ, RouteKind::Api, large).summary("Much.").gives("text/plain"),
    SiteRoute::new(Verb::Get, "/panic", READ, RouteKind::Api, |_, _| panic!("on purpose"))
        .summary("A defect."),
    SiteRoute::new(Verb::Post, "/slow/{when}", OPERATE, RouteKind::Api, slow)
        .summary("A change that takes its time.")
        .gives("Said"),
    SiteRoute::new(Verb::Get, "/sleep", READ, RouteKind::Api, |_, _| {
        std::thread::sleep(GUARD);
        Err(Problem::internal())
    })
    .summary("It hangs."),
];

/// A site that is served, and its tokens by role.
pub(super) struct Served {
    pub(super) dir: assert_fs::TempDir,
    pub(super) tokens: Arc<TokenStore>,
    pub(super) state: Arc<State>,
    pub(super) server: SiteServer,
    certificate: Option<Arc<SiteCertificate>>,
}

impl Served {
    pub(super) fn start() -> Self {
        Self::with(SiteLimits::default(), false)
    }

    pub(super) fn with(limits: SiteLimits, is_tls: bool) -> Self {
        let dir = assert_fs::TempDir::new().unwrap();
        let tokens = Arc::new(TokenStore::new(dir.path()));
        let state = Arc::new(State {
            audience: Audience::default(),
            cursors: CursorKey::random().unwrap(),
            deeds: AtomicUsize::new(0),
        });
        let certificate = is_tls.then(|| {
            certify(dir.path(), "first");
            Arc::new(
                SiteCertificate::read(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap(),
            )
        });
        let hosts = ["127.0.0.1:8870".to_owned(), "localhost".to_owned()];
        let site = Site::new(
            &ROUTES,
            Arc::clone(&state),
            &hosts,
            (Arc::clone(&tokens), ChangeLog::of_directory(dir.path())),
            limits,
        );
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = SiteServer::start(address, certificate.clone(), Arc::new(site)).unwrap();
        Self { dir, tokens, state, server, certificate }
    }

    pub(super) fn token(&self, role: TokenRole) -> String {
        self.tokens.add(role.word(), role, None).unwrap()
    }

    pub(super) fn certificate(&self) -> &SiteCertificate {
        self.certificate.as_deref().unwrap()
    }

    pub(super) fn port(&self) -> u16 {
        self.server.address().port()
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream.set_write_timeout(Some(GUARD)).unwrap();
        stream
    }

    /// Sends these bytes and reads until the server closes; what it said.
    pub(super) fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_to_end(&mut stream)
    }

    /// One request of its own connection: method and path, and lines of headers.
    pub(super) fn ask(&self, line: &str, headers: &[&str], body: &str) -> Heard {
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.to_lowercase().starts_with("host:")) {
            let _ = write!(request, "Host: localhost:{}\r\n", self.port());
        }
        for header in headers {
            let _ = write!(request, "{header}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(request, "Content-Length: {}\r\n", body.len());
        }
        Heard(self.raw(&format!("{request}\r\n{body}")))
    }

    /// The same with a token.
    pub(super) fn get(&self, path: &str, token: &str) -> Heard {
        self.ask(&format!("GET {path}"), &[&bearer(token)], "")
    }

    /// Runs curl with the address of a path; what it printed.
    pub(super) fn curl(&self, args: &[&str], path: &str) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "120"]).args(args);
        command.arg(format!("{scheme}://localhost:{}{path}", self.port())).stdin(Stdio::null());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Heard(pub(super) String);

impl Heard {
    pub(super) fn status(&self) -> u16 {
        let status = self.0.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {:?}", self.0))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.0.split("\r\n\r\n").next()?.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error}: {:?}", self.0))
    }
}

pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

pub(super) fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    // A connection that is reset after its answer gave that answer.
    while let Ok(count @ 1..) = stream.read(&mut part) {
        bytes.extend_from_slice(&part[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Polls until `done` holds, and panics where it never does.
pub(super) fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < GUARD, "nothing happened within {GUARD:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Makes a certificate of that name, which signs itself, in `cert.pem` and `key.pem`.
pub(super) fn certify(dir: &Path, name: &str) {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", &format!("/CN={name}")]);
    command.args(["-addext", "subjectAltName=DNS:localhost"]).current_dir(dir);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The description of the site.
pub(super) fn description() -> String {
    let mut schemas = openapi::schemas();
    schemas.subschema_for::<Reason>();
    schemas.subschema_for::<Said>();
    openapi::described(ROUTES.iter().map(|route| &route.spec), schemas)
}
