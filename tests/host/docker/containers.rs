//! Containers on a real engine: what passes, what drifts, and what kind of drift it is.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::docker::{LOCK, Stage, check_of, drift_of, names_of};
use crate::support::world::Alone as _;
use crate::support::{status, wait_until};

const ERP: &str = "infra/stacks/erp/docker-compose.yml";

#[test]
fn what_was_accepted_passes_and_agrees_with_docker_inspect() {
    let stage = Stage::new();
    let (one, two) = (stage.image("app:1"), stage.image("base/proxy:2.0"));
    let nameless = stage.untagged_image();
    for (i, image) in [&one, &two, &one, &two, &one, &one, &nameless].iter().enumerate() {
        stage.start(&format!("c{i}"), image, &[]);
    }
    stage.compose("c7", &one, ERP, "aaaa");
    stage.docker(&["stop", "-t", "0", &stage.name("c0")]);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.check(&[]).0, 0);
    for i in 0..8 {
        let name = format!("c{i}");
        let format = "--format={{.Config.Image}} {{.Image}} {{.State.Status}}";
        let seen = stage.docker(&["inspect", format, &stage.name(&name)]);
        let locked = stage.locked(&name);
        let told = ["image", "imageId", "state"].map(|key| locked[key].as_str().unwrap_or_default());
        assert_eq!(told.join(" "), seen, "{name}");
    }
    let first = stage.project.read(LOCK);
    stage.ok(&["export", "--output", "again"]);
    assert_eq!(stage.project.read("again/docker_images.lock.json"), first, "the same state, the same bytes");
}

/// Changes an accepted stage and expects one finding and nothing else.
fn alone(change: impl FnOnce(&Stage), expected: &str) -> (Stage, Value) {
    let stage = Stage::accepted();
    change(&stage);
    let (code, report) = stage.check(&[]);
    let found = drift_of(&report);
    let expected = expected.replace('@', &format!("{}-", stage.prefix));
    assert_eq!((code, found), (2, vec![expected]), "{report:#}");
    (stage, report)
}

/// The only finding of a check.
fn only<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = check_of(report, check)["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{report:#}");
    &findings[0]
}

#[test]
fn an_image_rebuilt_under_its_tag() {
    let rebuild = |stage: &Stage| {
        let image = stage.image("app:1");
        stage.recreate("web", &image, &[]);
    };
    let (stage, report) = alone(rebuild, "docker_images @web modified rebuilt");
    let finding = only(&report, "docker_images");
    assert_eq!(finding["expected"], stage.locked("web")["imageId"]);
    assert_eq!(finding["actual"], stage.docker(&["inspect", "--format={{.Image}}", &stage.name("web")]));
    let notes = check_of(&report, "docker_images")["notes"].to_string();
    assert!(notes.contains(&stage.name("db")) && !notes.contains(&stage.name("web")), "{notes}");
}

#[test]
fn another_tag() {
    let retag = |stage: &Stage| {
        stage.docker(&["tag", &stage.name("app:1"), &stage.name("app:2")]);
        stage.recreate("web", &stage.name("app:2"), &[]);
    };
    let (stage, report) = alone(retag, "docker_images @web modified tag");
    let finding = only(&report, "docker_images");
    let sides = (finding["expected"].clone(), finding["actual"].clone());
    assert_eq!(sides, (json!(stage.name("app:1")), json!(stage.name("app:2"))));
}

#[test]
fn stopped_paused_and_started_containers() {
    let stop = |stage: &Stage| drop(stage.docker(&["stop", "-t", "0", &stage.name("web")]));
    let (stage, report) = alone(stop, "container_state @web modified state");
    let finding = only(&report, "container_state");
    assert_eq!((&finding["expected"], &finding["actual"]), (&json!("running"), &json!("exited")));
    stage.docker(&["start", &stage.name("web")]);
    stage.docker(&["pause", &stage.name("web")]);
    let (_, report) = stage.check(&[]);
    assert_eq!(only(&report, "container_state")["actual"], "paused");
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.drift(), (0, vec![]), "accepted as it is");
    stage.docker(&["unpause", &stage.name("web")]);
    assert_eq!(stage.drift(), (2, vec!["container_state web modified state".to_owned()]));
}

