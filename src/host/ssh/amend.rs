//! Single files of a server that are looked at and changed: one script for all of them, over the connection of the look.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use data_encoding::BASE64;

use super::error::ScriptError;
use super::remote::SshHost;
use super::survey::{SurveyError, quoted_word};
use crate::control::nonce;
use crate::host::amend::{LARGEST_AMENDED, PLAIN_MODE, tail};
use crate::host::{
    AmendFault, Executed, Execution, FileChange, FilePlace, HostError, Ownership, PlaceDigest, PlaceState,
    Watch,
};
use crate::model::{Digest, escaped};

const AMEND: &str = include_str!("amend.sh");
/// What a login shell may say besides, and what is told of each file but its content.
const NOISE: u64 = 4 << 20;

/// Reads the answer about the place of this number.
type ReadAnswer<'a, T> = dyn Fn(usize, &[String]) -> Result<T, AmendFault> + 'a;

/// One request: the script, and what is awaited of it.
struct AmendRequest {
    nonce: String,
    script: Vec<u8>,
    count: usize,
    limit: u64,
}

impl AmendRequest {
    /// The calls of the script, each of which may read what follows it.
    fn of(calls: &[Vec<u8>], limit: u64) -> Self {
        let nonce = nonce();
        let largest = format!("largest={LARGEST_AMENDED}\n");
        // Nothing runs before all of it has arrived.
        let mut script = [AMEND.as_bytes(), largest.as_bytes(), b"main() {\n"].concat();
        script.extend(format!("printf '%s\\n' {nonce}-begin\n").into_bytes());
        for (item, call) in calls.iter().enumerate() {
            script.extend([format!("( item={item} step=0\n").as_bytes(), call, b"\n)\n"].concat());
        }
        script.extend(format!("printf '%s\\n' {nonce}-end\n}}\nmain\n").into_bytes());
        Self { nonce, script, count: calls.len(), limit }
    }

    /// The lines of each call's answer.
    fn answers(&self, said: &[u8]) -> Result<Vec<Vec<String>>, SurveyError> {
        let text = String::from_utf8_lossy(said);
        let begin = format!("{}-begin", self.nonce);
        let Some(at) = text.find(&begin) else { return Err(SurveyError::NotBegun) };
        let Some(end) = text[at..].find(&format!("{}-end", self.nonce)) else { return Err(SurveyError::Cut) };
        let mut answers: Vec<Vec<String>> = vec![Vec::new(); self.count];
        let mut current = None;
        for line in text[at + begin.len()..at + end].lines().filter(|line| !line.is_empty()) {
            let first = line.split(' ').next().and_then(|word| word.parse::<usize>().ok());
            if let (None, Some(item)) = (current, first) {
                let answer = answers.get_mut(item).ok_or(SurveyError::Count)?;
                answer.push(line.to_owned());
                let has_more = matches!(line.split(' ').nth(1), Some("f" | "l"));
                current = has_more.then_some(item);
            } else if let Some(item) = current {
                if line == "." {
                    current = None;
                } else {
                    answers[item].push(line.to_owned());
                }
            } else {
                return Err(SurveyError::Garbled);
            }
        }
        if answers.iter().any(Vec::is_empty) { Err(SurveyError::Count) } else { Ok(answers) }
    }
}

/// The words that lead the shell into the directory of a place.
fn way(place: &FilePlace, makes: bool) -> Result<(Vec<u8>, Vec<u8>), AmendFault> {
    let (dirs, name) = place.steps()?;
    if place.path.contains(&b'\n') || place.base.as_os_str().as_bytes().contains(&b'\n') {
        return Err(AmendFault::BadPath);
    }
    let mut words = format!("makes={}\n", u8::from(makes)).into_bytes();
    words.extend([b"base ", quoted_word(place.base.as_os_str().as_bytes()).as_slice(), b"\n"].concat());
    for dir in dirs {
        words.extend([b"down ", quoted_word(dir).as_slice(), b"\n"].concat());
    }
    Ok((words, quoted_word(name)))
}

fn look_call(place: &FilePlace) -> Result<Vec<u8>, AmendFault> {
    let (way, name) = way(place, false)?;
    Ok([&way, b"tell ".as_slice(), &name].concat())
}

