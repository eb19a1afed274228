//! Steps of an undo as data, and the command line that carries them out where the subject lies.

use super::script;
use super::situation::Situation;
use crate::model::{Digest, joined, quoted, quoted_name, short_id};
use crate::provenance::{How, UndoSource};

/// Where files of a server are put aside.
const ASIDE_THERE: &str = "\"$HOME/driftlock-aside.XXXXXX\"";
/// The directory in which files of this machine are.
const ASIDE_HERE: &[u8] = b"audit/runtime";

/// One step.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// Moves these into new directories.
    PutAside(Vec<Vec<u8>>),
    /// Writes files of a commit.
    Restore(Restore<'a>),
    /// Has the host run this command line.
    Command(String),
    /// Has the engine's client do this with the container.
    Container(&'static str),
    /// Has Compose start the containers of a service anew.
    Restart {
        /// The options that name the compose files.
        files: &'a str,
        /// The project.
        project: &'a str,
        /// The service.
        service: &'a str,
    },
    /// Has Compose make a service anew, and its container with it.
    Recreate {
        /// The options that name the compose files.
        files: &'a str,
        /// The project.
        project: &'a str,
        /// The service.
        service: &'a str,
    },
}

/// Files of a commit, and where they are written.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// The commit, and how they get out of it.
    pub source: &'a UndoSource,
    /// Where the subject lies.
    pub at: Vec<u8>,
    /// Paths in the subject; an empty one is the subject itself.
    pub files: Vec<(&'a [u8], Option<Digest>)>,
}

/// The command line of all steps, one after the other.
pub(super) fn command(steps: &[Step<'_>], situation: &Situation<'_>) -> String {
    let mut lines: Vec<String> = steps.iter().map(|step| line(step, situation)).collect();
    // What the commit holds is asked for before anything is moved.
    if let [Step::PutAside(_), Step::Restore(restore)] = steps {
        let commit = short_id(&restore.source.commit);
        lines.insert(0, format!("{} cat-file -e {commit}", git(situation, restore.source)));
    }
    let line = lines.join(" && ");
    let is_for_host = |step: &Step<'_>| {
        matches!(step, Step::Command(_) | Step::Container(_) | Step::Restart { .. } | Step::Recreate { .. })
    };
    if steps.iter().all(is_for_host) { on_host(&line, situation) } else { line }
}

/// A command line as it is given to the host.
pub(super) fn on_host(line: &str, situation: &Situation<'_>) -> String {
    situation.ssh.map_or_else(|| line.to_owned(), |ssh| format!("{ssh} {}", quoted(line)))
}

/// The command line of one step, where the host itself runs it.
pub(super) fn line(step: &Step<'_>, situation: &Situation<'_>) -> String {
    let docker = situation.docker;
    match step {
        Step::PutAside(paths) => put_aside(paths, situation),
        Step::Restore(restore) => restored(restore, situation),
        Step::Command(line) => line.clone(),
        Step::Container(verb) => format!("{docker} {verb} {}", situation.place),
        Step::Restart { files, project, service } => {
            format!("{docker} compose{files} --project-name {project} restart {service}")
        }
        Step::Recreate { files, project, service } => {
            format!("{docker} compose{files} --project-name {project} up --detach {service}")
        }
    }
}

/// The commands that move these aside: each into a new directory, in which no two of one name meet.
fn put_aside(paths: &[Vec<u8>], situation: &Situation<'_>) -> String {
    let dir = beside(situation.from_here, ASIDE_HERE);
    let template = match situation.ssh {
        Some(_) => ASIDE_THERE.to_owned(),
        None => quoted_name(&[&dir, &b"/aside.XXXXXX"[..]].concat()),
    };
    let name = |path: &[u8]| path.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
    let mut groups: Vec<Vec<&[u8]>> = Vec::new();
    for path in paths {
        let is_free = |group: &&mut Vec<&[u8]>| group.iter().all(|other| name(other) != name(path));
        match groups.iter_mut().find(is_free) {
            Some(group) => group.push(path),
            None => groups.push(vec![path]),
        }
    }
    let make = situation.ssh.is_none().then(|| format!("mkdir -p {}", quoted_name(&dir)));
    let moves = groups
        .into_iter()
        .map(|group| format!("mv --{} \"$(mktemp -d {template})\"", script::quoted_paths(group)));
    let commands: Vec<String> = make.into_iter().chain(moves).collect();
    if situation.host_path.is_none() {
        return commands.join(" && ");
    }
    let commands = format!("{}{}", script::links(situation.above), commands.join("; "));
    on_host(&script::shell(&commands), situation)
}

/// Git as it is called for a source.
fn git(situation: &Situation<'_>, source: &UndoSource) -> String {
    format!("{}{}", situation.git, if source.has_replacements { " --no-replace-objects" } else { "" })
}

/// The command that writes the files of the baseline.
fn restored(restore: &Restore<'_>, situation: &Situation<'_>) -> String {
    let Restore { source, at, files } = restore;
    let (git, commit) = (git(situation, source), short_id(&source.commit));
    if matches!(source.how, How::Restore | How::RestoreAll) {
        return git_restore(&git, commit, source, files);
    }
    let guard = if situation.host_path.is_some() { script::links(situation.above) } else { String::new() };
    let only = if let [only] = files.as_slice() { Some(only) } else { None };
    let sink = match only {
        Some(only) => script::one_file(at, only, source.is_executable),
        None => script::many_files(at, files),
    };
    let sink = on_host(&script::shell(&format!("{guard}{sink}")), situation);
    if let (How::Stored, Some((inner, _))) = (source.how, only) {
        let object = quoted_name(&[commit.as_bytes(), b":", &joined(&source.from, inner)].concat());
        return format!("{git} cat-file -e {object} && {git} cat-file blob {object} | {sink}");
    }
    let from: Vec<Vec<u8>> = files.iter().map(|(inner, _)| joined(&source.from, inner)).collect();
    let paths = script::quoted_paths(from.iter().map(Vec::as_slice));
    let give = if only.is_some() {
        format!("cat \"$t/files/\"{}", quoted_name(&from[0]))
    } else {
        let names: Vec<Vec<u8>> = files.iter().map(|(inner, _)| [b"./", *inner].concat()).collect();
        let names = script::quoted_paths(names.iter().map(Vec::as_slice));
        format!("tar -C \"$t/files/\"{} -cf -{names}", quoted_name(&source.from))
    };
    format!(
        "(t=$(mktemp -d) && trap 'rm -rf -- \"$t\"' EXIT && mkdir \"$t/files\" && export GIT_INDEX_FILE=\"$t/index\" && \
         {git} read-tree {commit} && {git} --work-tree=\"$t/files\" checkout-index --{paths} && {give} | {sink})"
    )
}

/// `git restore` of the subject, or of these files of it.
fn git_restore(git: &str, commit: &str, source: &UndoSource, files: &[(&[u8], Option<Digest>)]) -> String {
    let is_whole = source.how == How::RestoreAll;
    let paths = if is_whole {
        vec![source.to.clone()]
    } else {
        files.iter().map(|(inner, _)| joined(&source.to, inner)).collect()
    };
    let is_pattern =
        |path: &Vec<u8>| path.first() == Some(&b':') || path.iter().any(|b| b"*?[\\".contains(b));
    let literal = if paths.iter().any(is_pattern) { " --literal-pathspecs" } else { "" };
    // What the commit does not have stays, whatever the index says.
    let overlay = if is_whole { " --overlay" } else { "" };
    let paths = script::quoted_paths(paths.iter().map(Vec::as_slice));
    format!("{git}{literal} restore{overlay} --source={commit} --{paths}")
}

/// A path below a directory; the path itself where the directory is the working one.
pub(super) fn beside(dir: &[u8], path: &[u8]) -> Vec<u8> {
    if dir.is_empty() { safe(path) } else { safe(&[dir, b"/", path].concat()) }
}

/// A path that no program takes for an option.
pub(super) fn safe(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"-") { [b"./", path].concat() } else { path.to_vec() }
}
