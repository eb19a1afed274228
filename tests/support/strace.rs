//! The binary under `strace`: which calls it makes, and signals at one of them.

use assert_fs::NamedTempFile;

use super::world::Alone as _;
use super::{GUARD, Project, Ran};

/// A call of the first thread of a process: its name, and which one of that name it is.
pub(crate) type Moment = (String, usize);

impl Project {
    /// Runs the binary at the root, all its threads and children traced: what came of it, and these calls, one a line.
    pub(crate) fn traced(&self, args: &[&str], calls: &str, options: &[&str]) -> (Ran, String) {
        let file = NamedTempFile::new("calls").unwrap();
        let mut strace = assert_cmd::Command::new("strace");
        strace.alone().args(["-f", "-qq", "-e", "signal=none", "-e"]);
        strace.arg(format!("trace={calls}")).args(options).arg("-o").arg(file.path());
        strace.arg(env!("CARGO_BIN_EXE_driftlock")).args(args);
        let ran = Ran(strace.current_dir(self.root()).timeout(GUARD).output().unwrap());
        (ran, std::fs::read_to_string(file.path()).unwrap())
    }

    /// Runs the binary, which is sent a signal just before one of these calls.
    pub(crate) fn signalled(&self, args: &[&str], calls: &str, (name, at): &Moment, signal: &str) -> Ran {
        self.traced(args, calls, &["-e", &format!("inject={name}:signal={signal}:when={at}")]).0
    }
}

/// The calls of the first thread in a trace.
pub(crate) fn moments(trace: &str) -> Vec<Moment> {
    let first = trace.split(' ').next().unwrap();
    let calls = trace.lines().filter_map(|line| line.strip_prefix(first)?.trim_start().split_once('('));
    let mut all: Vec<Moment> = Vec::new();
    for (name, _) in calls.filter(|(name, _)| !name.starts_with('<')) {
        let at = 1 + all.iter().filter(|(other, _)| other == name).count();
        all.push((name.to_owned(), at));
    }
    all
}
