//! Which words name a secret: passwords, tokens, keys, and the ways they are spelled.

use std::ops::Range;

use super::fold::{folded, is_invisible, is_suspicious};

/// Parts of a name, without its separators and in lower case, that make it a secret's wherever they stand.
const TELLING: [&str; 30] = [
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "masterkey",
    "requirepass",
    "masterauth",
    "sshpass",
    "pgpass",
    "kennwort",
    "authorization",
    "bearer",
    "basicauth",
    "digestauth",
    "webhook",
    "pswd",
    "creds",
    "identified",
    "xauth",
    "dockerconfig",
    "sessionid",
    "cookie",
    "presharedkey",
];

/// Last parts of a name that make it a secret's.
const LAST: [&str; 6] = ["pass", "pw", "psw", "key", "keys", "salt"];

/// Parts of a name that make it a secret's where it has others.
const SHORT: [&str; 6] = ["pass", "pat", "jwt", "psk", "sig", "otp"];

/// Words that end like a secret's name and are none, so spelled.
const HARMLESS: [&str; 10] = [
    "monkey",
    "hotkey",
    "compass",
    "bypass",
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
];

/// Keys whose values are names: `name: DB_PASSWORD`.
pub(super) const NAMING: [&str; 15] = [
    "name",
    "key",
    "var",
    "variable",
    "env",
    "id",
    "option",
    "param",
    "parameter",
    "setting",
    "field",
    "attribute",
    "label",
    "property",
    "header",
];

/// The first word of `line` that names a secret, at or after `from`.
pub(super) fn first_secret(line: &str, from: usize) -> Option<Range<usize>> {
    let mut at = from;
    while let Some(start) = line[at..].find(is_of_a_word).map(|found| at + found) {
        let end = line[start..].find(|c| !is_of_a_word(c)).map_or(line.len(), |length| start + length);
        if let Some(length) = glued(&line[..start], &line[start..end]) {
            return Some(start..start + length);
        }
        if names_one(line, &(start..end)) {
            return Some(start..end);
        }
        at = end;
    }
    None
}

/// Whether a key of a mapping, or the name before a `=`, names a secret.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let mut words = key.split(|c| !is_of_a_word(c)).filter(|word| !word.is_empty());
    words.any(|word| is_secret(word) || is_secret_before_a_value(word))
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, '_' | '-' | '.')
        || is_invisible(c)
        || ('\u{24b6}'..='\u{24e9}').contains(&c)
}

/// Whether the word at `place` names a secret there.
fn names_one(line: &str, place: &Range<usize>) -> bool {
    let (before, word, after) = (&line[..place.start], &line[place.clone()], &line[place.end..]);
    if is_secret(word) {
        // A variable that is asked for tells nothing, and `$PWD` is the working directory.
        let is_asked =
            before.ends_with("${") && after.starts_with('}') && !after[1..].starts_with(['=', ':']);
        return !(is_asked || word == "PWD" && before.ends_with('$'));
    }
    let after = after.trim_start_matches(['"', '\'']).trim_start();
    let has_value = after.starts_with([':', '=']);
    let is_route = word == "auth" && is_route(after);
    if has_value && is_key(word) {
        return has_key_before(after);
    }
    (has_value || word.starts_with("--")) && !is_route && is_secret_before_a_value(word)
}

/// Whether `auth=` declares one of Odoo's routes.
fn is_route(after: &str) -> bool {
    let value = after.trim_start_matches(['=', ' ']);
    ["user", "public", "none", "bearer"]
        .iter()
        .any(|kind| ['"', '\''].iter().any(|quote| value.starts_with(&format!("{quote}{kind}{quote}"))))
}

/// Whether a word is `key` alone, which may be that of a table as well.
pub(super) fn is_key(word: &str) -> bool {
    bare(word) == "key"
}

