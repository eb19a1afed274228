//! Databases of Odoo on a real PostgreSQL: every planted mismatch, by every way to a server, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{Permissions, set_permissions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::support::dice::Dice;
use crate::support::docker::{Stage, needs_an_engine};
use crate::support::postgres::{Postgres, ROLE, installed};
use crate::support::random::seed;
use crate::support::sshd::Server;
use crate::support::{Project, Ran, check_of, needs, wait_until};

const SERIES: [&str; 3] = ["16.0", "17.0", "18.0"];
/// The modules on disk.
const MODULES: usize = 300;

type Row = (String, String, Option<String>);

fn row(name: &str, state: &str, version: Option<&str>) -> Row {
    (name.to_owned(), state.to_owned(), version.map(str::to_owned))
}

/// A project whose `[[odoo]]` says this beside other lines.
fn configured(project: &Project, odoo: &str) {
    let rest = "[compose]\nfiles = []\n[addons]\nroots = [\"odoo_modules/erp\"]\n[docker]\nmode = \"off\"\n";
    project.file("audit/driftlock.toml", &format!("{rest}{odoo}\n"));
}

/// Writes an address that its owner alone may read.
fn url_file(project: &Project, url: &str) {
    project.file("db.url", &format!("{url}\n"));
    set_permissions(project.path("db.url"), Permissions::from_mode(0o600)).unwrap();
}

fn module(project: &Project, name: &str, version: Option<&str>) {
    let version = version.map(|version| format!(", 'version': '{version}'")).unwrap_or_default();
    project.file(&format!("odoo_modules/erp/{name}/__manifest__.py"), &format!("{{'name': 'M'{version}}}\n"));
    project.file(&format!("odoo_modules/erp/{name}/models.py"), "x = 1\n");
}

/// A version as `adapt_version` of Odoo gives it.
fn adapt(version: Option<&str>, series: &str) -> String {
    let version = version.unwrap_or("1.0");
    if version.starts_with(&format!("{series}.")) {
        version.to_owned()
    } else {
        format!("{series}.{version}")
    }
}

/// The findings of the check: subject, kind, change.
fn found(report: &Value) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = check_of(report, "odoo_modules")["findings"].as_array().unwrap();
    findings.iter().map(|it| (text(&it["subject"]), text(&it["kind"]), text(&it["change"]))).collect()
}

fn error(report: &Value) -> String {
    check_of(report, "odoo_modules")["error"].as_str().unwrap_or_default().to_owned()
}

/// Three databases of three series, 300 modules each, and a project beside them that differs from them and from its baseline.
struct Planted {
    project: Project,
    expected: BTreeSet<(String, String, String)>,
}

