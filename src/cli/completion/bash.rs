//! Completion in bash, which splits words at `=` and `:`, hands them over with their quotes, and inserts what it gets unquoted.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use clap_complete::engine::complete;
use clap_complete::env::EnvCompleter;

/// Bash, from version 4 on.
pub(super) struct Bash;

/// The word that is completed, by its index.
const INDEX: &str = "_DRIFTLOCK_COMPLETE_INDEX";

/// The script that asks; a candidate a line. Candidates hold no line feeds.
const SCRIPT: &str = r#"_driftlock_complete() {
    mapfile -t COMPREPLY < <(
        _DRIFTLOCK_COMPLETE_INDEX="$COMP_CWORD" VARIABLE=bash COMPLETER -- "${COMP_WORDS[@]}" 2>/dev/null
    )
    [[ ${COMPREPLY-} != *[=:/] ]] || compopt -o nospace 2>/dev/null
}
complete -o bashdefault -F _driftlock_complete BINARY
"#;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        variable: &str,
        _name: &str,
        binary: &str,
        completer: &str,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let script = SCRIPT.replace("VARIABLE", variable).replace("BINARY", &escape(binary));
        out.write_all(script.replace("COMPLETER", &escape(completer)).as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let index = std::env::var(INDEX).ok().and_then(|index| index.parse().ok()).unwrap_or_default();
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let (mut words, index, kept) = join(&words, index);
        words.truncate(index + 1);
        let words = words.iter().map(|word| OsString::from(unquoted(word))).collect();
        for candidate in complete(command, words, index, directory)? {
            let value = candidate.get_value().to_string_lossy();
            // Bash puts this in the place of what stands behind the last break.
            let Some(value) = value.strip_prefix(&unquoted(&kept)) else { continue };
            if !value.chars().any(char::is_control) {
                writeln!(out, "{}", escape(value))?;
            }
        }
        Ok(())
    }
}

/// Joins the words that bash has split at `=` and `:`. Gives them, the index of the one that is completed, and what of it stands
/// before its last break.
fn join(words: &[String], index: usize) -> (Vec<String>, usize, String) {
    let is_break = |word: &String| !word.is_empty() && word.chars().all(|c| c == '=' || c == ':');
    let mut joined: Vec<String> = Vec::new();
    let (mut at, mut kept) = (0, String::new());
    for (position, word) in words.iter().enumerate() {
        let follows = position > 1 && (is_break(word) || is_break(&words[position - 1]));
        match joined.last_mut().filter(|_| follows) {
            Some(last) => {
                if position == index {
                    kept.clone_from(last);
                    // At the end of a break nothing is replaced, and bash takes the break itself for the word.
                    if is_break(word) {
                        kept.push_str(word);
                    }
                }
                last.push_str(word);
            }
            None => joined.push(word.clone()),
        }
        if position == index {
            at = joined.len() - 1;
        }
    }
    if index >= words.len() {
        joined.push(String::new());
        at = joined.len() - 1;
    }
    (joined, at, kept)
}

/// A word without the quotes and backslashes that bash takes away.
fn unquoted(word: &str) -> String {
    let (mut plain, mut quote) = (String::new(), None);
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    plain
}

/// A word with a backslash before all that a shell would obey, which holds outside quotes and within them.
fn escape(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c) || !c.is_ascii();
    let each = word.chars().map(|c| if is_plain(c) { c.to_string() } else { format!("\\{c}") });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str], index: usize) -> (Vec<String>, usize, String) {
        join(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), index)
    }

    #[test]
    fn words_are_as_they_were_typed() {
        let only = ["driftlock", "accept", "--only", "=", "web", ":", "/mnt"];
        let expected: Vec<String> = ["driftlock", "accept", "--only=web:/mnt"].map(str::to_owned).into();
        assert_eq!(joined(&only, 6), (expected, 2, "--only=web:".to_owned()));
        assert_eq!(joined(&only[..4], 3).2, "--only=");
        assert_eq!(joined(&["driftlock", "check"], 2).0.len(), 3);
        assert_eq!(joined(&["driftlock", "check", ""], 2).1, 2);
    }

    #[test]
    fn a_word_is_read_as_bash_reads_it() {
        for (word, plain) in
            [("a\\ b", "a b"), ("'a b", "a b"), ("\"a\\\"b\"c", "a\"bc"), ("'a\\b'", "a\\b"), ("\\", "")]
        {
            assert_eq!(unquoted(word), plain, "{word}");
        }
        assert_eq!(unquoted(&escape("a $(b) `c` 'd' \"e\" \\f é")), "a $(b) `c` 'd' \"e\" \\f é");
    }
}
