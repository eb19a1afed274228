//! A git repository around a project, untouched by whatever the user has configured.

use std::process::Command;

use super::Project;

/// Runs git at the root and gives what it printed.
pub(crate) fn git(project: &Project, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(project.root())
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits everything that is there.
pub(crate) fn commit_all(project: &Project, message: &str) {
    git(project, &["add", "--all"]);
    git(project, &["commit", "--quiet", "--message", message]);
}