fn planted(postgres: &Postgres) -> Planted {
    let mut dice = Dice(seed());
    let project = Project::empty();
    configured(&project, "[[odoo]]\nurl_file = \"db.url\"\ndatabase = \"*\"");
    url_file(&project, &postgres.url("postgres"));
    let names: Vec<String> = (0..MODULES).map(|at| format!("m{at:03}")).collect();
    let mut disk: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let version = match dice.roll(4) {
            0 => None,
            1 => Some(format!("18.0.1.0.{at}")),
            2 => Some("16.0".to_owned()),
            _ => Some(format!("1.{at}")),
        };
        module(&project, name, version.as_deref());
        disk.insert(name.clone(), version);
    }
    project.ok(&["export", "--accept"]);
    let locked = disk.clone();
    let mut moved = BTreeSet::new();
    for name in &names {
        match dice.roll(30) {
            0 => {
                project.file(&format!("odoo_modules/erp/{name}/models.py"), "x = 2\n");
                moved.insert(name.clone());
            }
            1 => {
                module(&project, name, Some("9.9"));
                disk.insert(name.clone(), Some("9.9".to_owned()));
            }
            2 => {
                std::fs::remove_dir_all(project.path(&format!("odoo_modules/erp/{name}"))).unwrap();
                disk.remove(name);
            }
            _ => {}
        }
    }
    let mut expected = BTreeSet::new();
    for (series, database) in SERIES.iter().zip(["prod", "a=b host='evil' \u{1b}[31m", "ümläut \"18\""]) {
        let base = format!("{series}.1.3");
        let mut rows = vec![row("base", "installed", Some(&base))];
        let mut expect = |name: &str, kind: &str, change: &str| {
            expected.insert((format!("{database}:{name}"), kind.to_owned(), change.to_owned()));
        };
        for own in ["account", "sale", "web"] {
            let is_left = dice.once_in(3);
            rows.push(row(own, if is_left { "to upgrade" } else { "installed" }, Some(&base)));
            if is_left {
                expect(own, "modified", "state");
            }
        }
        for name in &names {
            let now = disk.get(name).map(|version| adapt(version.as_deref(), series));
            let before = adapt(locked[name].as_deref(), series);
            let (state, version) = match dice.roll(16) {
                0 => continue,
                1 => ("uninstalled", None),
                2 => ("uninstallable", Some(before)),
                3 => ("to upgrade", Some(before)),
                4 => ("to install", None),
                5 => ("to remove", Some(before)),
                6 => ("installed", Some(format!("{series}.0.1"))),
                7 => ("installed", Some(now.clone().unwrap_or(before))),
                _ => ("installed", Some(before)),
            };
            rows.push(row(name, state, version.as_deref()));
            match (state, now) {
                ("uninstalled" | "uninstallable", _) => {}
                (_, None) => expect(name, "missing", ""),
                ("installed", Some(now)) if version.as_deref() != Some(&now) => {
                    expect(name, "modified", "version");
                }
                ("installed", Some(_)) if moved.contains(name) => expect(name, "modified", "content"),
                ("installed", Some(_)) => {}
                _ => expect(name, "modified", "state"),
            }
        }
        postgres.odoo(database, series, &rows);
    }
    postgres.sql("postgres", "CREATE DATABASE metabase");
    Planted { project, expected }
}

/// Makes sure that a check finds what was planted, and nothing else.
fn assert_finds(planted: &Planted, args: &[&str]) {
    let (code, report) = planted.project.check(args);
    let found = found(&report);
    let (more, fewer): (Vec<_>, Vec<_>) =
        (found.difference(&planted.expected).collect(), planted.expected.difference(&found).collect());
    assert!(
        more.is_empty() && fewer.is_empty(),
        "too many: {more:?}\ntoo few: {fewer:?}\n{}",
        error(&report)
    );
    assert_eq!((code, error(&report).as_str()), (2, ""), "{args:?}");
}