/// Checks many times in a row: whatever moment it is, the container is one that restarts.
pub(crate) fn always_restarting(stage: &Stage, loopers: &[(&str, &str)], times: usize) {
    for n in 0..times {
        let (code, report) = stage.check(&["--only", "container_state"]);
        let check = check_of(&report, "container_state");
        let (found, error) = (check["findings"].as_array().unwrap(), &check["error"]);
        for (short, expected) in loopers {
            let name = stage.name(short);
            let seen = || stage.docker(&["inspect", "--format={{json .State}} {{.RestartCount}}", &name]);
            let mine = found.iter().find(|it| it["subject"] == name.as_str());
            let told = mine.map(|it| (it["expected"].as_str().unwrap(), it["actual"].as_str().unwrap()));
            assert_eq!((code, told), (2, Some((*expected, "restarting"))), "look {n}: {} {error}", seen());
        }
    }
}

const LOOPS: &[&str] = &["--restart", "always"];

#[test]
fn a_job_that_had_ended_and_restarts_in_a_loop_never_passes() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    let jobs = [("at-once", "exit 1"), ("soon", "/bin/busybox sleep 0.3; exit 1"), ("well", "exit 0")];
    for (job, _) in jobs {
        stage.run_shell(job, &image, &[], "exit 0");
        stage.wait_for_end(job);
    }
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.drift(), (0, vec![]));
    for (job, line) in jobs {
        stage.remove(job);
        stage.run_shell(job, &image, LOOPS, line);
    }
    for (job, _) in jobs {
        stage.wait_for_restarts(job, 2);
    }
    always_restarting(&stage, &jobs.map(|(job, _)| (job, "exited")), 60);
}

#[test]
fn a_service_that_loops_never_passes_and_one_that_has_recovered_does() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    for service in ["web", "db"] {
        stage.start(service, &image, &[]);
    }
    stage.ok(&["export", "--accept"]);
    stage.remove("web");
    stage.run_shell("web", &image, LOOPS, "/bin/busybox sleep 1; exit 1");
    stage.wait_for_restarts("web", 2);
    always_restarting(&stage, &[("web", "running")], 60);
    let told = stage.run(&["check"]).out();
    assert!(told.contains("state: expected running, found restarting\n"), "{told}");
    assert!(!told.contains("undo:"), "no command ends it: {told}");
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.locked("web")["state"], "restarting");
    (0..20).for_each(|_| assert_eq!(stage.drift(), (0, vec![]), "accepted as it is"));
    // It fails at its first start alone, and lives on.
    stage.remove("web");
    stage.run_shell("web", &image, LOOPS, "[ -e /seen ] && exec /bin/busybox sleep 600; : >/seen; exit 1");
    stage.wait_for_restarts("web", 1);
    stage.docker(&["restart", "-t", "0", &stage.name("db")]);
    let settled = || stage.drift().1 == ["container_state web modified state"] && running(&stage, "web");
    // One that was made and started anew within two seconds looks like one that came up for the first time.
    let start = std::time::Instant::now();
    crate::support::wait_until(|| start.elapsed().as_secs() > 10 && settled());
    let (_, report) = stage.check(&[]);
    assert_eq!(
        only(&report, "container_state")["actual"],
        "running",
        "restarted by hand is no loop: {report:#}"
    );
}

/// Whether the container counts as running, after a start or two.
fn running(stage: &Stage, short: &str) -> bool {
    let (_, report) = stage.check(&["--only", "container_state"]);
    let findings = check_of(&report, "container_state")["findings"].as_array().unwrap().clone();
    findings.iter().any(|it| it["subject"] == stage.name(short).as_str() && it["actual"] == "running")
}

#[test]
fn a_container_that_was_never_started_is_not_one_that_has_ended() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.run_shell("job", &image, &[], "exit 0");
    stage.wait_for_end("job");
    let name = stage.name("new");
    let create = ["create", "--net", "none", "--name", &name, &image, "/bin/busybox", "true"];
    stage.docker(&create);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.drift(), (0, vec![]));
    stage.docker(&["start", &name]);
    stage.wait_for_end("new");
    assert_eq!(stage.drift(), (2, vec!["container_state new modified state".to_owned()]));
}

#[test]
fn a_removed_container() {
    let (_stage, report) = alone(|stage| stage.remove("db"), "docker_images @db missing");
    assert_eq!(check_of(&report, "container_state")["subjects"], 1);
    assert_eq!(report["summary"]["failed"], 1);
}

