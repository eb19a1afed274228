//! The command that makes files on a host as the baseline has them, and removes nothing: what the baseline does not have is
//! put aside.

use super::ways_out::Situation;
use crate::model::{Finding, Kind, Part, SubjectKind, Value, escaped, quoted, quoted_name};
use crate::provenance::{How, UndoSource};
use crate::section::{kind_of, meta_of};

/// Where files of a server are put aside.
const ASIDE_THERE: &str = "\"$HOME/driftlock-aside.XXXXXX\"";
/// How many files a note names.
const NOTED: usize = 5;

/// The command; none where nothing is known to lead back.
pub(super) fn command(situation: &Situation<'_>) -> Option<String> {
    let finding = situation.finding;
    let aside = situation.aside()?;
    if finding.kind == Kind::Unexpected || (!finding.parts.is_empty() && wanted(finding).is_empty()) {
        return (!aside.is_empty()).then(|| situation.there(&aside));
    }
    let source = situation.source?.as_ref().ok()?;
    let back = situation.restored(source)?;
    if aside.is_empty() {
        return Some(back);
    }
    // What the commit holds is asked for before anything is moved.
    let held = format!("{} cat-file -e {}", situation.git_of(source), short(&source.commit));
    Some(format!("{held} && {} && {back}", situation.there(&aside)))
}

/// What must be known of the command before it is run, or why there is none.
pub(super) fn note(situation: &Situation<'_>, has_command: bool) -> Option<String> {
    let finding = situation.finding;
    if finding.kind == Kind::Unexpected {
        return None;
    }
    if !has_command {
        let why = match situation.source? {
            Err(why) => why.as_str(),
            Ok(_) => "more of its files differ than a command can name; deploy the release again",
        };
        return Some(format!("no command undoes this: {why}"));
    }
    let discarded = discarded(finding);
    let listed: Vec<String> = discarded.iter().take(NOTED).map(|path| escaped(path)).collect();
    let more = discarded.len().saturating_sub(NOTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!listed.is_empty()).then(|| {
        format!(
            "undo discards the present content of {}{more}: no commit that was found holds it",
            listed.join(", ")
        )
    })
}

/// The files that would be written over, of which no commit is known to hold what is there.
fn discarded(finding: &Finding) -> Vec<&[u8]> {
    let provenance = finding.provenance.as_deref();
    if finding.kind != Kind::Modified || provenance.is_some_and(|it| it.commit.is_some()) {
        return Vec::new();
    }
    if kind_of(finding.subject.source) != Some(SubjectKind::Tree) {
        return vec![&finding.place];
    }
    let is_held = |path: &[u8]| {
        let files = provenance.iter().flat_map(|it| &it.files);
        files.into_iter().any(|file| file.path == path && file.commit.is_some())
    };
    let over =
        finding.parts.iter().filter(|part| part.expected != Value::Absent && part.actual != Value::Absent);
    over.map(|part| part.path.as_slice()).filter(|path| !is_held(path)).collect()
}

/// The files that the baseline has of a module, and the host not or differently.
fn wanted(finding: &Finding) -> Vec<&[u8]> {
    let parts = finding.parts.iter().filter(|part| part.expected != Value::Absent);
    parts.map(|part| part.path.as_slice()).collect()
}

