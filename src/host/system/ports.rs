//! Listening ports: the tables of the kernel (`proc(5)`), and the process that holds each socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Facts, HIDDEN, Request, Source, Sources, SystemFacts, fact, lines, source};
use crate::model::Reason;

/// The tables, each with its protocol and the state of a socket that waits for whoever comes.
const TABLES: [(&str, &str, &str, &str); 4] = [
    ("tcp", "/proc/net/tcp", "tcp", "0A"),
    ("tcp6", "/proc/net/tcp6", "tcp", "0A"),
    ("udp", "/proc/net/udp", "udp", "07"),
    ("udp6", "/proc/net/udp6", "udp", "07"),
];

/// Programs of engines that hold a port for a container: Docker's proxy or its daemon, those of engines without root, and
/// Podman's, which only keeps others from taking it.
const FORWARDERS: [&str; 9] = [
    "docker-proxy",
    "dockerd",
    "conmon",
    "rootlessport",
    "rootlesskit",
    "slirp4netns",
    "pasta",
    "pasta.avx2",
    "gvproxy",
];

/// Whether a program of this name holds ports for containers.
#[must_use]
pub fn is_forwarder(program: &str) -> bool {
    FORWARDERS.contains(&program)
}

pub(super) fn requests() -> Vec<Request> {
    let tables = TABLES.map(|(name, path, ..)| Request::File { name, path, lines: "" });
    tables.into_iter().chain([Request::Owners { name: "owners" }]).collect()
}

/// The listening ports by `PROTO:ADDRESS:PORT`.
pub(super) fn read(sources: &Sources) -> Result<SystemFacts, Reason> {
    let owners = match sources.get("owners") {
        Some(Source::Text(text)) => Owners::of(text),
        _ => Owners { all_seen: false, ..Owners::default() },
    };
    let mut found: BTreeMap<(&str, IpAddr, u16), Vec<u64>> = BTreeMap::new();
    for (name, path, proto, state) in TABLES {
        match source(sources, name).map_err(|why| format!("{path}: {why}"))? {
            Some(text) => {
                for line in lines(text).skip(1).filter(|line| !line.trim_ascii().is_empty()) {
                    let row = Row::of(line)
                        .ok_or_else(|| format!("{path}: a line is not as the kernel writes it"))?;
                    if row.state == state && row.is_unconnected {
                        found.entry((proto, row.address, row.port)).or_default().push(row.inode);
                    }
                }
            }
            // A kernel may have no IPv6.
            None if name.ends_with('6') => {}
            None => {
                return Err(format!("{path} is not there: this is no Linux, or /proc is not mounted").into());
            }
        }
    }
    let entry = |((proto, address, port), inodes): ((&str, IpAddr, u16), Vec<u64>)| {
        let place = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let mut facts: Facts =
            [("proto", proto.to_owned()), ("address", address.to_string()), ("port", port.to_string())]
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        // Several programs may share a port: each connection goes to one of them.
        let programs: BTreeSet<&str> = inodes.iter().filter_map(|inode| owners.first_of(*inode)).collect();
        if !programs.is_empty() {
            let programs: Vec<&str> = programs.into_iter().collect();
            facts.insert("program".to_owned(), programs.join(","));
        } else if !owners.all_seen {
            facts.insert(HIDDEN.to_owned(), "true".to_owned());
        }
        (format!("{proto}:{place}:{port}").into_bytes(), Ok(facts))
    };
    Ok(found.into_iter().map(entry).collect())
}

struct Row<'a> {
    address: IpAddr,
    port: u16,
    is_unconnected: bool,
    state: &'a str,
    inode: u64,
}

