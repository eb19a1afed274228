//! A private PostgreSQL: own directory, own socket, own port; it runs as another user where root runs the tests.

use std::fs::{Permissions, set_permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assert_fs::TempDir;

use super::daemon::{self, Account, Daemon};
use super::world::Alone as _;
use super::{needs, wait_until};

/// One of its programs, where Debian puts those of each version.
pub(crate) fn installed(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists());
    found.next().unwrap_or_else(|| needs::absent(needs::POSTGRES, "no server of PostgreSQL is installed"))
}
/// The role that the tests log in as over TCP, and its password.
pub(crate) const ROLE: &str = "odoo";
pub(crate) const PASSWORD: &str = "s3cr3t p@ss/word";
/// The password in an address.
pub(crate) const IN_URL: &str = "s3cr3t%20p%40ss%2Fword";

/// A running server; it ends when dropped, and with the thread that started it at the latest.
pub(crate) struct Postgres {
    /// Its port, of TCP and of the socket's name.
    pub(crate) port: u16,
    daemon: Daemon,
}

/// A program that runs as the user of the server.
fn program(path: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if Account::mine().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg(path).alone().current_dir("/");
    command
}

impl Postgres {
    /// Starts a server with these further settings, `name=value`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        needs::declared(needs::POSTGRES);
        let dir = TempDir::new().unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        for name in ["data", "sockets"] {
            let place = dir.path().join(name);
            std::fs::create_dir(&place).unwrap();
            if Account::mine().is_root() {
                let id = |option: &str| {
                    let output = Command::new("id").args([option, "postgres"]).output().unwrap();
                    String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
                };
                chown(&place, Some(id("-u")), Some(id("-g"))).unwrap();
            }
        }
        set_permissions(dir.path().join("data"), Permissions::from_mode(0o700)).unwrap();
        initialize(dir.path());
        let ready = |port| format!("listening on IPv4 address \"127.0.0.1\", port {port}");
        let (daemon, port) = Daemon::start(dir, "127.0.0.1", ready, |dir, port| {
            let mut command = program(&installed("postgres"));
            command.arg("-D").arg(dir.join("data")).arg("-k").arg(dir.join("sockets"));
            command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
            command.args(["-c", "log_statement=all", "-c", "log_line_prefix=[%a] "]);
            command.args(settings.iter().flat_map(|setting| ["-c", setting]));
            let mark = daemon::mark(dir);
            let (name, value) = mark.split_once('=').unwrap();
            command.env(name, value);
            command
        });
        let server = Self { port, daemon };
        wait_until(|| server.client("postgres", "SELECT 1").status.success());
        server.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"));
        server
    }

    /// The directory of its socket.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.daemon.dir().join("sockets")
    }

    /// The directory of its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.daemon.dir().join("data")
    }

    /// The address of a database over TCP.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("postgres://{ROLE}:{IN_URL}@127.0.0.1:{}/{rest}", self.port)
    }

    /// The statements so far of connections that said they are driftlock.
    pub(crate) fn statements(&self) -> Vec<String> {
        let log = self.daemon.log();
        let its = log.lines().filter_map(|line| line.strip_prefix("[driftlock] LOG:  statement: "));
        its.map(str::to_owned).collect()
    }

    /// Runs statements as its superuser, which must succeed: what was printed.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        let output = self.client(database, text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The client that talks to it.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(installed("psql"));
        command.alone().args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-f", "-"]);
        command
            .env("PGDATABASE", database)
            .env("PGHOST", self.sockets())
            .env("PGPORT", self.port.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn client(&self, database: &str, text: &str) -> Output {
        let mut child = self.psql(database).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Makes a database that lets the role read its modules, with the columns of a series and these rows: name, state, version.
    pub(crate) fn odoo(&self, database: &str, series: &str, rows: &[(String, String, Option<String>)]) {
        self.sql("postgres", &format!("CREATE DATABASE \"{}\"", database.replace('"', "\"\"")));
        let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let values = rows.iter().map(|(name, state, version)| {
            let version = version.as_deref().map_or_else(|| "NULL".to_owned(), literal);
            format!("({}, {}, {version})", literal(name), literal(state))
        });
        let values: Vec<String> = values.collect();
        self.sql(
            database,
            &format!(
                "CREATE TABLE ir_module_module ({}); GRANT SELECT ON ir_module_module TO {ROLE};
                 INSERT INTO ir_module_module (name, state, latest_version) VALUES {};",
                columns(series),
                values.join(",\n")
            ),
        );
    }
}

/// The columns of Odoo's table of modules in a series, as its public sources define the fields.
fn columns(series: &str) -> String {
    let text = if series == "16.0" { "jsonb" } else { "text" };
    let more = match series {
        "16.0" => "",
        "17.0" => ", imported boolean",
        _ => ", imported boolean, module_type varchar",
    };
    format!(
        "id serial PRIMARY KEY, create_uid integer, create_date timestamp, write_date timestamp, write_uid integer,
         website varchar, summary jsonb, name varchar NOT NULL UNIQUE, author varchar, icon varchar, state varchar(16),
         latest_version varchar, published_version varchar, shortdesc jsonb, description {text}, category_id integer,
         application boolean DEFAULT false, demo boolean DEFAULT false, web boolean DEFAULT false, license varchar(32),
         sequence integer DEFAULT 100, auto_install boolean DEFAULT false, to_buy boolean DEFAULT false,
         maintainer varchar, contributors text, url varchar{more}"
    )
}

fn initialize(dir: &Path) {
    let mut command = program(&installed("initdb"));
    command.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D"]);
    let output = command.arg(dir.join("data")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let file = dir.join("data/pg_hba.conf");
    let owner = std::fs::metadata(&file).unwrap();
    std::fs::write(&file, rules).unwrap();
    chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
}
