//! The units of `deploy/systemd` and the lines of `deploy/crontab`, judged by systemd, by cron, and by being run.

use std::path::Path;

use assert_fs::TempDir;

use crate::support::deploy::{demo, in_repository, ok, program, run, shipped};

const SERVICES: [&str; 4] =
    ["driftlock.service", "driftlock@.service", "driftlock-failed@.service", "driftlock-watch.service"];
const TIMERS: [&str; 2] = ["driftlock.timer", "driftlock@.timer"];

/// A directory with the units, which start the binary that is tested, and with its manual pages.
fn installed() -> TempDir {
    let dir = TempDir::new().unwrap();
    for unit in SERVICES.iter().chain(&TIMERS) {
        let text = shipped(&format!("systemd/{unit}"));
        let text = text.replace("/usr/local/bin/driftlock", env!("CARGO_BIN_EXE_driftlock"));
        std::fs::write(dir.path().join(unit), text).unwrap();
    }
    ok(program("driftlock").arg("man").arg(dir.path().join("man/man1")));
    dir
}

fn analyze(dir: &Path) -> std::process::Command {
    let mut command = program("systemd-analyze");
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", dir.display())).env("MANPATH", dir.join("man"));
    command.env("SYSTEMD_COLORS", "0").current_dir(dir);
    command
}

fn drop_in(dir: &Path, unit: &str) {
    let place = dir.join(format!("{unit}.d"));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("read-everything.conf"), shipped("systemd/read-everything.conf")).unwrap();
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let dir = installed();
    drop_in(dir.path(), "driftlock.service");
    let units = [
        "driftlock.service",
        "driftlock.timer",
        "driftlock@production.service",
        "driftlock@production.timer",
        "driftlock-failed@driftlock.service",
        "driftlock-watch.service",
    ];
    let verified = run(analyze(dir.path()).arg("verify").args(units.map(|unit| dir.path().join(unit))));
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (0, "", ""));
}

#[test]
fn systemd_finds_something_wrong_where_it_is() {
    let dir = installed();
    let path = dir.path().join("driftlock.service");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("ProtectSystem=strict", "ProtectSytem=strict")).unwrap();
    let verified = run(analyze(dir.path()).arg("verify").arg(&path));
    assert!(verified.err.contains("Unknown key 'ProtectSytem'"), "{}", verified.err);
}

#[test]
fn the_units_expose_little() {
    let dir = installed();
    for (unit, threshold) in
        [("driftlock.service", "20"), ("driftlock@.service", "20"), ("driftlock-watch.service", "20")]
    {
        let judged = analyze(dir.path())
            .args(["security", "--no-pager", "--offline=true"])
            .arg(format!("--threshold={threshold}"))
            .arg(dir.path().join(unit))
            .output()
            .unwrap();
        assert!(judged.status.success(), "{unit}: {}", String::from_utf8_lossy(&judged.stdout));
    }
}

#[test]
fn both_services_are_the_same_but_for_the_target() {
    let one = shipped("systemd/driftlock.service");
    let each = shipped("systemd/driftlock@.service");
    let each = each
        .replace("the target %i of audit/driftlock.toml with", "this machine with")
        .replace("the target %i", "this machine")
        .replace(" --target %i", "");
    assert_eq!(one, each);
}

#[test]
fn cron_takes_the_table_and_refuses_a_wrong_one() {
    let crontab = in_repository("deploy/crontab");
    ok(program("crontab").arg("-n").arg(&crontab));
    let dir = TempDir::new().unwrap();
    let wrong = dir.path().join("crontab");
    std::fs::write(&wrong, shipped("crontab").replace("\n41 ", "\n61 ")).unwrap();
    assert_ne!(run(program("crontab").arg("-n").arg(&wrong)).code, 0);
}

/// The commands of the table, as cron gives them to the shell; the first mails, the second writes metrics.
fn cron_lines() -> Vec<String> {
    let table = shipped("crontab");
    let lines = table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let lines: Vec<String> =
        lines.map(|line| line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| !line.contains('%')), "{lines:?}");
    lines
}

#[test]
fn the_line_that_mails_is_silent_until_something_is_wrong() {
    let project = demo();
    let line = cron_lines()[0].replace("/opt/erp", &project.root().display().to_string());
    let mailed = || run(program("sh").args(["-c", &line]).current_dir("/").env("HOME", "/nonexistent"));
    let silent = mailed();
    assert_eq!((silent.code, silent.out + &silent.err), (0, String::new()));
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let told = mailed();
    assert_eq!(told.code, 2);
    assert!(told.out.contains("[FAIL] Addon drift: qr_ordering") && told.err.is_empty(), "{}", told.out);
}

#[test]
fn the_line_for_metrics_writes_them_and_mails_nothing() {
    let project = demo();
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let textfiles = TempDir::new().unwrap();
    let line = cron_lines()[1]
        .replace("/opt/erp", &project.root().display().to_string())
        .replace("/var/lib/prometheus/node-exporter", &textfiles.path().display().to_string());
    let ran = run(program("sh").args(["-c", &line]).current_dir("/").env("HOME", "/nonexistent"));
    assert_eq!((ran.code, ran.out + &ran.err), (2, String::new()));
    let metrics = std::fs::read_to_string(textfiles.path().join("driftlock.prom")).unwrap();
    assert!(metrics.contains("driftlock_status{target=\"local\",project=\""), "{metrics}");
}
