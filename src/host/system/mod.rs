//! The state of a machine beside the project's files: packages, services, listening ports, and the output of probes.
//! This machine and a server give the same texts, and one reader turns those into facts.

mod here;
mod machine;
mod packages;
mod ports;
mod probes;
mod services;
mod shipped;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control::environment::account_home;
use crate::control::waits;
use crate::model::{Reason, escaped};

pub(super) use here::collect;
pub use machine::{MACHINE, machine_fact};
pub(super) use packages::RPM;
pub use ports::is_forwarder;
pub use shipped::{AS_SHIPPED, ASKED_BY, CONFIGURATION, DIVERTED, HISTORY, PACKAGE, READABLE, ShippedQuery};

/// Asks for one part of a machine's state.
#[derive(Debug, Clone)]
pub enum SystemQuery {
    /// The installed packages.
    Packages,
    /// These units of systemd.
    Services(Vec<String>),
    /// The listening ports.
    Ports {
        /// Whether the engine is asked which of them it publishes.
        asks_engine: bool,
    },
    /// The output of these programs.
    Probes(Vec<ProbeQuery>),
    /// Where files and a package come from.
    Shipped(ShippedQuery),
    /// The machine itself: its processors and its memory.
    Machine,
}

/// A program whose output is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeQuery {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub run: Vec<String>,
    /// The longest that it may take.
    pub timeout: Duration,
    /// The fact of Ansible's that is read in its place, where there is a fact cache.
    pub fact: Option<String>,
}

/// Named facts of one subject. Values hold no control characters, but for the output of a probe, which holds tabs and line
/// ends.
pub type Facts = BTreeMap<String, String>;

/// The facts of each subject, or the reason why they are not known.
pub type SystemFacts = BTreeMap<Vec<u8>, Result<Facts, Reason>>;

/// The largest output of a probe, in bytes.
const LARGEST_OUTPUT: usize = 64 << 10;
/// The largest output of a program of the system, in bytes.
const LARGEST_LIST: usize = 2 << 20;

/// Fact of a port whose program this user may not see.
pub const HIDDEN: &str = "hidden";

/// The reason where a program did not end.
pub(super) const LATE: &str = "it did not end in time: mend it, or give it a longer timeout";
/// The reason where a program ended, and something that it started did not.
pub(super) const LEFT_BEHIND: &str =
    "it left something running that holds its output: have it wait for all that it starts";

/// The reason where a program printed more than it may.
fn too_much(most: usize) -> String {
    format!("it prints more than {} KiB: have it print less", most >> 10)
}

