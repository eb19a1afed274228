//! Programs that take a password behind an option of one letter, and where on a line that option stands.

use std::ops::Range;

/// Parts of the programs' names, each with the options behind which they take a password.
const CLIENTS: [(&str, &[&str]); 14] = [
    ("mysql", &["-p"]),
    ("mariadb", &["-p"]),
    ("sshpass", &["-p"]),
    ("mongo", &["-p"]),
    ("docker login", &["-p"]),
    ("odoo", &["-w"]),
    ("openerp", &["-w"]),
    ("ldap", &["-w"]),
    ("redis", &["-a"]),
    ("valkey", &["-a"]),
    ("curl", &["-u", "-U"]),
    ("wget", &["-u", "-U"]),
    ("sqlcmd", &["-P"]),
    ("mosquitto", &["-P"]),
];

/// The options of all programs that a text names.
pub(super) fn options(text: &str) -> Vec<&'static str> {
    CLIENTS
        .iter()
        .filter(|(name, _)| text.contains(name))
        .flat_map(|(_, options)| options.iter().copied())
        .collect()
}

/// Where on a line the first of these options stands, at or after `from`.
pub(super) fn place(line: &str, from: usize, options: &[&str]) -> Option<Range<usize>> {
    let is_open = |before: &str| {
        before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '-' && c != '/')
    };
    let each = options.iter().flat_map(|option| line[from..].match_indices(option));
    let starts = each.map(|(at, option)| from + at..from + at + option.len());
    starts
        .filter(|place| is_open(&line[..place.start]) && may_follow(&line[place.end..]))
        .min_by_key(|place| place.start)
}

/// Whether a word is one of these options, with or without its password.
pub(super) fn is_option(word: &str, options: &[&str]) -> bool {
    options.iter().any(|option| word.strip_prefix(option).is_some_and(may_follow))
}

/// What follows must not say that it is a port or another option.
fn may_follow(rest: &str) -> bool {
    let word = rest.trim_start_matches([' ', '=', '"', '\'', ',']);
    let end = word.find(|c: char| c.is_whitespace() || c == '"' || c == '\'').unwrap_or(word.len());
    let is_port = word[..end].contains(':')
        && word[..end].bytes().all(|byte| byte.is_ascii_digit() || byte == b':' || byte == b'.');
    !is_port
}
