//! Desired state of a place: which CMDBs are asked, what they answer, and what on the place each CI is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::audit::pipeline::Request;
use crate::audit::target::{Aim, host_name};
use crate::check::{AnsweredItems, Counterpart, DesiredAnswer, PlacedItem};
use crate::config::{DesiredFrom, DesiredSource, DockerConfig, OnUnexpected};
use crate::control::{clock, waits};
use crate::desired::{AnswerError, AnswerPage, DesiredItem, read, unfound};
use crate::host::{ProbeQuery, Watch, program_output};
use crate::model::{
    Address, Glob, LeftOut, OutOfDate, Reason, Unit, any_match, escaped, in_words, is_up_to_date, lasting,
    printable_path,
};
use crate::notify::{Client, FetchError, credentials};
use crate::project::Project;

/// The most that one source may answer, in bytes.
const LARGEST_ANSWER: u64 = LARGEST_TEXT;
/// The most pages of one answer.
const PAGES: usize = 10_000;

/// CMDBs that are asked while the place is looked at, or why none could be asked.
pub(super) struct Asking<'scope>(Result<ScopedJoinHandle<'scope, Vec<DesiredAnswer>>, String>);

impl<'scope> Asking<'scope> {
    /// Begins to ask on a thread of its own.
    fn begin<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        thread: Builder,
        ask: impl FnOnce() -> Vec<DesiredAnswer> + Send + 'scope,
    ) -> Self {
        let begun = thread.spawn_scoped(scope, ask);
        Self(begun.map_err(|error| {
            let why = in_words(&error);
            format!("the CMDB was not asked: no thread could be started ({why}): see the limits of this user, and check again")
        }))
    }

    /// Their answers.
    pub(super) fn finish(self) -> Vec<DesiredAnswer> {
        let failed = |why: String| vec![Err(why)];
        match self.0 {
            Ok(thread) => {
                thread.join().unwrap_or_else(|_| failed("asking the CMDB failed unexpectedly".to_owned()))
            }
            Err(why) => failed(why),
        }
    }
}

/// Begins to ask, where any is of this place and compared.
pub(super) fn begin<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    (project, aim): (&'env Project, &'env Aim),
    request: &Request<'_>,
    watch: &'env Watch,
) -> Option<Asking<'scope>> {
    if !request.asks_desired() {
        return None;
    }
    let ask = move || of_place(project, aim).map(|it| answer(it, (project, aim), watch)).collect();
    Some(Asking::begin(scope, Builder::new(), ask))
}

/// The sources of a place, by name.
fn of_place<'a>(
    project: &'a Project,
    aim: &Aim,
) -> impl Iterator<Item = (&'a String, &'a DesiredSource)> + use<'a> {
    let name = aim.name();
    project.config.desired.all.iter().filter(move |(_, source)| source.is_of(&name))
}

/// Why a source gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{0}")]
    Refused(String),
    #[error("no [commands.{0}] defines the program")]
    NoCommand(String),
    #[error("{0} was not run: {1}")]
    NotRun(String, String),
    #[error("{0}: {1}")]
    Program(String, Reason),
    #[error("{0}: {1}")]
    File(String, String),
    #[error("{0}")]
    Credentials(String),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("its pages have no end")]
    Endless,
    #[error("its pages did not all come within {0} s")]
    Late(u64),
    #[error("it was interrupted")]
    Interrupted,
    #[error("it tells of {1} CIs on its pages, and of {0} in its count: it changed meanwhile; check again")]
    Moved(u64, u64),
    #[error("{0} stands there twice: narrow the address down, or name it otherwise")]
    Twice(String),
    #[error("it names no CI: correct its address, or take it out")]
    Empty,
    #[error("{0} names \"{1}\", which is nowhere in the answer: correct it, or leave it out")]
    Nowhere(String, String),
    #[error("{0} names {1}, and none of its CIs is called so: correct it, or leave it out")]
    NoSuchItem(&'static str, String),
    #[error(
        "none of its {0} CIs is of {1}: say in names which one is, names = {{ CI = \"{1}\" }}, or leave {1} out of its targets"
    )]
    OfOthers(u64, String),
    #[error("it is from {0} ago, and older than max_age, {1}: renew it, or see why nobody did")]
    Stale(String, String),
    #[error("it is dated {0} ahead of this machine: set one of the two clocks right")]
    Ahead(String),
}

