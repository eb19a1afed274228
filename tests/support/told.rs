//! A project whose changes are told to a server of the test, in the place of Slack.

use serde_json::Value;

use super::disk::files_below;
use super::http::{HttpServer, Request, SECRET};
use super::{Project, Ran};

/// The variable that holds the address.
pub(crate) const VARIABLE: &str = "OPS_URL";
/// A compose file of the project.
pub(crate) const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
/// What the baseline has of it.
pub(crate) const AS_ACCEPTED: &str = "services: {}\n";
/// Variables of the caller that would lead elsewhere.
const ELSEWHERE: [&str; 9] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The project and the server.
pub(crate) struct Told {
    pub(crate) project: Project,
    pub(crate) server: HttpServer,
}

impl Told {
    /// A project that tells Slack, with more lines in the table.
    pub(crate) fn slack(more: &str) -> Self {
        Self::by(&format!("[notify.ops]\nkind = \"slack\"\nurl_env = \"{VARIABLE}\"\n{more}\n"))
    }

    /// A project with these tables.
    pub(crate) fn by(tables: &str) -> Self {
        let project = Project::accepted();
        let toml = project.read("audit/driftlock.toml");
        project.file("audit/driftlock.toml", &format!("{toml}{tables}"));
        Self { project, server: HttpServer::start() }
    }

    /// Writes a compose file of the project.
    pub(crate) fn edge(&self, text: &str) {
        self.project.file(EDGE, text);
    }

    /// The binary with the address in its environment.
    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = self.project.driftlock(args);
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        command.env(VARIABLE, self.server.url());
        command
    }

    /// Runs the binary. Wherever it wrote, there is nothing of the address.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.done(self.command(args))
    }

    /// The same, for a command with more in its environment.
    pub(crate) fn done(&self, mut command: assert_cmd::Command) -> Ran {
        let ran = Ran(command.output().unwrap());
        assert!(!(ran.out() + &ran.err()).contains(SECRET), "{}{}", ran.out(), ran.err());
        self.assert_nowhere(SECRET);
        ran
    }

    /// Holds every file below the project to not holding a secret.
    pub(crate) fn assert_nowhere(&self, secret: &str) {
        for (path, bytes) in files_below(&self.project.root()) {
            let holds = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!holds, "{} holds the secret", path.display());
        }
    }

    /// Runs check, and expects this exit code.
    pub(crate) fn check(&self, args: &[&str], code: i32) -> Ran {
        let ran = self.run(&[&["check"], args].concat());
        assert_eq!(ran.code(), code, "{}{}", ran.out(), ran.err());
        ran
    }

    /// The messages since this was last asked.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.server.taken().iter().map(Message::of).collect()
    }

    /// The one message since this was last asked.
    pub(crate) fn message(&self) -> Message {
        let mut messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:#?}");
        messages.remove(0)
    }

    /// The newest report.
    pub(crate) fn latest(&self) -> Value {
        self.project.latest()
    }
}

/// A message as Slack gets it.
#[derive(Debug)]
pub(crate) struct Message {
    /// The line for who sees no blocks.
    pub(crate) title: String,
    /// Everything in its blocks.
    pub(crate) text: String,
    /// Why it was sent.
    pub(crate) event: String,
}

impl Message {
    /// Reads a message, and holds it to Slack's limits and to markup that mentions nobody.
    pub(crate) fn of(request: &Request) -> Self {
        assert!(request.line.starts_with("POST /services/"), "{}", request.line);
        assert_eq!(request.headers["content-type"], "application/json");
        let json = request.json();
        let blocks = json["blocks"].as_array().unwrap();
        assert!(!blocks.is_empty() && blocks.len() <= 50, "{} blocks", blocks.len());
        let mut text = String::new();
        for block in blocks {
            let part = match block["type"].as_str().unwrap() {
                "section" => &block["text"],
                "context" => &block["elements"][0],
                other => panic!("a block of the type {other}"),
            };
            let markup = part["text"].as_str().unwrap();
            assert!(!markup.is_empty() && markup.encode_utf16().count() <= 3000, "{}", markup.len());
            assert!(part["type"] == "mrkdwn" && part["verbatim"] == true);
            assert!(!markup.contains(['<', '>']), "{markup}");
            text += markup;
            text += "\n";
        }
        let title = json["text"].as_str().unwrap().to_owned();
        assert!(!title.contains(['<', '>']) && text.starts_with(&format!("*{title}*")), "{title}");
        Self { title, text, event: request.headers["driftlock-event"].clone() }
    }

    /// Holds a message to having all of these.
    pub(crate) fn assert_says(&self, words: &[&str]) {
        for word in words {
            assert!(self.text.contains(word), "{word} is not in\n{}", self.text);
        }
    }
}