fn change_call(change: &FileChange) -> Result<Vec<u8>, AmendFault> {
    let (way, name) = way(&change.place, change.after != PlaceState::Nothing)?;
    let before = match change.before {
        PlaceDigest::Nothing => "n".to_owned(),
        PlaceDigest::File(digest) => format!("f{digest}"),
        PlaceDigest::Link(digest) => format!("l{digest}"),
    };
    let call = match &change.after {
        PlaceState::Nothing => {
            let (dirs, _) = change.place.steps()?;
            let dirs = dirs.iter().rev().take(change.may_empty);
            let dirs: Vec<u8> = dirs.flat_map(|dir| [b" ", quoted_word(dir).as_slice()].concat()).collect();
            [b"gone ", name.as_slice(), format!(" {before}").as_bytes(), &dirs].concat()
        }
        PlaceState::Link(text) => {
            if text.contains(&b'\n') || text.contains(&0) {
                return Err(AmendFault::BadPath);
            }
            [b"link ", name.as_slice(), format!(" {before} ").as_bytes(), &quoted_word(text)].concat()
        }
        PlaceState::File { bytes, ownership } => {
            let size = bytes.len() as u64;
            if size > LARGEST_AMENDED {
                return Err(AmendFault::TooLarge(size));
            }
            let mode = ownership.mode & PLAIN_MODE;
            let owner = if change.keeps_owner {
                format!("{}:{}", ownership.uid, ownership.gid)
            } else {
                String::new()
            };
            let digest = Digest::of(bytes);
            let words = format!(" {before} {mode:o} '{owner}' {digest} <<'driftlock-content'\n");
            [b"put ", name.as_slice(), words.as_bytes(), &lines_of_base64(bytes), b"driftlock-content"]
                .concat()
        }
    };
    Ok([way, call].concat())
}

/// Bytes as lines of base64, as every decoder takes them.
fn lines_of_base64(bytes: &[u8]) -> Vec<u8> {
    let text = BASE64.encode(bytes).into_bytes();
    text.chunks(76).flat_map(|line| [line, b"\n"].concat()).collect()
}

/// What an answer says of a place.
fn standing(answer: &[String]) -> Result<PlaceState, AmendFault> {
    let garbled = || AmendFault::System(SurveyError::Garbled.to_string());
    let words: Vec<&str> = answer[0].split(' ').collect();
    let content = || BASE64.decode(answer[1..].concat().as_bytes()).map_err(|_| garbled());
    match words.as_slice() {
        [_, "n"] => Ok(PlaceState::Nothing),
        [_, "l"] => Ok(PlaceState::Link(content()?)),
        [_, "f", mode, uid, gid] => {
            let mode = u32::from_str_radix(mode, 8).map_err(|_| garbled())?;
            let id = |text: &str| text.parse::<u32>().map_err(|_| garbled());
            let ownership = Ownership { mode, uid: id(uid)?, gid: id(gid)? };
            Ok(PlaceState::File { bytes: content()?.into(), ownership })
        }
        _ => Err(fault(&words, None)),
    }
}

/// What an answer says of a change.
fn outcome(answer: &[String], place: &FilePlace) -> Result<(), AmendFault> {
    let words: Vec<&str> = answer[0].split(' ').collect();
    if let [_, "ok"] = words.as_slice() { Ok(()) } else { Err(fault(&words, Some(place))) }
}

fn fault(words: &[&str], place: Option<&FilePlace>) -> AmendFault {
    let system = |text: &str| AmendFault::System(text.to_owned());
    match words {
        [_, "x", "moved"] => AmendFault::Moved,
        [_, "x", "file"] => AmendFault::NoFile,
        [_, "x", "names", count] => AmendFault::ManyNames(count.parse().unwrap_or(2)),
        [_, "x", "large", size] => AmendFault::TooLarge(size.parse().unwrap_or(LARGEST_AMENDED + 1)),
        [_, "x", "dir", step] => {
            let dirs = place.and_then(|place| place.steps().ok()).map(|(dirs, _)| dirs).unwrap_or_default();
            let dir = step.parse::<usize>().ok().and_then(|step| dirs.get(step).copied());
            AmendFault::NoDirectory(dir.map_or_else(|| "a directory".to_owned(), escaped))
        }
        [_, "x", "base"] => system("the directory that the target's tree lies in is not there"),
        [_, "x", "full"] => system("its new content could not be written whole; is the disk full?"),
        [_, "x", "owner"] => system("its owner cannot be kept by this user; set sudo = true in its target"),
        [_, "x", "acl"] => system("its access list cannot be kept"),
        [_, "x", "mv"] => system("the server's mv does not know -T, without which a link is followed"),
        [_, "x", "private"] => system("the file system there keeps no directory for one user alone"),
        [_, "x", "denied"] => system("permission denied"),
        [_, "x", "stat"] => system("the server has no stat that tells owner and mode"),
        _ => system("the server's answer is garbled"),
    }
}

