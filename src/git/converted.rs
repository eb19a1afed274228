//! Content as git itself writes it: by a checkout under each setting of line ends, and into an archive.

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::os::unix::ffi::OsStringExt as _;

use super::error::GitError;
use super::form::Form;
use super::limit::{self, End, Limit};
use super::objects::InForms;
use super::repository::Repository;
use crate::control;
use crate::model::{Digest, Hasher};

/// The unit of a tar archive.
const BLOCK: usize = 512;

/// Line ends of text that no attribute gives others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// As the repository is configured.
    Configured,
    /// LF.
    LineFeed,
    /// CR and LF.
    Both,
}

impl Ends {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Configured, Self::LineFeed, Self::Both];

    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Configured => &[],
            Self::LineFeed => &["-c", "core.autocrlf=false", "-c", "core.eol=lf"],
            Self::Both => &["-c", "core.autocrlf=true", "-c", "core.eol=crlf"],
        }
    }
}

impl Repository {
    /// The SHA-256 of each of these blobs as a checkout writes it at its path, by the attributes in the work tree; `None`
    /// where git does not tell. Programs that are configured as filters are run, so paths with a filter must not be asked for.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn checked_out(
        &self,
        files: &[(&str, &[u8])],
        ends: Ends,
        limit: &Limit<'_>,
    ) -> Result<(Vec<Option<Digest>>, End), GitError> {
        let mut digests = vec![None; files.len()];
        // Git takes blanks before a path for a part of what separates both.
        let is_askable =
            |path: &[u8]| !path.contains(&b'\n') && !path.starts_with(b" ") && !path.starts_with(b"\t");
        let asked: Vec<usize> = (0..files.len()).filter(|&at| is_askable(files[at].1)).collect();
        if asked.is_empty() || self.foreign_owner().is_some() {
            return Ok((digests, End::Whole));
        }
        // The size that git tells is that of the blob; so behind each stands a name that leads to nothing.
        let mark = format!("end-{:016x}", control::any_number());
        let mark = mark.as_bytes();
        let line = |at: &usize| [files[*at].0.as_bytes(), b" ", files[*at].1, b"\n", mark, b" -\n"].concat();
        let input: Vec<u8> = asked.iter().flat_map(line).collect();
        let mut git = self.git();
        git.args(ends.settings()).args(["cat-file", "--batch", "--filters"]);
        let end = limit::run(git, &input, limit, &mut |from| {
            for &at in &asked {
                digests[at] = marked(from, files[at].0, mark)?;
            }
            Ok(())
        })?;
        Ok((digests, end))
    }

    /// The SHA-256 of a file in an archive of a commit, in each of these forms; `None` where the archive does not have it.
    /// Filters are run as by [`Repository::checked_out`].
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn archived(
        &self,
        commit: &str,
        path: &[u8],
        forms: &[Form],
        limit: &Limit<'_>,
    ) -> Result<Option<InForms>, GitError> {
        if self.foreign_owner().is_some() {
            return Ok(None);
        }
        let mut git = self.git();
        git.args(["archive", "--format=tar", commit, "--"]).arg(OsString::from_vec(path.to_vec()));
        let mut tar = Vec::new();
        let end = limit::run(git, &[], limit, &mut |from| from.read_to_end(&mut tar).map(drop))?;
        let Some(content) = only_file(&tar).filter(|_| end == End::Whole) else { return Ok(None) };
        let digest = |form: &Form| {
            let mut hasher = form.hasher();
            hasher.update(content);
            hasher.finish()
        };
        Ok(Some(forms.iter().map(digest).collect()))
    }
}

/// Reads what stands before the line that says that nothing is called `mark`.
fn marked(from: &mut dyn BufRead, blob: &str, mark: &[u8]) -> io::Result<Option<Digest>> {
    let end = [mark, b" missing\n"].concat();
    let mut line = || {
        let mut line = Vec::new();
        match from.read_until(b'\n', &mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(line),
        }
    };
    let is_blob = line()?.starts_with([blob.as_bytes(), b" blob "].concat().as_slice());
    let (mut hasher, mut held) = (Hasher::default(), Vec::new());
    loop {
        let next = line()?;
        if next == end {
            hasher.update(held.strip_suffix(b"\n").unwrap_or(&held));
            return Ok(is_blob.then(|| hasher.finish()));
        }
        hasher.update(&std::mem::replace(&mut held, next));
    }
}

/// The content of the first regular file of a tar archive.
fn only_file(mut tar: &[u8]) -> Option<&[u8]> {
    loop {
        let (header, rest) = tar.split_at_checked(BLOCK)?;
        let size =
            header[124..136].split(|b| !(b'0'..=b'7').contains(b)).find(|digits| !digits.is_empty())?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 8).ok()?;
        if header[156] == b'0' {
            return rest.get(..size);
        }
        tar = rest.get(size.next_multiple_of(BLOCK)..)?;
    }
}
