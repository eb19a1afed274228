//! A project of an ordinary user, for whom rights count also where the tests run as root.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;
use std::time::Duration;

use assert_cmd::Command;
use assert_fs::TempDir;

use super::world::Alone as _;
use super::{Project, Ran};

/// Numeric user and group of `nobody`.
const NOBODY: u32 = 65534;

/// Whether the tests run as root.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Project {
    /// Gives the whole tree to the ordinary user that [`Project::as_user`] runs as.
    pub(crate) fn hand_over(&self) {
        if is_root() {
            give(self.dir.path());
        }
    }

    /// Runs the binary at the root as an ordinary user.
    pub(crate) fn as_user(&self, args: &[&str]) -> Ran {
        self.as_user_with(args, &[])
    }

    /// The same with more environment.
    pub(crate) fn as_user_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.as_user_by(&["env"], args, environment)
    }

    /// The same, started by a program that ends as what it starts.
    pub(crate) fn as_user_by(&self, by: &[&str], args: &[&str], environment: &[(&str, &str)]) -> Ran {
        let dir = TempDir::new().unwrap();
        let mut command = self.command_of_user(by, dir.path());
        command.args(args).envs(environment.iter().copied());
        Ran(Command::from_std(command).timeout(Duration::from_secs(60)).output().unwrap())
    }

    /// A command for the binary at the root as an ordinary user, who finds it in `dir`.
    pub(crate) fn command_of_user(&self, by: &[&str], dir: &Path) -> StdCommand {
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = StdCommand::new(by[0]);
        command.args(&by[1..]).arg(reachable_binary(dir));
        command.current_dir(self.dir.path()).alone();
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs the binary as an ordinary user among mounts of its own, which root makes by a line of shell.
    pub(crate) fn as_user_where(&self, mounts: &str, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        let dir = TempDir::new().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let line =
            format!("{mounts} && exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"$@\"");
        let mut command = StdCommand::new("unshare");
        command.args(["--mount", "sh", "-c", &line, "sh"]).arg(reachable_binary(dir.path())).args(args);
        command.current_dir(self.dir.path()).alone().envs(environment.iter().copied());
        Ran(Command::from_std(command).timeout(Duration::from_secs(60)).output().unwrap())
    }

    /// Sets a path's rights until the answer is dropped.
    pub(crate) fn with_mode(&self, path: &str, mode: u32) -> Rights {
        let path = self.path(path);
        let before = std::fs::metadata(&path).unwrap().permissions().mode();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        Rights { path, before }
    }
}

/// Rights of a path that are put back when this is dropped.
pub(crate) struct Rights {
    path: PathBuf,
    before: u32,
}

impl Drop for Rights {
    fn drop(&mut self) {
        let _ = std::fs::set_permissions(&self.path, PermissionsExt::from_mode(self.before));
    }
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// The build directory may be closed to others, so the binary is copied; by `install`, because a file that
/// this process writes may still be open in a child of another test when it is started.
fn reachable_binary(dir: &Path) -> PathBuf {
    let binary = dir.join("driftlock");
    let copied =
        StdCommand::new("install").args(["-m", "755", env!("CARGO_BIN_EXE_driftlock")]).arg(&binary).status();
    assert!(copied.unwrap().success());
    binary
}
