//! The ports section: what listens, where, and which program.

use super::facts::{self, Table};
use super::{Ask, Plan, Section, SectionMeta};
use crate::baseline::LockError;
use crate::host::{Answer, HIDDEN, SystemQuery};
use crate::model::{Finding, Kind, Observed, Obstacle, Reason, SectionId, State, SubjectKind};

/// Listening ports, where `[ports]` is there.
pub(super) struct Ports;

/// The section's id.
pub const ID: SectionId = SectionId("ports");

const META: SectionMeta = SectionMeta::new(
    ID,
    "listening ports of TCP and UDP: protocol, address, port, and the program that listens",
    SubjectKind::System,
    ("port", "ports"),
    &["ports.lock.txt"],
);

const TABLE: Table = Table {
    columns: &["proto", "address", "port", "program"],
    optional: 1,
    noun: "port",
    place: |facts| {
        let (proto, address, port) = (facts.get("proto")?, facts.get("address")?, facts.get("port")?);
        let address: std::net::IpAddr = address.parse().ok()?;
        let is_sound = ["tcp", "udp"].contains(&proto.as_str()) && port.parse::<u16>().is_ok_and(|it| it > 0);
        let place = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        is_sound.then(|| format!("{proto}:{place}:{port}"))
    },
};

impl Section for Ports {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let enabled = ask.setting.config.ports.as_ref().map(|it| it.enabled);
        facts::ask_if(ask, enabled, SystemQuery::Ports)
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let mut known = match facts::facts_of(answer) {
            Ok(known) => known,
            Err(why) => return Observed::Failed(why.to_string()),
        };
        for (place, port) in &mut known {
            let Ok(facts) = port else { continue };
            let locked = ask.baseline.and_then(|state| state.entries.get(place)).map(facts::facts);
            // Where this user may not see the program, a port whose program is locked is not compared.
            if facts.remove(HIDDEN).is_some() && locked.is_some_and(|it| it.contains_key("program")) {
                let why = "the program that listens is not visible to this user: run it as root, or set sudo = true for the target";
                *port = Err(Reason::of(Some(Obstacle::NoRights), why));
            }
        }
        let ignore = ask.setting.config.ports.as_ref().map(|it| it.ignore.as_slice()).unwrap_or_default();
        facts::observed(ask, known, ignore)
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        TABLE.parse(files)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        TABLE.print(state)
    }

    fn undo(&self, finding: &Finding) -> Result<String, Reason> {
        let program = |facts: &Option<crate::host::Facts>| {
            facts.as_ref().and_then(|it| it.get("program")).map_or("the program".to_owned(), Clone::clone)
        };
        let how = match finding.kind {
            Kind::Missing => {
                format!("start {} again, or see why it does not listen", program(&finding.baseline_entry))
            }
            Kind::Unexpected => format!("stop {}, or have it listen elsewhere", program(&finding.entry)),
            _ => format!(
                "have {} listen there in place of {}",
                program(&finding.baseline_entry),
                program(&finding.entry)
            ),
        };
        Err(how.into())
    }
}

/// Whether a port's address is every address of the machine.
#[must_use]
pub fn is_open_to_all(facts: &crate::host::Facts) -> bool {
    let address = facts.get("address").and_then(|address| address.parse::<std::net::IpAddr>().ok());
    address.is_some_and(|address| address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_is_a_table_of_real_ports() {
        let text = "tcp\t0.0.0.0\t22\tsshd\ntcp\t::\t22\tsshd\nudp\t127.0.0.1\t53\n";
        let state = Ports.parse(&[("f", text.as_bytes())]).unwrap();
        let keys: Vec<String> =
            state.entries.keys().map(|it| String::from_utf8(it.clone()).unwrap()).collect();
        assert_eq!(keys, ["tcp:0.0.0.0:22", "tcp:[::]:22", "udp:127.0.0.1:53"]);
        assert_eq!(String::from_utf8(Ports.print(&state).remove(0)).unwrap(), text);
        for text in ["icmp\t::\t22\n", "tcp\tlocalhost\t22\n", "tcp\t::\t0\n", "tcp\t::\t65536\n"] {
            assert!(Ports.parse(&[("f", text.as_bytes())]).is_err(), "{text}");
        }
    }
}
