//! Packages inside containers of a real engine, here and over SSH: databases of dpkg, apk and rpm as they lie in trees of Debian,
//! Alpine and Fedora, held against the package manager's own words; and containers that cannot be looked into.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::docker::Stage;
use crate::support::sshd::Server;
use crate::support::{check_of, findings};

const LOCK: &str = "audit/locks/packages.lock.txt";
const APK: &str = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld-musl\n\nP:zlib\nV:1.3-r2\nA:x86_64\n\n";

/// A stage whose configuration names these containers, and nothing of the machine itself.
fn configured(stage: &Stage, more: &str) {
    let rest = "[compose]\nfiles = []\n[addons]\nroots = []\n[docker]\nmode = \"required\"\n";
    let docker = format!("{rest}containers = [\"{}*\"]\n", stage.prefix);
    let packages = format!("[packages]\ncontainers = [\"{}-*\"]\n", stage.prefix);
    stage.project.file("audit/driftlock.toml", &format!("{docker}{packages}{more}"));
}

/// Puts a file of that text into a container, with the directories above it.
fn put(stage: &Stage, short: &str, path: &str, text: &str) {
    let tree = assert_fs::TempDir::new().unwrap();
    let place = tree.path().join(path.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, text).unwrap();
    stage.docker(&["cp", &format!("{}/.", tree.path().display()), &format!("{}:/", stage.name(short))]);
}

/// The database of this machine's dpkg.
fn debian() -> String {
    fs::read_to_string("/var/lib/dpkg/status").unwrap()
}

/// The findings without the stage's own name.
fn told(stage: &Stage, report: &Value) -> Vec<String> {
    let each = findings(report, "packages").into_iter();
    each.map(|(subject, kind)| format!("{} {kind}", subject.replace(&format!("{}-", stage.prefix), "")))
        .collect()
}

/// A stage with a Debian and an Alpine tree in containers, locked; and a server that is this machine.
fn stage() -> (Stage, Server) {
    let stage = Stage::new();
    let image = stage.image("app:1");
    for name in ["deb", "alp"] {
        stage.start(name, &image, &[]);
    }
    put(&stage, "deb", "/var/lib/dpkg/status", &debian());
    put(&stage, "alp", "/lib/apk/db/installed", APK);
    let server = Server::start(|_| {});
    let target = server.target("prod", &stage.project.root());
    configured(&stage, &target);
    stage.ok(&["export", "--accept"]);
    (stage, server)
}

#[test]
fn needs_docker_needs_mounts_databases_of_dpkg_and_apk_are_read_here_and_over_ssh() {
    let (stage, _server) = stage();
    let line = "dpkg-query -W -f '${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\n' | sed -n 's/^installed\\t//p'";
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let its = |short: &str| -> Vec<String> {
        let begin = format!("{}:", stage.name(short));
        let lock = stage.project.read(LOCK);
        lock.lines().filter_map(|line| line.strip_prefix(&begin).map(str::to_owned)).collect()
    };
    let mut expected: Vec<&str> = listed.lines().collect();
    expected.sort_unstable();
    assert_eq!(its("deb"), expected);
    assert_eq!(its("alp"), ["musl\t1.2.5-r0\tx86_64", "zlib\t1.3-r2\tx86_64"]);
    let look = |more: &[&str]| {
        let (code, report) = stage.check(&[&["--only", "packages"], more].concat());
        (code, told(&stage, &report))
    };
    let both = || {
        let (here, there) = (look(&[]), look(&["--target", "prod"]));
        assert_eq!(here, there);
        here
    };
    assert_eq!(both(), (0, Vec::new()));
    put(
        &stage,
        "alp",
        "/lib/apk/db/installed",
        &APK.replace("1.3-r2", "1.3-r3").replace("P:musl", "P:uclibc"),
    );
    let held = debian().replacen(
        "Package: bash\nEssential: yes\nStatus: install ok",
        "Package: bash\nEssential: yes\nStatus: hold ok",
        1,
    );
    assert_ne!(held, debian());
    put(&stage, "deb", "/var/lib/dpkg/status", &held);
    let expected = ["alp:musl missing", "alp:uclibc unexpected", "alp:zlib modified", "deb:bash modified"];
    assert_eq!(both(), (2, expected.map(str::to_owned).to_vec()));
    let (_, report) = stage.check(&["--only", "packages"]);
    let notes = check_of(&report, "packages")["findings"].to_string();
    assert!(
        !notes.contains("apt-get install"),
        "a container's packages are not undone on the machine: {notes}"
    );
    // Nothing of it is looked at where docker is off, which is counted.
    let (code, report) = stage.check(&["--only", "packages", "--docker", "off"]);
    assert_eq!((code, told(&stage, &report)), (0, Vec::new()));
    assert!(report["coverage"].to_string().contains("because docker is off"), "{}", report["coverage"]);
}