/// A text that a machine is asked for.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// The lines of a file that `lines`, an extended regular expression, matches; all where it is empty. A reader skips other lines.
    File { name: &'static str, path: &'static str, lines: &'static str },
    /// The names in a directory, one a line.
    List { name: &'static str, path: &'static str },
    /// Which process has which socket, and the processes' names, as `ls -l /proc/[0-9]*/fd` and `grep '' /proc/[0-9]*/comm`
    /// print them.
    Owners { name: &'static str },
    /// Lines of the files in a directory whose names end in `suffix`, where they hold one of these texts, as `grep -FH` prints them.
    Search { name: &'static str, dir: &'static str, suffix: &'static str, texts: Vec<Vec<u8>> },
    /// The digests of a file, each behind the name of its algorithm: `md5` and `sha1`.
    Sums { name: String, path: Vec<u8> },
    /// The standard output of a program.
    Run { name: String, run: Vec<String>, timeout: Duration, most: usize },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The text.
    Text(Vec<u8>),
    /// There is no such file, directory or program.
    Gone,
    /// There is one, and it gave no text, with the reason.
    Refused(String),
}

/// The answers by the names of their requests.
pub(super) type Sources = BTreeMap<String, Source>;

impl SystemQuery {
    /// The query in one line.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self {
            Self::Packages => "installed packages".to_owned(),
            Self::Services(units) => format!("services {}", units.join(", ")),
            Self::Ports { .. } => "listening ports".to_owned(),
            Self::Machine => "processors and memory".to_owned(),
            Self::Probes(probes) => {
                let names: Vec<&str> = probes.iter().map(|probe| probe.name.as_str()).collect();
                format!("probes {}", names.join(", "))
            }
            Self::Shipped(_) => "packages of files".to_owned(),
        }
    }

    /// The texts that answer it.
    pub(super) fn requests(&self) -> Vec<Request> {
        match self {
            Self::Packages => packages::requests(),
            Self::Services(units) => services::requests(units),
            Self::Ports { .. } => ports::requests(),
            Self::Probes(probes) => probes::requests(probes),
            Self::Shipped(query) => shipped::requests(query),
            Self::Machine => machine::requests(),
        }
    }

    /// The facts in those texts.
    ///
    /// # Errors
    /// When none of it is known: what happened, and what to do.
    pub(super) fn read(&self, sources: &Sources) -> Result<SystemFacts, Reason> {
        let mut sources = sources.clone();
        for request in self.requests() {
            let Request::Run { name, most, .. } = request else { continue };
            let is_too_much = |it: &&mut Source| matches!(it, Source::Text(text) if text.len() > most);
            if let Some(source) = sources.get_mut(&name).filter(is_too_much) {
                *source = Source::Refused(too_much(most));
            }
        }
        match self {
            Self::Packages => packages::read(&sources),
            Self::Services(units) => services::read(units, &sources),
            Self::Ports { .. } => ports::read(&sources),
            Self::Probes(probes) => Ok(probes::read(probes, &sources)),
            Self::Shipped(query) => Ok(shipped::read(query, &sources)),
            Self::Machine => machine::read(&sources),
        }
    }
}

/// The standard output of a program that is run on this machine as probes are, of at most so many bytes.
///
/// # Errors
/// When it is not there, failed, did not end in time, or printed more.
pub fn program_output(program: &ProbeQuery, most: usize) -> Result<Vec<u8>, Reason> {
    text_of(here::output(&program.run, program.timeout, most), program)
}

/// The same of a program that lists an inventory. Ansible runs under UTF-8 alone, and keeps files below its user's home, which
/// probes do not get.
///
/// # Errors
/// As [`program_output`].
pub fn inventory_output(program: &ProbeQuery, most: usize) -> Result<Vec<u8>, Reason> {
    let home = account_home().unwrap_or_else(|| "/".to_owned());
    let variables = [("LC_ALL", "C.UTF-8"), ("ANSIBLE_LOCAL_TEMP", "/tmp"), ("HOME", &home)];
    text_of(here::output_with(&variables, &program.run, program.timeout, most), program)
}

fn text_of(output: Source, program: &ProbeQuery) -> Result<Vec<u8>, Reason> {
    match output {
        Source::Text(text) => Ok(text),
        Source::Refused(why) => Err(why.into()),
        Source::Gone => {
            Err(format!("{} is not there: install it", escaped(program.run[0].as_bytes())).into())
        }
    }
}

/// A program of the system that answers at once.
fn program(name: &str, run: &[&str]) -> Request {
    let run = run.iter().map(|word| (*word).to_owned()).collect();
    Request::Run { name: name.to_owned(), run, timeout: waits::SYSTEM_PROGRAM.most, most: LARGEST_LIST }
}

/// The answer to the request `name`; one that was not asked for is refused.
fn source<'a>(sources: &'a Sources, name: &str) -> Result<Option<&'a [u8]>, Reason> {
    match sources.get(name) {
        Some(Source::Text(text)) => Ok(Some(text)),
        Some(Source::Gone) => Ok(None),
        Some(Source::Refused(why)) => Err(why.as_str().into()),
        None => Err("it was not looked at".into()),
    }
}

/// A text of the machine as a fact.
fn fact(text: &[u8]) -> String {
    escaped(text)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a request.
    pub(in crate::host::system) fn name(request: &Request) -> String {
        match request {
            Request::File { name, .. }
            | Request::List { name, .. }
            | Request::Owners { name }
            | Request::Search { name, .. } => (*name).to_owned(),
            Request::Run { name, .. } | Request::Sums { name, .. } => name.clone(),
        }
    }
}
