//! Line ends of lock files: plain ones, whatever git is configured to do with those of texts.

use std::path::Path;

use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::baseline;
use crate::git::Repository;
use crate::model::{WayOut, quoted, quoted_name};
use crate::project::Project;

/// The file that says what git does with the content of files.
pub(crate) const ATTRIBUTES: &str = ".gitattributes";

/// Rules under which git leaves lock files as they are, those of targets too.
fn rules() -> [String; 2] {
    ["*", "*/*"].map(|below| format!("{}/{below} -text", baseline::PATH))
}

/// What is to be appended to the `.gitattributes` at the root, whose content this is, for git to leave lock files as they
/// are; nothing where git does so, or has these lines last.
pub(crate) fn attributes_to_add(root: &Path, content: &[u8]) -> String {
    let rules = rules();
    let examples = ["compose_sha256.lock.txt", "target/compose_sha256.lock.txt"];
    let examples = examples.map(|name| format!("{}/{name}", baseline::PATH).into_bytes());
    let is_kept = || Repository::around(root).and_then(|repository| repository.keeps_line_ends(&examples));
    let lines: Vec<&[u8]> = content.trim_ascii_end().split(|&b| b == b'\n').map(<[u8]>::trim_ascii).collect();
    let stands_last = lines.ends_with(&[rules[0].as_bytes(), rules[1].as_bytes()]);
    if stands_last || is_kept().unwrap_or(false) {
        return String::new();
    }
    let end = if content.is_empty() || content.ends_with(b"\n") { "" } else { "\n" };
    format!("{end}{}\n{}\n", rules[0], rules[1])
}

/// The way back to plain line ends for those of the lock files (by their names) whose lines have others: git is kept from
/// making them again, and the files are converted where they lie, with whatever else they hold.
pub(crate) fn way_to_plain_ones(project: &Project, names: &[&String]) -> Option<WayOut> {
    let content = |name: &str| read_file_within(&project.locks_dir().join(name), LARGEST_TEXT).ok();
    let has_others = |bytes: &Vec<u8>| bytes.windows(2).any(|two| two == b"\r\n");
    let files: Vec<(&String, Vec<u8>)> =
        names.iter().filter_map(|name| Some((*name, content(name).filter(has_others)?))).collect();
    if files.is_empty() {
        return None;
    }
    let repository = Repository::around(&project.root).ok();
    let is_committed_plain = |(name, bytes): &(&String, Vec<u8>)| {
        let path = format!("{}/{name}", baseline::PATH);
        let object = |repository: &Repository| {
            repository.content(&[b":", &*repository.path(path.as_bytes())].concat()).ok().flatten()
        };
        repository.as_ref().and_then(object).is_some_and(|object| object == without_returns(bytes))
    };
    let is_all = files.iter().all(is_committed_plain);
    let paths: Vec<String> = files.iter().map(|(name, _)| format!("{}/{name}", baseline::PATH)).collect();
    let from_here =
        |path: &str| quoted_name(project.named(&project.root.join(path)).as_os_str().as_encoded_bytes());
    let mut command = format!(
        "sed -i 's/\\r$//' {}",
        paths.iter().map(|path| from_here(path)).collect::<Vec<_>>().join(" ")
    );
    if is_all {
        // Of a file whose length is another than when it was checked out, git says that it is modified until it looks again.
        let paths: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
        command = format!("{command} && {} add -- {}", project.git(), paths.join(" "));
    }
    if repository.is_some() {
        let attributes = read_file_within(&project.root.join(ATTRIBUTES), LARGEST_TEXT).unwrap_or_default();
        command =
            appending(&attributes_to_add(&project.root, &attributes), &from_here(ATTRIBUTES)) + &command;
    }
    let purpose = if is_all { "to have it as it was committed" } else { "to have its lines end plainly" };
    Some(WayOut::new(purpose, command))
}

/// The command that appends these rules to the file unless they stand at its end, with what joins it to another one; nothing
/// where there are none.
fn appending(lines: &str, file: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let [first, second] = rules().map(|rule| quoted(&rule));
    let end = if lines.starts_with('\n') { "\\n" } else { "" };
    // Of several sections each has this command.
    format!(
        "tail -n 2 {file} 2>/dev/null | grep -qxF {first} || printf '{end}%s\\n%s\\n' {first} {second} >> {file}; "
    )
}

/// The bytes with plain line ends.
fn without_returns(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|&b| b == b'\n');
    lines
        .flat_map(|line| line.strip_suffix(b"\r\n").map_or(line.to_vec(), |line| [line, b"\n"].concat()))
        .collect()
}
