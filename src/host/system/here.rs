//! The texts of this machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use memchr::memmem;

use super::{LATE, Request, Source, Sources, SystemQuery};
use crate::control::child::{ChildError, printed_by_group};
use crate::model::in_words;

/// Where programs of the system lie.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// The texts that a query needs.
pub(in crate::host) fn collect(query: &SystemQuery) -> Sources {
    query.requests().into_iter().map(|request| answer(&request)).collect()
}

fn answer(request: &Request) -> (String, Source) {
    match request {
        Request::File { name, path, .. } => ((*name).to_owned(), given(file(path))),
        Request::List { name, path } => ((*name).to_owned(), given(list(path))),
        Request::Owners { name } => ((*name).to_owned(), given(owners())),
        Request::Search { name, dir, suffix, texts } => {
            ((*name).to_owned(), given(search(dir, suffix, texts)))
        }
        Request::Sums { name, path } => (name.clone(), given(sums(path))),
        Request::Run { name, run, timeout, most } => (name.clone(), output(run, *timeout, *most)),
    }
}

fn given(read: io::Result<Vec<u8>>) -> Source {
    match read {
        Ok(text) => Source::Text(text),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Source::Gone,
        Err(error) => Source::Refused(in_words(&error)),
    }
}

fn file(path: &str) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other(format!("it has more than {} MiB", LARGEST_FILE >> 20)));
    }
    Ok(text)
}

fn list(path: &str) -> io::Result<Vec<u8>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.extend_from_slice(entry?.file_name().as_bytes());
        names.push(b'\n');
    }
    Ok(names)
}

/// The lines of files that hold one of the texts, each behind the path of its file.
fn search(dir: &str, suffix: &str, texts: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.extend(entry?.file_name().into_string());
    }
    let suffix = suffix.trim_start_matches('/');
    names.retain(|name| name.ends_with(suffix) && !name.starts_with('.'));
    names.sort();
    let finders: Vec<memmem::Finder<'_>> = texts.iter().map(memmem::Finder::new).collect();
    let holds = |line: &[u8]| finders.iter().any(|finder| finder.find(line).is_some());
    let mut found = Vec::new();
    for name in names {
        let (path, mut head) = (format!("{dir}/{name}"), format!("{dir}/{name}").into_bytes());
        head.push(b':');
        let text = file(&path)?;
        if !holds(&text) {
            continue;
        }
        for line in text.split(|&b| b == b'\n').filter(|line| holds(line)) {
            found.extend([&head, line, b"\n"].concat());
        }
    }
    Ok(found)
}

fn sums(path: &[u8]) -> io::Result<Vec<u8>> {
    use sha1::Digest as _;
    let path = std::path::Path::new(OsStr::from_bytes(path));
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let (mut md5, mut sha1) = (md5::Md5::new(), sha1::Sha1::new());
    let (mut opened, mut buffer) = (fs::File::open(path)?, vec![0; 1 << 16]);
    loop {
        let read = opened.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        md5.update(&buffer[..read]);
        sha1.update(&buffer[..read]);
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("md5 {}\nsha1 {}\n", hex(&md5.finalize()), hex(&sha1.finalize())).into_bytes())
}

/// Which process has which socket, and the processes' names. One that ends meanwhile has none.
fn owners() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        match fs::read_dir(process.path().join("fd")) {
            Ok(entries) => {
                text.extend(format!("/proc/{pid}/fd:\n").into_bytes());
                for target in entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()) {
                    if target.as_os_str().as_bytes().starts_with(b"socket:[") {
                        text.extend([b"- -> ", target.as_os_str().as_bytes(), b"\n"].concat());
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                text.extend(format!("ls: /proc/{pid}/fd: Permission denied\n").into_bytes());
            }
            Err(_) => continue,
        }
        if let Ok(comm) = fs::read(process.path().join("comm")) {
            text.extend([format!("/proc/{pid}/comm:").as_bytes(), &comm].concat());
        }
    }
    Ok(text)
}

pub(super) fn output(run: &[String], timeout: Duration, most: usize) -> Source {
    output_with(&[], run, timeout, most)
}

/// The output of a program that gets more variables, or others.
pub(super) fn output_with(
    variables: &[(&str, &str)],
    run: &[String],
    timeout: Duration,
    most: usize,
) -> Source {
    let Some((program, arguments)) = run.split_first() else { return Source::Gone };
    let Some(program) = found(program) else { return Source::Gone };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/");
    command.envs(BTreeMap::from([("PATH", PATH), ("LC_ALL", "C"), ("HOME", "/")]));
    command.envs(variables.iter().copied());
    match printed_by_group(&mut command, timeout, most as u64) {
        Ok(printed) => match (printed.status.code(), printed.status.signal()) {
            (Some(0), _) => Source::Text(printed.stdout),
            (Some(code), _) => Source::Refused(format!("it ended with exit code {code}")),
            (None, signal) => Source::Refused(format!("signal {} ended it", signal.unwrap_or_default())),
        },
        Err(ChildError::TooMuch(_)) => Source::Refused(super::too_much(most)),
        Err(ChildError::Late(_)) => Source::Refused(LATE.to_owned()),
        Err(error) => Source::Refused(error.to_string()),
    }
}

/// A program in the directories of the system's programs, or at an absolute path.
fn found(program: &str) -> Option<std::path::PathBuf> {
    let is_there = |path: &std::path::PathBuf| fs::metadata(path).is_ok_and(|meta| meta.is_file());
    if program.starts_with('/') {
        return Some(program.into()).filter(is_there);
    }
    PATH.split(':').map(|dir| std::path::Path::new(OsStr::new(dir)).join(program)).find(is_there)
}
