//! What the repository says of how a path is written to a disk.

use super::error::GitError;
use super::limit::{self, Limit};
use super::repository::Repository;

/// The attributes that are asked for.
const ASKED: [&str; 8] =
    ["text", "crlf", "eol", "filter", "ident", "working-tree-encoding", "export-subst", "export-ignore"];

/// What happens to a path's content on its way to a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// A checkout here may write it otherwise than it is stored.
    pub is_converted: bool,
    /// A filter makes its content.
    pub has_filter: bool,
    /// `$Id$` in it becomes its object's id.
    pub has_keyword: bool,
    /// It is in another encoding than UTF-8.
    pub has_encoding: bool,
    /// An archive fills in what the commit is.
    pub is_substituted: bool,
    /// An archive leaves it out; said of a directory for all that is in it.
    pub is_left_out: bool,
}

impl Repository {
    /// Whether attributes keep the line ends of all these paths of the project as they are, whatever is configured. The files
    /// need not be there.
    ///
    /// # Errors
    /// When git cannot be started, or takes too long.
    pub fn keeps_line_ends(&self, paths: &[Vec<u8>]) -> Result<bool, GitError> {
        let mut git = self.git();
        git.args(["check-attr", "--stdin", "-z", "text"]);
        let input: Vec<u8> = paths.iter().flat_map(|path| [&self.path(path), &b"\0"[..]].concat()).collect();
        let answer = limit::ask_soon_about(git, &input)?;
        // Path, attribute and value of each.
        let words: Vec<&[u8]> = answer.stdout.split(|&b| b == 0).collect();
        let mut values = words.chunks_exact(3).map(|path| path[2]);
        Ok(words.len() > 3 * paths.len() - 1 && values.all(|value| value == b"unset"))
    }

    /// Asks for each of `paths` (from the uppermost directory), as the work tree and the index have it; nothing is known
    /// of those that were not answered in time.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn attributes(&self, paths: &[Vec<u8>], limit: &Limit<'_>) -> Result<Vec<Attributes>, GitError> {
        let ends_in_crlf = self.may_end_in_crlf(limit)?;
        let mut git = self.git();
        git.args(["check-attr", "--stdin", "-z"]).args(ASKED);
        let input: Vec<u8> = paths.iter().flat_map(|path| [path, &b"\0"[..]].concat()).collect();
        let mut answer = Vec::new();
        limit::run(git, &input, limit, &mut |from| from.read_to_end(&mut answer).map(drop))?;
        let words: Vec<&[u8]> = answer.split(|&b| b == 0).collect();
        // Path, attribute and value of each.
        let each = words.chunks_exact(3 * ASKED.len()).map(|fields| {
            let values: Vec<&[u8]> = fields.iter().skip(2).step_by(3).copied().collect();
            Attributes::of(&values, ends_in_crlf)
        });
        let mut all: Vec<Attributes> = each.collect();
        all.resize(paths.len(), Attributes::default());
        Ok(all)
    }

    /// Whether the configuration has text end its lines in CR and LF.
    fn may_end_in_crlf(&self, limit: &Limit<'_>) -> Result<bool, GitError> {
        let mut git = self.git();
        git.args(["config", "-z", "--get-regexp", r"^core\.(autocrlf|eol)$"]);
        let mut answer = Vec::new();
        limit::run(git, &[], limit, &mut |from| from.read_to_end(&mut answer).map(drop))?;
        let settings = answer.split(|&b| b == 0).filter(|setting| !setting.is_empty());
        let value = |setting: &[u8]| {
            let end = setting.iter().position(|&b| b == b'\n');
            end.map_or_else(|| b"true".to_vec(), |end| setting[end + 1..].to_vec())
        };
        // A later setting may take it back; then a checkout only shows that nothing is converted.
        Ok(settings.map(value).any(|value| !is_harmless(&value)))
    }
}

impl Attributes {
    /// Goes by the values of [`ASKED`].
    fn of(values: &[&[u8]], ends_in_crlf: bool) -> Self {
        let [text, crlf, eol, filter, ident, encoding, subst, ignore] = values else {
            return Self::default();
        };
        let is_set = |value: &[u8]| !matches!(value, b"unspecified" | b"unset");
        let is_text = *text != b"unset" && (*text != b"unspecified" || *crlf != b"unset");
        let (has_keyword, has_encoding) = (is_set(ident), is_set(encoding));
        Self {
            is_converted: has_keyword || has_encoding || is_text && (ends_in_crlf || *eol == b"crlf"),
            has_filter: is_set(filter),
            has_keyword,
            has_encoding,
            is_substituted: is_set(subst),
            is_left_out: is_set(ignore),
        }
    }
}

/// Whether a value of `core.autocrlf` or `core.eol` says that lines end as they are stored.
pub(super) fn is_harmless(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    matches!(value.as_slice(), b"" | b"false" | b"no" | b"off" | b"0" | b"input" | b"lf" | b"native")
}