impl SshHost {
    /// Has the script do something to places, as far as their names allow it.
    fn ask_of_places<T>(
        &self,
        calls: Vec<Result<Vec<u8>, AmendFault>>,
        limit: u64,
        read: &ReadAnswer<'_, T>,
        watch: &Watch,
    ) -> Result<Vec<Result<T, AmendFault>>, HostError> {
        let able: Vec<Vec<u8>> = calls.iter().filter_map(|call| call.as_ref().ok().cloned()).collect();
        let mut answers = Vec::new().into_iter();
        if !able.is_empty() {
            let request = AmendRequest::of(&able, limit);
            answers = self
                .wait(watch, &async |connection| {
                    let started = Instant::now();
                    // A change that has begun is not left in the middle.
                    self.is_busy.store(true, Ordering::Relaxed);
                    let (mut said, most) = (Vec::new(), usize::try_from(request.limit).unwrap_or(usize::MAX));
                    let ended = connection
                        .run(self.command(), request.script.clone(), self.access.limits.time, |piece| {
                            said.extend_from_slice(piece);
                            if said.len() > most { Err(SurveyError::Endless) } else { Ok(true) }
                        })
                        .await;
                    self.is_busy.store(false, Ordering::Relaxed);
                    let answers = match ended {
                        Ok(ended) => request.answers(&said).map_err(|error| self.explained(error, &ended)),
                        Err(error) => Err(ScriptError::from(error)),
                    };
                    answers.map_err(|error| self.broken(&error, started, watch))
                })?
                .into_iter();
        }
        let each = calls.into_iter().enumerate().map(|(at, call)| {
            call.and_then(|_| read(at, &answers.next().unwrap_or_else(|| vec![String::new()])))
        });
        Ok(each.collect())
    }

    pub(super) fn held_there(
        &self,
        places: &[FilePlace],
        watch: &Watch,
    ) -> Result<Vec<Result<PlaceState, AmendFault>>, HostError> {
        let limit = NOISE + (LARGEST_AMENDED / 3 * 4 + LARGEST_AMENDED / 50) * places.len().max(1) as u64;
        let calls = places.iter().map(look_call).collect();
        let read = |at: usize, answer: &[String]| match standing(answer) {
            Err(AmendFault::NoDirectory(_)) => outcome(answer, &places[at]).map(|()| PlaceState::Nothing),
            other => other,
        };
        self.ask_of_places(calls, limit, &read, watch)
    }

    pub(super) fn amend_there(
        &self,
        changes: &[FileChange],
        watch: &Watch,
    ) -> Result<Vec<Result<(), AmendFault>>, HostError> {
        let calls = changes.iter().map(change_call).collect();
        self.ask_of_places(calls, NOISE, &|at, answer| outcome(answer, &changes[at].place), watch)
    }

