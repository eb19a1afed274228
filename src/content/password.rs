//! Passwords that no name announces: those of addresses without a scheme, of hooks, of bots and of `.pgpass`.

/// How many signs of one line are looked at; what follows counts as secret.
const MANY: usize = 50;

/// Where on a line such a password begins, and where it ends.
pub(super) fn unannounced(line: &str) -> Vec<(usize, usize)> {
    let mut all = addresses(line);
    all.extend(pgpass(line));
    all.extend(hook(line));
    all.extend(bot(line));
    all.extend(escape(line));
    all
}

/// Whether what follows an `@` is a digest and no host.
pub(super) fn is_digest(after: &str) -> bool {
    let Some(rest) = after.strip_prefix("sha256:").or_else(|| after.strip_prefix("sha512:")) else {
        return false;
    };
    let length = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    let is_port = length <= 5 && rest[..length].bytes().all(|byte| byte.is_ascii_digit());
    length > 0 && !is_port
}

fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`')
}

/// `odoo:hunter2@tcp(db)/x`: a name, a colon and a password before a host.
fn addresses(line: &str) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    for (count, (sign, _)) in line.match_indices('@').enumerate() {
        let mut before = line[..sign].char_indices().rev();
        let start = before.find(|(_, c)| ends_a_word(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        if count >= MANY {
            all.push((start.min(sign), line.len()));
            break;
        }
        let before = line[start..sign].trim_start_matches(ends_a_word);
        let start = sign - before.len();
        if before.contains("://") || is_digest(&line[sign + 1..]) {
            continue;
        }
        if let Some(colon) = before.find(':').filter(|colon| colon + 1 < before.len()) {
            all.push((start + colon + 1, sign));
        }
    }
    all
}

/// `db:5432:*:odoo:hunter2`.
fn pgpass(line: &str) -> Option<(usize, usize)> {
    let start = line.len() - line.trim_start_matches([' ', '\t', '#', '-', '"', '\'']).len();
    let fields: Vec<&str> = line[start..].splitn(5, ':').collect();
    let [host, port, database, user, _] = fields[..] else { return None };
    let is_port = port == "*" || !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let at = start + host.len() + port.len() + database.len() + user.len() + 4;
    (is_port && at < line.len()).then_some((at, line.len()))
}

/// What follows the host of a hook is as good as a password.
fn hook(line: &str) -> Option<(usize, usize)> {
    let at = ["://hooks.", "hooks.slack.com", "://hook.", "webhook.office.com"]
        .iter()
        .find_map(|mark| line.find(mark).map(|at| at + mark.len()))?;
    let slash = line[at..].find('/').map(|length| at + length + 1)?;
    let end = line[slash..].find(ends_a_word).map_or(line.len(), |length| slash + length);
    (slash < end).then_some((slash, end))
}

/// `bot123:AAE…`, as in the addresses of Telegram.
fn bot(line: &str) -> Option<(usize, usize)> {
    line.match_indices("bot").take(MANY).find_map(|(at, mark)| {
        let rest = &line[at + mark.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let start = at + mark.len() + digits + 1;
        let end = line
            .get(start..)?
            .find(|c| ends_a_word(c) || c == '/')
            .map_or(line.len(), |length| start + length);
        (rest[digits..].starts_with(':') && start < end).then_some((start, end))
    })
}

/// Letters that are written as escapes may hide a name or be part of a value.
fn escape(line: &str) -> Option<(usize, usize)> {
    let is_one = |at: usize, mark: &str| {
        let digits = line[at + mark.len()..].bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        digits == 2 || mark != "\\x" && line[at + mark.len()..].starts_with('{')
    };
    let first = |mark: &str| line.match_indices(mark).map(|(at, _)| at).find(|at| is_one(*at, mark));
    ["\\u", "\\U", "\\x"].iter().filter_map(|mark| first(mark)).min().map(|at| (at, line.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_follow_blanks_of_any_length() {
        for blank in [" ", "\u{a0}", "\u{2009}", "\u{3000}", "\"\u{2028}"] {
            let line = format!("see{blank}odoo:hunter2@db");
            let found: Vec<&str> = unannounced(&line).into_iter().map(|(from, to)| &line[from..to]).collect();
            assert_eq!(found, ["hunter2"], "{line:?}");
        }
    }
}
