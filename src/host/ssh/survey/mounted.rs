//! What a server and its containers have mounted: the script that tells, and the reading of its answer.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::SurveyError;
use super::field::REPEATED;
use super::pattern::quoted;
use super::script::{FUNCTIONS, bare};
use crate::control::nonce;
use crate::host::mounts::{Found, Running, ToldContainer, ToldMachine, ToldRoot, Wanted};

pub(super) const MOUNTS: &str = include_str!("mounts.sh");
/// The longest answer: mount tables of many containers.
const LONGEST: usize = 64 << 20;

/// A question to the server.
#[derive(Debug, Clone)]
pub(in crate::host::ssh) enum MountQuestion {
    /// Its own mounts.
    Machine,
    /// The processes of a container.
    Container(Running),
    /// Where a path leads, without its inode.
    Path(Vec<u8>),
    /// Where a path leads, with its inode.
    End(Wanted),
    /// When files last changed.
    Changed(Vec<Vec<u8>>),
}

impl MountQuestion {
    fn call(&self) -> Vec<u8> {
        let words: Vec<Vec<u8>> = match self {
            Self::Machine => vec![b"tell_mounts".to_vec()],
            Self::Container(running) => {
                let merged = running.merged.as_deref().unwrap_or_else(|| Path::new(""));
                let merged = std::os::unix::ffi::OsStrExt::as_bytes(merged.as_os_str());
                let (id, pid) = (quoted(running.id.as_bytes()), running.pid.to_string().into_bytes());
                vec![b"tell_container".to_vec(), id, pid, quoted(merged)]
            }
            Self::Path(path) => vec![b"tell_end - ''".to_vec(), quoted(path)],
            Self::End(Wanted::Here(path)) => vec![b"tell_end i ''".to_vec(), quoted(path)],
            Self::End(Wanted::Inside(pid, path)) => {
                vec![b"tell_inside".to_vec(), pid.to_string().into_bytes(), quoted(path)]
            }
            Self::Changed(paths) => {
                let paths = paths.iter().map(|path| quoted(path));
                std::iter::once(b"tell_changed".to_vec()).chain(paths).collect()
            }
        };
        [b"call ".as_slice(), &words.join(&b' '), b"\n"].concat()
    }

    /// Whether it can be sent: no path has a NUL.
    fn is_sound(&self) -> bool {
        !self.call().contains(&0)
    }
}

/// Asks a server for mounts.
pub(in crate::host::ssh) struct MountRequest {
    questions: Vec<MountQuestion>,
    nonce: String,
    answer: Vec<u8>,
    has_begun: bool,
}

impl MountRequest {
    /// Asks these questions.
    pub(in crate::host::ssh) fn new(questions: Vec<MountQuestion>) -> Self {
        let questions = questions.into_iter().filter(MountQuestion::is_sound).collect();
        Self { questions, nonce: nonce(), answer: Vec::new(), has_begun: false }
    }

    /// The standard input of `sh -s`.
    pub(in crate::host::ssh) fn script(&self) -> Vec<u8> {
        let calls: Vec<u8> = self.questions.iter().flat_map(MountQuestion::call).collect();
        let last = format!("}}\nmain {} </dev/null\n", self.nonce);
        let functions = [bare(FUNCTIONS), bare(MOUNTS)].concat();
        [functions.as_bytes(), b"survey() {\n:\n", &calls, last.as_bytes()].concat()
    }

    /// Takes a piece of the answer.
    ///
    /// # Errors
    /// When the answer is longer than it can be.
    pub(in crate::host::ssh) fn feed(&mut self, piece: &[u8]) -> Result<(), SurveyError> {
        if self.answer.len() + piece.len() > LONGEST {
            return Err(SurveyError::Endless);
        }
        let begin = self.begin();
        let from = self.answer.len().saturating_sub(begin.len());
        self.answer.extend_from_slice(piece);
        self.has_begun = self.has_begun || self.answer[from..].windows(begin.len()).any(|it| it == begin);
        Ok(())
    }

    fn begin(&self) -> Vec<u8> {
        format!("\0{} begin\0", self.nonce).into_bytes()
    }

