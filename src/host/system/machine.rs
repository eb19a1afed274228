//! The machine itself: its processors and its memory, by the kernel's own tables.

use super::{Facts, Request, Sources, SystemFacts, fact, lines, source};
use crate::model::Reason;

/// The name of the machine among facts.
pub const MACHINE: &str = "machine";

/// The names of a machine's facts.
pub mod machine_fact {
    /// The number of its processors.
    pub const CPUS: &str = "cpus";
    /// Its memory in KiB, without what the kernel keeps for itself.
    pub const MEMORY_KIB: &str = "memory_kib";
}

const CPUS: &str = "/proc/cpuinfo";
const MEMORY: &str = "/proc/meminfo";

pub(super) fn requests() -> Vec<Request> {
    vec![
        Request::File { name: "cpuinfo", path: CPUS, lines: "^processor" },
        Request::File { name: "meminfo", path: MEMORY, lines: "^MemTotal:" },
    ]
}

/// The facts of the machine. `proc_cpuinfo(5)` begins each processor with a line `processor : N`; `proc_meminfo(5)` tells the
/// memory in KiB.
pub(super) fn read(sources: &Sources) -> Result<SystemFacts, Reason> {
    let text = |name: &str, path: &str| {
        let text = source(sources, name).map_err(|why| why.behind(path))?;
        text.ok_or_else(|| Reason::from(format!("{path} is not there: /proc is not mounted")))
    };
    let begins = |line: &&[u8]| {
        line.strip_prefix(b"processor").is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
    };
    let cpus = lines(text("cpuinfo", CPUS)?).filter(begins).count();
    let memory = lines(text("meminfo", MEMORY)?).find_map(|line| line.strip_prefix(b"MemTotal:"));
    let kib = memory.and_then(|rest| rest.trim_ascii().strip_suffix(b" kB")).map(|it| fact(it.trim_ascii()));
    let kib = kib.filter(|kib| kib.parse::<u64>().is_ok_and(|kib| kib > 0));
    let (Some(kib), 1..) = (kib, cpus) else {
        return Err(format!("{CPUS} and {MEMORY} tell of no processor or no memory").into());
    };
    let facts = [(machine_fact::CPUS, cpus.to_string()), (machine_fact::MEMORY_KIB, kib)];
    let facts: Facts = facts.map(|(name, value)| (name.to_owned(), value)).into();
    Ok(SystemFacts::from([(MACHINE.as_bytes().to_vec(), Ok(facts))]))
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    #[test]
    fn processors_are_counted_and_memory_is_taken_as_it_is_told() {
        let sources = |cpus: &str, memory: &str| {
            Sources::from(
                [("cpuinfo", cpus), ("meminfo", memory)]
                    .map(|(name, text)| (name.to_owned(), Source::Text(text.as_bytes().to_vec()))),
            )
        };
        let cpus = "processor\t: 0\nmodel name\t: x processor : 9\nprocessor\t: 1\n";
        let facts = read(&sources(cpus, "MemTotal:        4017236 kB\n")).unwrap();
        let facts = facts[MACHINE.as_bytes()].as_ref().unwrap();
        assert_eq!((facts["cpus"].as_str(), facts["memory_kib"].as_str()), ("2", "4017236"));
        for (cpus, memory) in [("", "MemTotal: 1 kB\n"), (cpus, "MemTotal: x kB\n"), (cpus, "MemTotal: 1\n")]
        {
            assert!(read(&sources(cpus, memory)).is_err(), "{cpus:?} {memory:?}");
        }
        assert!(read(&Sources::new()).unwrap_err().text().contains("was not looked at"));
    }
}
