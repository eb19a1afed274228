//! The output of probes: plain text, or lines of JSON that are subjects of their own.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Facts, LARGEST_OUTPUT, ProbeQuery, Request, Source, Sources, SystemFacts};
use crate::model::Reason;

/// A line of a probe that tells of several things.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    value: Box<RawValue>,
}

fn key(probe: &ProbeQuery) -> String {
    format!("probe {}", probe.name)
}

pub(super) fn requests(probes: &[ProbeQuery]) -> Vec<Request> {
    let request = |probe: &ProbeQuery| Request::Run {
        name: key(probe),
        run: probe.run.clone(),
        timeout: probe.timeout,
        most: LARGEST_OUTPUT,
    };
    probes.iter().map(request).collect()
}

/// The output of each probe by its name, or each value by `PROBE:NAME`.
pub(super) fn read(probes: &[ProbeQuery], sources: &Sources) -> SystemFacts {
    let mut all = SystemFacts::new();
    for probe in probes {
        let output = match sources.get(&key(probe)) {
            Some(Source::Text(text)) => of_output(text),
            Some(Source::Refused(why)) => Err(why.as_str().into()),
            Some(Source::Gone) => {
                Err(format!("{} is not there: install it, or take the probe out", probe.run[0]).into())
            }
            None => Err("it was not run".into()),
        };
        match output {
            Ok(told) => all.extend(told.into_iter().map(|(name, facts)| {
                let behind = name.map(|name| format!(":{name}")).unwrap_or_default();
                (format!("{}{behind}", probe.name).into_bytes(), Ok(facts))
            })),
            Err(why) => drop(all.insert(probe.name.clone().into_bytes(), Err(why))),
        }
    }
    all
}

fn of_output(text: &[u8]) -> Result<Vec<(Option<String>, Facts)>, Reason> {
    let plain = "it prints no plain text: have it print UTF-8 without control characters";
    let text = std::str::from_utf8(text).map_err(|_| plain)?;
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(plain.into());
    }
    if text.contains("PRIVATE KEY-----") {
        return Err("it prints a private key, which belongs in no lock file: have it print none".into());
    }
    let lines: Option<Vec<Line>> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).ok())
        .collect();
    let Some(lines) = lines.filter(|lines| !lines.is_empty()) else {
        return Ok(vec![(None, Facts::from([("output".to_owned(), text.to_owned())]))]);
    };
    let mut named: Vec<(Option<String>, Facts)> = Vec::new();
    for Line { name, value } in lines {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err("a name that it prints is empty or has control characters".into());
        }
        if named.iter().any(|(known, _)| known.as_deref() == Some(name.as_str())) {
            return Err(format!("it prints {name} twice").into());
        }
        let value = shown(&value);
        if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(plain.into());
        }
        named.push((Some(name), Facts::from([("value".to_owned(), value)])));
    }
    Ok(named)
}

/// A value as it was printed: numbers have more digits than are told apart once they are read. A string stands without its quotes,
/// unless it would look like another value then.
fn shown(value: &RawValue) -> String {
    let raw = value.get();
    match serde_json::from_str::<String>(raw) {
        Ok(text) if serde_json::from_str::<&RawValue>(&text).is_err() => text,
        _ => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &[u8]) -> Result<Vec<(Option<String>, String)>, String> {
        let told = of_output(text).map_err(|why| why.to_string())?;
        Ok(told.into_iter().map(|(name, facts)| (name, facts.into_values().next().unwrap())).collect())
    }

    #[test]
    fn lines_of_names_and_values_are_subjects_and_all_else_is_text() {
        let two = b"{\"name\": \"5.2.1\", \"value\": \"pass\"}\n{\"name\": \"5.2.2\", \"value\": 3}\n";
        let named = |name: &str, value: &str| (Some(name.to_owned()), value.to_owned());
        assert_eq!(told(two).unwrap(), [named("5.2.1", "pass"), named("5.2.2", "3")]);
        for text in ["", "1.2\n", "{\"name\": \"a\"}\n", "{\"name\": \"a\", \"value\": 1, \"x\": 2}\n"] {
            assert_eq!(told(text.as_bytes()).unwrap(), [(None, text.to_owned())]);
        }
    }

    #[test]
    fn what_is_printed_otherwise_is_another_value() {
        let values = [
            "1",
            "\"1\"",
            "1.0",
            "100000000000000000001",
            "100000000000000000999",
            "null",
            "\"null\"",
            "\"\\\"1\\\"\"",
            "{\"x\":1,\"x\":2}",
            "{\"x\":9,\"x\":2}",
            "\"one\"",
        ];
        let value = |raw: &str| {
            told(format!("{{\"name\": \"a\", \"value\": {raw}}}\n").as_bytes()).unwrap()[0].1.clone()
        };
        let shown: std::collections::BTreeSet<String> = values.iter().map(|raw| value(raw)).collect();
        assert_eq!(shown.len(), values.len(), "{shown:?}");
    }

    #[test]
    fn what_no_lock_file_should_hold_is_refused() {
        for text in [
            &b"\x1b[2J"[..],
            b"\xff",
            b"a\0b",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
            b"{\"name\": \"a\", \"value\": 1}\n{\"name\": \"a\", \"value\": 2}\n",
            b"{\"name\": \"\", \"value\": 1}\n",
            b"{\"name\": \"a\", \"value\": \"\\u001b\"}\n",
        ] {
            assert!(told(text).is_err(), "{text:?}");
        }
    }
}
