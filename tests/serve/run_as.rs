//! Terraform on fetched code, as the account that the host's own file names.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use assert_fs::TempDir;
use serde_json::{Value, json};

use super::deployments::{fetching, released};
use crate::support::agent::{AgentProcess, token};
use crate::support::git::git;
use crate::support::keys::Keys;

/// An account that each Debian has.
const ACCOUNT: &str = "daemon";

fn mode(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn asked(program: &str, args: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(args).output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn needs_terraform_fetched_code_is_planned_by_the_account_that_the_host_names() {
    let (repository, keys, host) = (released(), Keys::new(), TempDir::new().unwrap());
    let target =
        |more: &str| format!("[targets.infra]\nterraform = {{ dir = \"environments/prod\"{more} }}\n");
    repository.file("environments/shared.txt", "x\n");
    let code = "resource \"terraform_data\" \"x\" {\n  input = file(\"../shared.txt\")\n}\n";
    repository.file("environments/prod/main.tf", code);
    repository.file("audit/driftlock.toml", &(repository.read("audit/driftlock.toml") + &target("")));
    keys.make("signer", "ed25519");
    git(&repository, &["add", "--all"]);
    let signing = format!("user.signingkey={}", keys.text_path("signer"));
    git(
        &repository,
        &["-c", "gpg.format=ssh", "-c", &signing, "commit", "--quiet", "-S", "--message", "infrastructure"],
    );
    // The program says who it is.
    let (program, told, tmp) =
        (host.path().join("terraform"), host.path().join("told"), host.path().join("tmp"));
    let script =
        "{ id -un; id -u; id -g; id -G; echo \"$HOME\"; grep NoNewPrivs /proc/self/status; } | xargs";
    std::fs::write(&program, format!("#!/bin/sh\n{script} >> {}\nexec terraform \"$@\"\n", told.display()))
        .unwrap();
    std::fs::create_dir(&tmp).unwrap();
    for (path, bits) in [(host.path(), 0o755), (&program, 0o755), (&tmp, 0o1777)] {
        mode(path, bits);
    }
    std::fs::write(host.path().join("signers"), format!("ada@example.org {}\n", keys.public("signer")))
        .unwrap();
    let agent_of = fetching(&repository, "targets = [\"infra\"]\n");
    let file = host.path().join("host.toml");
    let args = ["--host-config", file.to_str().unwrap()];
    let plan = |run_as: &str| -> (Value, Vec<String>) {
        std::fs::write(&told, "").unwrap();
        mode(&told, 0o666);
        let trust = format!("[trust]\nrequire = true\nallowed_signers = \"signers\"\n{run_as}");
        let defined = target(&format!(", binary = \"{}\"", program.display()));
        std::fs::write(&file, format!("{trust}{defined}")).unwrap();
        let name = format!("reader{}", run_as.len());
        let detail = token(&agent_of, &name, "detail", &args);
        let agent = AgentProcess::start_with(&agent_of, &args, &[("TMPDIR", tmp.to_str().unwrap())]);
        let done = agent.wait_for_runs(&detail, 1)["deployments"][0].clone();
        (done, std::fs::read_to_string(&told).unwrap().lines().map(str::to_owned).collect())
    };
    let (done, said) = plan("");
    // It was planned, and nothing was ever applied.
    let is_planned = |done: &Value| done["places"][0]["checks"].to_string().contains("the state is empty");
    assert!(is_planned(&done), "{done:#}");
    assert!(!said.is_empty() && said.iter().all(|line| line.starts_with("root 0 0 ")), "{said:?}");
    let (other, said) = plan(&format!("run_as = \"{ACCOUNT}\"\n"));
    let id = |option: &str| asked("id", &[option, ACCOUNT]);
    let home = asked("getent", &["passwd", ACCOUNT]).split(':').nth(5).unwrap().to_owned();
    let line = format!("{ACCOUNT} {} {} {} {home} NoNewPrivs: 1", id("-u"), id("-g"), id("-G"));
    assert!(said.len() >= 3 && said.iter().all(|it| *it == line), "{line}: {said:#?}\n{other:#}");
    assert_eq!(other["places"][0]["checks"], done["places"][0]["checks"], "{other:#}");
    let left =
        std::fs::read_dir(&tmp).unwrap().flatten().flat_map(|dir| std::fs::read_dir(dir.path()).unwrap());
    assert_eq!(left.count(), 0, "what the account was given is gone");
    for (name, why) in [("nobody-at-all", "there is no such account"), ("root", "is root itself")] {
        let (done, said) = plan(&format!("run_as = \"{name}\"\n"));
        assert_eq!((&done["verdict"], said.len()), (&json!("error"), 0), "{done:#}");
        assert!(done["errors"][0].as_str().unwrap().contains(why), "{done:#}");
    }
}
