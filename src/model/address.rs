//! Addresses, which may hold a password: whole for who connects, and without it for everybody else.

use std::fmt;
use std::net::IpAddr;

use super::{escaped, percent_decoded};

/// What stands in the place of what is not shown.
const HIDDEN: &str = "…";

/// An address as it was given: a URL, `[user@]host[:port]`, or whatever stood where one was expected.
///
/// It is shown without user and password, without its query, and without a path that could be a secret of its own. What is
/// shown goes by the structure of the text alone; where that leaves open what is what, it is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// An address of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole text, for who connects.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is shown otherwise than it is.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.parts().is_some()
    }

    /// Whether it can name a server: `[user@]host[:port]`, also behind `ssh://`, and nothing that may be a secret.
    #[must_use]
    pub fn names_server(&self) -> bool {
        let plain = self.0.strip_prefix("ssh://").unwrap_or(&self.0);
        match plain.rsplit_once('@') {
            Some((user, host)) => is_user_name(user) && !host.contains(['/', '?', '#']),
            None => !plain.contains("://") && !plain.contains(['?', '#']),
        }
    }

    /// A text of somebody else, as an error of a library, in which neither the address nor its secret is shown.
    #[must_use]
    pub fn hidden_in(&self, text: &str) -> String {
        let Some(shown) = self.parts() else { return text.to_owned() };
        let mut text = text.replace(&self.0, &shown);
        for secret in self.secrets() {
            text = text.replace(&secret, HIDDEN);
        }
        without_secrets(&text)
    }

    /// What is shown of it, where that is less than all.
    fn parts(&self) -> Option<String> {
        let (scheme, rest) = split_scheme(&self.0);
        let shown = match scheme {
            Some(scheme) => format!("{scheme}://{}", shown_rest(&scheme.to_ascii_lowercase(), rest)),
            None => shown_rest("", rest),
        };
        (shown != self.0).then_some(shown)
    }

    /// What must not be seen wherever it stands: user and password together and the password alone, as they are and
    /// with the percent signs taken out.
    fn secrets(&self) -> Vec<String> {
        let (_, rest) = split_scheme(&self.0);
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        let password = user.split_once(':').map_or("", |(_, password)| password);
        let query = self.0.split_once(['?', '#']).map_or("", |(_, query)| query);
        let whole = [user, password, query].into_iter().filter(|secret| secret.len() > 2);
        let mut secrets: Vec<String> =
            whole.flat_map(|secret| [secret.to_owned(), decoded(secret)]).collect();
        secrets.dedup();
        secrets
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(self.parts().unwrap_or_else(|| self.0.clone()).as_bytes()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A text in which every address is shown as [`Address`] shows it: what has a scheme, up to a blank or the end of its
/// quotes, and what is a user with a password before a host and stands in quotes.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    if !text.contains("://") && !text.contains('@') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !is_end(c)) {
        let (ends, from) = rest.split_at(at);
        out.push_str(ends);
        // What is quoted may have blanks in it.
        let mut before = ends.chars().rev();
        let quote = before.next().filter(|c| matches!(c, '\'' | '"' | '`'));
        // An apostrophe within a word begins nothing that goes on behind a blank, unless it is a scheme.
        let ends_word = match before.next() {
            Some(c) => c.is_alphanumeric(),
            None => out.strip_suffix(ends).is_some_and(|out| out.ends_with(char::is_alphanumeric)),
        };
        let begins = |end: &usize| {
            !ends_word || split_scheme(from).0.is_some() || !from[..*end].contains(char::is_whitespace)
        };
        let quoted = quote.and_then(|quote| from.find(quote)).filter(begins);
        let quoted = quoted.filter(|end| is_address(&from[..*end]));
        let end = quoted.or_else(|| from.find(is_end)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        out.push_str(&match quoted {
            Some(_) if !word.contains("://") => Address::new(word).to_string(),
            _ => shown_word(word),
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The marks of a commit, a target and a baseline before their names, as arguments and texts have them.
const MARKS: [&str; 3] = ["git:", "target:", "baseline:"];

/// Whether a text can be the name of a user, and not a password beside it: `alice@corp.example` and `CORP\bob` are names.
#[must_use]
pub fn is_user_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains([':', '/', '?', '#'])
        && !text.to_ascii_lowercase().contains("%3a")
}

/// Whether a text is an address and nothing else: it has a scheme, or a user with a password before a host.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let has_password = || {
        let marked = MARKS.iter().find_map(|mark| text.strip_prefix(mark));
        let (user, place) = marked.unwrap_or(text).rsplit_once('@')?;
        // Images and revisions are written much like it: `traefik:3@sha256:…`, `git:HEAD@{1}`.
        let is_other = place.starts_with("sha256:") || place.starts_with('{');
        Some((user.contains(':') || user.to_ascii_lowercase().contains("%3a")) && !is_other)
    };
    text.contains("://") || has_password() == Some(true)
}

/// What no address goes beyond in a text.
fn is_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '<' | '>')
}