#[test]
fn a_new_container_unless_it_is_to_be_ignored() {
    let add = |stage: &Stage| stage.start("new", &stage.name("app:1"), &[]);
    let (stage, _) = alone(add, "docker_images @new unexpected");
    stage.configure("mode = \"required\"\nunexpected = \"ignore\"");
    let (code, report) = stage.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert!(subjects_left_out(&report).contains("unexpected is \\\"ignore\\\""), "{report:#}");
}

fn subjects_left_out(report: &Value) -> String {
    report["coverage"]["subjects"].to_string()
}

#[test]
fn an_edited_compose_file_that_was_not_applied() {
    let stage = Stage::composed();
    stage.project.file(ERP, "services: {web: {image: odoo, mem_limit: 1g}}\n");
    let (code, report) = stage.check(&[]);
    assert_eq!((code, drift_of(&report)), (2, vec![format!("compose_hashes {ERP} modified content")]));
    assert_eq!(only(&report, "compose_hashes")["layer"], "edited, not applied");
}

#[test]
fn an_edited_compose_file_that_was_applied() {
    let stage = Stage::composed();
    stage.project.file(ERP, "services: {web: {image: odoo, mem_limit: 1g}}\n");
    stage.remove("web");
    stage.compose("web", &stage.name("app:1"), ERP, "bbbb");
    let (code, report) = stage.check(&[]);
    assert_eq!((code, drift_of(&report).len()), (2, 2), "{report:#}");
    assert_eq!(only(&report, "compose_hashes")["layer"], "edited and applied");
    let container = only(&report, "compose_applied");
    assert_eq!((&container["expected"], &container["actual"]), (&json!("aaaa"), &json!("bbbb")));
    assert_eq!(container["layer"], Value::Null);
}

#[test]
fn a_configuration_applied_from_another_file() {
    let stage = Stage::composed();
    stage.project.file("elsewhere/compose.yml", "services: {web: {image: odoo, mem_limit: 1g}}\n");
    for file in [ERP, "elsewhere/compose.yml"] {
        stage.remove("web");
        stage.compose("web", &stage.name("app:1"), file, "bbbb");
        let (code, report) = stage.check(&[]);
        assert_eq!((code, drift_of(&report).len()), (2, 1), "{report:#}");
        let finding = only(&report, "compose_applied");
        let told = (&finding["change"], &finding["layer"]);
        assert_eq!(told, (&json!("config"), &json!("applied from another file")), "{file}");
    }
}

#[test]
fn a_compose_file_that_cannot_be_mapped_is_unknown() {
    let stage = Stage::composed();
    stage.remove("web");
    stage.compose("web", &stage.name("app:1"), "/nowhere/compose.yml", "bbbb");
    let (_, report) = stage.check(&[]);
    assert_eq!(only(&report, "compose_applied")["layer"], "unknown");
}

#[test]
fn a_new_image_explains_a_new_configuration() {
    let stage = Stage::composed();
    stage.remove("web");
    let image = stage.image("app:2");
    stage.compose("web", &image, ERP, "bbbb");
    assert_eq!(stage.drift(), (2, vec!["docker_images web modified tag".to_owned()]));
}

#[test]
fn without_compose_labels_there_is_nothing_applied_to_compare() {
    let stage = Stage::accepted();
    let (code, report) = stage.check(&[]);
    assert_eq!((code, status(&report, "compose_applied")), (0, "SKIP".to_owned()));
    assert_eq!(stage.check(&["--require", "compose_applied"]).0, 1);
}

#[test]
fn a_stack_of_the_real_compose_tool() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    let service = |more: &str| {
        let service = format!("image: {image}, network_mode: none, command: [/bin/busybox, sleep, '600']");
        format!("version: '2.4'\nservices: {{web: {{{service}{more}}}}}\n")
    };
    let up = |more: &str| {
        stage.project.file(ERP, &service(more));
        compose_up(&stage);
    };
    up("");
    stage.ok(&["export", "--accept"]);
    let lock = stage.project.read(LOCK);
    assert!(lock.contains("\"composeService\": \"web\"") && lock.contains("composeConfigHash"), "{lock}");
    assert_eq!(stage.drift(), (0, vec![]));
    stage.project.file(ERP, &service(", mem_limit: 64m"));
    let (_, report) = stage.check(&[]);
    assert_eq!(only(&report, "compose_hashes")["layer"], "edited, not applied");
    compose_up(&stage);
    let (code, report) = stage.check(&[]);
    assert_eq!((code, drift_of(&report).len()), (2, 2), "{report:#}");
    assert_eq!(only(&report, "compose_hashes")["layer"], "edited and applied");
    stage.project.file(ERP, &service(""));
    let (_, report) = stage.check(&[]);
    assert_eq!(only(&report, "compose_applied")["layer"], "applied from another file");
}

