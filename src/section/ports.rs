//! The ports section: what listens, where, and which program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::facts::{self, Table};
use super::{Ask, Plan, Purpose, Section, SectionMeta, fact};
use crate::baseline::LockError;
use crate::config::DockerMode;
use crate::host::{Answer, Facts, HIDDEN, ListeningPorts, Published, SystemFacts, SystemQuery, is_forwarder};
use crate::model::{
    Entry, Finding, Kind, Observed, Obstacle, PublishedPort, Reason, SectionId, State, SubjectKind,
};

/// Listening ports, where `[ports]` is there.
pub(super) struct Ports;

/// The section's id.
pub const ID: SectionId = SectionId("ports");

const META: SectionMeta = SectionMeta::new(
    ID,
    "listening ports of TCP and UDP: protocol, address, port, and the program or container that listens",
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
        is_sound.then(|| place_of(proto, address, port))
    },
};

/// What stands before the name of a container in the place of a program.
const CONTAINER: &str = "container:";

fn place_of(proto: &str, address: IpAddr, port: &str) -> String {
    if address.is_ipv6() {
        format!("{proto}:[{address}]:{port}")
    } else {
        format!("{proto}:{address}:{port}")
    }
}

impl Section for Ports {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let enabled = ask.setting.config.ports.as_ref().map(|it| it.enabled);
        facts::ask_if(ask, enabled, SystemQuery::Ports { asks_engine: ask.setting.docker != DockerMode::Off })
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let (sockets, published) = match answer {
            Answer::Ports(ListeningPorts { sockets, published }) => (sockets, Some(published)),
            other => (facts::facts_of(other), None),
        };
        let mut known = match sockets {
            Ok(known) => known,
            Err(why) => return Observed::Failed(why.to_string()),
        };
        let mut unasked = None;
        let mut kept = Vec::new();
        match published {
            Some(Ok(published)) => name_containers(&mut known, &published),
            Some(Err(why)) => {
                let count = lack_engine(&mut known, ask, &why).max(1);
                let reason = why.behind("ports that only the engine tells of, because it could not be asked");
                unasked = Some((count, reason));
            }
            None => {
                kept = leave_unnamed(&mut known, ask);
                unasked = Some((kept.len() as u64, OFF.into()));
            }
        }
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
        let observed = facts::assumed(facts::observed(ask, known, ignore), kept, &OFF.into());
        let (count, reason) = unasked.unwrap_or_default();
        facts::left_out(observed, count, reason.text())
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
        let container = |facts: &Option<Facts>| program(facts).strip_prefix(CONTAINER).map(str::to_owned);
        if let Some(name) = container(&finding.baseline_entry).filter(|_| finding.kind == Kind::Missing) {
            return Err(format!(
                "start the container {name}, or make it anew with the port that the baseline has"
            )
            .into());
        }
        if let Some(name) = container(&finding.entry).filter(|_| finding.kind == Kind::Unexpected) {
            return Err(format!("make the container {name} anew without the port, or stop it").into());
        }
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

/// Ports that the baseline gives to containers.
fn of_containers<'a>(ask: &Ask<'a>) -> impl Iterator<Item = (&'a Vec<u8>, &'a Entry)> {
    let locked = ask.baseline.into_iter().flat_map(|state| &state.entries);
    let locked = locked.filter(|_| ask.setting.purpose == Purpose::Check);
    locked.filter(|(_, entry)| facts::facts(entry).get("program").is_some_and(|it| it.starts_with(CONTAINER)))
}

/// Whether a port may be one that an engine holds for a container.
fn may_forward(facts: &Facts) -> bool {
    facts.contains_key(HIDDEN) || facts.get("program").is_none_or(|program| is_forwarder(program))
}