impl<'a> Row<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let fields: Vec<&str> = std::str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
        let (address, port) = endpoint(fields.get(1)?)?;
        let (remote, remote_port) = endpoint(fields.get(2)?)?;
        let is_unconnected = remote.is_unspecified() && remote_port == 0;
        Some(Self {
            address,
            port,
            is_unconnected,
            state: fields.get(3)?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// An address as the kernel prints it: words of 32 bits in the machine's order of bytes, which is little-endian.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_le_bytes);
    match address.len() {
        8 => Some((Ipv4Addr::from(word(0)?).into(), port)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some((Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into(), port))
        }
        _ => None,
    }
}

/// Which process has which socket.
#[derive(Default)]
struct Owners {
    /// The first process of each socket: children that inherit it have come later.
    first: BTreeMap<u64, u32>,
    names: BTreeMap<u32, String>,
    all_seen: bool,
}

impl Owners {
    fn of(text: &[u8]) -> Self {
        let mut owners = Self { all_seen: true, ..Self::default() };
        let mut process = None;
        for line in lines(text) {
            let line = String::from_utf8_lossy(line);
            if line.starts_with("ls: ") {
                owners.all_seen &= !line.contains("denied") && !line.contains("not permitted");
            } else if let Some((pid, rest)) =
                line.strip_prefix("/proc/").and_then(|rest| rest.split_once('/'))
            {
                let Ok(pid) = pid.parse() else { continue };
                process = Some(pid);
                if let Some(name) = rest.strip_prefix("comm:") {
                    owners.names.entry(pid).or_insert_with(|| fact(name.as_bytes()));
                }
            } else if let (Some(pid), Some((_, socket))) = (process, line.rsplit_once(" -> socket:[")) {
                let Ok(inode) = socket.trim_end_matches(']').parse() else { continue };
                let first = owners.first.entry(inode).or_insert(pid);
                *first = pid.min(*first);
            }
        }
        owners
    }

    fn first_of(&self, inode: u64) -> Option<&str> {
        let name = self.names.get(self.first.get(&inode)?)?;
        Some(name.as_str()).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn told(tcp: &str, owners: &str) -> Vec<String> {
        let text = |text: &str| Source::Text(format!("{HEAD}{text}").into_bytes());
        let sources = Sources::from([
            ("tcp".to_owned(), text(tcp)),
            ("tcp6".to_owned(), Source::Gone),
            ("udp".to_owned(), text("")),
            ("udp6".to_owned(), Source::Gone),
            ("owners".to_owned(), Source::Text(owners.into())),
        ]);
        let all = read(&sources).unwrap();
        let words = |(key, facts): (&Vec<u8>, &Result<Facts, crate::model::Reason>)| {
            let facts = facts.as_ref().unwrap();
            let program = facts.get("program").or_else(|| facts.get(HIDDEN).map(|_| &facts["proto"]));
            format!("{} {}", String::from_utf8_lossy(key), program.map_or("-", String::as_str))
        };
        all.iter().map(words).collect()
    }

    #[test]
    fn sockets_that_listen_are_told_with_the_first_process_that_has_them() {
        let tcp = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n   \
            1: 0100007F:0016 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 78 1\n   \
            2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 79 1\n";
        let owners = "/proc/9/fd:\nlrwx 3 -> socket:[77]\n/proc/12/fd:\nlrwx 3 -> socket:[77]\n/proc/9/comm:sshd\n/proc/12/comm:worker\n";
        assert_eq!(told(tcp, owners), ["tcp:0.0.0.0:8080 -", "tcp:127.0.0.1:22 sshd"]);
        // Two programs on one port, each with a socket of its own.
        let shared = format!(
            "{tcp}   3: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 80 1\n"
        );
        let both = format!("{owners}/proc/7/fd:\nlrwx 3 -> socket:[80]\n/proc/7/comm:other\n");
        assert_eq!(told(&shared, &both), ["tcp:0.0.0.0:8080 -", "tcp:127.0.0.1:22 other,sshd"]);
        // Where not every process may be looked at, one without a program may have one.
        let hidden = format!("{owners}ls: cannot open directory '/proc/1/fd': Permission denied\n");
        assert_eq!(told(tcp, &hidden), ["tcp:0.0.0.0:8080 tcp", "tcp:127.0.0.1:22 sshd"]);
    }

    #[test]
    fn addresses_are_those_that_the_kernel_means() {
        let address = |text: &str| endpoint(text).map(|(address, port)| format!("{address} {port}"));
        assert_eq!(address("0100007F:0016").as_deref(), Some("127.0.0.1 22"));
        assert_eq!(address("00000000000000000000000001000000:01BB").as_deref(), Some("::1 443"));
        assert_eq!(address("B80D0120000000000000000001000000:0035").as_deref(), Some("2001:db8::1 53"));
        assert_eq!(address("0100007F"), None);
    }
}