fn answer(
    (name, source): (&String, &DesiredSource),
    (project, aim): (&Project, &Aim),
    watch: &Watch,
) -> DesiredAnswer {
    let start = Instant::now();
    let answered = gathered(project, source, watch);
    log::info!(name:%, ms = start.elapsed().as_millis(), whole = answered.is_ok(); "asked a CMDB");
    let placed = answered.and_then(|(items, unnamed)| {
        let chosen = source.include.as_deref();
        placed((project, aim), source, items, chosen).map(|mut all| {
            let reason = "CIs without a name".to_owned();
            all.left_out.extend((unnamed > 0).then_some(LeftOut {
                unit: Unit::Subjects,
                count: unnamed,
                reason,
                remedy: None,
            }));
            all
        })
    });
    placed.map_err(|error| format!("[desired.{name}]: {error}"))
}

/// Each CI that a source has, and how many have no name.
fn gathered(
    project: &Project,
    source: &DesiredSource,
    watch: &Watch,
) -> Result<(Vec<DesiredItem>, u64), SourceError> {
    if let Some(why) = &source.refused {
        return Err(SourceError::Refused(why.clone()));
    }
    let pages = match &source.from {
        DesiredFrom::Command(command) => vec![read(&printed(project, command)?, source)?],
        DesiredFrom::Url(url, token) => {
            if let Some(path) = url.strip_prefix("file://") {
                vec![of_file(Path::new(path), source)?]
            } else {
                let client = credentials::reader(project, url, token.as_deref());
                let client = client.map_err(|why| SourceError::Credentials(why.in_one_line()))?;
                fetched(&client, source, watch)?
            }
        }
    };
    let told = pages.first().and_then(|page| page.count);
    let (mut items, mut unnamed, mut made, mut found) = (Vec::new(), 0, None, BTreeSet::new());
    for page in pages {
        made = match (made, page.made) {
            (Some(one), Some(other)) => Some(std::cmp::min(one, other)),
            (one, other) => one.or(other),
        };
        unnamed += page.unnamed;
        found.extend(page.found);
        items.extend(page.items);
    }
    let all = items.len() as u64 + unnamed;
    if let Some(count) = told.filter(|count| *count != all) {
        return Err(SourceError::Moved(count, all));
    }
    made.map_or(Ok(()), |made| is_fresh(made, source.max_age))?;
    if items.is_empty() {
        return Err(SourceError::Empty);
    }
    if let Some((key, path)) = unfound(source, &found) {
        return Err(SourceError::Nowhere(key, escaped(path.as_bytes())));
    }
    Ok((items, unnamed))
}

fn is_fresh(made: i64, max_age: i64) -> Result<(), SourceError> {
    is_up_to_date(made, max_age, clock::unix()).map_err(|why| match why {
        OutOfDate::Old(age) => SourceError::Stale(lasting(age), lasting(max_age)),
        OutOfDate::Ahead(by) => SourceError::Ahead(lasting(by)),
    })
}

/// The output of a program that the configuration defines.
///
/// # Errors
/// When it is not defined, may not be run, or failed.
pub(crate) fn printed(project: &Project, command: &str) -> Result<Vec<u8>, SourceError> {
    let desired = &project.config.desired;
    let shown = format!("[commands.{command}]");
    if let Some(why) = &desired.refused {
        return Err(SourceError::NotRun(shown, why.clone()));
    }
    let program = desired.commands.get(command).ok_or_else(|| SourceError::NoCommand(command.to_owned()))?;
    let (run, timeout) = (program.run.clone(), program.timeout);
    let program = ProbeQuery { name: command.to_owned(), run, timeout, fact: None };
    let most = usize::try_from(LARGEST_ANSWER).unwrap_or(usize::MAX);
    program_output(&program, most).map_err(|why| SourceError::Program(shown, why))
}

