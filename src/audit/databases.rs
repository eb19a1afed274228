//! Databases of Odoo that belong to a place: which are asked, what they have, and the manifests they are held against.

use std::collections::BTreeMap;

use crate::audit::pipeline::{Look, Request};
use crate::audit::target::Aim;
use crate::check::{Databases, ODOO_MODULES};
use crate::config::{OdooDatabases, OdooServer, WhichDatabases};
use crate::host::{
    Content, DatabaseAnswer, DatabaseError, DatabaseQuery, DatabaseServer, Fault, Host, HostError, MANIFESTS,
    PostgresUrl, Watch,
};
use crate::model::{Digest, Entry, Leaf, Observed, Reason, escaped, printable_path};
use crate::project::Project;
use crate::provenance::{self, LONGEST_MANIFEST};
use crate::section;

/// The version of a manifest that states none, as Odoo takes it.
const UNSTATED: &str = "1.0";

/// The databases that are looked at from a place.
fn of_place<'a>(project: &'a Project, aim: &Aim) -> Vec<&'a OdooDatabases> {
    let name = aim.name();
    let all = project.config.odoo.iter().filter(|_| aim.is_machine());
    all.filter(|odoo| odoo.are_of(&name)).collect()
}

/// The server as messages call it.
fn shown(project: &Project, odoo: &OdooDatabases) -> String {
    match &odoo.server {
        OdooServer::Container(name) => format!("container {name}"),
        OdooServer::UrlFile(file) => {
            format!("the server of {}", printable_path(&project.named(&project.configured_path(file))))
        }
    }
}

/// What is asked of a server.
fn query(project: &Project, odoo: &OdooDatabases) -> Result<DatabaseQuery, DatabaseError> {
    let server = match &odoo.server {
        OdooServer::Container(name) => DatabaseServer::Container(name.clone()),
        OdooServer::UrlFile(file) => {
            let read = PostgresUrl::read(&project.configured_path(file));
            let failed = |error| DatabaseError::new(&shown(project, odoo), None, Fault::UrlFile(error));
            DatabaseServer::Url(Box::new(read.map_err(failed)?))
        }
    };
    let of_address = || match &server {
        DatabaseServer::Url(url) => url.database().map(str::to_owned),
        DatabaseServer::Container(_) => None,
    };
    let database = match &odoo.database {
        Some(WhichDatabases::Named(name)) => Some(name.clone()),
        Some(WhichDatabases::Every) => None,
        None => of_address(),
    };
    Ok(DatabaseQuery { server, database })
}

/// Reads the databases of a place, and the manifests of the modules that they have; `None` where there are none.
///
/// # Errors
/// When `watch` was cancelled.
pub(crate) fn look(
    (project, aim): (&Project, &Aim),
    request: &Request<'_>,
    look: &Look,
    host: &dyn Host,
    watch: &Watch,
) -> Result<Option<Databases>, HostError> {
    let wanted = of_place(project, aim);
    if wanted.is_empty() || !request.wants(ODOO_MODULES) {
        return Ok(None);
    }
    let servers = match &look.unreachable {
        Some(_) => not_asked(project, &wanted, "the server's state was not collected"),
        None => match &project.config.odoo_refused {
            Some(why) => not_asked(project, &wanted, why),
            None => asked(project, &wanted, host, watch)?,
        },
    };
    let mut databases = Databases { servers, manifests: BTreeMap::new() };
    databases.manifests = manifests(&databases, look, host, watch)?;
    Ok(Some(databases))
}

fn not_asked(project: &Project, wanted: &[&OdooDatabases], why: &str) -> Vec<DatabaseAnswer> {
    let fault = || Fault::NotLooked(why.to_owned());
    wanted.iter().map(|odoo| Err(DatabaseError::new(&shown(project, odoo), None, fault()))).collect()
}

fn asked(
    project: &Project,
    wanted: &[&OdooDatabases],
    host: &dyn Host,
    watch: &Watch,
) -> Result<Vec<DatabaseAnswer>, HostError> {
    let queries: Vec<_> = wanted.iter().map(|odoo| query(project, odoo)).collect();
    let good: Vec<DatabaseQuery> = queries.iter().filter_map(|query| query.as_ref().ok().cloned()).collect();
    let mut answers = match host.databases(&good, watch) {
        Ok(answers) => answers,
        Err(HostError::Interrupted) => return Err(HostError::Interrupted),
        Err(HostError::Unreachable(why)) => {
            let failed = |it: &DatabaseQuery| {
                Err(DatabaseError::new(&it.server.shown(), None, Fault::NotLooked(why.clone())))
            };
            good.iter().map(failed).collect()
        }
    }
    .into_iter();
    let missing = |query: DatabaseQuery| {
        let fault = Fault::NotLooked("the host did not answer".to_owned());
        Err(DatabaseError::new(&query.server.shown(), None, fault))
    };
    let all = queries
        .into_iter()
        .map(|query| query.and_then(|query| answers.next().unwrap_or_else(|| missing(query))));
    Ok(all.collect())
}

