//! What the repository says of how a path is checked out.

use super::error::GitError;
use super::limit::{self, Limit};
use super::repository::Repository;

/// What happens to a path's content on its way to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conversion {
    /// Lines end in CR and LF.
    pub ends_in_crlf: bool,
    /// A filter, another encoding or a keyword changes it in a way that cannot be told here.
    pub is_changed: bool,
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

    /// Asks for each of `paths` (from the uppermost directory), as the index has it; nothing is known of those that
    /// were not answered in time.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn conversions(&self, paths: &[Vec<u8>], limit: &Limit<'_>) -> Result<Vec<Conversion>, GitError> {
        let crlf = self.git().args(["config", "--type=bool", "--get", "core.autocrlf"]).output();
        let crlf = crlf.is_ok_and(|output| output.stdout.starts_with(b"true"));
        let mut git = self.git();
        git.args(["check-attr", "--cached", "--stdin", "-z"]);
        git.args(["text", "eol", "filter", "ident", "working-tree-encoding"]);
        let input: Vec<u8> = paths.iter().flat_map(|path| [path, &b"\0"[..]].concat()).collect();
        let mut answer = Vec::new();
        limit::run(git, &input, limit, &mut |from| from.read_to_end(&mut answer).map(drop))?;
        let words: Vec<&[u8]> = answer.split(|&b| b == 0).collect();
        let mut conversions = Vec::new();
        // Five attributes a path, and path, attribute, value of each.
        for path in words.chunks_exact(15) {
            let [text, eol, filter, ident, encoding] = [2, 5, 8, 11, 14].map(|at| path[at]);
            let is_set = |value: &[u8]| value != b"unspecified" && value != b"unset";
            let by_default = crlf && eol != b"lf";
            conversions.push(Conversion {
                ends_in_crlf: text != b"unset" && (eol == b"crlf" || by_default),
                is_changed: [filter, ident, encoding].into_iter().any(is_set),
            });
        }
        conversions.resize(paths.len(), Conversion::default());
        Ok(conversions)
    }
}