/// Puts the names of containers in the place of the programs that hold their ports. An engine may lead packets to a container
/// without any socket, so a published port is there whether or not a socket is.
fn name_containers(known: &mut SystemFacts, published: &Published) {
    let mut names: BTreeMap<Vec<u8>, BTreeSet<&str>> = BTreeMap::new();
    for (container, ports) in published {
        let ports = ports.iter().filter(|port| matches!(port.proto.as_str(), "tcp" | "udp"));
        let (held, bare): (Vec<_>, Vec<_>) =
            ports.map(|port| (port, holders(known, port))).partition(|(_, at)| !at.is_empty());
        let is_held = |port: &PublishedPort| {
            held.iter().any(|(it, _)| (it.port, &it.proto) == (port.port, &port.proto))
        };
        for (_, places) in &held {
            for place in places {
                names.entry(place.clone()).or_default().insert(container);
            }
        }
        // Docker lists `::` also where the machine has no IPv6.
        for (port, _) in bare.iter().filter(|(port, _)| !port.is_open_to_all() || !is_held(port)) {
            let place = place_of(&port.proto, port.address, &port.port.to_string()).into_bytes();
            names.entry(place.clone()).or_default().insert(container);
            known.insert(place, Ok(facts_of(port)));
        }
    }
    for (place, names) in names {
        let Some(Ok(facts)) = known.get_mut(&place) else { continue };
        facts.remove(HIDDEN);
        let mut who = format!("{CONTAINER}{}", names.into_iter().collect::<Vec<_>>().join(","));
        if let Some(holder) = facts.remove("program") {
            if !is_forwarder(&holder) {
                who = format!("{who} and {holder}");
            }
            facts.insert(fact::HOLDER.to_owned(), holder);
        }
        facts.insert("program".to_owned(), who);
    }
}

/// Places of the sockets that hold a published port: that of its address; for every address also those of others.
fn holders(known: &SystemFacts, port: &PublishedPort) -> Vec<Vec<u8>> {
    let place = place_of(&port.proto, port.address, &port.port.to_string()).into_bytes();
    if known.contains_key(&place) {
        return vec![place];
    }
    let number = port.port.to_string();
    let is_it = |facts: &Facts| {
        facts.get("proto") == Some(&port.proto)
            && facts.get("port") == Some(&number)
            && is_open_to_all(facts)
            && port.is_open_to_all()
            && may_forward(facts)
    };
    known.iter().filter(|(_, it)| it.as_ref().is_ok_and(is_it)).map(|(place, _)| place.clone()).collect()
}