#[test]
fn needs_postgres_each_planted_mismatch_is_found_and_nothing_else() {
    let postgres = Postgres::start(&[]);
    let planted = planted(&postgres);
    assert!(planted.expected.len() > 30);
    assert_finds(&planted, &[]);
    let (_, report) = planted.project.check(&["--only", "odoo_modules"]);
    assert_eq!(found(&report), planted.expected);
    let coverage = report["coverage"].to_string();
    assert!(coverage.contains("databases without the table ir_module_module"), "{coverage}");

    let statements = postgres.statements();
    assert!(statements.len() >= 8, "{statements:?}");
    for statement in &statements {
        assert!(
            statement.starts_with("BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout"),
            "{statement}"
        );
        let plain = statement.replace("DISTINCT FROM", "");
        let tables: Vec<&str> =
            plain.split(" FROM ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        assert!(tables == ["pg_catalog.pg_database"] || tables == ["public.ir_module_module"], "{statement}");
    }

    // What was written holds no password, and no control character reaches a terminal.
    let shown = planted.project.run(&["check", "--details", "-vvv"]);
    for text in [shown.out(), shown.err(), planted.project.read("audit/runtime/latest.json")] {
        assert!(!text.contains("s3cr3t") && !text.contains('\u{1b}'), "{text}");
    }

    // The socket of this machine.
    let socket =
        format!("postgres://postgres@/prod?host={}&port={}", postgres.sockets().display(), postgres.port);
    url_file(&planted.project, &socket);
    assert_finds(&planted, &[]);
}

#[test]
fn needs_postgres_needs_mounts_a_server_forwards_to_address_and_socket() {
    let postgres = Postgres::start(&[]);
    let planted = planted(&postgres);
    let server = Server::start(|_| {});
    let target = server.target("prod", &planted.project.root());
    configured(&planted.project, &format!("[[odoo]]\nurl_file = \"db.url\"\n{target}docker = \"off\"\n"));
    url_file(&planted.project, &postgres.url(""));
    // Without a name of a database each one is read.
    assert_finds(&planted, &["--target", "prod"]);
    assert_eq!(server.logins(), 1, "the databases are read through the one connection");
    let socket =
        format!("postgres://postgres@/?host={}&port={}", postgres.sockets().display(), postgres.port);
    url_file(&planted.project, &socket);
    assert_finds(&planted, &["--target", "prod"]);

    let server = Server::start(|setup| {
        setup.line("AllowTcpForwarding no").line("AllowStreamLocalForwarding no");
    });
    let target = server.target("prod", &planted.project.root());
    configured(&planted.project, &format!("[[odoo]]\nurl_file = \"db.url\"\n{target}docker = \"off\"\n"));
    for (url, line) in [(postgres.url(""), "AllowTcpForwarding"), (socket, "AllowStreamLocalForwarding")] {
        url_file(&planted.project, &url);
        let (code, report) = planted.project.check(&["--target", "prod"]);
        assert_eq!(code, 1);
        assert!(error(&report).contains(line), "{}", error(&report));
    }
}

/// The client of PostgreSQL with its libraries and a shell, as the root of an image.
fn image_with_psql(stage: &Stage, engine: Option<&str>) -> String {
    let dir = assert_fs::TempDir::new().unwrap();
    let psql = installed("psql");
    let psql = psql.display();
    let script = format!(
        "set -e; mkdir -p bin etc usr/bin; cp /bin/busybox bin/busybox; ln -s busybox bin/sh; ln -s busybox bin/sleep
         echo 'root:x:0:0:root:/:/bin/sh' > etc/passwd
         cp {psql} usr/bin/psql
         for file in $(ldd {psql} | grep -o '/[^ ]*'); do mkdir -p \".${{file%/*}}\"; cp \"$file\" \".$file\"; done
         tar -cf - . | docker import -c 'LABEL driftlock.test={}' - {}",
        stage.prefix,
        stage.name("psql:1")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(dir.path()).envs(engine.map(|engine| ("DOCKER_HOST", engine)));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stage.name("psql:1")
}

/// Runs a container with the client of a server that it reaches by its socket.
fn start_client(stage: &Stage, engine: Option<&str>, postgres: &Postgres) {
    let image = image_with_psql(stage, engine);
    let sockets = format!("{}:/var/run/postgresql", postgres.sockets().display());
    let variables =
        [&format!("PGPORT={}", postgres.port), "PGHOST=/var/run/postgresql", "POSTGRES_USER=postgres"];
    let variables = variables.into_iter().flat_map(|variable| ["-e", variable]);
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "-v", &sockets];
    stage.start("db", &image, &limits.into_iter().chain(variables).collect::<Vec<_>>());
}

#[test]
fn needs_podman_needs_postgres_the_psql_of_a_container_of_podman_tells_the_same() {
    needs::declared(needs::PODMAN);
    let service = std::env::var("DRIFTLOCK_PODMAN");
    let service = service
        .unwrap_or_else(|_| needs::absent(needs::PODMAN, "DRIFTLOCK_PODMAN names no service of Podman"));
    let postgres = Postgres::start(&[]);
    let planted = planted(&postgres);
    let stage = Stage::at(Some(&service));
    start_client(&stage, Some(&service), &postgres);
    configured(
        &planted.project,
        &format!("[[odoo]]\ncontainer = \"{}\"\ndatabase = \"*\"\n", stage.name("db")),
    );
    let mut check = planted.project.driftlock(&["check", "--format", "json"]);
    let ran = Ran(check.env("DOCKER_HOST", &service).output().unwrap());
    let report = ran.report();
    assert_eq!((error(&report).as_str(), found(&report)), ("", planted.expected));
}

#[test]
fn needs_docker_needs_postgres_needs_mounts_the_psql_of_a_container_tells_the_same_here_and_over_ssh() {
    needs_an_engine();
    let postgres = Postgres::start(&[]);
    let planted = planted(&postgres);
    let stage = Stage::new();
    start_client(&stage, None, &postgres);
    let odoo = format!("[[odoo]]\ncontainer = \"{}\"\ndatabase = \"*\"\n", stage.name("db"));
    configured(&planted.project, &odoo);
    assert_finds(&planted, &[]);
    for statement in postgres.statements() {
        assert!(statement.starts_with("COPY (SELECT "), "{statement}");
    }

    let server = Server::start(|_| {});
    let target = server.target("prod", &planted.project.root());
    configured(&planted.project, &format!("{odoo}{target}"));
    let (_, report) = planted.project.check(&["--target", "prod", "--only", "odoo_modules"]);
    assert_eq!((error(&report).as_str(), found(&report)), ("", planted.expected.clone()));

    // One database without the table, one that there is not, and containers that cannot tell.
    stage.start("none", &stage.image("app:1"), &[]);
    for (name, database, why) in [
        ("db", "metabase", "has no table ir_module_module"),
        ("db", "gone", "database \"gone\" does not exist"),
        ("none", "prod", "psql could not be run in it"),
        ("gone", "prod", "there is no such container"),
    ] {
        let odoo = format!("[[odoo]]\ncontainer = \"{}\"\ndatabase = \"{database}\"\n", stage.name(name));
        configured(&planted.project, &odoo);
        let (code, report) = planted.project.check(&["--only", "odoo_modules"]);
        assert!(code == 1 && error(&report).contains(why), "{name}: {}", error(&report));
    }
    stage.docker(&["stop", "-t", "0", &stage.name("db")]);
    configured(&planted.project, &odoo);
    let (_, report) = planted.project.check(&["--only", "odoo_modules"]);
    assert!(error(&report).contains("does not run"), "{}", error(&report));
}

/// A project of one module whose database is as it should be.
fn plain(postgres: &Postgres) -> Project {
    let project = Project::empty();
    module(&project, "shop", Some("1.2"));
    configured(&project, "[[odoo]]\nurl_file = \"db.url\"\ndatabase = \"prod\"");
    url_file(&project, &postgres.url("prod"));
    project.ok(&["export", "--accept"]);
    let rows = [row("base", "installed", Some("18.0.1.3")), row("shop", "installed", Some("18.0.1.2"))];
    postgres.odoo("prod", "18.0", &rows);
    project
}

#[test]
fn needs_postgres_what_cannot_be_read_is_an_error_with_what_helps() {
    let postgres = Postgres::start(&[]);
    let project = plain(&postgres);
    assert_eq!(project.check(&[]).0, 0);
    let assert_error = |words: &[&str]| {
        let (code, report) = project.check(&[]);
        let error = error(&report);
        assert!(code == 1 && words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|address| (silent, address.port())).unwrap();
    let url = |port: u16| format!("postgres://{ROLE}:s3cr3t-wrong@127.0.0.1:{port}/prod");
    for (url, words) in [
        (url(postgres.port), vec!["password authentication failed", "correct the password in url_file"]),
        (url(1), vec!["127.0.0.1:1", "connection refused", "is PostgreSQL running"]),
        (url(silent.1), vec!["no answer within 10 s"]),
        (
            "postgres://postgres@/prod?host=/nonexistent".to_owned(),
            vec!["/nonexistent/.s.PGSQL.5432", "no such file"],
        ),
        (format!("{}?sslmode=verify-full", postgres.url("prod")), vec!["TLS"]),
        ("mysql://odoo:s3cr3t@127.0.0.1/prod".to_owned(), vec!["db.url", "postgres://USER:PASSWORD@HOST"]),
    ] {
        url_file(&project, &url);
        assert_error(&words);
    }
    url_file(&project, &postgres.url("prod"));
    set_permissions(project.path("db.url"), Permissions::from_mode(0o640)).unwrap();
    assert_error(&["mode 0640", "chmod 600"]);
    std::fs::remove_file(project.path("db.url")).unwrap();
    assert_error(&["db.url", "no such file"]);
    url_file(&project, &postgres.url("prod"));

    postgres.sql("prod", &format!("REVOKE SELECT ON ir_module_module FROM {ROLE}"));
    assert_error(&["prod in 127.0.0.1", "permission denied for table", "GRANT SELECT ON ir_module_module"]);
    postgres.sql("prod", &format!("GRANT SELECT ON ir_module_module TO {ROLE}"));

    let mut upgrade = postgres.psql("prod").spawn().unwrap();
    let locking = b"BEGIN; LOCK TABLE ir_module_module; SELECT pg_sleep(100);\n";
    let mut input = upgrade.stdin.take().unwrap();
    input.write_all(locking).unwrap();
    drop(input);
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND \
                relation = 'ir_module_module'::regclass";
    wait_until(|| postgres.sql("prod", held).trim() == "1");
    assert_error(&["lock timeout", "check again when the upgrade is over"]);
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    postgres.sql("prod", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()");
    wait_until(|| postgres.sql("prod", held).trim() == "0");
    assert_eq!(project.check(&[]).0, 0);

    postgres.sql("prod", "UPDATE ir_module_module SET latest_version = NULL WHERE name = 'base'");
    assert_error(&["prod", "no version of the module base"]);
    postgres.sql("prod", "ALTER TABLE ir_module_module RENAME TO old_module");
    assert_error(&["prod in 127.0.0.1", "no table ir_module_module"]);
    configured(&project, "[[odoo]]\nurl_file = \"db.url\"\ndatabase = \"*\"");
    assert_error(&["none of its 2 databases has the table"]);
    configured(&project, "[[odoo]]\nurl_file = \"db.url\"\ndatabase = \"gone\"");
    assert_error(&["database \"gone\" does not exist", "correct database in [[odoo]]"]);

    // 500 databases, of which the server has no more than the names.
    let columns = postgres.sql(
        "postgres",
        "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = 'pg_database'::regclass AND attnum > 0 \
         AND attname NOT IN ('oid', 'datname', 'datistemplate')",
    );
    let columns = columns.trim();
    postgres.sql(
        "postgres",
        &format!(
            "SET allow_system_table_mods = on; INSERT INTO pg_database (oid, datname, datistemplate, {columns}) \
             SELECT 90000 + g, 'db' || g, false, {columns} FROM pg_database, generate_series(1, 500) g \
             WHERE datname = 'template1'"
        ),
    );
    configured(&project, "[[odoo]]\nurl_file = \"db.url\"\ndatabase = \"*\"");
    assert_error(&["more than 100 databases", "database = \"NAME\""]);

    configured(&project, "[addons_off]\n");
    assert_eq!(project.run(&["check"]).code(), 1);
    let text =
        project.read("audit/driftlock.toml").replace("[addons_off]", "[[odoo]]\nurl_file = \"db.url\"");
    project.file("audit/driftlock.toml", &text.replace("[\"odoo_modules/erp\"]", "[]"));
    assert_error(&["the modules on disk are not known", "turned off"]);
}

#[test]
fn needs_postgres_encryption_is_with_the_one_whose_certificate_is_known() {
    let postgres = Postgres::start(&[]);
    let project = plain(&postgres);
    let data = postgres.data();
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.crt \
                  -days 2 -subj /CN=db -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE && \
                  chown --reference=. server.key server.crt && chmod 600 server.key && cat server.crt";
    let made = Command::new("sh").args(["-c", script]).current_dir(&data).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    project.file("ca.pem", &String::from_utf8(made.stdout).unwrap());
    postgres.sql("postgres", "ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()");
    wait_until(|| postgres.sql("postgres", "SHOW ssl").trim() == "on");
    let authorities = project.path("ca.pem").display().to_string();
    url_file(&project, &format!("{}?sslmode=verify-full&sslrootcert={authorities}", postgres.url("prod")));
    let (code, report) = project.check(&[]);
    assert_eq!((code, error(&report)), (0, String::new()));
    // The authorities of the system do not know it.
    url_file(&project, &format!("{}?sslmode=require", postgres.url("prod")));
    let (code, report) = project.check(&[]);
    assert!(code == 1 && error(&report).contains("TLS"), "{}", error(&report));
}

#[test]
fn needs_postgres_a_finding_is_explained_and_acknowledged_but_never_accepted() {
    let postgres = Postgres::start(&[]);
    let project = plain(&postgres);
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    for line in ["[INFO] Checking installed Odoo modules...", "[PASS] All databases run the modules on disk"]
    {
        assert!(ran.out().contains(line), "{}", ran.out());
    }
    let dry = project.ok(&["check", "--dry-run"]).out();
    assert!(dry.contains("odoo: installed modules of database prod in the server of db.url"), "{dry}");
    assert!(!dry.contains("s3cr3t"), "{dry}");

    module(&project, "shop", Some("1.3"));
    project.ok(&["export", "--accept"]);
    let ran = project.run(&["check"]);
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    for line in [
        "[FAIL] Odoo module drift: prod:shop",
        "version: 18.0.1.2 installed, 18.0.1.3 on disk",
        "odoo -u shop -d prod --stop-after-init",
        "acknowledge: driftlock ack odoo_modules/prod:shop",
    ] {
        assert!(ran.out().contains(line), "{line}: {}", ran.out());
    }
    let explained = project.run(&["explain", "odoo_modules/prod:shop"]).out();
    let place = format!("database prod in 127.0.0.1:{}: version 18.0.1.2, state installed", postgres.port);
    for line in [place.as_str(), "manifest in odoo_modules/erp/shop: version 1.3"] {
        assert!(explained.contains(line), "{line}: {explained}");
    }
    let refused = project.run(&["accept", "--only", "odoo_modules/prod:shop", "--reason", "x", "--yes"]);
    assert_eq!(refused.code(), 1, "{}{}", refused.out(), refused.err());
    assert!(refused.err().contains("no lock file holds them"), "{}", refused.err());
    project.ok(&["ack", "odoo_modules/prod:shop", "--until", "7d", "--reason", "tonight"]);
    assert_eq!(project.check(&[]).0, 0);
    postgres.sql("prod", "UPDATE ir_module_module SET state = 'to upgrade' WHERE name = 'shop'");
    assert_eq!(project.check(&[]).0, 2, "what was acknowledged is another difference");

    // Only the places that it names look at it.
    configured(
        &project,
        "[[odoo]]\nurl_file = \"db.url\"\ntargets = [\"x\"]\n[targets.x]\nhost = \"local\"\nroot = \".\"",
    );
    let (code, report) = project.check(&[]);
    assert!(code == 0 && !report.to_string().contains("odoo_modules\",\"status"), "{report}");
    let ran = project.run(&["check", "--require", "odoo_modules"]);
    assert!(ran.code() == 1 && ran.out().contains("no [[odoo]]"), "{}", ran.out());
}
