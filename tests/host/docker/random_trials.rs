//! Random deploys beside a container and changes inside it: both checks of what a container has say what the container itself reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::container_contents::shell;
use super::container_mounts::{
    FILE, MODULE, MOUNTED, accept, deploy, number, read_below, released, restart, start_with,
};
use crate::support::dice::Dice;
use crate::support::docker::{Stage, check_of};
use crate::support::needs;
use crate::support::random::seed;

/// The paths in the container that are held against the baseline, whether they are mounted or lie in its image.
const HELD: [(&str, &str); 2] = [("erp/mods", "/mnt/addons"), ("erp/proxy", "/etc/proxy")];

/// A stage whose image has the first release of its own.
fn stage_of_trials() -> Stage {
    let stage = released();
    let before = stage.project.read("audit/driftlock.toml");
    let web = stage.name("web");
    let tables = HELD.map(|(is, at)| {
        format!("\n[[docker.contents]]\ncontainer = \"{web}\"\npath = \"{at}\"\nis = \"{is}\"\n")
    });
    stage.project.file("audit/driftlock.toml", &(before + &tables.concat()));
    let image = stage.image("bare:1");
    stage.start("web", &image, &[]);
    shell(&stage, "/bin/busybox mkdir -p /mnt /etc");
    for (from, at) in [("r1/mods", "/mnt/addons"), ("r1/proxy", "/etc/proxy")] {
        stage.docker(&["cp", stage.project.path(from).to_str().unwrap(), &format!("{web}:{at}")]);
    }
    stage.docker(&["commit", &web, &stage.name("app:1")]);
    stage.remove("web");
    stage
}

/// Makes changes of all kinds beside and inside one container after another, checks with these arguments after some of them, and
/// holds every verdict against what the container reads.
#[allow(clippy::print_stdout, reason = "what was tried and told, for whoever runs many of them")]
pub(crate) fn judged_as_read(args: &[&str], before: impl FnOnce(&Stage), trials: u64) {
    let mut dice = Dice(seed());
    let stage = stage_of_trials();
    before(&stage);
    let image = stage.name("app:1");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for trial in 0..trials {
        let chosen: Vec<_> = MOUNTED.into_iter().filter(|_| dice.once_in(2)).collect();
        start_with(&stage, &image, &chosen, trial > 0);
        let mut ways = Vec::new();
        for step in 0..=dice.roll(4) {
            let way = dice.roll(15);
            ways.push(way);
            match way {
                0..11 => deploy(&stage, way, usize::try_from(trial).unwrap() * 10 + step),
                11 => accept(&stage),
                12 => restart(&stage),
                // Where the module or the file is gone, there is nothing to change.
                13 => drop(shell(
                    &stage,
                    "/bin/busybox test -d /mnt/addons/shop && echo x >>/mnt/addons/shop/order.py || true",
                )),
                _ => drop(shell(
                    &stage,
                    "/bin/busybox test -f /etc/proxy/app.conf && echo x >>/etc/proxy/app.conf || true",
                )),
            }
        }
        let web = stage.name("web");
        let read = |at: &str| read_below("docker", &["exec", &web], at);
        let is_stale = |(path, at): &&(&str, &str)| {
            let here = fs::canonicalize(stage.project.path(path)).unwrap();
            read_below("", &[], here.to_str().unwrap()) != read(at)
        };
        let mut expected: BTreeSet<String> =
            chosen.iter().filter(is_stale).map(|(_, at)| format!("container_mounts {at}")).collect();
        for (subject, lock, path, at) in [
            ("/mnt/addons/shop", "odoo_addons_files.sha256.txt", MODULE, "/mnt/addons/shop"),
            ("/etc/proxy/app.conf", "config_sha256.lock.txt", FILE, "/etc/proxy/app.conf"),
        ] {
            let lock = stage.project.read(&format!("audit/locks/{lock}"));
            let locked =
                lock.lines().filter_map(|line| line.split_once("  ")).filter_map(|(digest, file)| {
                    let rest = file.strip_prefix(path)?;
                    Some(format!("{digest}  {rest}"))
                });
            let mut locked: Vec<String> = locked.collect();
            locked.sort();
            if read(at) != locked {
                expected.insert(format!("container_contents {subject}"));
            }
        }
        let only = ["--only", "container_mounts", "--only", "container_contents"];
        let (_, report) = stage.check(&[&only[..], args].concat());
        let found = ["container_mounts", "container_contents"].into_iter().flat_map(|id| {
            let check = check_of(&report, id);
            assert_ne!(check["status"], "ERROR", "trial {trial}, ways {ways:?}: {check:#}");
            let subject = |it: &serde_json::Value| {
                it["subject"].as_str().unwrap().split_once(':').unwrap().1.to_owned()
            };
            check["findings"].as_array().unwrap().iter().map(move |it| format!("{id} {}", subject(it)))
        });
        let found: BTreeSet<String> = found.collect();
        assert_eq!(found, expected, "trial {trial}: {chosen:?}, ways {ways:?}, {report:#}");
        for it in expected {
            *counts.entry(it).or_default() += 1;
        }
    }
    println!("{trials} trials; drift that was told where the container reads it: {counts:#?}");
}

#[test]
fn mounts_and_contents_are_judged_as_the_container_reads_them_needs_root() {
    needs::root();
    judged_as_read(&[], |_| (), number("DRIFTLOCK_TRIALS").unwrap_or(3));
}