/// The answer in a file, which is as old as the file where it does not say otherwise.
fn of_file(path: &Path, source: &DesiredSource) -> Result<AnswerPage, SourceError> {
    let failed = |error: &std::io::Error| SourceError::File(printable_path(path), in_words(error));
    let meta = path.metadata().map_err(|error| failed(&error))?;
    let bytes = read_file_within(path, LARGEST_ANSWER).map_err(|error| failed(&error))?;
    let page = read(&bytes, source)?;
    let modified = std::os::unix::fs::MetadataExt::mtime(&meta);
    Ok(AnswerPage { made: page.made.or(Some(modified)), ..page })
}

/// Every page of an answer over HTTP.
fn fetched(client: &Client, source: &DesiredSource, watch: &Watch) -> Result<Vec<AnswerPage>, SourceError> {
    let end = Instant::now() + waits::CMDB_WHOLE.most;
    let (mut pages, mut next, mut known) = (Vec::new(), None::<String>, BTreeSet::new());
    let mut left = LARGEST_ANSWER;
    loop {
        if watch.is_cancelled() {
            return Err(SourceError::Interrupted);
        }
        let time: Duration = end.saturating_duration_since(Instant::now()).min(waits::CMDB.most);
        if time.is_zero() {
            return Err(SourceError::Late(waits::CMDB_WHOLE.most.as_secs()));
        }
        let bytes = client.get(next.as_deref(), left, time)?;
        left = left.saturating_sub(bytes.len() as u64);
        let page = read(&bytes, source)?;
        next.clone_from(&page.next);
        pages.push(page);
        match &next {
            None => return Ok(pages),
            Some(next) if pages.len() >= PAGES || !known.insert(next.clone()) => {
                return Err(SourceError::Endless);
            }
            Some(_) => {}
        }
    }
}

/// The CIs that are of a place, each with what it is there.
fn placed(
    (project, aim): (&Project, &Aim),
    source: &DesiredSource,
    items: Vec<DesiredItem>,
    chosen: Option<&[Glob]>,
) -> Result<AnsweredItems, SourceError> {
    let mut all = AnsweredItems::default();
    let mut left_out: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let (mut uncompared, mut is_any_here) = (0, false);
    named_in_vain(source, &items)?;
    let told = items.len() as u64;
    for item in items {
        if chosen.is_some_and(|globs| !any_match(globs, item.name.as_bytes())) {
            *left_out.entry("not in include of its [desired]").or_default() += 1;
            continue;
        }
        if !known.insert(item.name.clone()) {
            return Err(SourceError::Twice(escaped(item.name.as_bytes())));
        }
        let counterpart = counterpart((project, aim), source, &item.name);
        is_any_here |= counterpart.is_some();
        if !item.is_live {
            *left_out.entry("planned, failed, or being taken out of service").or_default() += 1;
            continue;
        }
        let Some(counterpart) = counterpart else {
            *left_out.entry("CIs of other targets").or_default() += 1;
            continue;
        };
        uncompared += custom_fields(&item).filter(|name| !source.custom.contains_key(*name)).count() as u64;
        all.items.push(PlacedItem { item, counterpart, custom: source.custom.clone() });
    }
    // A CMDB of the servers need not know the machine of a developer, unless somebody says that it does.
    if !is_any_here && (aim.target.is_some() || source.targets.is_some()) {
        return Err(SourceError::OfOthers(told, aim.name()));
    }
    if uncompared > 0 {
        left_out.insert("custom fields that [desired] custom does not name", uncompared);
    }
    all.left_out = left_out
        .into_iter()
        .map(|(reason, count)| LeftOut {
            unit: Unit::Subjects,
            count,
            reason: reason.to_owned(),
            remedy: None,
        })
        .collect();
    Ok(all)
}

