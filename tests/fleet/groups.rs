//! Groups of targets: wherever targets are named, and what comes of groups without sense.

use std::process::Command;

use super::{EDGE, Worker, fleet, named, sweep, table};
use crate::support::redis::Redis;
use crate::support::{Project, world};

const GROUPS: &str = "[groups]\nweb = [\"alpha\", \"beta\"]\neast = [\"gamma\", \"@web\"]\n";

/// A fleet of three with two groups, the last target with drift.
fn grouped() -> Project {
    let project = fleet(&named(&["alpha", "beta", "gamma"]));
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + GROUPS));
    project.file(&format!("servers/gamma/{EDGE}"), "drift\n");
    project
}

fn rows(out: &str) -> Vec<String> {
    table(out)[1..].iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn a_group_stands_for_its_members_wherever_targets_are_named() {
    let project = grouped();
    let web = project.run(&["check", "--target", "@web"]);
    assert_eq!((web.code(), rows(&web.out())), (0, named(&["alpha", "beta"])), "{}", web.err());
    let east = project.run(&["check", "--target", "beta", "--target", "@east"]);
    assert_eq!((east.code(), rows(&east.out())), (2, named(&["beta", "gamma", "alpha"])), "each once");
    project.file("some", "# those of the east\n@web\ngamma\nalpha\n");
    let some = project.run(&["fleet", "check", "--targets", "some"]);
    assert_eq!((some.code(), rows(&some.out())), (2, named(&["alpha", "beta", "gamma"])), "{}", some.err());
    let fleet = project.run(&["fleet", "check", "--target", "@web"]);
    assert_eq!((fleet.code(), rows(&fleet.out())), (0, named(&["alpha", "beta"])), "{}", fleet.err());
    let status = project.run(&["status", "--target", "@web"]);
    assert_eq!((status.code(), status.out().lines().count()), (0, 2), "{}", status.out());
    let past = project.ok(&["history", "--target", "@web", "--format", "csv"]).out();
    assert!(past.contains("alpha") && past.contains("beta") && !past.contains("gamma"), "{past}");
    let newest = project.ok(&["report", "--target", "@web", "--format", "json"]).report();
    assert_eq!(newest["reports"].as_array().unwrap().len(), 2);
}

#[test]
fn a_group_is_shared_among_workers_as_its_targets_are() {
    let (project, redis) = (grouped(), Redis::start(""));
    let _worker = Worker::start(&project, &redis, &[]);
    let web = sweep(&project, &redis, &["--target", "@web"]);
    assert_eq!((web.code(), rows(&web.out())), (0, named(&["alpha", "beta"])), "{}", web.err());
}

#[test]
fn groups_without_sense_are_said() {
    let project = grouped();
    let refused = |args: &[&str], why: &str| {
        let ran = project.run(args);
        assert!(ran.code() == 1 && ran.err().contains(why), "{args:?}: {}{}", ran.out(), ran.err());
    };
    refused(&["check", "--target", "@none"], "no group \"@none\"");
    refused(&["check", "--target", "@none"], "configured: @east, @web");
    refused(&["explain", EDGE, "--target", "@web"], "\"@web\" is a group, and one target is needed here");
    refused(&["explain", EDGE, "--target", "@web"], "name one of alpha, beta");
    refused(&["watch", "--target", "@web"], "a watcher watches one place");
    refused(&["check", "@web"], "driftlock check --target");
    project.file("some", "alpha\n@none\n");
    refused(&["fleet", "check", "--targets", "some"], "some: line 2: no group \"@none\"");
    let toml = project.read("audit/driftlock.toml").replace(GROUPS, "");
    for (groups, why) in [
        ("web = []\n", "groups.web: it is empty"),
        ("web = [\"none\"]\n", "groups.web: \"none\" is neither a target"),
        ("a = [\"@b\"]\nb = [\"@a\"]\n", "contain each other: @a > @b > @a"),
    ] {
        project.file("audit/driftlock.toml", &format!("{toml}[groups]\n{groups}"));
        refused(&["check", "--all"], why);
        refused(&["fleet", "check"], why);
    }
}

#[test]
fn groups_are_completed_where_several_targets_may_stand() {
    let project = grouped();
    let complete = |words: &[&str]| {
        let mut command = Command::new(world::driftlock().get_program());
        command.arg("--").arg("driftlock").args(words).env("COMPLETE", "fish").current_dir(project.root());
        let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
        out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<String>>()
    };
    for words in
        [&["check", "--target", "@"][..], &["fleet", "check", "--target", "@"], &["status", "--target", "@"]]
    {
        assert_eq!(complete(words), ["@east", "@web"], "{words:?}");
    }
    assert!(complete(&["explain", "x", "--target", "@"]).is_empty(), "one target alone");
    assert_eq!(complete(&["explain", "x", "--target", "a"]), ["alpha"]);
}