fn facts_of(port: &PublishedPort) -> Facts {
    let facts = [
        ("proto", port.proto.clone()),
        ("address", port.address.to_string()),
        ("port", port.port.to_string()),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Said of ports of containers that nobody is to ask for.
const OFF: &str = "docker is off: which container has the port is not compared";

/// Where the engine did not say whose ports it holds, those that the baseline gives to containers could not be looked at. Gives how
/// many those are.
fn lack_engine(known: &mut SystemFacts, ask: &Ask<'_>, why: &Reason) -> u64 {
    let mut count = 0;
    for (place, _) in of_containers(ask) {
        let is_clear = known.get(place).is_some_and(|it| it.as_ref().is_ok_and(|facts| !may_forward(facts)));
        if !is_clear {
            count += 1;
            known.insert(
                place.clone(),
                Err(why.behind("the engine did not say which container has the port")),
            );
        }
    }
    count
}

/// Where nobody wants the engine to be asked, a port that it may hold is as the baseline has it, also where no socket is seen: the
/// engine may lead packets to a container without one. Gives the places of those.
fn leave_unnamed(known: &mut SystemFacts, ask: &Ask<'_>) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for (place, entry) in of_containers(ask) {
        let may_be_it = known.get(place).is_none_or(|it| it.as_ref().is_ok_and(may_forward));
        if may_be_it {
            known.insert(place.clone(), Ok(facts::facts(entry)));
            kept.push(place.clone());
        }
    }
    kept
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
        let text = "tcp\t0.0.0.0\t22\tsshd\ntcp\t::\t22\tcontainer:ssh\nudp\t127.0.0.1\t53\n";
        let state = Ports.parse(&[("f", text.as_bytes())]).unwrap();
        let keys: Vec<String> =
            state.entries.keys().map(|it| String::from_utf8(it.clone()).unwrap()).collect();
        assert_eq!(keys, ["tcp:0.0.0.0:22", "tcp:[::]:22", "udp:127.0.0.1:53"]);
        assert_eq!(String::from_utf8(Ports.print(&state).remove(0)).unwrap(), text);
        for text in ["icmp\t::\t22\n", "tcp\tlocalhost\t22\n", "tcp\t::\t0\n", "tcp\t::\t65536\n"] {
            assert!(Ports.parse(&[("f", text.as_bytes())]).is_err(), "{text}");
        }
    }

    fn socket(place: &str, program: &str) -> (Vec<u8>, Result<Facts, Reason>) {
        let (proto, rest) = place.split_once(':').unwrap();
        let (address, port) = rest.rsplit_once(':').unwrap();
        let address = address.trim_matches(['[', ']']);
        let facts = [("proto", proto), ("address", address), ("port", port), ("program", program)];
        let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter();
        (place.into(), Ok(facts.filter(|(_, value)| !value.is_empty()).collect()))
    }

    fn named(sockets: &[(&str, &str)], published: &[(&str, &[&str])]) -> Vec<String> {
        let mut known = sockets.iter().map(|(place, program)| socket(place, program)).collect();
        let ports = |ports: &&[&str]| ports.iter().map(|port| port.parse().unwrap()).collect();
        let published = published.iter().map(|(name, its)| ((*name).to_owned(), ports(its))).collect();
        name_containers(&mut known, &published);
        let words = |(place, facts): (Vec<u8>, Result<Facts, Reason>)| {
            let place = String::from_utf8(place).unwrap();
            format!("{place} {}", facts.unwrap().get("program").map_or("-", String::as_str))
        };
        known.into_iter().map(words).collect()
    }

    #[test]
    fn the_container_stands_in_the_place_of_what_holds_its_port() {
        let web: (&str, &[&str]) = ("web", &["0.0.0.0:80->8069/tcp", "[::]:80->8069/tcp"]);
        let proxy = ("tcp:0.0.0.0:80", "docker-proxy");
        assert_eq!(
            named(&[proxy, ("tcp:0.0.0.0:81", "nginx")], &[web]),
            ["tcp:0.0.0.0:80 container:web", "tcp:0.0.0.0:81 nginx"]
        );
        // One socket of both families, and one whose program is not to be seen.
        assert_eq!(named(&[("tcp:[::]:80", "rootlessport")], &[web]), ["tcp:[::]:80 container:web"]);
        assert_eq!(named(&[("tcp:[::]:80", "")], &[web]), ["tcp:[::]:80 container:web"]);
        // Rules of the kernel alone.
        let both = ["tcp:0.0.0.0:80 container:web", "tcp:[::]:80 container:web"];
        assert_eq!(named(&[], &[web]), both);
        // A program that listens at the same place, which the rules go before.
        let nginx = named(&[("tcp:0.0.0.0:80", "nginx"), ("tcp:127.0.0.1:80", "nginx")], &[web]);
        assert_eq!(nginx, ["tcp:0.0.0.0:80 container:web and nginx", "tcp:127.0.0.1:80 nginx"]);
        let db: (&str, &[&str]) = ("db", &["127.0.0.1:80->1/udp", "127.0.0.1:9->1/sctp"]);
        assert_eq!(
            named(&[proxy], &[web, db]),
            ["tcp:0.0.0.0:80 container:web", "udp:127.0.0.1:80 container:db"]
        );
        let pod = ("pod", web.1);
        assert_eq!(named(&[proxy], &[web, pod]), ["tcp:0.0.0.0:80 container:pod,web"]);
    }
}
