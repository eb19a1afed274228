//! The state of a machine beside files: packages by the real dpkg, units of a real systemd, sockets of real programs, and
//! probes, here and over SSH.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use assert_fs::TempDir;
use serde_json::Value;

use crate::support::dice::Dice;
use crate::support::sshd::Server;
use crate::support::world::{self, Alone as _};
use crate::support::{Project, Ran, check_of, findings, needs, wait_until};

/// A machine whose system lies in directories of its own: this script lays them over the real ones.
pub(super) struct Machine {
    dir: TempDir,
    mounts: String,
    /// The first process of the namespaces that it has, where there is one.
    init: Option<u32>,
}

impl Machine {
    pub(super) fn new(mounts: &str) -> Self {
        needs::root();
        needs::declared(needs::MOUNTS);
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mounts = mounts.replace("DIR", dir.path().to_str().unwrap());
        Self { dir, mounts, init: None }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Runs a command line where its directories are laid over the real ones.
    fn command(&self, program: &Command) -> Command {
        let mut command = Command::new("unshare");
        if let Some(init) = self.init {
            command = Command::new("nsenter");
            command.args(["--target", &init.to_string(), "--mount", "--pid", "--wd=.", "--"]);
        } else {
            let script = format!("set -e; {}; exec \"$@\"", self.mounts);
            command.args(["--mount", "--propagation", "slave", "sh", "-c", &script, "sh"]);
        }
        command.arg(program.get_program()).args(program.get_args()).alone();
        command
    }

    pub(super) fn run(&self, project: &Project, args: &[&str]) -> Ran {
        let mut driftlock = world::driftlock();
        driftlock.args(args);
        Ran(self.command(&driftlock).current_dir(project.root()).output().unwrap())
    }

    pub(super) fn shell(&self, line: &str) -> String {
        let output = self.command(Command::new("sh").args(["-ec", line])).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same machine over SSH.
    fn server(&self) -> Server {
        let mounts = self.init.map_or_else(
            || self.mounts.clone(),
            |init| {
                let there = "mount --bind \"$1/passwd\" /etc/passwd; shift; exec \"$@\"";
                format!("exec nsenter --target {init} --mount --pid sh -ec '{there}' sh \"$@\"")
            },
        );
        Server::start(|setup| {
            setup.mounts(&mounts);
        })
    }
}

/// A project without files that has these lines in its configuration.
pub(super) fn project(lines: &str) -> Project {
    let project = Project::empty();
    project.file("audit/driftlock.toml", lines);
    project
}

pub(super) fn add(project: &Project, lines: &str) {
    let before = project.read("audit/driftlock.toml");
    project.file("audit/driftlock.toml", &format!("{before}{lines}"));
}

pub(super) fn ok(ran: &Ran) -> &Ran {
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    ran
}

/// Code, findings as `SUBJECT KIND`, and the report of a check, here and on a server, which must be the same.
fn both(machine: &Machine, project: &Project, check: &str) -> (i32, Vec<String>, Value) {
    let look = |more: &[&str]| {
        let args = [&["check", "--only", check, "--format", "json"], more].concat();
        let ran = machine.run(project, &args);
        let report = ran.report();
        let told = findings(&report, check).into_iter().map(|(subject, kind)| format!("{subject} {kind}"));
        (ran.code(), told.collect::<Vec<_>>(), report)
    };
    let (here, there) = (look(&[]), look(&["--target", "prod"]));
    assert_eq!((here.0, &here.1), (there.0, &there.1), "{:#}{:#}", here.2, there.2);
    let actual = |report: &Value| {
        let check = check_of(report, check);
        let of = |it: &Value| (it["actual"].clone(), it["expected"].clone(), it["reason"].clone());
        (check["error"].clone(), check["findings"].as_array().unwrap().iter().map(of).collect::<Vec<_>>())
    };
    assert_eq!(actual(&here.2), actual(&there.2));
    here
}

/// The command of a way out of the first finding of a check.
fn way(report: &Value, check: &str, when: &str) -> String {
    let ways = check_of(report, check)["findings"][0]["ways_out"].as_array().unwrap().clone();
    let way = ways.iter().find(|way| way["when"] == when);
    way.map(|way| way["command"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// A machine with a dpkg of its own.
fn debian() -> Machine {
    let machine = Machine::new("mount --bind DIR/var/lib/dpkg /var/lib/dpkg");
    for dir in ["var/lib/dpkg/updates", "var/lib/dpkg/info"] {
        fs::create_dir_all(machine.path(dir)).unwrap();
    }
    fs::write(machine.path("var/lib/dpkg/status"), "").unwrap();
    machine
}

fn dpkg(machine: &Machine, args: &[&str]) {
    let root = format!("--root={}", machine.dir.path().display());
    let output = Command::new("dpkg")
        .arg(&root)
        .args(["--force-not-root", "--force-architecture"])
        .args(args)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Installs a package that is made for it.
fn install(machine: &Machine, name: &str, version: &str, arch: &str) {
    let build = TempDir::new().unwrap();
    fs::create_dir(build.path().join("DEBIAN")).unwrap();
    fs::set_permissions(build.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMulti-Arch: same\nMaintainer: T <t@example.org>\nDescription: test\n Package: no\n"
    );
    let control = if arch == "all" { control.replace("Multi-Arch: same\n", "") } else { control };
    fs::write(build.path().join("DEBIAN/control"), control).unwrap();
    let package = machine.path(&format!("{name}.deb"));
    let packed = Command::new("dpkg-deb")
        .args(["--build", "-Znone"])
        .arg(build.path())
        .arg(&package)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    dpkg(machine, &["--install", package.to_str().unwrap()]);
}

/// What `dpkg-query` says is installed, as the lock file has it.
fn by_dpkg_query(machine: &Machine) -> Vec<String> {
    let form = "${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Want} ${db:Status-Eflag} ${db:Status-Status}\\n";
    let all = machine.shell(&format!("dpkg-query -W -f '{form}'"));
    let row = |line: &str| {
        let (row, status) = line.rsplit_once('\t')?;
        let words: Vec<&str> = status.split(' ').collect();
        if ["not-installed", "config-files"].contains(&words[2]) {
            return None;
        }
        let odd: Vec<&str> = words
            .iter()
            .zip(["install", "ok", "installed"])
            .filter(|(is, usual)| *is != usual)
            .map(|(is, _)| *is)
            .collect();
        Some(if odd.is_empty() { row.to_owned() } else { format!("{row}\t{}", odd.join(",")) })
    };
    let mut rows: Vec<String> = all.lines().filter_map(row).collect();
    rows.sort();
    rows
}

fn locked(project: &Project, name: &str) -> Vec<String> {
    project.read(&format!("audit/locks/{name}")).lines().map(str::to_owned).collect()
}

#[test]
fn the_packages_of_this_machine_are_those_of_dpkg_query() {
    let machine = Machine::new("true");
    let project = project("[packages]\n");
    ok(&machine.run(&project, &["export", "--accept", "--quiet"]));
    assert_eq!(locked(&project, "packages.lock.txt"), by_dpkg_query(&machine));
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    assert_eq!(both(&machine, &project, "packages").0, 0);
}

#[test]
fn one_package_added_removed_held_or_of_another_version_is_found_alone() {
    let machine = debian();
    for (name, version, arch) in
        [("alpha", "1:2.0-1", "amd64"), ("beta", "1.0", "all"), ("gamma", "3~rc1", "amd64")]
    {
        install(&machine, name, version, arch);
    }
    let project = project("[packages]\nignore = [\"linux-image-*\"]\n");
    ok(&machine.run(&project, &["export", "--accept", "--quiet"]));
    assert_eq!(
        locked(&project, "packages.lock.txt"),
        ["alpha\t1:2.0-1\tamd64", "beta\t1.0\tall", "gamma\t3~rc1\tamd64"]
    );
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    assert_eq!(both(&machine, &project, "packages").0, 0);
    let found = |subject: &str| {
        let (code, found, report) = both(&machine, &project, "packages");
        assert_eq!((code, found), (2, vec![subject.to_owned()]));
        report
    };
    // Held.
    select(&machine, "alpha hold");
    let report = found("alpha modified");
    assert_eq!(check_of(&report, "packages")["findings"][0]["change"], "state");
    assert_eq!(check_of(&report, "packages")["details"], "1 packages drifted: alpha;");
    assert_eq!(way(&report, "packages", "undo"), "apt-mark unhold alpha");
    select(&machine, "alpha install");
    // Of another version.
    install(&machine, "alpha", "1:2.0-2", "amd64");
    let report = found("alpha modified");
    let finding = &check_of(&report, "packages")["findings"][0];
    assert_eq!((&finding["change"], &finding["category"]), (&"version".into(), &"package".into()));
    assert_eq!((&finding["expected"], &finding["actual"]), (&"1:2.0-1".into(), &"1:2.0-2".into()));
    assert_eq!(way(&report, "packages", "undo"), "apt-get install alpha=1:2.0-1");
    install(&machine, "alpha", "1:2.0-1", "amd64");
    assert_eq!(both(&machine, &project, "packages").0, 0);
    // Added; what is ignored is not.
    install(&machine, "linux-image-6", "6", "amd64");
    install(&machine, "delta", "1", "all");
    let report = found("delta unexpected");
    assert_eq!(way(&report, "packages", "undo"), "apt-get remove delta");
    let told = machine.run(&project, &["check", "--only", "packages"]).out();
    assert!(told.contains("[FAIL] Package drift: delta"), "{told}");
    let accept = ["accept", "--yes", "--reason", "new", "--only", "packages/delta"];
    ok(&machine.run(&project, &accept));
    assert!(locked(&project, "packages.lock.txt").contains(&"delta\t1\tall".to_owned()));
    assert_eq!(both(&machine, &project, "packages").0, 0);
    // Removed, its configuration left; and a second architecture.
    dpkg(&machine, &["--remove", "beta"]);
    let report = found("beta missing");
    assert_eq!(way(&report, "packages", "undo"), "apt-get install beta=1.0");
    install(&machine, "beta", "1.0", "all");
    let explained = machine.run(&project, &["explain", "packages/gamma"]);
    assert!(ok(&explained).out().contains("3~rc1"), "{}", explained.out());
}

/// A machine whose dpkg and files below `/srv` are its own, with a package that brings some: text, a configuration file, and a
/// text of which it has no digest.
fn with_files() -> Machine {
    let machine = Machine::new("mount --bind DIR/var/lib/dpkg /var/lib/dpkg; mount --bind DIR/srv /srv");
    for dir in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "srv"] {
        fs::create_dir_all(machine.path(dir)).unwrap();
    }
    fs::write(machine.path("var/lib/dpkg/status"), "").unwrap();
    let build = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = build.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "DEBIAN/control",
        "Package: lab\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n",
    );
    write("DEBIAN/conffiles", "/srv/lab.conf\n");
    write("DEBIAN/md5sums", "b026324c6904b2a9cb4b88d6d61c81d1  srv/lab.txt\n");
    for (path, text) in [("srv/lab.txt", "1\n"), ("srv/lab.conf", "on\n"), ("srv/bare.txt", "2\n")] {
        write(path, text);
    }
    fs::set_permissions(build.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let package = machine.path("lab.deb");
    let packed =
        Command::new("dpkg-deb").args(["--build", "-Znone"]).arg(build.path()).arg(&package).output();
    assert!(packed.unwrap().status.success());
    dpkg(&machine, &["--install", package.to_str().unwrap()]);
    machine
}

#[test]
fn explain_says_which_package_a_file_is_of_and_whether_it_is_as_shipped() {
    let machine = with_files();
    fs::write(machine.path("srv/own.txt"), "3\n").unwrap();
    let project = project("[files]\ninclude = [\"/srv/*\"]\n");
    ok(&machine.run(&project, &["export", "--accept", "--quiet", "--docker", "off"]));
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    let told = |path: &str, expected: &str| {
        for more in [&[][..], &["--target", "prod"]] {
            let ran = machine.run(&project, &[&["explain", path], more].concat());
            assert!(ok(&ran).out().contains(&format!("Note: {expected}\n")), "{expected}: {}", ran.out());
        }
    };
    told("/srv/lab.txt", "it is of the package lab: as it was shipped");
    told("/srv/lab.conf", "it is of the package lab, a configuration file: as it was shipped");
    told("/srv/bare.txt", "it is of the package lab: the package has no digest of it");
    told("/srv/own.txt", "no package brings it");
    assert_eq!(machine.shell("dpkg --verify lab"), "");
    fs::write(machine.path("srv/lab.conf"), "off\n").unwrap();
    fs::write(machine.path("srv/lab.txt"), "4\n").unwrap();
    told("/srv/lab.txt", "it is of the package lab: not as it was shipped");
    told("/srv/lab.conf", "it is of the package lab, a configuration file: not as it was shipped");
    assert_eq!(machine.shell("dpkg --verify lab || true").lines().count(), 2);
    fs::remove_file(machine.path("srv/lab.txt")).unwrap();
    told("/srv/lab.txt", "it is of the package lab: it is not there, or could not be read");
    // A database that cannot be read is told.
    fs::rename(machine.path("var/lib/dpkg/status"), machine.path("var/lib/dpkg/gone")).unwrap();
    fs::create_dir(machine.path("var/lib/dpkg/status")).unwrap();
    let ran = machine.run(&project, &["explain", "/srv/own.txt"]);
    assert!(ran.out().contains("is not known: /var/lib/dpkg/status: it is no regular file"), "{}", ran.out());
}

#[test]
fn files_of_this_machine_are_of_the_packages_that_dpkg_names() {
    let machine = Machine::new("true");
    let mut dice = Dice(std::process::id().into());
    let listed =
        machine.shell("cat /var/lib/dpkg/info/*.list | grep -E '^/(usr/share|etc|usr/lib|bin|sbin|lib)/'");
    let is_file = |path: &&str| fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.len() < 100_000);
    let listed: Vec<&str> = listed.lines().collect();
    let is_plain = |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b));
    let mut paths: Vec<&str> = Vec::new();
    while paths.len() < 6 {
        let path = listed[dice.roll(listed.len())];
        paths.extend(Some(path).filter(is_file).filter(|path| is_plain(path) && !paths.contains(path)));
    }
    let quoted: Vec<String> = paths.iter().map(|path| format!("\"{path}\"")).collect();
    let project = project(&format!("[files]\ninclude = [{}]\n", quoted.join(", ")));
    ok(&machine.run(&project, &["export", "--accept", "--quiet", "--docker", "off"]));
    for path in paths {
        let by_dpkg = machine.shell(&format!("dpkg-query -S {path} | grep -v '^diver'"));
        let owners = by_dpkg.trim().rsplit_once(": ").unwrap().0.to_owned();
        let ran = machine.run(&project, &["explain", path]);
        let told = ok(&ran).out();
        let line = told
            .lines()
            .find_map(|line| line.split_once("it is of the package "))
            .unwrap_or_else(|| panic!("{path}: {told}"))
            .1;
        for owner in owners.split(", ") {
            assert!(line.contains(owner.split(':').next().unwrap()), "{path}: {owners}: {line}");
        }
    }
}

/// Has dpkg note a selection.
fn select(machine: &Machine, line: &str) {
    machine.shell(&format!("echo '{line}' | dpkg --set-selections"));
}

#[test]
fn random_installations_are_told_as_dpkg_query_tells_them() {
    let machine = debian();
    let seed = std::process::id().into();
    let mut dice = Dice(seed);
    let project = project("[packages]\n");
    let names = ["a", "a-b", "a.b", "lib+x", "z1"];
    for name in names {
        install(&machine, name, "1", "amd64");
    }
    for _ in 0..12 {
        let name = names[dice.roll(names.len())];
        match dice.roll(5) {
            0 => select(&machine, &format!("{name} hold")),
            1 => select(&machine, &format!("{name} install")),
            2 => dpkg(&machine, &["--force-hold", "--force-remove-essential", "--remove", name]),
            3 => install(
                &machine,
                name,
                &format!("{}:{}.{}~x-1", dice.roll(3), dice.roll(9), dice.roll(9)),
                "amd64",
            ),
            _ => install(&machine, "only", &dice.roll(9).to_string(), "all"),
        }
        ok(&machine.run(&project, &["export", "--output", "out", "--quiet"]));
        let told: Vec<String> = project.read("out/packages.lock.txt").lines().map(str::to_owned).collect();
        assert_eq!(told, by_dpkg_query(&machine), "seed {seed}");
    }
}

#[test]
fn packages_that_cannot_be_read_are_an_error_that_says_what_to_do() {
    let machine = debian();
    install(&machine, "alpha", "1", "all");
    let project = project("[packages]\n");
    ok(&machine.run(&project, &["export", "--accept", "--quiet"]));
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    let error = || {
        let (code, found, report) = both(&machine, &project, "packages");
        assert_eq!((code, found.len()), (1, 0), "{report:#}");
        check_of(&report, "packages")["error"].as_str().unwrap().to_owned()
    };
    fs::write(machine.path("var/lib/dpkg/updates/0001"), "").unwrap();
    assert!(error().contains("dpkg --configure -a"), "{}", error());
    fs::remove_file(machine.path("var/lib/dpkg/updates/0001")).unwrap();
    let status = machine.path("var/lib/dpkg/status");
    let whole = fs::read_to_string(&status).unwrap();
    fs::write(&status, whole.replace("Version: 1\n", "")).unwrap();
    assert!(error().contains("alpha has no version"), "{}", error());
    fs::remove_file(&status).unwrap();
    fs::create_dir(&status).unwrap();
    assert!(error().contains("/var/lib/dpkg/status: it is no regular file"), "{}", error());
    fs::remove_dir(&status).unwrap();
    // With rpm installed beside dpkg, as for building packages, its empty database is asked.
    let none = ["none of dpkg, apk and rpm is there", "the database of rpm names no package"];
    assert!(none.iter().any(|why| error().contains(why)), "{}", error());
}

#[test]
fn packages_of_alpine_are_read_from_its_database() {
    let machine = Machine::new(
        "mount --bind DIR/dpkg /var/lib/dpkg; mkdir -p DIR/up DIR/work; \
         mount -t overlay none -o lowerdir=DIR/lower:/usr/lib /usr/lib",
    );
    fs::create_dir(machine.path("dpkg")).unwrap();
    fs::create_dir_all(machine.path("lower/apk/db")).unwrap();
    let database = |zlib: &str| {
        let text = format!(
            "C:Q1Yw=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\nF:lib\nR:ld-musl-x86_64.so.1\n\nP:zlib\nV:{zlib}\nA:x86_64\n\n"
        );
        fs::write(machine.path("lower/apk/db/installed"), text).unwrap();
    };
    database("1.3.1-r1");
    let project = project("[packages]\n");
    ok(&machine.run(&project, &["export", "--accept", "--quiet"]));
    assert_eq!(locked(&project, "packages.lock.txt"), ["musl\t1.2.5-r0\tx86_64", "zlib\t1.3.1-r1\tx86_64"]);
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    database("1.3.1-r2");
    let again = machine.server();
    drop(server);
    let before = project.read("audit/driftlock.toml").split("[targets").next().unwrap().to_owned();
    project.file("audit/driftlock.toml", &format!("{before}{}", again.target("prod", &project.root())));
    let (code, found, report) = both(&machine, &project, "packages");
    assert_eq!((code, found), (2, vec!["zlib modified".to_owned()]));
    assert_eq!(way(&report, "packages", "undo"), "apk add zlib=1.3.1-r1");
}

/// A systemd that runs in namespaces of its own, and tells over the sockets in its directory.
struct Systemd {
    machine: Machine,
    process: Child,
}

impl Systemd {
    fn start() -> Self {
        let machine = Machine::new("mount --bind DIR/run /run");
        fs::create_dir_all(machine.path("run/systemd/system")).unwrap();
        fs::create_dir_all(machine.path("run/sshd")).unwrap();
        let unit = |name: &str, text: &str| {
            let text = format!("[Unit]\nDefaultDependencies=no\n{text}");
            fs::write(machine.path(&format!("run/systemd/system/{name}")), text).unwrap();
        };
        unit("lab.target", "Wants=one.service\n");
        unit("one.service", "[Service]\nExecStart=/bin/sleep 3600\n[Install]\nWantedBy=lab.target\n");
        unit("two.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n");
        let script = format!(
            "{}; exec /usr/lib/systemd/systemd --unit=lab.target --log-target=null --show-status=0",
            machine.mounts
        );
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--uts",
            "--cgroup",
            "--propagation",
            "slave",
        ]);
        command.args(["--mount-proc", "setpriv", "--pdeathsig", "KILL", "sh", "-c", &script]);
        command.env("container", "lab").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let mut systemd = Self { machine, process };
        let children = format!("/proc/{0}/task/{0}/children", systemd.process.id());
        let first = || fs::read_to_string(&children).unwrap_or_default().trim().parse::<u32>().ok();
        wait_until(|| first().is_some());
        systemd.machine.init = first();
        wait_until(|| {
            let mut asked =
                systemd.machine.command(Command::new("systemctl").args(["is-active", "one.service"]));
            asked.output().unwrap().status.success()
        });
        systemd
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn services_are_told_by_systemd_and_the_undo_brings_them_back() {
    let systemd = Systemd::start();
    let machine = &systemd.machine;
    let project = project("[services]\nunits = [\"one.service\", \"two.service\"]\n");
    ok(&machine.run(&project, &["export", "--accept", "--quiet"]));
    let before = ["one.service\tdisabled\tactive", "two.service\tstatic\tinactive"];
    assert_eq!(locked(&project, "services.lock.txt"), before);
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    assert_eq!(both(machine, &project, "services").0, 0);
    // Stopped: it is what is said first.
    machine.shell("systemctl stop one.service");
    let (code, found, report) = both(machine, &project, "services");
    assert_eq!((code, found), (2, vec!["one.service modified".to_owned()]));
    assert_eq!(report["headline"], "FAIL local: one.service is not running");
    assert_eq!(way(&report, "services", "undo"), "systemctl start one.service");
    machine.shell(&way(&report, "services", "undo"));
    assert_eq!(both(machine, &project, "services").0, 0);
    // Enabled, masked.
    machine.shell("systemctl enable --runtime one.service");
    let (_, found, report) = both(machine, &project, "services");
    assert_eq!(found, ["one.service modified"]);
    assert_eq!(check_of(&report, "services")["findings"][0]["actual"], "active, enabled-runtime");
    machine.shell(&way(&report, "services", "undo"));
    assert_eq!(both(machine, &project, "services").0, 0);
    machine.shell("systemctl start two.service");
    let (_, found, report) = both(machine, &project, "services");
    assert_eq!(found, ["two.service modified"]);
    machine.shell(&way(&report, "services", "undo"));
    // Gone, and one that was never there.
    fs::remove_file(machine.path("run/systemd/system/two.service")).unwrap();
    machine.shell("systemctl daemon-reload");
    assert_eq!(both(machine, &project, "services").1, ["two.service missing"]);
    let text = project.read("audit/driftlock.toml").replace("\"two.service\"", "\"three.service\"");
    project.file("audit/driftlock.toml", &text);
    let (code, _, report) = both(machine, &project, "services");
    let error = check_of(&report, "services")["error"].as_str().unwrap();
    assert!(code == 1 && error.contains("three.service does not exist"), "{error}");
}

#[test]
fn without_systemd_the_services_are_an_error() {
    let machine = Machine::new("mount -t tmpfs none /run; mkdir /run/sshd");
    let project = project("[services]\nunits = [\"ssh.service\"]\n");
    project.file("audit/locks/services.lock.txt", "ssh.service\tenabled\tactive\n");
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    let (code, found, report) = both(&machine, &project, "services");
    let error = check_of(&report, "services")["error"].as_str().unwrap().to_owned();
    assert_eq!((code, found.len()), (1, 0));
    assert!(error.contains("systemd does not run there") && error.contains("units = []"), "{error}");
}

/// A network of its own, with a program that listens on these places (`tcp 0.0.0.0 8069`).
fn listening(machine: &Machine, places: &[&str], then: &str) -> String {
    let program = machine.path("listen.py");
    fs::write(
        &program,
        "import socket, sys, time\nall = []\nfor place in sys.argv[1:]:\n    kind, address, port = place.split()\n    \
         family = socket.AF_INET6 if ':' in address else socket.AF_INET\n    \
         it = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)\n    \
         if family == socket.AF_INET6: it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n    \
         it.bind((address, int(port)))\n    if kind == 'tcp': it.listen()\n    all.append(it)\n\
         print('ready', flush=True)\ntime.sleep(600)\n",
    )
    .unwrap();
    let quoted: Vec<String> = places.iter().map(|place| format!("'{place}'")).collect();
    format!(
        "ip link set lo up; rm -f {0}/fifo; mkfifo {0}/fifo; python3 {1} {2} >{0}/fifo & read ready <{0}/fifo; status=0; {then} || status=$?; kill $!; exit $status",
        machine.dir.path().display(),
        program.display(),
        quoted.join(" ")
    )
}

fn in_network(machine: &Machine, project: &Project, places: &[&str], args: &[&str]) -> Ran {
    let binary = world::driftlock().get_program().to_str().unwrap().to_owned();
    let then = format!("{binary} {}", args.join(" "));
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", &listening(machine, places, &then)]).alone();
    Ran(command.current_dir(project.root()).output().unwrap())
}

#[test]
fn ports_are_those_of_ss_and_one_open_to_all_is_said_first() {
    let machine = Machine::new("true");
    let project = project("[ports]\nignore = [\"udp:127.0.0.9:*\"]\n");
    let before =
        ["tcp 127.0.0.1 5432", "tcp ::1 8072", "udp 127.0.0.1 53", "udp 127.0.0.9 53", "tcp 0.0.0.0 8069"];
    ok(&in_network(&machine, &project, &before, &["export", "--accept", "--quiet"]));
    let expected = [
        "tcp\t0.0.0.0\t8069\tpython3",
        "tcp\t127.0.0.1\t5432\tpython3",
        "tcp\t::1\t8072\tpython3",
        "udp\t127.0.0.1\t53\tpython3",
    ];
    assert_eq!(locked(&project, "ports.lock.txt"), expected);
    let by_ss = Command::new("unshare")
        .args(["--net", "sh", "-c", &listening(&machine, &before, "ss -Hlntup")])
        .output()
        .unwrap();
    let by_ss = String::from_utf8(by_ss.stdout).unwrap();
    assert_eq!(by_ss.lines().filter(|line| line.contains("python3")).count(), before.len(), "{by_ss}");
    for (place, port) in [("0.0.0.0", 8069), ("127.0.0.1", 5432), ("[::1]", 8072), ("127.0.0.1", 53)] {
        assert!(by_ss.contains(&format!("{place}:{port} ")), "{by_ss}");
    }
    let check = ["check", "--only", "ports", "--format", "json"];
    assert_eq!(in_network(&machine, &project, &before, &check).code(), 0);
    let now =
        ["tcp 0.0.0.0 5432", "tcp 0.0.0.0 8069", "udp 127.0.0.1 53", "tcp ::1 8072", "udp 127.0.0.9 54"];
    let ran = in_network(&machine, &project, &now, &check);
    let report = ran.report();
    let found = findings(&report, "ports");
    let pair = |subject: &str, kind: &str| (subject.to_owned(), kind.to_owned());
    assert_eq!(found, [pair("tcp:0.0.0.0:5432", "unexpected"), pair("tcp:127.0.0.1:5432", "missing")]);
    let category = |at: usize| check_of(&report, "ports")["findings"][at]["category"].clone();
    assert_eq!((category(0), category(1)), ("security".into(), "network".into()));
    assert!(
        report["headline"].as_str().unwrap().starts_with("FAIL local: tcp:0.0.0.0:5432"),
        "{}",
        report["headline"]
    );
}

#[test]
fn ports_over_ssh_are_those_of_ss_with_their_programs() {
    let server = Server::start(|_| {});
    let project = project("[ports]\n");
    add(&project, &server.target("prod", &project.root()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Whether the machine has an engine, and containers, is another matter.
    project.ok(&["export", "--target", "prod", "--output", "there", "--quiet", "--docker", "off"]);
    let own = format!("tcp\t127.0.0.1\t{}\tsshd", server.port);
    let told = project.read("there/ports.lock.txt");
    let test = fs::read_to_string("/proc/self/comm").unwrap();
    assert!(told.lines().any(|line| line == own), "{told}");
    assert!(told.lines().any(|line| line == format!("tcp\t127.0.0.1\t{port}\t{}", test.trim())), "{told}");
    let here = project.ok(&["export", "--output", "here", "--quiet", "--docker", "off"]);
    assert!(project.read("here/ports.lock.txt").lines().any(|line| line == own), "{}", here.out());
    assert_eq!(server.logins(), 1);
}

#[test]
fn who_may_not_see_a_program_compares_the_port_alone_or_says_so() {
    let machine = Machine::new("true");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let project = project("[ports]\nignore = [\"udp:*\", \"tcp:[::*\", \"tcp:0.0.0.0:*\"]\n");
    project.hand_over();
    let ran = project.as_user(&["export", "--output", "out"]);
    assert!(
        project.read("out/ports.lock.txt").contains(&format!("tcp\t127.0.0.1\t{port}\n")),
        "{}",
        ran.err()
    );
    fs::create_dir_all(project.path("audit/locks")).unwrap();
    project.file("audit/locks/ports.lock.txt", &format!("tcp\t127.0.0.1\t{port}\todoo\n"));
    project.hand_over();
    let ran = project.as_user(&["check", "--only", "ports", "--format", "json", "--output", "out"]);
    let subject = format!("tcp:127.0.0.1:{port}");
    let found = findings(&ran.report(), "ports");
    assert!(found.contains(&(subject, "unreadable".to_owned())), "{found:?}");
    assert!(ran.code() == 1 && ran.out().contains("run it as root"), "{}", ran.out());
    drop(machine);
}

/// The counts of what the coverage of a report leaves out for reasons that have these words.
fn left_out(report: &Value, words: &str) -> Vec<u64> {
    let all = report["coverage"]["subjects"].as_array().unwrap().iter();
    let its = all.filter(|it| it["reason"].as_str().unwrap().contains(words));
    its.map(|it| it["count"].as_u64().unwrap()).collect()
}

#[test]
fn a_port_of_a_container_is_kept_where_docker_is_off_and_coverage_says_what_no_engine_told() {
    let project = project("[ports]\n");
    project.ok(&["export", "--accept", "--quiet", "--docker", "off"]);
    let lock = project.read("audit/locks/ports.lock.txt");
    // A kernel leads packets to a container also without a socket.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    project.file("audit/locks/ports.lock.txt", &format!("{lock}tcp\t127.0.0.1\t{port}\tcontainer:web\n"));
    let is_of_it = |report: &Value| {
        let all = findings(report, "ports");
        all.into_iter().find(|(subject, _)| *subject == format!("tcp:127.0.0.1:{port}"))
    };
    let (_, report) = project.check(&["--only", "ports", "--docker", "off"]);
    assert_eq!(is_of_it(&report), None);
    assert_eq!(left_out(&report, "docker is off: which container has the port"), [1]);
    let away = |project: &Project| {
        let mut command =
            project.driftlock(&["check", "--only", "ports", "--format", "json", "--docker", "auto"]);
        Ran(command.env("DOCKER_HOST", "unix:///nowhere/engine.sock").output().unwrap())
    };
    let ran = away(&project);
    assert_eq!((ran.code(), is_of_it(&ran.report()).unwrap().1.as_str()), (1, "unreadable"));
    // Nothing of a container is locked: whether one has a port is not known all the same.
    project.file("audit/locks/ports.lock.txt", &lock);
    let report = away(&project).report();
    assert_eq!(left_out(&report, "because it could not be asked"), [1]);
}

#[test]
fn a_pattern_over_packages_hides_no_container_that_could_not_be_looked_into() {
    let project = project("[packages]\ncontainers = [\"web\"]\nignore = [\"w*\"]\n");
    project.ok(&["export", "--accept", "--quiet", "--docker", "off"]);
    let mut command = project.driftlock(&["check", "--only", "packages", "--format", "json"]);
    let ran = Ran(command.env("DOCKER_HOST", "unix:///nowhere/engine.sock").output().unwrap());
    let report = ran.report();
    assert_eq!(
        (ran.code(), findings(&report, "packages")),
        (1, vec![("web".to_owned(), "unreadable".to_owned())])
    );
}

/// A project with probes, and the machine over SSH.
fn probing(probes: &str) -> (Machine, Project, Server) {
    let machine = Machine::new("true");
    let project = project(probes);
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    (machine, project, server)
}

#[test]
fn probes_are_compared_by_line_and_by_value() {
    let machine = Machine::new("true");
    let told = machine.path("bios");
    let cis = machine.path("cis");
    let project = project(&format!(
        "[[probes]]\nname = \"bios\"\nrun = [\"cat\", \"{}\"]\ncategory = \"firmware\"\n\
         [[probes]]\nname = \"cis\"\nrun = [\"cat\", \"{}\"]\ncategory = \"security\"\n",
        told.display(),
        cis.display()
    ));
    fs::write(&told, "vendor\n1.2\n").unwrap();
    fs::write(
        &cis,
        "{\"name\": \"5.2.1\", \"value\": \"pass\"}\n{\"name\": \"5.2.2\", \"value\": \"pass\"}\n",
    )
    .unwrap();
    ok(&machine.run(&project, &["export", "--accept", "--quiet"]));
    let server = machine.server();
    add(&project, &server.target("prod", &project.root()));
    let lock: Value = serde_json::from_str(&project.read("audit/locks/probes.lock.json")).unwrap();
    let expected = serde_json::json!({"probes": {
        "bios": {"output": "vendor\n1.2\n"}, "cis": {"values": {"5.2.1": "pass", "5.2.2": "pass"}}}});
    assert_eq!(lock, expected);
    assert_eq!(both(&machine, &project, "probes").0, 0);
    fs::write(&told, "vendor\n1.3\n").unwrap();
    fs::write(&cis, "{\"name\": \"5.2.1\", \"value\": \"fail\"}\n{\"name\": \"5.2.3\", \"value\": 1}\n")
        .unwrap();
    let (code, found, report) = both(&machine, &project, "probes");
    assert_eq!(
        (code, found),
        (
            2,
            ["bios modified", "cis:5.2.1 modified", "cis:5.2.2 missing", "cis:5.2.3 unexpected"]
                .map(str::to_owned)
                .to_vec()
        )
    );
    let category = |at: usize| check_of(&report, "probes")["findings"][at]["category"].clone();
    assert_eq!((category(0), category(1)), ("firmware".into(), "security".into()));
    let told_all = machine.run(&project, &["check", "--only", "probes", "--details"]).out();
    for part in ["[FAIL] Probe drift: bios", "+1.3", "-1.2", "pass → fail"] {
        assert!(told_all.contains(part), "{part}: {told_all}");
    }
    let accept = ["accept", "--yes", "--reason", "known", "--only", "probes/cis:*"];
    ok(&machine.run(&project, &accept));
    assert_eq!(both(&machine, &project, "probes").1, ["bios modified"]);
    // A probe that fails is not one whose values are gone.
    fs::remove_file(&cis).unwrap();
    let (code, found, _) = both(&machine, &project, "probes");
    assert_eq!(code, 1);
    assert!(
        found.contains(&"cis:5.2.1 unreadable".to_owned()) && !found.iter().any(|it| it.contains("missing")),
        "{found:?}"
    );
}

#[test]
fn a_probe_that_has_no_end_or_prints_what_no_lock_file_should_hold_is_an_error() {
    let named =
        |name: &str, run: &str| format!("[[probes]]\nname = \"{name}\"\nrun = [{run}]\ntimeout = \"2s\"\n");
    let probes = [
        named("endless", "\"sleep\", \"600\""),
        named("gigabyte", "\"head\", \"-c\", \"1000000000\", \"/dev/zero\""),
        named("control", "\"printf\", '\\033[2Jx'"),
        named("nul", "\"head\", \"-c\", \"1\", \"/dev/zero\""),
        named("key", "\"echo\", \"-----BEGIN RSA PRIVATE KEY-----\""),
        named("absent", "\"no-such-program\""),
        named("fails", "\"false\""),
        named("good", "\"echo\", \"$(id) ; it's\""),
        named("environment", "\"env\""),
    ];
    let (machine, project, server) = probing(&probes.concat());
    let ran = machine.run(&project, &["export", "--target", "prod", "--output", "there"]);
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    project.file(
        "audit/locks/probes.lock.json",
        "{\"probes\": {\"good\": {\"output\": \"$(id) ; it's\\n\"}, \"gone\": {\"output\": \"\"}}}\n",
    );
    let (code, found, report) = both(&machine, &project, "probes");
    assert_eq!(code, 1);
    let reasons = check_of(&report, "probes")["findings"].as_array().unwrap();
    let reason = |name: &str| {
        reasons.iter().find(|it| it["subject"] == name).unwrap()["reason"].as_str().unwrap().to_owned()
    };
    for (name, part) in [
        ("endless", "did not end in time"),
        ("gigabyte", "more than 64 KiB"),
        ("control", "no plain text"),
        ("nul", "no plain text"),
        ("key", "private key"),
        ("absent", "no-such-program is not there"),
        ("fails", "exit code 1"),
        ("gone", "no [[probes]]"),
    ] {
        assert!(reason(name).contains(part), "{name}: {}", reason(name));
    }
    assert!(!found.iter().any(|it| it.starts_with("good")), "{found:?}");
    assert!(server.logins() >= 2);
}

#[test]
fn probes_of_a_configuration_that_others_may_write_are_not_run() {
    let machine = Machine::new("true");
    let ran = machine.path("ran");
    let project = project(&format!("[[probes]]\nname = \"a\"\nrun = [\"touch\", \"{}\"]\n", ran.display()));
    let refused = |part: &str| {
        let told = machine.run(&project, &["check", "--only", "probes", "--require", "probes"]);
        assert!(told.code() == 1 && told.out().contains(part), "{part}: {}", told.out());
        assert!(!ran.exists(), "it was run");
    };
    let config = project.path("audit/driftlock.toml");
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&config, 0o666);
    refused("others may write");
    mode(&config, 0o644);
    mode(&project.path("audit"), 0o777);
    refused("others may write");
    mode(&project.path("audit"), 0o755);
    std::os::unix::fs::chown(&config, Some(65534), None).unwrap();
    refused("belongs to user 65534");
    std::os::unix::fs::chown(&config, Some(0), None).unwrap();
    machine.run(&project, &["check", "--only", "probes"]);
    assert!(ran.exists(), "nobody else may write it");
}

#[test]
fn all_of_it_is_asked_for_in_one_session_beside_the_files() {
    let (machine, project, server) = probing(
        "[packages]\n[ports]\n[[probes]]\nname = \"a\"\nrun = [\"echo\", \"1\"]\n[compose]\nfiles = [\"*.yml\"]\n",
    );
    project.file("compose.yml", "services: {}\n");
    let ran =
        machine.run(&project, &["export", "--target", "prod", "--accept", "--quiet", "--docker", "off"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let before = server.log().matches("Starting session: command").count();
    let ran = machine.run(
        &project,
        &["check", "--target", "prod", "--only", "packages", "--only", "probes", "--only", "compose_hashes"],
    );
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert_eq!(server.log().matches("Starting session: command").count() - before, 1, "{}", server.log());
    assert_eq!(server.logins(), 2);
}