/// A word of a text in which an address may begin anywhere, and which punctuation of the sentence may end.
fn shown_word(word: &str) -> String {
    let Some(at) = word.find("://") else { return word.to_owned() };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let begin = word[..at].rfind(|c: char| !is_scheme(c));
    let begin = begin.map_or(0, |at| at + word[at..].chars().next().map_or(1, char::len_utf8));
    let bare = word.trim_end_matches([',', ';', '.', ')', ':', '!']);
    let Some(address) = bare.get(begin..) else { return HIDDEN.to_owned() };
    format!("{}{}{}", &word[..begin], Address::new(address), &word[bare.len()..])
}

/// The scheme of a URL, if it begins with one, and what follows `://`.
fn split_scheme(text: &str) -> (Option<&str>, &str) {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, text),
    }
}

/// What is shown behind the scheme.
fn shown_rest(scheme: &str, rest: &str) -> String {
    let is_path = matches!(scheme, "unix" | "npipe" | "file" | "fd");
    if is_path && rest.starts_with('/') && !rest.contains(['?', '#']) && !is_odd_path(rest) {
        return rest.to_owned();
    }
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let is_mere_name = |user: &&str| {
        matches!(scheme, "" | "ssh")
            && is_user_name(user)
            && user.chars().all(|c| c.is_alphanumeric() || "._-+$@\\".contains(c))
    };
    // A password may hold any of these: nobody knows where it ends.
    if user.is_some_and(|user| !is_mere_name(&user) && user.contains(['/', '?', '#', '\\'])) {
        return HIDDEN.to_owned();
    }
    let end = place.find(['/', '?', '#']).unwrap_or(place.len());
    let (host, path) = place.split_at(end);
    let user = match user {
        None => String::new(),
        Some(user) if is_mere_name(&user) => format!("{user}@"),
        Some(_) => format!("{HIDDEN}@"),
    };
    let path = match path {
        "" | "/" => path.to_owned(),
        _ if scheme.is_empty() && !path.contains(['?', '#', ':', '@']) && user.is_empty() => path.to_owned(),
        _ => format!("/{HIDDEN}"),
    };
    format!("{user}{}{path}", shown_host(host))
}

/// Whether a path holds what looks like an address in turn.
fn is_odd_path(path: &str) -> bool {
    path.contains("://") || path.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'))
}

/// Host and port; what is neither is not shown.
fn shown_host(text: &str) -> String {
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || "._-+%*".contains(c));
    let is_ip = |text: &str| text.split('%').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok());
    if is_ip(text) {
        return text.to_owned();
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, port)) if is_ip(ip) => (format!("[{ip}]"), port),
        _ => {
            let (host, _) = text.split_at(text.find(':').unwrap_or(text.len()));
            if !is_name(host) {
                return HIDDEN.to_owned();
            }
            (host.to_owned(), &text[host.len()..])
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => host,
        Some(port) if is_port(port) => format!("{host}:{port}"),
        _ => format!("{host}:{HIDDEN}"),
    }
}