    /// Whether the mark before the answer has come.
    pub(in crate::host::ssh) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Puts what was told into `told`.
    ///
    /// # Errors
    /// When the answer did not begin, was cut short, or is not what the script writes.
    pub(in crate::host::ssh) fn finish(&self, told: &mut ToldMachine) -> Result<(), SurveyError> {
        let begin = self.begin();
        let at = self.answer.windows(begin.len()).position(|window| *window == begin);
        let from = at.ok_or(SurveyError::NotBegun)? + begin.len();
        let mut fields = self.answer[from..].split(|&b| b == 0);
        let mut questions = self.questions.iter();
        let end = format!("Z{} {}", self.nonce, self.questions.len()).into_bytes();
        loop {
            let field = fields.next().filter(|field| !field.is_empty()).ok_or(SurveyError::Cut)?;
            match (field[0], &field[1..]) {
                (b'Z', _) if questions.next().is_some() || *field != end => return Err(SurveyError::Count),
                // What follows the mark's own NUL is not the script's.
                (b'Z', _) => return fields.next().map(drop).ok_or(SurveyError::Cut),
                (b'E', why) => {
                    let why = String::from_utf8_lossy(why).chars().take(REPEATED).collect();
                    return Err(SurveyError::Refusal(why));
                }
                (letter, first) => {
                    let question = questions.next().ok_or(SurveyError::Count)?;
                    take(question, letter, first, &mut fields, told).ok_or(SurveyError::Record(letter))?;
                }
            }
        }
    }
}

/// Puts one answer into `told`; `None` where it is none to the question.
fn take<'f>(
    question: &MountQuestion,
    letter: u8,
    first: &[u8],
    rest: &mut impl Iterator<Item = &'f [u8]>,
    told: &mut ToldMachine,
) -> Option<()> {
    match (question, letter) {
        (MountQuestion::Machine, b't') => told.mounts = first.to_vec(),
        (MountQuestion::Container(running), b'c') => {
            let mut next = || rest.next().map(<[u8]>::to_vec);
            let (groups, mounts, root, members) = (next()?, next()?, next()?, next()?);
            let container = ToldContainer {
                stat: first.to_vec(),
                groups,
                mounts,
                root: match root.as_slice() {
                    b"-" => ToldRoot::Closed,
                    b"+" => ToldRoot::Open { is_expected: None },
                    b"y" => ToldRoot::Open { is_expected: Some(true) },
                    b"n" => ToldRoot::Open { is_expected: Some(false) },
                    _ => return None,
                },
                members: members_in(&members)?,
                stat_again: next()?,
                paths: BTreeMap::default(),
            };
            told.containers.insert(running.pid, container);
        }
        (MountQuestion::Path(path) | MountQuestion::End(Wanted::Here(path)), b'p') => {
            told.paths.insert(path.clone(), found(first, rest.next()?, rest.next()?)?);
        }
        (MountQuestion::End(Wanted::Inside(pid, path)), b'p') => {
            let found = found(first, rest.next()?, rest.next()?)?;
            told.containers.get_mut(pid)?.paths.insert(path.clone(), found);
        }
        (MountQuestion::Changed(paths), b'k') => {
            let times: Vec<&str> = str::from_utf8(first).ok()?.split_whitespace().collect();
            if times.len() != paths.len() {
                return None;
            }
            let known =
                paths.iter().zip(times).filter_map(|(path, time)| Some((path.clone(), time.parse().ok()?)));
            told.changed.extend(known);
        }
        _ => return None,
    }
    Some(())
}

/// A list of processes, each with a letter and a space behind it.
fn members_in(text: &[u8]) -> Option<Vec<(u32, u8)>> {
    let words = str::from_utf8(text).ok()?.split(' ').filter(|word| !word.is_empty());
    words.map(|word| Some((word.get(..word.len() - 1)?.parse().ok()?, *word.as_bytes().last()?))).collect()
}