impl Situation<'_> {
    fn is_module(&self) -> bool {
        kind_of(self.finding.subject.source) == Some(SubjectKind::Tree)
    }

    /// Where the subject lies, from the working directory or on the target.
    fn lies_at(&self) -> Vec<u8> {
        let from_here = |path: &[u8]| beside(self.from_here, path);
        match (self.host_path, self.source) {
            (Some(path), _) => safe(path.to_vec()),
            (None, Some(Ok(source))) => from_here(&source.to),
            (None, _) => from_here(&self.finding.place),
        }
    }

    /// The commands that put aside what the baseline does not have, and what stands in the way of what it has; empty
    /// where there is nothing, none where it must stay or is too much.
    fn aside(&self) -> Option<String> {
        let finding = self.finding;
        let at = self.lies_at();
        if finding.kind == Kind::Unexpected {
            let is_released = finding.provenance.as_ref().is_some_and(|origin| origin.commit.is_some());
            let may_go =
                !meta_of(finding.subject.source).is_some_and(|meta| meta.reaches_outside) && !is_released;
            return may_go.then(|| self.moved(&[at]));
        }
        let mut paths: Vec<&[u8]> = match self.source {
            Some(Ok(source)) => source.aside.iter().map(Vec::as_slice).collect(),
            _ => Vec::new(),
        };
        let is_covered = |path: &[u8], by: &[&[u8]]| {
            by.iter().any(|dir| {
                path.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            })
        };
        // A link is not written through, and only git replaces one.
        let is_copied =
            matches!(self.source, Some(Ok(source)) if matches!(source.how, How::Stored | How::Checkout));
        let is_in_the_way = |part: &&Part| is_copied && matches!(part.actual, Value::Link(_));
        for part in finding.parts.iter().filter(|part| part.kind == Kind::Unexpected || is_in_the_way(part)) {
            if !is_covered(&part.path, &paths) {
                paths.push(&part.path);
            }
        }
        if paths.len() > UndoSource::NAMED || paths.iter().any(|path| path.ends_with(b"\n")) {
            return None;
        }
        Some(self.moved(&paths.iter().map(|path| [&at, &b"/"[..], path].concat()).collect::<Vec<_>>()))
    }

    /// The commands that move these aside: each into a new directory, in which no two of one name meet.
    fn moved(&self, paths: &[Vec<u8>]) -> String {
        let template = match self.ssh {
            Some(_) => ASIDE_THERE.to_owned(),
            None => quoted_name(&beside(self.from_here, b"audit/runtime/aside.XXXXXX")),
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
        let commands = groups.into_iter().map(|group| {
            let words: String = group.into_iter().map(|path| format!(" {}", quoted_name(path))).collect();
            format!("mv --{words} \"$(mktemp -d {template})\"")
        });
        commands.collect::<Vec<_>>().join(" && ")
    }

    /// A command line for where the files lie.
    fn there(&self, command: &str) -> String {
        match self.ssh {
            None => command.to_owned(),
            Some(ssh) => format!("{ssh} {}", quoted(&shell(command))),
        }
    }

    /// Git as it is called for a source.
    fn git_of(&self, source: &UndoSource) -> String {
        format!("{}{}", self.git, if source.has_replacements { " --no-replace-objects" } else { "" })
    }

    /// The command that writes the files of the baseline.
    fn restored(&self, source: &UndoSource) -> Option<String> {
        let files = wanted(self.finding);
        if files.len() > UndoSource::NAMED && source.how != How::RestoreAll {
            return None;
        }
        let (git, commit) = (self.git_of(source), short(&source.commit));
        if matches!(source.how, How::Restore | How::RestoreAll) {
            return Some(restore(&git, commit, source, if self.is_module() { &files } else { &[] }));
        }
        let from = |inner: &[u8]| {
            if inner.is_empty() { source.from.clone() } else { [&source.from, &b"/"[..], inner].concat() }
        };
        let at = self.lies_at();
        let only = match files.as_slice() {
            [] => Some(&b""[..]),
            [only] => Some(*only),
            _ => None,
        };
        let sink = match only {
            Some(inner) => one_file(&at, inner, source.is_executable),
            None => many_files(&at, &files),
        };
        let sink = self.ssh.map_or_else(|| shell(&sink), |ssh| format!("{ssh} {}", quoted(&shell(&sink))));
        if let (How::Stored, Some(inner)) = (source.how, only) {
            let object = quoted_name(&[commit.as_bytes(), b":", &from(inner)].concat());
            return Some(format!("{git} cat-file -e {object} && {git} cat-file blob {object} | {sink}"));
        }
        let each = if files.is_empty() { vec![&b""[..]] } else { files.clone() };
        let paths: String = each.iter().map(|inner| format!(" {}", quoted_name(&from(inner)))).collect();
        let give = if let Some(inner) = only {
            format!("cat \"$t/files/\"{}", quoted_name(&from(inner)))
        } else {
            let names: String =
                files.iter().map(|inner| format!(" {}", quoted_name(&[b"./", *inner].concat()))).collect();
            format!("tar -C \"$t/files/\"{} -cf -{names}", quoted_name(&source.from))
        };
        Some(format!(
            "(t=$(mktemp -d) && trap 'rm -rf -- \"$t\"' EXIT && mkdir \"$t/files\" && export GIT_INDEX_FILE=\"$t/index\" && \
             {git} read-tree {commit} && {git} --work-tree=\"$t/files\" checkout-index --{paths} && {give} | {sink})"
        ))
    }
}

