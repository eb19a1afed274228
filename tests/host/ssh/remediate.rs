//! Repairs on a server.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::commands::remediate::{host_file, released};
use crate::support::disk::{files_below, temporaries};
use crate::support::sshd::Server;
use crate::support::{Project, Ran};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ORDER: &str = "odoo_modules/seisei/printer/models/order.py";

/// A project, a server that has a copy of it, and the host's own file that names that as a target.
fn on_server(
    setup: impl FnOnce(&mut crate::support::sshd::Setup),
) -> (Project, Server, (tempfile::TempDir, String)) {
    let sshd = Server::start(setup);
    let project = released(|_| {});
    let tree = sshd.dir().join("erp");
    for dir in ["infra", "odoo_modules"] {
        crate::support::disk::copy(&project.path(dir), &tree.join(dir));
    }
    let target = sshd.target("prod", &tree) + "docker = \"off\"\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    crate::support::git::commit_all(&project, "target");
    let host = host_file(&target);
    (project, sshd, host)
}

fn remediate(project: &Project, host: &str, args: &[&str]) -> Ran {
    project.run(&[&["remediate", "--target", "prod", "--host-config", host], args].concat())
}

#[test]
fn files_of_a_server_are_repaired_whole_with_owner_and_mode() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    fs::write(tree.join(EDGE), "by hand\n").unwrap();
    fs::set_permissions(tree.join(EDGE), fs::Permissions::from_mode(0o4640)).unwrap();
    fs::remove_file(tree.join(ORDER)).unwrap();
    fs::create_dir_all(tree.join("odoo_modules/seisei/printer/wizard")).unwrap();
    fs::write(tree.join("odoo_modules/seisei/printer/wizard/it's $(x).py"), "extra\n").unwrap();
    fs::create_dir_all(tree.join("odoo_modules/seisei/rogue/a")).unwrap();
    fs::write(tree.join("odoo_modules/seisei/rogue/__manifest__.py"), "{}\n").unwrap();
    fs::write(tree.join("odoo_modules/seisei/rogue/a/b.py"), "1\n").unwrap();
    let none = project.run(&["remediate", "--target", "prod", "**", "--yes"]);
    assert_eq!(none.code(), 1);
    assert!(none.err().contains("connects and plans only where that says so"), "{}", none.err());
    let ran = remediate(&project, &host, &["**", "--yes"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let here = |dir: &str| files_below(&project.path(dir));
    for dir in ["infra", "odoo_modules"] {
        assert_eq!(files_below(&tree.join(dir)), here(dir));
    }
    assert_eq!(tree.join(EDGE).metadata().unwrap().mode() & 0o7777, 0o640);
    assert!(!tree.join("odoo_modules/seisei/rogue").exists());
    assert!(!tree.join("odoo_modules/seisei/printer/wizard").exists());
    assert_eq!(temporaries(&tree), [] as [std::path::PathBuf; 0]);
    let one = fs::read_dir(project.path("audit/state/replaced")).unwrap().flatten().next().unwrap().path();
    let kept = files_below(&one);
    assert!(
        kept.values().any(|bytes| bytes == b"by hand\n") && kept.values().any(|bytes| bytes == b"extra\n")
    );
    assert_eq!(project.run(&["check", "--target", "prod"]).code(), 0);
}

#[test]
fn nothing_is_written_through_a_link_of_a_server_nor_to_a_file_with_other_names() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let outside = sshd.dir().join("outside");
    crate::support::disk::copy(&tree.join("odoo_modules/seisei/printer/models"), &outside);
    fs::write(outside.join("order.py"), "theirs\n").unwrap();
    fs::rename(tree.join("infra/stacks/edge"), tree.join("aside")).unwrap();
    symlink(tree.join("aside"), tree.join("infra/stacks/edge")).unwrap();
    fs::write(tree.join("aside/docker-compose.yml"), "by hand\n").unwrap();
    let ran = remediate(&project, &host, &["compose_hashes/**", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.err().contains("link") && ran.err().contains("nothing was changed"), "{}", ran.err());
    fs::write(tree.join(ORDER), "by hand\n").unwrap();
    fs::hard_link(tree.join(ORDER), tree.join("other-name")).unwrap();
    let ran = remediate(&project, &host, &["printer", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.err().contains("the file has 2 names"), "{}", ran.err());
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    assert_eq!(read(&tree.join("aside/docker-compose.yml")), "by hand\n");
    assert_eq!(
        (read(&outside.join("order.py")).as_str(), read(&tree.join("other-name")).as_str()),
        ("theirs\n", "by hand\n")
    );
}

#[test]
fn a_link_to_a_directory_of_a_server_is_replaced_itself() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let outside = sshd.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("theirs"), "theirs\n").unwrap();
    fs::remove_file(tree.join(ORDER)).unwrap();
    symlink(&outside, tree.join(ORDER)).unwrap();
    let ran = remediate(&project, &host, &["printer", "--yes"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert!(tree.join(ORDER).symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(tree.join(ORDER)).unwrap(), "class Order: pass\n");
    let names = fs::read_dir(&outside).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["theirs"]);
}

#[test]
fn a_repair_whose_connection_breaks_leaves_each_file_old_or_repaired() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let good = files_below(&tree);
    let names = ["a.py", "b.py", "c.py", "d.py"];
    for trial in 0..4 {
        fs::write(tree.join(EDGE), "by hand\n").unwrap();
        fs::write(tree.join(ORDER), "by hand\n").unwrap();
        for name in names {
            fs::write(tree.join("odoo_modules/seisei/printer").join(name), "x".repeat(100_000)).unwrap();
        }
        let child = project.spawn(&["remediate", "--target", "prod", "--host-config", &host, "**", "--yes"]);
        // Some files are not there any more: it has begun.
        let is_begun = || !tree.join("odoo_modules/seisei/printer/a.py").exists();
        if trial % 2 == 0 {
            crate::support::wait_until(is_begun);
        } else {
            crate::support::wait_until(|| sshd.logins() > 0);
        }
        sshd.end_sessions();
        let ran = crate::support::ended(child);
        assert!([0, 1, 2].contains(&ran.code()), "{}", ran.err());
        for (path, bytes) in files_below(&tree) {
            let is_old = [&b"by hand\n"[..], "x".repeat(100_000).as_bytes()].contains(&bytes.as_slice());
            let is_temporary = path.to_string_lossy().contains("/.driftlock-tmp-");
            assert!(is_old || good.get(&path) == Some(&bytes) || is_temporary, "{}", path.display());
        }
        for left in temporaries(&tree) {
            fs::remove_dir_all(left).unwrap();
        }
        if project.run(&["check", "--target", "prod"]).code() == 2 {
            let ran = remediate(&project, &host, &["**", "--yes"]);
            assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
        }
        assert_eq!(files_below(&tree), good);
    }
}
