//! Packages inside containers: the databases of dpkg, apk and rpm, as the engine's archive has them. No process is started there, and
//! nothing is unpacked.

use std::path::Path;

use super::api::EngineApi;
use super::archive::{self, ArchiveError, Contained};
use crate::host::rpm;
use crate::host::system::{RPM, Request, Source, Sources, SystemFacts, SystemQuery};
use crate::host::{ContainerQuery, Limited, Watch};
use crate::model::{Glob, Reason};

/// Where rpm keeps its database: of `SQLite`; of its own kind, which SUSE has; and of Berkeley DB, which RHEL has up to 8.
const OF_RPM: [&str; 6] = [
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/Packages",
];
/// How the file is called whose changes `SQLite` keeps in a log beside it.
const LOGGED: &str = ".sqlite";

/// Asks an engine for the containers of these names, and nothing of them.
pub(in crate::host) fn query_of(containers: &[Glob]) -> ContainerQuery {
    ContainerQuery {
        patterns: containers.to_vec(),
        named: std::collections::BTreeSet::new(),
        locked: None,
        mounts: false,
        exclude: Vec::new(),
        contents: Vec::new(),
        environments: false,
        image: None,
        ignores_unnamed: false,
        limited: Limited::default(),
        ports: false,
        states: false,
        clock: || 0,
    }
}

/// What is told of containers where none of them could be asked: each pattern stands for those that it names.
pub(in crate::host) fn unasked(containers: &[Glob], why: &str) -> SystemFacts {
    containers.iter().map(|glob| (glob.text().as_bytes().to_vec(), Err(why.into()))).collect()
}

/// The patterns that none of the names matches, each with what to do.
pub(in crate::host) fn unmatched(containers: &[Glob], names: &[&str]) -> SystemFacts {
    let is_idle = |glob: &&Glob| !names.iter().any(|name| glob.matches(name.as_bytes()));
    let idle: Vec<Glob> = containers.iter().filter(is_idle).cloned().collect();
    unasked(&idle, "there is no such container: start it, or correct containers in [packages]")
}

/// The packages of one container, by `CONTAINER:NAME:ARCHITECTURE`; or why they are not known, by the container's name.
pub(in crate::host) async fn packages_of(
    engine: &EngineApi,
    (name, id): (&str, &str),
    is_there: &dyn Fn(&str) -> bool,
    watch: &Watch,
) -> SystemFacts {
    let known = match sources(engine, id, is_there, watch).await {
        Ok(sources) => SystemQuery::Packages.read(&sources),
        Err(why) => Err(why),
    };
    match known {
        Ok(facts) => facts.into_iter().map(|(place, facts)| in_container(name, &place, facts)).collect(),
        Err(why) => SystemFacts::from([(name.as_bytes().to_vec(), Err(why))]),
    }
}

type Told = Result<crate::host::Facts, Reason>;

fn in_container(container: &str, place: &[u8], facts: Told) -> (Vec<u8>, Told) {
    let place = [container.as_bytes(), b":", place].concat();
    let facts = facts.map(|mut facts| {
        if let Some(name) = facts.get_mut("name") {
            *name = format!("{container}:{name}");
        }
        facts
    });
    (place, facts)
}

/// The texts that a look at a machine's packages needs, from the files of a container.
async fn sources(
    engine: &EngineApi,
    id: &str,
    is_there: &dyn Fn(&str) -> bool,
    watch: &Watch,
) -> Result<Sources, Reason> {
    let mut all = Sources::new();
    for request in SystemQuery::Packages.requests() {
        let (name, source) = match &request {
            Request::File { name, path, .. } => (*name, file(engine, (id, path), is_there, watch).await),
            Request::List { name, path } => (*name, names(engine, (id, path), is_there, watch).await),
            Request::Run { .. } | Request::Owners { .. } | Request::Search { .. } | Request::Sums { .. } => {
                continue;
            }
        };
        all.insert(name.to_owned(), source);
    }
    if all.values().any(|source| !matches!(source, Source::Gone)) {
        return Ok(all);
    }
    for path in OF_RPM {
        if let Some(listed) = of_rpm(engine, (id, path), is_there, watch).await? {
            all.insert(RPM.to_owned(), Source::Text(listed));
            return Ok(all);
        }
    }
    Err("neither dpkg nor apk nor rpm is in it: take it out of containers in [packages]".into())
}

/// The packages in a database of rpm, as it lists them; `None` where there is none.
async fn of_rpm(
    engine: &EngineApi,
    (id, path): (&str, &str),
    is_there: &dyn Fn(&str) -> bool,
    watch: &Watch,
) -> Result<Option<Vec<u8>>, Reason> {
    let content = async |path: &str| match file(engine, (id, path), is_there, watch).await {
        Source::Text(content) => Ok(Some(content)),
        Source::Gone => Ok(None),
        Source::Refused(why) => Err(Reason::from(why).behind(path)),
    };
    let log_path = path.ends_with(LOGGED).then(|| format!("{path}-wal"));
    let log = match &log_path {
        Some(log_path) => content(log_path).await?.unwrap_or_default(),
        None => Vec::new(),
    };
    let Some(database) = content(path).await? else { return Ok(None) };
    let is_quiet = match &log_path {
        Some(log_path) => content(log_path).await?.unwrap_or_default() == log,
        None => content(path).await?.is_some_and(|again| again == database),
    };
    if !is_quiet {
        return Err(Reason::from("rpm is at work: wait for it").behind(path));
    }
    let listed = rpm::listed(&database, &log);
    listed.map(Some).map_err(|damaged| Reason::from(damaged.to_string()).behind(path))
}

async fn file(
    engine: &EngineApi,
    (id, path): (&str, &str),
    is_there: &dyn Fn(&str) -> bool,
    watch: &Watch,
) -> Source {
    match archive::read_content(engine, id, path, Contained::Given(is_there), watch).await {
        Ok(disk) => match disk.content(path) {
            Some(bytes) => Source::Text(bytes.to_vec()),
            None => Source::Refused("it is no regular file".to_owned()),
        },
        Err(ArchiveError::Nothing(_)) => Source::Gone,
        Err(error) => Source::Refused(error.to_string()),
    }
}

async fn names(
    engine: &EngineApi,
    (id, path): (&str, &str),
    is_there: &dyn Fn(&str) -> bool,
    watch: &Watch,
) -> Source {
    match archive::read(engine, id, path, Contained::Given(is_there), watch).await {
        Ok((disk, _)) => match disk.names(Path::new(path)) {
            Some(names) => Source::Text(names.join(&b'\n')),
            None => Source::Refused("it is no directory".to_owned()),
        },
        Err(ArchiveError::Nothing(_)) => Source::Gone,
        Err(error) => Source::Refused(error.to_string()),
    }
}