/// Applies the stack `erp` as its users do: from the root, with the file named by a relative path.
fn compose_up(stage: &Stage) {
    let mut command = assert_cmd::Command::new("docker-compose");
    command.alone();
    command.current_dir(stage.project.root()).timeout(std::time::Duration::from_secs(60));
    command.args(["-p", &stage.name("erp"), "-f", ERP, "up", "-d", "-t", "0"]).assert().success();
}

#[test]
fn a_tag_that_names_a_newer_image_is_a_note() {
    let stage = Stage::accepted();
    stage.image("app:1");
    let (code, report) = stage.check(&[]);
    assert_eq!((code, drift_of(&report).len()), (0, 0), "{report:#}");
    let notes = check_of(&report, "docker_images")["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].as_str().unwrap().contains("not recreated"), "{notes:?}");
    let told = stage.ok(&["check"]).out();
    assert!(told.contains(&format!("[INFO] {}: {} now names", stage.name("web"), stage.name("app:1"))));
}

#[test]
fn one_off_and_temporary_containers_are_counted_and_left_out() {
    let stage = Stage::accepted();
    let image = stage.name("app:1");
    stage.start("once", &image, &["--label=com.docker.compose.oneoff=True"]);
    stage.start("temporary", &image, &["--rm"]);
    let (code, report) = stage.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let left_out = subjects_left_out(&report);
    assert!(left_out.contains("one-off containers of Compose"), "{left_out}");
    assert!(left_out.contains("containers that remove themselves (--rm)"), "{left_out}");
    stage.ok(&["export", "--output", "out"]);
    let lock = stage.project.read("out/docker_images.lock.json");
    assert!(!lock.contains("-once") && !lock.contains("-temporary"), "{lock}");
}

#[test]
fn an_export_holds_what_the_configuration_names_and_nothing_else() {
    let stage = Stage::accepted();
    let narrow = format!("[docker]\nmode = \"required\"\ncontainers = [\"{}\"]\n", stage.name("web"));
    stage
        .project
        .file("audit/driftlock.toml", &format!("[compose]\nfiles = []\n[addons]\nroots = []\n{narrow}"));
    assert_eq!(stage.check(&[]).0, 0, "what the baseline names is looked at");
    stage.ok(&["export", "--output", "out"]);
    let lock = stage.project.read("out/docker_images.lock.json");
    assert!(lock.contains(&stage.name("web")) && !lock.contains(&stage.name("db")), "{lock}");
}

#[test]
fn one_container_is_accepted_whole_and_alone() {
    for by in ["check", "export"] {
        let stage = Stage::accepted();
        let image = stage.image("app:2");
        stage.recreate("web", &image, &[]);
        stage.docker(&["stop", "-t", "0", &stage.name("web")]);
        stage.remove("db");
        stage.run(&[by]);
        let before = stage.locked("db");
        stage.ok(&["accept", "--yes", "--only", &format!("docker_images/{}", stage.name("web"))]);
        let web = stage.locked("web");
        assert_eq!(
            (&web["image"], &web["state"]),
            (&json!(image), &json!("exited")),
            "{by}: the whole entry"
        );
        assert_eq!(stage.locked("db"), before, "{by}");
        assert_eq!(stage.drift(), (2, vec!["docker_images db missing".to_owned()]), "{by}");
    }
}

#[test]
fn a_container_that_moved_since_the_run_is_not_accepted() {
    let stage = Stage::accepted();
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    stage.check(&[]);
    stage.docker(&["start", &stage.name("web")]);
    let before = stage.project.read(LOCK);
    let ran = stage.run(&["accept", "--yes"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("moved since that run"), "{}", ran.err());
    assert_eq!(stage.project.read(LOCK), before);
}

#[test]
fn an_export_asked_for_on_the_command_line_can_be_accepted() {
    let stage = Stage::new();
    stage.project.file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = []\n");
    stage.start("web", &stage.image("app:1"), &[]);
    stage.ok(&["export", "--docker", "required"]);
    stage.ok(&["accept", "--yes", "--only", &stage.name("web")]);
    assert_eq!(stage.locked("web")["state"], "running");
}

#[test]
fn a_checks_run_can_be_compared_with_the_baseline() {
    let stage = Stage::accepted();
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    stage.remove("db");
    stage.start("new", &stage.name("app:1"), &[]);
    let (_, report) = stage.check(&[]);
    let ran = stage.run(&["diff", "baseline", report["run"].as_str().unwrap(), "--format", "json"]);
    assert_eq!((ran.code(), drift_of(&ran.report())), (2, drift_of(&report)));
    let back = stage.run(&["diff", report["run"].as_str().unwrap(), "baseline", "--format", "json"]);
    let back = drift_of(&back.report()).join("\n").replace(&format!("{}-", stage.prefix), "");
    assert_eq!(
        back,
        "docker_images db unexpected\ndocker_images new missing\ncontainer_state web modified state"
    );
    stage.ok(&["accept", "--yes"]);
    assert_eq!(stage.drift(), (0, vec![]), "all of it can be accepted");
}

#[test]
fn automatic_mode_skips_until_containers_of_the_baseline_were_here() {
    let stage = Stage::accepted();
    stage.configure("mode = \"auto\"");
    stage.remove("web");
    stage.remove("db");
    let (code, report) = stage.check(&[]);
    assert_eq!((code, status(&report, "docker_images")), (0, "SKIP".to_owned()), "{report:#}");
    let reason = "no container of the baseline exists here";
    assert!(report["coverage"]["sections"].to_string().contains(reason), "{report:#}");
    assert!(stage.ok(&["check"]).out().contains(&format!("[SKIP] Docker images: {reason}")));
    assert_eq!(stage.check(&["--docker", "required"]).0, 2, "required compares: they are missing");
}

#[test]
fn automatic_mode_expects_what_was_compared_before() {
    let stage = Stage::accepted();
    stage.configure("mode = \"auto\"");
    assert_eq!(stage.drift(), (0, vec![]));
    stage.remove("web");
    stage.remove("db");
    for _ in 0..2 {
        let missing = ["docker_images db missing", "docker_images web missing"].map(str::to_owned);
        assert_eq!(stage.drift(), (2, missing.to_vec()));
    }
    let ran = stage.run(&["export", "--output", "out", "--only", "docker_images"]);
    assert_eq!(ran.code(), 1, "an empty lock file is never written: {}", ran.out());
}

#[test]
fn automatic_exports_never_take_a_laptops_containers() {
    let stage = Stage::new();
    stage.configure("mode = \"auto\"");
    stage.start("web", &stage.image("app:1"), &[]);
    let told = stage.ok(&["export", "--accept"]).out();
    assert!(told.contains("--docker required writes its lock file"), "{told}");
    assert!(!stage.project.path(LOCK).exists());
    stage.ok(&["export", "--accept", "--docker", "required"]);
    stage.start("worker", &stage.name("app:1"), &[]);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.locked("worker")["state"], "running", "a container of the baseline exists here");
}

#[test]
fn turned_off_there_is_no_line() {
    let stage = Stage::accepted();
    stage.remove("web");
    for (args, config) in [(vec!["--docker", "off"], "required"), (vec![], "off")] {
        stage.configure(&format!("mode = \"{config}\""));
        let (code, report) = stage.check(&args);
        assert_eq!((code, names_of(&report)), (0, vec!["lock_files_exist", "compose_hashes"]));
        assert!(report["coverage"]["sections"].to_string().contains("docker is off"));
        assert!(!stage.run(&[&["check"], args.as_slice()].concat()).out().contains("Docker"));
    }
}

#[test]
fn the_lock_file_is_wanted_where_containers_are_configured() {
    let stage = Stage::accepted();
    std::fs::remove_file(stage.project.path(LOCK)).unwrap();
    for mode in ["required", "auto"] {
        stage.configure(&format!("mode = \"{mode}\""));
        let (code, report) = stage.check(&[]);
        assert_eq!(code, 1, "{mode}");
        let details = &check_of(&report, "lock_files_exist")["details"];
        assert_eq!(details, "1 files missing: docker_images.lock.json;", "{mode}");
        assert_eq!(check_of(&report, "docker_images")["error"], "no baseline", "{mode}");
    }
    stage.project.file("audit/driftlock.toml", "[addons]\nroots = []\n");
    let (code, report) = stage.check(&[]);
    assert_eq!((code, names_of(&report)), (0, vec!["lock_files_exist", "compose_hashes"]));
    assert_eq!(stage.check(&["--docker", "required"]).0, 1);
}

#[test]
fn lock_files_of_the_older_scripts_compare_and_are_brought_up_to_date() {
    let stage = Stage::accepted();
    let old = |name: &str| {
        let locked = stage.locked(name);
        json!({"image": locked["image"], "imageId": locked["imageId"]})
    };
    let images = json!({stage.name("web"): old("web"), stage.name("db"): old("db")});
    let lock = json!({"generated_at": "2026-01-29T15:42:15Z", "images": images});
    let new = stage.project.read(LOCK);
    stage.project.file(LOCK, &lock.to_string());
    let (code, report) = stage.check(&[]);
    assert_eq!((code, drift_of(&report).len()), (0, 0), "{report:#}");
    assert_eq!(status(&report, "container_state"), "SKIP", "the baseline knows no state");
    for commands in [vec![vec!["export", "--accept"]], vec![vec!["export"], vec!["accept", "--yes"]]] {
        stage.project.file(LOCK, &lock.to_string());
        for command in &commands {
            stage.ok(command);
        }
        assert_eq!(stage.project.read(LOCK), new, "{commands:?}");
    }
}

#[test]
fn two_containers_that_swap_their_names_both_drift() {
    let stage = Stage::new();
    stage.start("web", &stage.image("app:1"), &[]);
    stage.start("db", &stage.image("postgres:16"), &[]);
    stage.ok(&["export", "--accept"]);
    for (from, to) in [("web", "swap"), ("db", "web"), ("swap", "db")] {
        stage.docker(&["rename", &stage.name(from), &stage.name(to)]);
    }
    let both = ["docker_images db modified tag", "docker_images web modified tag"].map(str::to_owned);
    assert_eq!(stage.drift(), (2, both.to_vec()));
}

#[test]
fn no_secret_is_written_or_printed() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    let secret = "s3cr3t-value-0123";
    let options = [
        format!("--env=PASSWORD={secret}"),
        format!("--label=com.example.token={secret}"),
        format!("--label=com.docker.compose.depends_on={secret}"),
        format!("--hostname={secret}"),
        "--entrypoint=/bin/busybox".to_owned(),
    ];
    let options = options.each_ref().map(String::as_str);
    let name = stage.name("web");
    let run = ["run", "-d", "--net", "none", "--name", &name];
    stage.docker(&[&run, options.as_slice(), &[&image, "sh", "-c", "sleep 600; : qu1etly"]].concat());
    let mut told = stage.ok(&["export", "--accept"]).out();
    stage.image("app:1");
    stage.docker(&["stop", "-t", "0", &name]);
    for args in [["check", "--format=terminal"], ["check", "--format=json"], ["accept", "--yes"]] {
        let ran = stage.run(&args);
        told += &(ran.out() + &ran.err());
    }
    let written = everything_below(&stage.project.root());
    assert!(told.contains("container_state") && written.contains("docker_images"));
    for word in [secret, "qu1etly", "busybox", "PASSWORD", "com.example"] {
        assert!(!told.contains(word) && !written.contains(word), "{word} in {told}{written}");
    }
}

