//! A git repository around a project, untouched by whatever the user has configured, and histories made for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use driftlock::model::{Digest, Entry, Leaf, SectionId, State, TreeBuilder, Value};

use super::Project;
use super::world::Alone as _;

fn command(project: &Project, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(project.root())
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        .args(args);
    command.alone();
    command
}

/// Runs git at the root and gives what it printed.
pub(crate) fn git(project: &Project, args: &[&str]) -> String {
    let output = command(project, args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits everything that is there.
pub(crate) fn commit_all(project: &Project, message: &str) {
    git(project, &["add", "--all"]);
    git(project, &["commit", "--quiet", "--message", message]);
}

/// What stands at a path: content, or the target of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    File(Vec<u8>),
    Link(String),
}

/// All files of a commit.
pub(crate) type Files = BTreeMap<String, Made>;

/// A history that is put into a repository in one go; commits are numbered from 1.
#[derive(Default)]
pub(crate) struct History {
    stream: Vec<u8>,
    commits: usize,
}

impl History {
    /// Adds a commit with exactly these files, on a branch; the first parent and those that are merged by number.
    pub(crate) fn commit(
        &mut self,
        branch: &str,
        author: &str,
        subject: &str,
        parents: &[usize],
        files: &Files,
    ) -> usize {
        self.begin(branch, author, subject, parents);
        self.stream.extend_from_slice(b"deleteall\n");
        for (path, made) in files {
            let (mode, bytes) = match made {
                Made::File(bytes) => ("100644", bytes.as_slice()),
                Made::Link(target) => ("120000", target.as_bytes()),
            };
            self.stream.extend(format!("M {mode} inline {path}\ndata {}\n", bytes.len()).bytes());
            self.stream.extend_from_slice(bytes);
            self.stream.push(b'\n');
        }
        self.commits
    }

    /// Adds a commit that changes one file of the commit before on the branch.
    pub(crate) fn change(&mut self, branch: &str, subject: &str, path: &str, bytes: &[u8]) {
        let parents: Vec<usize> = (self.commits > 0).then_some(self.commits).into_iter().collect();
        self.begin(branch, "Ada <ada@example.org>", subject, &parents);
        self.stream.extend(format!("M 100644 inline {path}\ndata {}\n", bytes.len()).bytes());
        self.stream.extend_from_slice(bytes);
        self.stream.push(b'\n');
    }

    /// Adds a commit that changes these files of its first parent.
    pub(crate) fn patch(
        &mut self,
        branch: &str,
        subject: &str,
        parents: &[usize],
        files: &[(&str, &str)],
    ) -> usize {
        self.begin(branch, "Ada <ada@example.org>", subject, parents);
        for (path, text) in files {
            self.stream.extend(format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len()).bytes());
        }
        self.commits
    }

    fn begin(&mut self, branch: &str, author: &str, subject: &str, parents: &[usize]) {
        self.commits += 1;
        let (mark, time) = (self.commits, 1_700_000_000 + self.commits * 60);
        let mut head = format!("commit refs/heads/{branch}\nmark :{mark}\n");
        let _ = write!(head, "author {author} {time} +0100\ncommitter Ada <ada@example.org> {time} +0100\n");
        let _ = write!(head, "data {}\n{subject}\n", subject.len());
        for (at, parent) in parents.iter().enumerate() {
            let _ = writeln!(head, "{} :{parent}", if at == 0 { "from" } else { "merge" });
        }
        self.stream.extend(head.bytes());
    }

    /// Makes a repository of it at the root; nothing is checked out. The ids of the commits, the first one at 1.
    pub(crate) fn put(self, project: &Project) -> Vec<String> {
        git(project, &["init", "--quiet"]);
        let marks = project.path(".git/marks");
        let export = format!("--export-marks={}", marks.display());
        let mut import = command(project, &["fast-import", "--quiet", &export]);
        let mut child = import.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&self.stream).unwrap();
        assert!(child.wait().unwrap().success());
        let mut ids = vec![String::new(); self.commits + 1];
        for line in std::fs::read_to_string(marks).unwrap().lines() {
            let (mark, id) = line.split_once(' ').unwrap();
            id.clone_into(&mut ids[mark[1..].parse::<usize>().unwrap()]);
        }
        ids
    }
}

/// Adds the lock files of these files: compose files below `infra/`, modules without their `static/lib`, and `config/`.
pub(crate) fn locked(files: &Files) -> Files {
    let mut states: BTreeMap<&str, State> =
        ["compose", "addons", "config"].map(|id| (id, State::default())).into();
    let mut put = |section: &'static str, place: &str, entry: Entry| {
        states.get_mut(section).unwrap().entries.insert(place.as_bytes().to_vec(), entry);
    };
    let mut modules: BTreeMap<&str, TreeBuilder> = BTreeMap::new();
    for path in files.keys().filter(|path| path.ends_with("/__manifest__.py")) {
        modules.insert(path.strip_suffix("/__manifest__.py").unwrap(), TreeBuilder::default());
    }
    for (path, made) in files.iter().filter(|(path, _)| !path.contains("/static/lib/")) {
        let leaf = match made {
            Made::File(bytes) => Leaf::File(Digest::of(bytes)),
            Made::Link(target) => Leaf::Link(Digest::of(target.as_bytes())),
        };
        let entry = || Entry { value: leaf.into(), tree: None, stat: None };
        if path.starts_with("infra/") {
            put("compose", path, entry());
        } else if path.starts_with("config/") {
            put("config", path, entry());
        } else if let Some((place, module)) = modules
            .iter_mut()
            .find(|(place, _)| path.strip_prefix(**place).is_some_and(|p| p.starts_with('/')))
        {
            module.push(&path.as_bytes()[place.len() + 1..], leaf, None);
        }
    }
    for (place, module) in modules {
        let tree = module.build();
        put("addons", place, Entry { value: Value::Digest(tree.digest()), tree: Some(tree), stat: None });
    }
    let mut all = files.clone();
    for (id, state) in states.into_iter().filter(|(_, state)| !state.entries.is_empty()) {
        let section = driftlock::section::find(SectionId(id)).unwrap();
        for (name, bytes) in section.lock_files().iter().zip(section.print(&state)) {
            all.insert(format!("audit/locks/{name}"), Made::File(bytes));
        }
    }
    all
}