/// A text with its percent signs taken out, as far as that gives text.
fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(text).0).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::new(text).to_string()
    }

    #[test]
    fn what_has_no_secret_is_shown_as_it_is() {
        for text in [
            "",
            "erp",
            "deploy@erp.example",
            "deploy@erp:2222",
            "ssh://deploy@erp:2222",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "fe80::1%eth0",
            "bob@[fe80::1]:22",
            "alice@corp.example@erp",
            "unix:///var/run/docker.sock",
            "unix:///home/a@b/x y.sock",
            "https://example.com/",
            "über.example",
        ] {
            assert_eq!(shown(text), text);
            assert!(!Address::new(text).has_secret(), "{text}");
        }
        assert!(!Address::new("CORP\\bob@erp:22").has_secret());
    }

    #[test]
    fn user_password_query_and_path_are_not_shown() {
        for (text, expected) in [
            ("tcp://user:s3cr3t@erp:2375", "tcp://…@erp:2375"),
            ("tcp://s3cr3t@erp:2375", "tcp://…@erp:2375"),
            ("https://erp/?token=s3cr3t", "https://erp/…"),
            ("https://erp?s3cr3t", "https://erp/…"),
            ("https://hooks.example/services/s3cr3t", "https://hooks.example/…"),
            ("ssh://bob:s3cr3t@erp:22", "ssh://…@erp:22"),
            ("bob:s3cr3t@erp", "…@erp"),
            ("bob%3As3cr3t@erp", "…@erp"),
            ("tcp://bob:s3@cr3t@erp:1", "tcp://…@erp:1"),
            ("tcp://bob:s3/cr3t@erp:1", "tcp://…"),
            ("tcp://bob:s3?cr3t@erp:1", "tcp://…"),
            ("tcp://bob:s3#cr3t@erp", "tcp://…"),
            ("tcp://erp/?x=a@s3cr3t", "tcp://…"),
            ("tcp://bob:s3cr3t", "tcp://bob:…"),
            ("tcp:/bob:s3cr3t@erp", "…"),
            ("tcp:\\\\bob:s3cr3t@erp", "…"),
            ("tcp://bob:s3 cr3t@erp", "tcp://…@erp"),
            ("tcp://bob:s3cr3t@erp:s3cr3t", "tcp://…@erp:…"),
            ("unix://bob:s3cr3t@x/y.sock", "unix://…@x/…"),
            ("unix:///run/tcp://bob:s3cr3t@erp", "unix://…"),
            ("://bob:s3cr3t@erp", "…"),
            ("--tcp://bob:s3cr3t", "--tcp:/…"),
            ("git:bob:s3cr3t@erp", "…@erp"),
            ("redis://:s3cr3t@erp:6379/0", "redis://…@erp:6379/…"),
            ("tcp://bob:s3cr3t@erp\u{1b}[2J", "tcp://…@…"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
            assert_eq!(format!("{:?}", Address::new(text)), format!("\"{expected}\""));
        }
    }

    #[test]
    fn servers_are_named_without_passwords() {
        for name in ["erp", "bob@erp:22", "ssh://bob@erp", "alice@corp.example@erp", "CORP\\bob@erp", "::1"] {
            assert!(Address::new(name).names_server(), "{name}");
        }
        for other in [
            "bob:s3cr3t@erp",
            "bob%3as3cr3t@erp",
            "tcp://bob:s3cr3t",
            "tcp:/bob:s3cr3t@erp",
            "https://erp/?x=s3cr3t",
            "erp?s3cr3t",
            "@erp",
            "bob@erp/s3cr3t",
        ] {
            assert!(!Address::new(other).names_server(), "{other}");
        }
    }

    #[test]
    fn names_of_users_are_told_from_passwords() {
        for name in ["bob", "alice@corp.example", "CORP\\bob", "a%3b"] {
            assert!(is_user_name(name), "{name}");
        }
        for other in
            ["", "-oProxyCommand=x", "bob:s3cr3t", "bob%3As3cr3t", "bob%3as3cr3t", "a/b", "a?b", "a#b"]
        {
            assert!(!is_user_name(other), "{other}");
        }
        for word in ["git:release@2024", "baseline:error@x", "target:a@b"] {
            assert!(!is_address(word), "{word}");
        }
        assert!(is_address("git:bob:s3cr3t@erp") && is_address("bob%3As3cr3t@erp"));
    }

    #[test]
    fn what_others_say_of_it_is_cleared() {
        let address = Address::new("tcp://bob:s3%40cr3t@erp:2375");
        let said = "invalid uri tcp://bob:s3%40cr3t@erp:2375: no user bob:s3@cr3t, s3@cr3t";
        assert_eq!(address.hidden_in(said), "invalid uri tcp://…@erp:2375: no user …, …");
        assert_eq!(Address::new("tcp://erp:1").hidden_in("bob"), "bob");
    }

    #[test]
    fn addresses_in_a_text_are_shown_as_addresses() {
        for (text, expected) in [
            ("no address here, HEAD@{1} nor a@b", "no address here, HEAD@{1} nor a@b"),
            ("at tcp://bob:s3cr3t@erp:1.", "at tcp://…@erp:1."),
            ("value 'tcp://bob:s3 cr3t@erp' for", "value 'tcp://…@erp' for"),
            ("DOCKER_HOST=tcp://bob:s3cr3t@erp, x", "DOCKER_HOST=tcp://…@erp, x"),
            ("(https://erp/?s3cr3t)", "(https://erp/…)"),
            ("\"bob:s3cr3t@erp\" is", "\"…@erp\" is"),
            ("see https://example.com/", "see https://example.com/"),
            (
                "compare \"git:release@2024\" with 'baseline:error@x'",
                "compare \"git:release@2024\" with 'baseline:error@x'",
            ),
            ("\"git:bob:s3cr3t@erp\" is", "\"…@erp\" is"),
            ("it's one: mail a@b, isn't it", "it's one: mail a@b, isn't it"),
            ("x'tcp://bob:s3 cr3t@erp'", "x'tcp://…@erp'"),
            ("u'bob:s3cr3t@erp'", "u'…@erp'"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