/// Whether the value behind the sign after `key` is none of the plain words that are no secrets.
fn has_key_before(after: &str) -> bool {
    let value = after.trim_start_matches([':', '=', ' ', '\t', '"', '\'']);
    let end =
        value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '&')).unwrap_or(value.len());
    is_no_plain_word(&value[..end])
}

/// Whether a value of `key` is more than a short word in lower case.
pub(super) fn is_no_plain_word(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '-');
    value.len() > 16 || !value.chars().all(is_plain)
}

/// The length of an option that may have its secret right behind it: `mysql -phunter2`, `odoo -whunter2`.
fn glued(before: &str, word: &str) -> Option<usize> {
    let has = |name: &str| before.contains(name);
    let is_client =
        word.starts_with("-p") && word.len() > 2 && (has("mysql") || has("mariadb") || has("sshpass"));
    let is_one = word == "-w" || is_client || word.starts_with("-w") && (has("odoo") || has("openerp"));
    is_one.then_some(2)
}

/// Whether a word is a secret's name whatever follows.
fn is_secret(word: &str) -> bool {
    if is_suspicious(word) {
        return true;
    }
    let word = &folded(word);
    let bare = bare(word);
    if matches!(bare.as_str(), "key" | "keys") {
        return word.starts_with('_');
    }
    let says_pass = || parts(word).any(|part| SHORT.contains(&part.as_str())) && parts(word).count() > 1;
    let ends = || LAST.iter().any(|last| bare.ends_with(last) && bare.len() > last.len());
    TELLING.iter().any(|part| bare.contains(part))
        || !HARMLESS.contains(&word.as_str()) && (ends() || says_pass())
}

/// Words of everyday that are a secret's name only where a value follows: `pass: x`, `auth=x`.
fn is_secret_before_a_value(word: &str) -> bool {
    let word = &folded(word);
    matches!(
        bare(word).as_str(),
        "pass"
            | "pw"
            | "psw"
            | "auth"
            | "pin"
            | "otp"
            | "salt"
            | "dsn"
            | "pat"
            | "jwt"
            | "psk"
            | "sig"
            | "signature"
            | "hash"
    ) || parts(word).last().is_some_and(|last| matches!(last.as_str(), "auth" | "dsn" | "otp"))
}

/// A word without its separators, in lower case.
fn bare(word: &str) -> String {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn parts(word: &str) -> impl Iterator<Item = String> {
    word.split(['_', '-', '.']).filter(|part| !part.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_however_they_are_spelled() {
        for word in [
            "POSTGRES_PASSWORD",
            "db-password",
            "admin_passwd",
            "Passwd",
            "SSH_PASSPHRASE",
            "SMTP_PASS",
            "DB_PASS_1",
            "PWD",
            "MYSQL_PWD",
            "clientSecret",
            "X-Token",
            "jwt.token",
            "API_KEY",
            "apikey",
            "private_key",
            "aws-credentials",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "requirepass",
            "Authorization",
            "bearer",
            "basicauth.users",
            "HASH_SALT",
            "userPass",
            "PASSWORT",
            "--db-password",
            "API_KEYS",
            "s3.access.key",
        ] {
            let found = first_secret(&format!("x {word} y"), 0).map(|place| place.len());
            assert_eq!(found, Some(word.len()), "{word}");
            assert!(is_secret_key(word), "{word}");
        }
    }

    #[test]
    fn everyday_words_are_no_secrets() {
        for line in [
            "image: odoo:18",
            "key: value",
            "proxy_pass http://odoo;",
            "    pass",
            "  - ${PWD}/conf:/etc",
            "keys: 3",
            "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "mypy -pedantic",
            "author: Ada",
        ] {
            assert_eq!(first_secret(line, 0), None, "{line}");
        }
        for line in
            ["pass: x", "\"auth\": \"x\"", "--pass x", "mysql -phunter2", "${PWD:-x}", "odoo -w hunter2"]
        {
            assert!(first_secret(line, 0).is_some(), "{line}");
        }
    }
}