/// The content of every file below a directory.
fn everything_below(dir: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &everything_below(&path);
        } else {
            text += &String::from_utf8_lossy(&std::fs::read(&path).unwrap());
        }
    }
    text
}

#[test]
fn containers_of_the_project_that_nobody_locked_are_said_to_be_not_compared() {
    let stage = Stage::new();
    let files = "[compose]\nfiles = [\"infra/stacks/*/docker-compose*.yml\"]\n[addons]\nroots = []\n";
    stage.project.file("audit/driftlock.toml", files);
    stage.ok(&["export", "--accept"]);
    let image = stage.image("app:1");
    stage.start("other", &image, &[]);
    let said = |told: String| told.lines().find(|line| line.starts_with("Not compared: ")).map(str::to_owned);
    assert_eq!(said(stage.ok(&["check"]).out()), None, "one of another project is nobody's business here");
    stage.compose("web", &image, "infra/stacks/erp/docker-compose.yml", "aaaa");
    let line = "Not compared: 1 container here (driftlock export --docker required --accept)";
    // An engine under load may need longer than a check waits for it.
    wait_until(|| said(stage.ok(&["check"]).out()).as_deref() == Some(line));
    for on_purpose in ["mode = \"off\"", "containers = []"] {
        stage.project.file("audit/driftlock.toml", &format!("{files}[docker]\n{on_purpose}\n"));
        assert_eq!(said(stage.ok(&["check"]).out()), None, "{on_purpose}");
    }
}
