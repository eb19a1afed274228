//! Units of systemd: whether each is enabled, and whether it is active.

use std::collections::BTreeMap;

use super::{Facts, Request, Source, Sources, SystemFacts, fact, lines, program};
use crate::model::Reason;

pub(super) fn requests(units: &[String]) -> Vec<Request> {
    let show = ["systemctl", "show", "--no-pager", "--property=Id,LoadState,UnitFileState,ActiveState", "--"];
    let run: Vec<&str> = show.into_iter().chain(units.iter().map(String::as_str)).collect();
    if units.is_empty() { Vec::new() } else { vec![program("systemctl", &run)] }
}

/// The units that there are. systemd answers in the order of the units, a blank line between two.
pub(super) fn read(units: &[String], sources: &Sources) -> Result<SystemFacts, Reason> {
    if units.is_empty() {
        return Ok(SystemFacts::new());
    }
    let text = match sources.get("systemctl") {
        Some(Source::Text(text)) => text,
        Some(Source::Refused(why)) => {
            return Err(format!(
                "systemctl show: {why}: systemd does not run there, or refuses this user; units = [] in [services] turns the check off"
            ).into());
        }
        _ => {
            return Err("systemctl is not there; units = [] in [services] turns the check off".into());
        }
    };
    let blocks = blocks(text);
    if blocks.len() != units.len() {
        return Err(
            format!("systemctl show tells of {} units in place of {}", blocks.len(), units.len()).into()
        );
    }
    let mut all = SystemFacts::new();
    for (unit, block) in units.iter().zip(blocks) {
        let value = |name: &str| block.get(name.as_bytes()).map(|text| fact(text)).unwrap_or_default();
        let known = match value("LoadState").as_str() {
            "not-found" => continue,
            "loaded" | "masked" => Ok(Facts::from([
                ("unit".to_owned(), unit.clone()),
                // A unit that a generator made, or that runs for once, has no file that could be enabled.
                (
                    "enabled".to_owned(),
                    Some(value("UnitFileState")).filter(|it| !it.is_empty()).unwrap_or("-".to_owned()),
                ),
                ("active".to_owned(), value("ActiveState")),
            ])),
            other => Err(format!("systemd cannot load it ({other}): see systemctl status {unit}").into()),
        };
        all.insert(unit.clone().into_bytes(), known);
    }
    Ok(all)
}

fn blocks(text: &[u8]) -> Vec<BTreeMap<&[u8], &[u8]>> {
    let mut all = vec![BTreeMap::new()];
    for line in lines(text.trim_ascii()) {
        match line.iter().position(|&b| b == b'=') {
            Some(at) => drop(all.last_mut().map(|block| block.insert(&line[..at], &line[at + 1..]))),
            None => all.push(BTreeMap::new()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_in_their_order_and_one_that_does_not_exist_is_not_there() {
        let text = "Id=ssh.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n\
            Id=gone.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n\n\
            Id=x.service\nLoadState=bad-setting\nActiveState=inactive\nUnitFileState=\n";
        let units = ["sshd.service", "gone.service", "x.service"].map(str::to_owned);
        let sources = |source| Sources::from([("systemctl".to_owned(), source)]);
        let read = |source| read(&units, &sources(source));
        let all = read(Source::Text(text.into())).unwrap();
        let ssh = all[&b"sshd.service"[..]].as_ref().unwrap();
        assert_eq!((ssh["enabled"].as_str(), ssh["active"].as_str()), ("enabled", "active"));
        assert!(!all.contains_key(&b"gone.service"[..]));
        assert!(all[&b"x.service"[..]].as_ref().unwrap_err().text().contains("bad-setting"));
        assert!(read(Source::Text(text[..50].into())).unwrap_err().text().contains("1 units in place of 3"));
        assert!(
            read(Source::Refused("it ended with exit code 1".into()))
                .unwrap_err()
                .text()
                .contains("does not run")
        );
    }
}