/// The version in the manifest of each module on disk that a database has, by the module's place.
fn manifests(
    databases: &Databases,
    look: &Look,
    host: &dyn Host,
    watch: &Watch,
) -> Result<BTreeMap<Vec<u8>, Result<String, Reason>>, HostError> {
    let addons = look.evidence.iter().find(|e| e.section.id() == section::ADDONS);
    let Some(Observed::Seen(seen)) = addons.map(|e| &e.observed) else { return Ok(BTreeMap::new()) };
    let names = databases.modules();
    let is_wanted = |place: &[u8]| names.contains(place.rsplit(|b| *b == b'/').next().unwrap_or(place));
    let mut versions = BTreeMap::new();
    let mut files = Vec::new();
    for (place, entry) in seen.state.entries.iter().filter(|(place, _)| is_wanted(place)) {
        match manifest_of(entry) {
            Some((name, Leaf::File(digest))) => files.push((place, [place, name].join(&b'/'), digest)),
            Some((_, Leaf::Link(_))) => {
                let why = "its manifest is a link, which is not followed: put the file there".into();
                versions.insert(place.clone(), Err(why));
            }
            None => drop(versions.insert(place.clone(), Err("it has no manifest".into()))),
        }
    }
    let wanted: Vec<(Vec<u8>, u64)> =
        files.iter().map(|(_, path, _)| (path.clone(), LONGEST_MANIFEST)).collect();
    let contents = match host.contents(&wanted, watch) {
        Ok(contents) => contents,
        Err(HostError::Interrupted) => return Err(HostError::Interrupted),
        Err(HostError::Unreachable(why)) => vec![Content::Unreadable(why.into()); files.len()],
    };
    for ((place, _, digest), content) in files.into_iter().zip(contents) {
        versions.insert(place.clone(), version_in(&content, digest));
    }
    Ok(versions)
}

/// The manifest of a module that Odoo reads.
fn manifest_of(entry: &Entry) -> Option<(&'static [u8], Leaf)> {
    let tree = entry.tree.as_ref()?;
    MANIFESTS.iter().find_map(|name| {
        let (_, leaf) = tree.iter().find(|(path, _)| *path == &**name)?;
        Some((&**name, leaf))
    })
}

/// The version that a manifest states, where it is still the one whose digest was taken.
fn version_in(content: &Content, digest: Digest) -> Result<String, Reason> {
    let bytes = match content {
        Content::Bytes(bytes) if Digest::of(bytes) == digest => bytes,
        Content::Bytes(_) | Content::Gone => {
            return Err("its manifest changed while it was looked at: check again".into());
        }
        Content::TooLarge(size) => {
            return Err(format!("its manifest has {size} bytes, which is no manifest").into());
        }
        Content::Unreadable(why) => return Err(why.behind("its manifest")),
    };
    let states_one = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let has = |word: &[u8]| line.windows(word.len()).any(|window| window == word);
        !line.starts_with(b"#") && (has(b"'version'") || has(b"\"version\""))
    };
    match provenance::version(bytes) {
        Some(version) => Ok(version),
        None if bytes.split(|b| *b == b'\n').any(states_one) => {
            Err("the version in its manifest is no plain text: write it as 'version': '18.0.1.0.0'".into())
        }
        None => Ok(UNSTATED.to_owned()),
    }
}

/// What would be read, for `--dry-run`.
pub(crate) fn dry_run(project: &Project, aim: &Aim) -> String {
    let line = |odoo: &&OdooDatabases| {
        let which = match &odoo.database {
            Some(WhichDatabases::Named(name)) => format!("database {}", escaped(name.as_bytes())),
            None if matches!(odoo.server, OdooServer::UrlFile(_)) => "the database of the address".to_owned(),
            None | Some(WhichDatabases::Every) => "every database with the table ir_module_module".to_owned(),
        };
        let how = match &odoo.server {
            OdooServer::Container(_) => " by its psql",
            OdooServer::UrlFile(_) => "",
        };
        format!("odoo: installed modules of {which} in {}{how}\n", shown(project, odoo))
    };
    of_place(project, aim).iter().map(line).collect()
}

/// Where a database module is installed, and what its manifest says, in sentences.
pub(crate) fn details(databases: &Databases, key: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for seen in databases.servers.iter().flatten() {
        for (name, modules) in &seen.databases {
            let module = modules.iter().flatten().find(|it| format!("{name}:{}", it.name).as_bytes() == key);
            let Some(module) = module else { continue };
            let version = module.version.as_deref().unwrap_or("none");
            lines.push(format!(
                "database {name} in {}: version {version}, state {}",
                seen.server, module.state
            ));
            let ending = [b"/", module.name.as_bytes()].concat();
            let its = |place: &&Vec<u8>| place.ends_with(&ending) || **place == module.name.as_bytes();
            for place in databases.manifests.keys().filter(its) {
                let states = match &databases.manifests[place] {
                    Ok(version) => format!("version {version}"),
                    Err(why) => why.to_string(),
                };
                lines.push(format!("manifest in {}: {states}", String::from_utf8_lossy(place)));
            }
        }
    }
    lines
}
