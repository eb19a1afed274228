//! Answers a query for addon modules: finds roots and candidates, and gathers the answer.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use rustix::fs::FileType;

use super::detect::detect;
use super::module::{BY_CONFIGURATION, Counts, Looked, ModuleLook, NOT_INCLUDED, is_pruned};
use super::read::ReadError;
use super::storage::{Asked, Storage};
use super::walk::{Want, child, expand, may_hold};
use super::{HostError, Layout, ModuleQuery, ModulesAnswer, Scope, SeenModule, Select, Watch};
use crate::model::{Glob, Reason, Unit, Unreadable};

/// Finds the modules that `query` asks for and hashes all their files.
pub(super) fn observe(
    disk: &dyn Storage,
    layout: &Layout,
    query: &ModuleQuery,
    watch: &Watch,
) -> Result<ModulesAnswer, HostError> {
    let roots = find_roots(disk, layout, query);
    let named: BTreeSet<&[u8]> = query.named.iter().map(Vec::as_slice).collect();
    let mut left_out = roots.left_out;
    let Candidates { places: mut candidates, elsewhere } =
        candidates(disk, layout, &roots.directories, &query.scope, &mut left_out);
    for place in &named {
        candidates.entry(place.to_vec()).or_insert(None);
    }
    let candidates: Vec<_> = candidates.into_iter().collect();
    let looked: Vec<(Vec<u8>, Looked)> = candidates
        .into_par_iter()
        // One large module, or file, keeps one thread busy and makes no other module wait.
        .with_max_len(1)
        .map(|(place, trouble)| {
            let named = named.contains(place.as_slice());
            let look = ModuleLook {
                disk,
                layout,
                exclude: &query.exclude,
                watch,
                named,
                all_bytecode: query.all_bytecode,
            };
            let looked = trouble.map_or_else(|| look.at(&place), |why| Ok(Looked::troubled(why)))?;
            let looked = looked.sharing(query.known.get(&place));
            Ok((place, looked))
        })
        .collect::<Result<_, HostError>>()?;
    Ok(assemble(looked, &roots.patterns, &elsewhere, roots.troubled, left_out))
}

/// The addon roots that were found.
#[derive(Default)]
struct Roots {
    directories: BTreeSet<Vec<u8>>,
    /// Each configured pattern and the roots it led to.
    patterns: Vec<(Glob, Vec<Vec<u8>>)>,
    troubled: BTreeMap<Vec<u8>, Reason>,
    left_out: Counts,
}

fn find_roots(disk: &dyn Storage, layout: &Layout, query: &ModuleQuery) -> Roots {
    let mut roots = Roots::default();
    let sort_in = |roots: &mut Roots, paths: BTreeMap<Vec<u8>, Option<Reason>>| {
        let mut places = Vec::new();
        for (path, trouble) in paths {
            places.push(path.clone());
            match trouble {
                Some(why) => drop(roots.troubled.insert(path, why)),
                None => drop(roots.directories.insert(path)),
            }
        }
        places
    };
    match &query.select {
        Select::Named => {}
        Select::Detect => drop(sort_in(&mut roots, detect(disk, layout).roots)),
        Select::Patterns(globs) => {
            for glob in globs.iter().filter(|glob| may_hold_modules(&query.scope, glob)) {
                let places =
                    sort_in(&mut roots, expand(disk, layout, glob, &[], Want::Directories, false).paths);
                roots.patterns.push((glob.clone(), places));
            }
        }
    }
    roots
}

/// Whether modules below roots that `glob` matches may belong on this host.
pub(super) fn may_hold_modules(scope: &Scope, glob: &Glob) -> bool {
    let below = format!("{}/*", if glob.text().is_empty() { "." } else { glob.text() });
    Glob::new(&below).is_ok_and(|below| scope.may_meet(&below))
}

/// What may be modules, and where there is more of it than belongs here.
struct Candidates {
    /// Directories, and the reason beside what cannot be looked at.
    places: BTreeMap<Vec<u8>, Option<Reason>>,
    /// Roots with subdirectories that do not belong here.
    elsewhere: BTreeSet<Vec<u8>>,
}

/// The direct subdirectories of every root, and entries that may be some but cannot be looked at.
fn candidates(
    disk: &dyn Storage,
    layout: &Layout,
    roots: &BTreeSet<Vec<u8>>,
    scope: &Scope,
    left_out: &mut Counts,
) -> Candidates {
    let (mut all, mut elsewhere) = (BTreeMap::new(), BTreeSet::new());
    for root in roots {
        let Some(host) = layout.locate(root) else { continue };
        let names = match disk.entries(&host, Asked::Directories) {
            Ok(names) => names,
            Err(ReadError::Refused(why)) => {
                all.insert(root.clone(), Some(why.behind("this addon root cannot be listed")));
                continue;
            }
            Err(_) if disk.exists(&host).is_ok() => {
                let why = "this addon root is a broken symbolic link or not a directory".into();
                all.insert(root.clone(), Some(why));
                continue;
            }
            Err(_) => continue,
        };
        let mounted = layout.mounted_in(root).into_iter().map(|name| (name.to_vec(), FileType::Unknown));
        for (name, kind) in names.into_iter().chain(mounted) {
            let place = child(root, &name);
            if !may_hold(kind) || is_pruned(&name) {
            } else if scope.has_module(&place) {
                all.insert(place, None);
            } else {
                left_out.add(Unit::Subjects, NOT_INCLUDED, 1);
                elsewhere.insert(root.clone());
            }
        }
    }
    Candidates { places: all, elsewhere }
}

fn assemble(
    looked: Vec<(Vec<u8>, Looked)>,
    patterns: &[(Glob, Vec<Vec<u8>>)],
    elsewhere: &BTreeSet<Vec<u8>>,
    troubled: BTreeMap<Vec<u8>, Reason>,
    mut left_out: Counts,
) -> ModulesAnswer {
    let mut answer = ModulesAnswer::default();
    for (place, looked) in looked {
        match looked {
            Looked::NotAModule => {}
            Looked::Excluded => left_out.add(Unit::Subjects, BY_CONFIGURATION, 1),
            Looked::Module(seen, counts) => {
                left_out.merge(&counts);
                answer.modules.insert(place, seen);
            }
        }
    }
    for (path, reason) in troubled {
        let unreadable = Unreadable { reason, ..Unreadable::default() };
        answer.modules.insert(path, SeenModule::Unreadable(unreadable));
    }
    let holds_some = |root: &Vec<u8>| {
        let is_there =
            |(place, seen): (&Vec<u8>, &SeenModule)| *seen != SeenModule::Gone && is_in(root, place);
        elsewhere.contains(root) || answer.modules.iter().any(is_there)
    };
    let unmatched = patterns.iter().filter(|(_, roots)| !roots.iter().any(holds_some));
    answer.unmatched = unmatched.map(|(glob, _)| glob.clone()).collect();
    answer.left_out = left_out.list();
    answer
}

/// Whether `place` is the root itself or lies directly in it.
fn is_in(root: &[u8], place: &[u8]) -> bool {
    let parent = place.iter().rposition(|&b| b == b'/').map_or(&[][..], |cut| &place[..cut]);
    place == root || parent == root
}