/// `git restore` of the subject, or of these files of it.
fn restore(git: &str, commit: &str, source: &UndoSource, files: &[&[u8]]) -> String {
    let named = source.how == How::Restore && !files.is_empty();
    let paths = if named {
        files.iter().map(|inner| [&source.to, &b"/"[..], inner].concat()).collect()
    } else {
        vec![source.to.clone()]
    };
    let is_pattern =
        |path: &Vec<u8>| path.first() == Some(&b':') || path.iter().any(|b| b"*?[\\".contains(b));
    let literal = if paths.iter().any(is_pattern) { " --literal-pathspecs" } else { "" };
    // What the commit does not have stays, whatever the index says.
    let overlay = if source.how == How::RestoreAll { " --overlay" } else { "" };
    let paths: String = paths.iter().map(|path| format!(" {}", quoted_name(path))).collect();
    format!("{git}{literal} restore{overlay} --source={commit} --{paths}")
}

/// A script as a word of a command line for whatever shell.
fn shell(script: &str) -> String {
    format!("sh -ec {}", quoted(script))
}

/// The directories of a module above one of its files.
fn above<'a>(files: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let cuts = files
        .iter()
        .flat_map(|file| file.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(cut, _)| &file[..cut]));
    let mut all: Vec<&[u8]> = cuts.collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn words<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> String {
    paths.into_iter().map(|path| format!(" {}", quoted_name(path))).collect()
}

/// The script that writes its input to a file, beside which it is made ready: a link is not followed, another name of
/// the same file keeps its content, owner and mode stay.
fn one_file(at: &[u8], inner: &[u8], is_executable: bool) -> String {
    let inside = |path: &[u8]| if path.is_empty() { at.to_vec() } else { [at, b"/", path].concat() };
    let dirs: Vec<Vec<u8>> = above(&[inner]).into_iter().map(inside).collect();
    let mode = if is_executable { "755" } else { "644" };
    format!(
        "f={}; for d in \"$f\"{}; do if [ -L \"$d\" ]; then echo \"$d is a link\" >&2; exit 1; fi; done; \
         mkdir -p -- \"$(dirname -- \"$f\")\"; n=$(mktemp \"$f.XXXXXX\"); trap 'rm -f -- \"$n\"' EXIT; chmod {mode} \"$n\"; \
         if [ -e \"$f\" ]; then cp -p -- \"$f\" \"$n\"; fi; cat > \"$n\"; mv -f -- \"$n\" \"$f\"",
        quoted_name(&inside(inner)),
        words(dirs.iter().map(Vec::as_slice)),
    )
}

/// The script that does the same with a tar archive of files of the module at `at`.
fn many_files(at: &[u8], files: &[&[u8]]) -> String {
    let (at, dirs) = (quoted_name(at), above(files));
    let make =
        if dirs.is_empty() { String::new() } else { format!("mkdir -p --{}; ", words(dirs.iter().copied())) };
    let (dirs, files) = (words(dirs.iter().copied()), words(files.iter().copied()));
    format!(
        "mkdir -p -- {at}; cd -- {at}; t=$(mktemp -d); n=; trap 'rm -rf -- \"$t\" \"$n\"' EXIT; tar -C \"$t\" -xof -; \
         for f in{dirs}{files}; do if [ -L \"$f\" ]; then echo \"$f is a link\" >&2; exit 1; fi; done; {make}\
         for f in{files}; do n=$(mktemp \"./$f.XXXXXX\"); if [ -e \"$f\" ]; then cp -p -- \"$f\" \"$n\"; \
         cat -- \"$t/$f\" > \"$n\"; else cp -p -- \"$t/$f\" \"$n\"; fi; mv -f -- \"$n\" \"$f\"; done"
    )
}

/// A path below a directory; the path itself where the directory is the working one.
fn beside(dir: &[u8], path: &[u8]) -> Vec<u8> {
    if dir.is_empty() { safe(path.to_vec()) } else { safe([dir, b"/", path].concat()) }
}

/// A path that no program takes for an option.
fn safe(path: Vec<u8>) -> Vec<u8> {
    if path.starts_with(b"-") { [b"./", path.as_slice()].concat() } else { path }
}

/// The first digits of a commit's id.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
