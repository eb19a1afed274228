//! `scripts/release.sh` and `[package.metadata.deb]`: everything that the package lists is there, and installs to where it works.

use std::collections::BTreeMap;
use std::path::Path;

use assert_fs::TempDir;

use crate::support::Project;
use crate::support::deploy::{in_repository, ok, program, run, shipped};

/// Where the assets of the package come from and go to.
fn assets() -> Vec<(String, String)> {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(in_repository("Cargo.toml")).unwrap()).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap().iter();
    let text = |asset: &toml::Value, at: usize| asset[at].as_str().unwrap().to_owned();
    assets.map(|asset| (text(asset, 0), text(asset, 1))).collect()
}

/// What the script writes for the package, of the binary that is tested: a build of the profile takes minutes.
fn generated() -> TempDir {
    let (script, dir) = (in_repository("scripts/release.sh"), TempDir::new().unwrap());
    let mut command = program(script.to_str().unwrap());
    ok(command.args(["--generate", env!("CARGO_BIN_EXE_driftlock"), "--out"]).arg(dir.path()));
    dir
}

/// The names that an asset's pattern stands for.
fn matching(pattern: &str, generated: &Path) -> Vec<String> {
    let path = match pattern.strip_prefix("target/package/") {
        Some(inner) => generated.join(inner),
        None => in_repository(pattern),
    };
    let (dir, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
    let (before, after) = name.split_once('*').unwrap_or((name, ""));
    let all = std::fs::read_dir(dir).into_iter().flatten();
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|found| {
            if name.contains('*') {
                found.starts_with(before) && found.ends_with(after)
            } else {
                found == name
            }
        })
        .collect()
}

#[test]
fn what_the_package_lists_is_there() {
    let generated = generated();
    let mut installed = BTreeMap::new();
    for (from, to) in assets() {
        if from == "target/release/driftlock" {
            assert_eq!(to, "usr/bin/");
            continue;
        }
        let found = matching(&from, generated.path());
        assert!(!found.is_empty(), "{from} is not there, and scripts/release.sh does not write it");
        installed.insert(to, found);
    }
    let pages = &installed["usr/share/man/man1/"];
    for page in ["driftlock.1", "driftlock-check.1", "driftlock-export.1"] {
        assert!(pages.iter().any(|found| found == page), "{page} is none of {pages:?}");
    }
    let shipped = std::fs::read_dir(in_repository("deploy/systemd")).unwrap();
    let shipped = shipped.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut units: Vec<String> = shipped.filter(|name| !name.contains(".conf")).collect();
    let mut packed = installed["usr/lib/systemd/system/"].clone();
    units.sort();
    packed.sort();
    assert_eq!(packed, units);
    for unit in packed {
        let text = std::fs::read_to_string(generated.path().join("systemd").join(&unit)).unwrap();
        assert!(!text.contains("/usr/local/"), "{unit} starts what the package does not install");
    }
}

#[test]
fn each_shell_reads_its_completions_where_the_package_puts_them() {
    let generated = generated();
    let completions = generated.path().join("completions");
    let read = |name: &str| std::fs::read_to_string(completions.join(name)).unwrap();
    assert!(read("_driftlock").starts_with("#compdef driftlock"));
    assert!(read("driftlock.fish").contains("complete -c driftlock"));
    let loads = "source \"$0\" && complete -p driftlock";
    let told = ok(program("bash").args(["--norc", "-c", loads]).arg(completions.join("driftlock.bash")));
    assert!(told.contains("-F _driftlock"), "{told}");
}

#[test]
fn the_scripts_of_the_package_succeed_where_no_systemd_is() {
    let empty = TempDir::new().unwrap();
    let path = format!("PATH={}", empty.path().display());
    for (script, action) in [("postinst", "configure"), ("prerm", "remove"), ("postrm", "remove")] {
        let script = in_repository("deploy/debian").join(script);
        ok(program("env").args(["-i", &path, "/bin/sh"]).arg(&script).arg(action));
        ok(program("env").args(["-i", &path, "/bin/sh"]).arg(&script).arg("upgrade"));
    }
}

#[test]
fn the_example_of_a_configuration_is_one() {
    let project = Project::empty();
    project.file("audit/driftlock.toml", &shipped("driftlock.toml"));
    let read = project.run(&["check", "--dry-run"]);
    assert!(read.code() == 0 || !read.err().contains("driftlock.toml"), "{}", read.err());
    project
        .file("audit/driftlock.toml", &shipped("driftlock.toml").replace("retention_days", "retention_dayz"));
    let read = project.run(&["check", "--dry-run"]);
    assert!(read.code() == 1 && read.err().contains("retention_days"), "{}", read.err());
}

#[test]
fn the_script_says_what_is_wrong_with_a_call() {
    let script = in_repository("scripts/release.sh");
    let told = |args: &[&str]| run(program(script.to_str().unwrap()).args(args));
    assert_eq!(told(&["--help"]).code, 0);
    assert!(told(&["--generate", "/etc/passwd"]).err.contains("/etc/passwd is no program"));
    assert!(told(&["--out"]).err.contains("--out needs a value"));
    assert_eq!(told(&["--nonsense"]).code, 1);
}
