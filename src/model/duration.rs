//! Durations and numbers as people write and read them.

/// Reads a duration, in seconds: `90s`, `20m`, `12h`, `7d`, `2w`, or several of them in a row.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 60 * 60,
            b'd' => 24 * 60 * 60,
            b'w' => 7 * 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(total)
}

/// A number and its noun: `1 run`, `3 runs`.
#[must_use]
pub fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A duration in one or two units: `45 seconds`, `20 minutes`, `1 hour 30 minutes`, `3 days`.
#[must_use]
pub fn lasting(seconds: i64) -> String {
    let units = [("day", 24 * 60 * 60), ("hour", 60 * 60), ("minute", 60), ("second", 1)];
    let mut left = seconds.max(0);
    let mut parts = Vec::new();
    for (word, size) in units {
        let count = left / size;
        left %= size;
        if count > 0 {
            parts.push(format!("{count} {word}{}", if count == 1 { "" } else { "s" }));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let read = [
            ("90s", 90),
            ("20m", 1200),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1h30m", 5400),
        ];
        for (text, expected) in read {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "7", "d", "7x", "-7d", "7 d", "7d ", "é", "9223372036854775807w", "1.5h"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_told_in_the_units_that_matter() {
        for (seconds, expected) in [
            (-5, "0 seconds"),
            (1, "1 second"),
            (90, "1 minute 30 seconds"),
            (3600, "1 hour"),
            (3601, "1 hour"),
            (5400, "1 hour 30 minutes"),
            (3 * 86_400 + 60, "3 days"),
            (3 * 86_400 + 7260, "3 days 2 hours"),
        ] {
            assert_eq!(lasting(seconds), expected, "{seconds}");
        }
    }
}