/// The end of a path.
fn found(state: &[u8], real: &[u8], inode: &[u8]) -> Option<Found> {
    let number = |text: &str| text.parse::<u64>().ok();
    let inode = match str::from_utf8(inode).ok()?.split_once(' ') {
        Some((device, inode)) => (number(device)?, number(inode)?),
        None if inode.is_empty() => (0, 0),
        None => return None,
    };
    Some(match state {
        b"+" if real.first() == Some(&b'/') => Found::At { real: real.to_vec(), inode },
        b"-" => Found::Gone,
        b"" | b"+" => return None,
        why => Found::Refused(super::field::in_words(why).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::process::{Command, Stdio};

    use super::*;

    /// What a shell answers to a request.
    fn answer(shell: &[&str], request: &MountRequest) -> Vec<u8> {
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&request.script()).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    fn told(request: &mut MountRequest, answer: &[u8]) -> Result<ToldMachine, SurveyError> {
        let mut told = ToldMachine::default();
        request.answer.clear();
        request.feed(answer)?;
        request.finish(&mut told).map(|()| told)
    }

    #[test]
    fn paths_lead_where_the_kernel_leads_them_whatever_the_shell() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["plain", "a b", "new\nline", "back\\slash", "//deleted", "star*", "-n"] {
            std::fs::create_dir_all(root.join(format!("dirs/{name}/inner"))).unwrap();
            std::fs::write(root.join(format!("dirs/{name}/file")), name).unwrap();
        }
        let absolute = root.join("dirs/a b");
        for (target, name) in [
            (absolute.to_str().unwrap(), "absolute"),
            ("dirs/new\nline", "relative"),
            ("../../../../../../../../../../..", "up"),
            ("loop", "loop"),
            ("none", "broken"),
            ("dirs/plain/", "slash"),
            ("dirs/back\\slash/./../-n", "dots"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        let names = ["plain", "a b", "new\nline", "back\\slash", "deleted", "star*", "-n"];
        let mut paths: Vec<String> = names.iter().map(|name| format!("dirs/{name}/inner")).collect();
        for link in
            ["absolute", "relative", "up", "loop", "broken", "slash", "dots", "none", "dirs/plain/file/x"]
        {
            paths.extend([link.to_owned(), format!("{link}/file"), format!("{link}/inner/..//file")]);
        }
        let paths: Vec<std::path::PathBuf> = paths.iter().map(|path| root.join(path)).collect();
        let questions =
            paths.iter().map(|path| MountQuestion::End(Wanted::Here(path.as_os_str().as_bytes().to_vec())));
        let mut request = MountRequest::new(questions.collect());
        for shell in [&["dash", "-s"][..], &["bash", "-s"], &["busybox", "ash", "-s"]] {
            let answer = answer(shell, &request);
            let told = told(&mut request, &answer).unwrap();
            for path in &paths {
                let expected = path.canonicalize().map_or(Found::Gone, |real| {
                    let stat = std::fs::metadata(&real).unwrap();
                    Found::At { real: real.as_os_str().as_bytes().to_vec(), inode: (stat.dev(), stat.ino()) }
                });
                assert_eq!(told.paths[path.as_os_str().as_bytes()], expected, "{shell:?} {path:?}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_or_garbled_is_none() {
        let pid = std::process::id();
        let running = Running { id: "none of any group".to_owned(), pid, ..Running::default() };
        let questions = vec![
            MountQuestion::Machine,
            MountQuestion::Container(running),
            MountQuestion::End(Wanted::Inside(pid, b"/".to_vec())),
            MountQuestion::Path(b"/".to_vec()),
        ];
        let mut request = MountRequest::new(questions);
        let whole = answer(&["dash", "-s"], &request);
        let told_all = told(&mut request, &whole).unwrap();
        assert!(!told_all.mounts.is_empty() && !told_all.containers[&pid].mounts.is_empty());
        for end in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            assert!(told(&mut request, &whole[..end]).is_err(), "{end} of {}", whole.len());
        }
        let count = format!("Z{} 4", request.nonce);
        let other = |from: &str, to: &str| {
            let text = String::from_utf8_lossy(&whole).replace(from, to);
            text.into_bytes()
        };
        for (from, to) in [(count.as_str(), "Zx 4"), ("\0t", "\0c"), ("\0p+", "\0p"), ("\0p+", "\0q+")] {
            let garbled = other(from, to);
            assert!(garbled != whole && told(&mut request, &garbled).is_err(), "{from:?} to {to:?}");
        }
        let again = format!("{count}\0more");
        assert!(
            told(&mut request, &other(&count, &again)).is_ok(),
            "what follows the end is not the script's"
        );
    }
}