    pub(super) fn execute_there(
        &self,
        execution: &Execution<'_>,
        watch: &Watch,
    ) -> Result<Executed, HostError> {
        let words: Vec<Vec<u8>> = execution.argv.iter().map(|word| quoted_word(word)).collect();
        let (nonce, line) = (nonce(), words.join(&b' '));
        let begins = format!("main() {{\nprintf '%s\\n' {nonce}-begin\n");
        let goes = execution.dir.map(|dir| {
            [b"cd -P -- ".as_slice(), &quoted_word(dir.as_os_str().as_bytes()), b" || exit 1\n"].concat()
        });
        let goes = goes.unwrap_or_default();
        let script = [begins.as_bytes(), &goes, &line, b" 2>&1 </dev/null\n}\nmain\n"].concat();
        let begin = format!("{nonce}-begin\n");
        self.wait(watch, &async |connection| {
            let started = Instant::now();
            self.is_busy.store(true, Ordering::Relaxed);
            let mut said: Vec<u8> = Vec::new();
            let ended = connection
                .run("sh -s", script.clone(), execution.time, |piece| {
                    said.extend_from_slice(piece);
                    if said.len() as u64 > NOISE { Err(SurveyError::Endless) } else { Ok(true) }
                })
                .await;
            self.is_busy.store(false, Ordering::Relaxed);
            let ended = ended.map_err(|error| self.broken(&ScriptError::from(error), started, watch))?;
            let at = said.windows(begin.len()).position(|window| window == begin.as_bytes());
            let Some(at) = at else {
                let error = self.explained(SurveyError::NotBegun, &ended);
                return Err(self.broken(&error, started, watch));
            };
            let output = [&said[at + begin.len()..], &ended.stderr].concat();
            Ok(Executed { code: i32::try_from(ended.code).ok(), said: tail(output) })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::Arc;

    use super::*;

    /// Shells that servers have, as far as they are here.
    fn shells() -> Vec<Vec<&'static str>> {
        let all = [vec!["dash"], vec!["bash", "--posix"], vec!["busybox", "sh"]];
        let is_here = |shell: &Vec<&str>| Command::new(shell[0]).arg("--help").output().is_ok();
        all.into_iter().filter(is_here).collect()
    }

    fn ran(shell: &[&str], calls: &[Vec<u8>]) -> Vec<Vec<String>> {
        ran_beside(shell, calls, "")
    }

    /// Runs calls where functions of the shell stand before programs, as another user's acts stand between steps.
    fn ran_beside(shell: &[&str], calls: &[Vec<u8>], functions: &str) -> Vec<Vec<String>> {
        let mut request = AmendRequest::of(calls, NOISE);
        request.script.splice(..0, functions.bytes());
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&request.script).unwrap();
        request.answers(&child.wait_with_output().unwrap().stdout).unwrap()
    }

    fn place(base: &Path, path: &[u8]) -> FilePlace {
        FilePlace { base: base.to_owned(), path: path.to_vec() }
    }

    fn change(base: &Path, path: &[u8], before: PlaceDigest, bytes: &[u8]) -> FileChange {
        let ownership = Ownership { mode: 0o6640, uid: 0, gid: 0 };
        let after = PlaceState::File { bytes: Arc::from(bytes), ownership };
        FileChange { place: place(base, path), before, after, keeps_owner: false, may_empty: 0 }
    }

    fn one(shell: &[&str], change: &FileChange) -> Result<(), AmendFault> {
        outcome(&ran(shell, &[change_call(change)?])[0], &change.place)
    }

    fn file(bytes: &[u8]) -> PlaceDigest {
        PlaceDigest::File(Digest::of(bytes))
    }

    #[test]
    fn any_bytes_under_any_name_are_written_and_told() {
        for shell in shells() {
            let dir = tempfile::tempdir().unwrap();
            let bytes: Vec<u8> = (0..=255).cycle().take(200_001).collect();
            for name in [&b"a/-f"[..], b"a/it's $(x) `y`", b"a/\xff \\ \"b\"", b"c/d/e"] {
                assert_eq!(
                    one(&shell, &change(dir.path(), name, PlaceDigest::Nothing, &bytes)),
                    Ok(()),
                    "{shell:?}"
                );
                let told =
                    standing(&ran(&shell, &[look_call(&place(dir.path(), name)).unwrap()])[0]).unwrap();
                let PlaceState::File { bytes: told, ownership } = told else { panic!("no file") };
                assert_eq!((&*told, ownership.mode), (&bytes[..], 0o640), "{shell:?}");
                assert_eq!(one(&shell, &change(dir.path(), name, file(&bytes), b"")), Ok(()));
                let gone = FileChange {
                    after: PlaceState::Nothing,
                    may_empty: 2,
                    ..change(dir.path(), name, file(b""), b"")
                };
                assert_eq!(one(&shell, &gone), Ok(()));
            }
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{shell:?}");
        }
    }

    #[test]
    fn nothing_is_written_through_links_nor_to_what_moved() {
        for shell in shells() {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            std::fs::write(outside.path().join("f"), "theirs").unwrap();
            symlink(outside.path(), dir.path().join("link")).unwrap();
            symlink("real", dir.path().join("file-link")).unwrap();
            for name in ["real", "twice"] {
                std::fs::write(dir.path().join(name), "old").unwrap();
            }
            std::fs::hard_link(dir.path().join("twice"), dir.path().join("again")).unwrap();
            std::fs::create_dir(dir.path().join("d")).unwrap();
            let one = |path: &str, before| one(&shell, &change(dir.path(), path.as_bytes(), before, b"new"));
            assert_eq!(one("link/f", file(b"theirs")), Err(AmendFault::NoDirectory("link".to_owned())));
            assert_eq!(
                one("link/new", PlaceDigest::Nothing),
                Err(AmendFault::NoDirectory("link".to_owned()))
            );
            assert_eq!(one("file-link", file(b"old")), Err(AmendFault::Moved));
            assert_eq!(one("twice", file(b"old")), Err(AmendFault::ManyNames(2)));
            assert_eq!(one("real", file(b"other")), Err(AmendFault::Moved));
            assert_eq!(one("real", PlaceDigest::Nothing), Err(AmendFault::Moved));
            assert_eq!(one("d", PlaceDigest::Nothing), Err(AmendFault::NoFile));
            assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
            assert_eq!(one("file-link", PlaceDigest::Link(Digest::of(b"real"))), Ok(()));
            assert_eq!(std::fs::read_to_string(dir.path().join("real")).unwrap(), "old");
            assert_eq!(std::fs::read_to_string(outside.path().join("f")).unwrap(), "theirs");
            let left = std::fs::read_dir(dir.path()).unwrap().flatten();
            assert!(
                left.into_iter().all(|it| !it.file_name().to_string_lossy().starts_with('.')),
                "{shell:?}"
            );
        }
    }

    #[test]
    fn the_owner_and_links_are_put_back_and_a_part_of_a_script_does_nothing() {
        for shell in shells() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            std::fs::write(&path, "old").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
            let meta = path.metadata().unwrap();
            let ownership = Ownership { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() };
            let after = PlaceState::File { bytes: Arc::from(&b"new"[..]), ownership };
            let kept = FileChange { after, keeps_owner: true, ..change(dir.path(), b"f", file(b"old"), b"") };
            let request = AmendRequest::of(&[change_call(&kept).unwrap()], NOISE);
            for cut in [10, request.script.len() / 2, request.script.len() - 6] {
                let mut child = Command::new(shell[0]);
                child
                    .args(&shell[1..])
                    .arg("-s")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null());
                let mut child = child.spawn().unwrap();
                let _ = child.stdin.take().unwrap().write_all(&request.script[..cut]);
                child.wait().unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), "old", "{shell:?} {cut}");
            }
            assert_eq!(one(&shell, &kept), Ok(()));
            assert_eq!(
                (std::fs::read_to_string(&path).unwrap().as_str(), path.metadata().unwrap().mode() & 0o7777),
                ("new", 0o604)
            );
            let link = FileChange {
                after: PlaceState::Link(b"a 'b'".to_vec()),
                ..change(dir.path(), b"f", file(b"new"), b"")
            };
            assert_eq!(one(&shell, &link), Ok(()));
            let told = standing(&ran(&shell, &[look_call(&place(dir.path(), b"f")).unwrap()])[0]).unwrap();
            assert_eq!(told, PlaceState::Link(b"a 'b'".to_vec()), "{shell:?}");
        }
    }

    #[test]
    fn a_link_to_a_directory_is_replaced_itself() {
        for shell in shells() {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let link = dir.path().join("link");
            let leads = outside.path().as_os_str().as_bytes().to_vec();
            let before = PlaceDigest::Link(Digest::of(&leads));
            symlink(outside.path(), &link).unwrap();
            assert_eq!(one(&shell, &change(dir.path(), b"link", before, b"new")), Ok(()), "{shell:?}");
            assert_eq!(std::fs::read_to_string(&link).unwrap(), "new", "{shell:?}");
            let back = FileChange {
                after: PlaceState::Link(leads),
                ..change(dir.path(), b"link", file(b"new"), b"")
            };
            assert_eq!(one(&shell, &back), Ok(()));
            let elsewhere = PlaceState::Link(b"elsewhere".to_vec());
            let other = FileChange { after: elsewhere, ..change(dir.path(), b"link", before, b"") };
            assert_eq!(one(&shell, &other), Ok(()), "{shell:?}");
            assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("elsewhere"), "{shell:?}");
            assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "{shell:?}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "{shell:?}");
        }
    }

    /// Acts of somebody who may write the directory: each leads the temporary name, or the one it is for, to what is not theirs.
    fn acts(victim: &Path, private: &Path) -> Vec<String> {
        let victim = victim.display();
        let swap = |to: &str| {
            format!("for it in .driftlock-tmp-*; do /bin/mv \"$it\" stolen && /bin/ln -s {to} \"$it\"; done")
        };
        let up = |acts: &str| {
            format!("( [ -d .. ] && case $PWD in *driftlock-tmp-*) cd -P ..;; esac; {acts}; true )")
        };
        let before = |program: &str, acts: &str| {
            format!("{program}() {{ {}; command {program} \"$@\"; }}\n", up(acts))
        };
        let to_victim = swap(&victim.to_string());
        let led = format!(
            "mktemp() {{ made=$(command mktemp \"$@\") || return 1; {}; printf '%s\\n' \"$made\"; }}\n",
            up(&swap(&private.display().to_string()))
        );
        ["chown", "chmod", "mv", "sync"]
            .iter()
            .map(|program| before(program, &to_victim))
            .chain([led])
            .collect()
    }

    #[test]
    fn what_another_user_swaps_between_steps_leads_nowhere() {
        for shell in shells() {
            let theirs = tempfile::tempdir().unwrap();
            let (victim, private) = (theirs.path().join("victim"), theirs.path().join("private"));
            std::fs::write(&victim, "theirs").unwrap();
            std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::create_dir(&private).unwrap();
            std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
            for acts in acts(&victim, &private) {
                let dir = tempfile::tempdir().unwrap();
                std::fs::write(dir.path().join("f"), "old").unwrap();
                let change =
                    FileChange { keeps_owner: true, ..change(dir.path(), b"f", file(b"old"), b"new") };
                let answer = ran_beside(&shell, &[change_call(&change).unwrap()], &acts);
                let done = outcome(&answer[0], &change.place);
                let text = std::fs::read_to_string(dir.path().join("f")).unwrap();
                assert_eq!(text, if done.is_ok() { "new" } else { "old" }, "{shell:?} {acts} {done:?}");
                assert_eq!(std::fs::read_to_string(&victim).unwrap(), "theirs", "{shell:?} {acts}");
                assert_eq!(victim.metadata().unwrap().mode() & 0o7777, 0o600, "{shell:?} {acts}");
                assert_eq!(std::fs::read_dir(theirs.path()).unwrap().count(), 2, "{shell:?} {acts}");
                assert_eq!(std::fs::read_dir(&private).unwrap().count(), 0, "{shell:?} {acts}");
            }
        }
    }

    #[test]
    fn what_the_dead_left_goes_and_what_is_not_theirs_stays() {
        for shell in shells() {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            std::fs::write(outside.path().join("f"), "theirs").unwrap();
            let dead = dir.path().join(".driftlock-tmp-dEad12");
            std::fs::create_dir(&dead).unwrap();
            std::fs::set_permissions(&dead, std::fs::Permissions::from_mode(0o700)).unwrap();
            std::fs::write(dead.join("f"), "half").unwrap();
            let led = dir.path().join(".driftlock-tmp-link12");
            symlink(outside.path(), &led).unwrap();
            let alive = dir.path().join(".driftlock-tmp-aLive1");
            std::fs::create_dir(&alive).unwrap();
            for old in [&dead, &led] {
                let touched =
                    Command::new("touch").args(["-h", "-d", "2 hours ago"]).arg(old).status().unwrap();
                assert!(touched.success());
            }
            assert_eq!(one(&shell, &change(dir.path(), b"f", PlaceDigest::Nothing, b"new")), Ok(()));
            assert!(!dead.exists() && led.symlink_metadata().is_err() && alive.is_dir(), "{shell:?}");
            assert_eq!(std::fs::read_to_string(outside.path().join("f")).unwrap(), "theirs");
        }
    }
}