/// Builds packages by rpm, installs them below a directory, takes some away again while somebody reads the database, so that its
/// log is kept, and copies both. Has the headers in databases of the two other kinds, too. Prints what rpm lists in the end, which it
/// lists of the table of Berkeley DB as well.
const RPM_TREE: &str = r#"
set -e
cd "$1"
{
    printf 'Name: whole\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n%%description\nx\n%%files\n'
    for n in $(seq 150); do
        printf '%%package -n part%s\nVersion: %s.%s\nEpoch: %s\nSummary: x\n%%description -n part%s\n' $n $n $((n % 7)) $((n % 3)) $n
        head -c $((n * 97)) /dev/zero | tr '\0' x
        printf '\n%%files -n part%s\n' $n
    done
} >whole.spec
rpmbuild -bb --quiet --define "_topdir $1/top" whole.spec
mkdir root
rpm --root "$1/root" --dbpath /var/lib/rpm -i --nodeps top/RPMS/noarch/*.rpm 2>/dev/null
python3 - "$1" <<'END'
import shutil, sqlite3, struct, subprocess, sys, zlib
base = sys.argv[1] + "/root/var/lib/rpm/rpmdb.sqlite"
count = lambda reader: reader.execute("select count(*) from Packages").fetchone()[0]
reader = sqlite3.connect(base, isolation_level=None)
reader.execute("begin")
assert count(reader) == 151
rpm = ["rpm", "--root", sys.argv[1] + "/root", "--dbpath", "/var/lib/rpm"]
removing = subprocess.Popen([*rpm, "-e", "--nodeps", "part3", "part77", "part150"], stderr=subprocess.DEVNULL)
while count(sqlite3.connect(base)) > 148:
    assert removing.poll() is None
for kind in ["", "-wal"]:
    shutil.copy(base + kind, sys.argv[1] + "/copy" + kind)
# It waits for the reader, to empty the log.
removing.kill()
removing.wait()
reader.close()
form = r"%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n"
query = lambda *where: sorted(subprocess.run([*where, "-qa", "--qf", form], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                             text=True).stdout.splitlines(keepends=True))
listed = query(*rpm)
headers = [blob for blob, in sqlite3.connect(base).execute("select blob from Packages")]
perl = "use DB_File; tie %t, 'DB_File', $ARGV[0], 66, 0600, $DB_HASH or die; while (<STDIN>) { chomp; $t{pack 'V', $n++} = pack 'H*', $_ }"
lines = "\n".join([b"newest".hex(), *(header.hex() for header in headers)])
subprocess.run(["perl", "-e", perl, sys.argv[1] + "/Packages"], check=True, text=True, input=lines)
assert query("rpm", "--dbpath", sys.argv[1], "--define", "_db_backend bdb_ro") == listed
pages = (32 + 16 * len(headers)) // 4096 + 1
slots, blobs = [], b""
for number, header in enumerate(headers, 1):
    size = -(-(len(header) + 28) // 16)
    slots.append(b"Slot" + struct.pack("<3I", number, (pages * 4096 + len(blobs)) // 16, size))
    blob = b"BlbS" + struct.pack("<3I", number, 1, len(header)) + header
    blobs += blob.ljust(size * 16 - 12, b"\0") + struct.pack("<2I", zlib.adler32(blob.ljust(size * 16 - 12, b"\0")), len(header)) + b"BlbE"
head = (b"RpmP" + struct.pack("<4I", 0, 1, pages, len(headers) + 1)).ljust(32, b"\0")
open(sys.argv[1] + "/Packages.db", "wb").write((head + b"".join(slots)).ljust(pages * 4096, b"\0") + blobs)
print("".join(listed), end="")
END
"#;

#[test]
fn needs_docker_needs_mounts_databases_of_rpm_are_read_here_and_over_ssh() {
    let (stage, _server) = stage();
    let tree = assert_fs::TempDir::new().unwrap();
    let made = Command::new("sh").args(["-c", RPM_TREE, "sh"]).arg(tree.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let listed = String::from_utf8(made.stdout).unwrap();
    let log = fs::read(tree.path().join("copy-wal")).unwrap();
    assert!(listed.lines().count() == 148 && !log.is_empty(), "{listed}");
    let image = stage.name("app:1");
    stage.recreate("deb", &image, &[]);
    let place = |name: &str| tree.path().join(name).display().to_string();
    let web = stage.name("deb");
    let copied = |with_log: bool| {
        stage.docker(&["exec", &web, "/bin/busybox", "rm", "-rf", "/usr/lib/sysimage"]);
        stage.docker(&["exec", &web, "/bin/busybox", "mkdir", "-p", "/usr/lib/sysimage/rpm"]);
        let database = format!("{web}:/usr/lib/sysimage/rpm/rpmdb.sqlite");
        stage.docker(&["cp", &place("copy"), &database]);
        if with_log {
            stage.docker(&["cp", &place("copy-wal"), &format!("{database}-wal")]);
        }
    };
    copied(true);
    stage.ok(&["export", "--accept"]);
    let begin = format!("{web}:");
    let locked = stage.project.read(LOCK);
    let its: Vec<&str> = locked.lines().filter_map(|line| line.strip_prefix(&begin)).collect();
    assert_eq!(its, listed.lines().collect::<Vec<_>>());
    let found = |more: &[&str]| {
        let (code, report) = stage.check(&[&["--only", "packages"], more].concat());
        (code, told(&stage, &report))
    };
    // Without the log the database is as it was before.
    let removed = ["deb:part150 unexpected", "deb:part3 unexpected", "deb:part77 unexpected"];
    for (with_log, expected) in [(true, (0, vec![])), (false, (2, removed.map(str::to_owned).to_vec()))] {
        copied(with_log);
        assert_eq!(found(&[]), expected);
        assert_eq!(found(&["--target", "prod"]), expected);
    }
    for kind in ["Packages", "Packages.db"] {
        stage.recreate("deb", &image, &[]);
        stage.docker(&["exec", &web, "/bin/busybox", "mkdir", "-p", "/var/lib/rpm"]);
        stage.docker(&["cp", &place(kind), &format!("{web}:/var/lib/rpm/{kind}")]);
        assert_eq!(found(&[]), (0, vec![]), "{kind}");
        assert_eq!(found(&["--target", "prod"]), (0, vec![]), "{kind}");
    }
}

#[test]
fn needs_docker_needs_mounts_a_container_that_cannot_be_looked_into_is_one_error() {
    let (stage, _server) = stage();
    let why = |short: &str| {
        let both = [&[][..], &["--target", "prod"]].map(|more| {
            let (code, report) = stage.check(&[&["--only", "packages"], more].concat());
            let found = check_of(&report, "packages")["findings"].as_array().unwrap().clone();
            assert_eq!((code, found.len()), (1, 1), "{report:#}");
            let subject = found[0]["subject"].as_str().unwrap();
            assert!(subject.starts_with(&stage.name(short)), "{subject}");
            found[0]["reason"].as_str().unwrap().to_owned()
        });
        assert_eq!(both[0], both[1]);
        both[0].clone()
    };
    let image = stage.name("app:1");
    put(&stage, "deb", "/var/lib/dpkg/updates/0001", "");
    assert!(why("deb").contains("dpkg --configure -a"));
    stage.recreate("deb", &image, &[]);
    assert!(why("deb").contains("neither dpkg nor apk nor rpm"));
    put(&stage, "deb", "/var/lib/rpm/rpmdb.sqlite", "SQLite format 3");
    assert!(why("deb").contains("the database of rpm is damaged (it is none of SQLite)"), "{}", why("deb"));
    stage.recreate("deb", &image, &[]);
    put(&stage, "deb", "/usr/lib/sysimage/rpm/Packages.db", "RpmP");
    assert!(why("deb").contains("the database of rpm is damaged (a slot of it)"), "{}", why("deb"));
    stage.recreate("deb", &image, &["--tmpfs", "/var/lib"]);
    assert!(why("deb").contains("is mounted at /var/lib"), "{}", why("deb"));
    stage.recreate("deb", &image, &[]);
    put(&stage, "deb", "/var/lib/dpkg/status", "Package: bash\n");
    assert!(why("deb").contains("has no status"));
    put(&stage, "deb", "/var/lib/dpkg/status", &debian());
    assert_eq!(stage.check(&["--only", "packages"]).0, 0);
    let before = stage.project.read("audit/driftlock.toml");
    let named = |names: &str| {
        let all = format!("containers = [\"{}-*\"]\n", stage.prefix);
        stage
            .project
            .file("audit/driftlock.toml", &before.replace(&all, &format!("containers = [{names}]\n")));
    };
    named(&format!("\"{}\"", stage.name("alp")));
    assert!(why("deb").contains("does not name it"));
    named(&format!("\"{}-*\", \"nowhere\"", stage.prefix));
    let (code, report) = stage.check(&["--only", "packages"]);
    let found = &check_of(&report, "packages")["findings"][0];
    assert_eq!((code, found["subject"].as_str()), (1, Some("nowhere")));
    assert!(found["reason"].as_str().unwrap().contains("there is no such container"));
    named(&format!("\"{}\", \"{}\"", stage.name("deb"), stage.name("alp")));
    stage.remove("deb");
    assert!(why("deb").contains("there is no such container"));
}
