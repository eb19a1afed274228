//! The services section: units of systemd, whether each is enabled and active.

use super::facts::{self, Table};
use super::{Ask, EMPTY_LIST, Plan, Section, SectionMeta};
use crate::baseline::LockError;
use crate::config::is_unit_name;
use crate::host::{Answer, SystemQuery};
use crate::model::{Entry, Finding, Kind, Observed, Reason, SectionId, State, SubjectKind, quoted};

/// Units that `[services] units` names.
pub(super) struct Services;

/// The section's id.
pub const ID: SectionId = SectionId("services");

const META: SectionMeta = SectionMeta::new(
    ID,
    "units of systemd that `[services] units` names: whether each is enabled, and whether it is active",
    SubjectKind::System,
    ("service", "services"),
    &["services.lock.txt"],
);

const TABLE: Table = Table {
    columns: &["unit", "enabled", "active"],
    optional: 0,
    noun: "unit",
    place: |facts| facts.get("unit").filter(|unit| is_unit_name(unit)).cloned(),
};

/// The units to ask for: those that are configured, and those of the baseline.
fn units(ask: &Ask<'_>) -> Vec<String> {
    let configured = ask.setting.config.services.iter().flatten().cloned();
    let locked = ask.baseline.iter().flat_map(|state| state.entries.keys());
    let locked = locked.map(|unit| String::from_utf8_lossy(unit).into_owned());
    let is_check = ask.setting.purpose == super::Purpose::Check || ask.setting.config.services.is_none();
    let mut all: Vec<String> = configured.chain(locked.filter(|_| is_check)).collect();
    all.sort();
    all.dedup();
    all
}

impl Section for Services {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        match &ask.setting.config.services {
            Some(units) if units.is_empty() => Plan::Off(EMPTY_LIST.to_owned()),
            None if !ask.locked => Plan::Off("not configured".to_owned()),
            _ => facts::ask(ask, SystemQuery::Services(units(ask))),
        }
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let mut known = match facts::facts_of(answer) {
            Ok(known) => known,
            Err(why) => return Observed::Failed(why.to_string()),
        };
        let untold = facts::completed(ask, &mut known);
        let is_known = |unit: &str| {
            known.contains_key(unit.as_bytes())
                || ask.baseline.is_some_and(|state| state.entries.contains_key(unit.as_bytes()))
        };
        let configured = ask.setting.config.services.iter().flatten();
        let say = |unit: &String| {
            format!("{unit} does not exist: correct [services] units, or install what brings it")
        };
        let problems: Vec<String> = configured.filter(|unit| !is_known(unit)).map(say).collect();
        let reason = "whether services are enabled, which Ansible's facts do not tell of all";
        match facts::left_out(facts::observed(ask, known, &[]), untold, reason) {
            Observed::Seen(seen) => Observed::Seen(crate::model::Observation { problems, ..seen }),
            other => other,
        }
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        TABLE.parse(files)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        TABLE.print(state)
    }

    fn undo(&self, finding: &Finding) -> Result<String, Reason> {
        let unit = quoted(&String::from_utf8_lossy(&finding.subject.key));
        let (Some(before), Some(now)) = (&finding.baseline_entry, &finding.entry) else {
            return Err(match finding.kind {
                Kind::Missing => "install the package that brings the unit, or restore its file".into(),
                _ => "the unit is in no baseline yet; accept it, or take it out of [services]".into(),
            });
        };
        let changed =
            |name: &str| before.get(name).filter(|it| now.get(name) != Some(it)).map(String::as_str);
        let enabled = now.get("enabled").map(String::as_str).unwrap_or_default();
        // What was done until the next start is undone likewise.
        let runtime = if enabled.ends_with("-runtime") { " --runtime" } else { "" };
        let do_it = |verb: &str| format!("systemctl {verb}{runtime} {unit}");
        let enable = match (changed("enabled"), enabled.starts_with("masked")) {
            (None, _) => None,
            (Some("enabled"), true) => Some(format!("{} && systemctl enable {unit}", do_it("unmask"))),
            (Some("disabled" | "static"), true) => Some(do_it("unmask")),
            (Some("enabled"), _) => Some(format!("systemctl enable {unit}")),
            (Some("disabled"), _) => Some(do_it("disable")),
            (Some("masked"), _) => Some(format!("systemctl mask {unit}")),
            (Some(other), _) => {
                return Err(format!("no command makes a unit {other}; restore its file by hand").into());
            }
        };
        let activate = match changed("active") {
            None => None,
            Some("active") => Some(format!("systemctl start {unit}")),
            Some("inactive") => Some(format!("systemctl stop {unit}")),
            Some(other) => {
                return Err(format!("no command makes a unit {other}; see systemctl status {unit}").into());
            }
        };
        let line: Vec<String> = enable.into_iter().chain(activate).collect();
        Ok(line.join(" && "))
    }
}

/// What a service is, in few words: active and enabled.
#[must_use]
pub fn service_in_words(entry: &Entry) -> String {
    let facts = facts::facts(entry);
    let word = |name: &str| facts.get(name).cloned().unwrap_or_default();
    format!("{}, {}", word("active"), word("enabled"))
}