/// Makes sure that each name and pattern of the configuration is of some CI.
fn named_in_vain(source: &DesiredSource, items: &[DesiredItem]) -> Result<(), SourceError> {
    let is_there = |name: &&String| items.iter().any(|item| item.name == **name);
    if let Some(name) = source.names.keys().find(|name| !is_there(name)) {
        return Err(SourceError::NoSuchItem("names", escaped(name.as_bytes())));
    }
    let matches = |glob: &&Glob| items.iter().any(|item| glob.matches(item.name.as_bytes()));
    match source.include.iter().flatten().find(|glob| !matches(glob)) {
        Some(glob) => Err(SourceError::NoSuchItem("include", escaped(glob.text().as_bytes()))),
        None => Ok(()),
    }
}

fn custom_fields(item: &DesiredItem) -> impl Iterator<Item = &str> {
    item.fields.keys().filter_map(|name| name.strip_prefix("custom_fields."))
}

/// What a CI is on a place; `None`: it is of another one.
fn counterpart((project, aim): (&Project, &Aim), source: &DesiredSource, name: &str) -> Option<Counterpart> {
    let place = aim.name();
    let mapped = source.names.get(name).map_or(name, String::as_str);
    if let Some((target, container)) = mapped.split_once(':').filter(|_| source.names.contains_key(name)) {
        return (target == place).then(|| of_container(project, container));
    }
    let machine = aim.server().map_or_else(host_name, str::to_owned);
    if mapped == place || mapped == machine {
        return Some(Counterpart::Machine);
    }
    let is_target = |(target, it): (&String, &crate::config::Target)| {
        mapped == target || it.host.as_deref().is_some_and(|host| mapped == host)
    };
    let is_elsewhere = mapped == "local" || project.config.targets.iter().any(is_target);
    (!is_elsewhere).then(|| of_container(project, mapped))
}

/// A container of that name.
fn of_container(project: &Project, name: &str) -> Counterpart {
    let docker: DockerConfig = project.config.docker.clone().unwrap_or_default();
    let matches = |text: &String| Glob::new(text).is_ok_and(|glob| glob.matches(name.as_bytes()));
    let is_seen = docker.containers.iter().any(matches) && docker.unexpected != OnUnexpected::Ignore;
    Counterpart::Container { name: name.to_owned(), is_seen }
}

/// What would be asked, for `--dry-run`.
pub(crate) fn dry_run(project: &Project, aim: &Aim) -> String {
    let line = |(name, source): (&String, &DesiredSource)| {
        let from = match &source.from {
            DesiredFrom::Command(command) => format!("the output of [commands.{command}]"),
            DesiredFrom::Url(url, None) => Address::new(url.clone()).to_string(),
            DesiredFrom::Url(url, Some(file)) => {
                format!("{}, with the token in {}", Address::new(url.clone()), printable_path(file))
            }
        };
        format!("desired: the CIs of [desired.{name}], from {from}\n")
    };
    if aim.asks_desired(project) { of_place(project, aim).map(line).collect() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cmdb_that_no_thread_could_ask_is_an_error_and_not_silence() {
        // No machine has room for such a stack.
        let huge = Builder::new().stack_size(1 << 60);
        let answers = std::thread::scope(|scope| Asking::begin(scope, huge, Vec::new).finish());
        let [Err(why)] = &answers[..] else { panic!("{answers:?}") };
        assert!(why.contains("no thread could be started"), "{why}");
        let answers = std::thread::scope(|scope| Asking::begin(scope, Builder::new(), || panic!()).finish());
        assert!(matches!(&answers[..], [Err(_)]));
    }
}
