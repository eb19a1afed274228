//! The addons section: Odoo addon modules, and every file of every module.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rayon::prelude::*;

use super::{Ask, EMPTY_LIST, NOWHERE, Plan, Purpose, Section, SectionMeta, is_empty, named, unmatched};
use crate::baseline::{Line, LockError, Rules, parse};
use crate::config::Bytecode;
use crate::host::{Answer, MANIFESTS, ModuleQuery, ModulesAnswer, Query, Scope, SeenModule, Select};
use crate::model::{
    Digest, Entry, Glob, Leaf, Observation, Observed, SectionId, State, SubjectKind, Tree, TreeBuilder,
    Value, escaped, write_line,
};

/// Odoo addon modules.
pub(super) struct Addons;

/// The section's id.
pub const ID: SectionId = SectionId("addons");

const META: SectionMeta = SectionMeta::new(
    ID,
    "Odoo addon modules: one digest each, and the digest of every file of every module",
    SubjectKind::Tree,
    ("addon module", "addon modules"),
    &["odoo_addons_modules.hash.txt", "odoo_addons_files.sha256.txt"],
);

impl Section for Addons {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let select = match &ask.setting.config.addon_roots {
            Some(roots) if roots.is_empty() => return Plan::Off(EMPTY_LIST.to_owned()),
            Some(roots) => Select::Patterns(roots.clone()),
            None if ask.setting.nowhere && !ask.locked => return Plan::Off("not configured".to_owned()),
            None => Select::Detect,
        };
        if ask.setting.nowhere {
            return Plan::Skip(NOWHERE.to_owned());
        }
        Plan::Ask(Query::Modules(ModuleQuery {
            select,
            exclude: ask.setting.config.addon_exclude.clone(),
            named: named(ask, false),
            known: known(ask),
            scope: ask.setting.scope.clone(),
            all_bytecode: ask.setting.config.addon_bytecode == Bytecode::Forbid,
        }))
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let Answer::Modules(answer) = answer else {
            return Observed::Failed("the host answered another question".to_owned());
        };
        let seen = observe(ask, answer);
        if is_empty(&seen) && !ask.locked && ask.setting.config.addon_roots.is_none() {
            return Observed::Off("no addon module was found".to_owned());
        }
        Observed::Seen(seen)
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        let [(modules_name, modules), (files_name, lines)] = files else {
            return Err(LockError::new("odoo_addons", "both lock files of the addons are needed"));
        };
        let modules = parse(modules_name, modules, Rules { absolute: false, links: false })?;
        let lines = parse(files_name, lines, Rules { absolute: false, links: true })?;
        join(modules_name, &modules, files_name, lines)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        vec![print_modules(self, state), print_module_files(state)]
    }

    fn names<'a>(&self, places: &BTreeSet<&'a [u8]>) -> BTreeMap<&'a [u8], Vec<u8>> {
        let mut groups: BTreeMap<&[u8], Vec<&'a [u8]>> = BTreeMap::new();
        for place in places {
            groups.entry(last(place)).or_default().push(place);
        }
        let mut names = BTreeMap::new();
        for (name, members) in groups {
            let by_root: BTreeSet<&[u8]> = members.iter().map(|place| last(parent(place))).collect();
            for place in &members {
                names.insert(
                    *place,
                    match (members.len(), parent(place)) {
                        (1, _) => name.to_vec(),
                        (n, root) if by_root.len() == n && !root.is_empty() => {
                            [last(root), b"/", name].concat()
                        }
                        _ => place.to_vec(),
                    },
                );
            }
        }
        names
    }

    fn in_scope(&self, scope: &Scope, place: &[u8]) -> bool {
        scope.has_module(place)
    }
}

/// The baseline's trees, by place.
fn known(ask: &Ask<'_>) -> BTreeMap<Vec<u8>, Tree> {
    let entries = ask.baseline.into_iter().flat_map(|state| &state.entries);
    entries.filter_map(|(place, entry)| Some((place.clone(), entry.tree.clone()?))).collect()
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').map_or(&[], |cut| &path[..cut])
}

fn observe(ask: &Ask<'_>, answer: ModulesAnswer) -> Observation {
    let covers = |glob: &Glob, place: &[u8]| glob.matches(parent(place));
    let problems = unmatched(ask, &answer.unmatched, covers);
    let mut seen = Observation { problems, left_out: answer.left_out, ..Observation::default() };
    for (place, module) in answer.modules {
        match module {
            SeenModule::Whole(tree) => {
                let tree = if ask.setting.purpose == Purpose::Export {
                    let (rest, strange) = tree.without_strange();
                    seen.strange.extend(strange.into_iter().map(|(path, why)| (place.clone(), path, why)));
                    rest
                } else {
                    tree
                };
                let value = Value::Digest(tree.digest());
                seen.state.entries.insert(place, Entry { value, tree: Some(tree), stat: None });
            }
            SeenModule::Unreadable(why) => {
                seen.unreadable.insert(place, why);
            }
            SeenModule::Gone => {}
        }
    }
    seen
}

fn print_modules(section: &Addons, state: &State) -> Vec<u8> {
    let places: BTreeSet<&[u8]> = state.entries.keys().map(Vec::as_slice).collect();
    let names = section.names(&places);
    let digest_of = |place: &[u8]| match state.entries.get(place).map(|entry| &entry.value) {
        Some(Value::Digest(digest)) => Some(*digest),
        _ => None,
    };
    let by_name: BTreeMap<Vec<u8>, Digest> =
        names.into_iter().filter_map(|(place, name)| Some((name, digest_of(place)?))).collect();
    let mut out = Vec::new();
    for (name, digest) in by_name {
        write_line(&mut out, Leaf::File(digest), &name);
    }
    out
}

fn print_module_files(state: &State) -> Vec<u8> {
    let mut lines: Vec<(Vec<u8>, Leaf)> = Vec::new();
    for (place, entry) in &state.entries {
        let tree = entry.tree.as_ref().map(Tree::iter).into_iter().flatten();
        lines.extend(tree.map(|(path, leaf)| ([place, path].join(&b'/'), leaf)));
    }
    lines.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    lines.dedup_by(|a, b| a.0 == b.0);
    let mut out = Vec::new();
    for (path, leaf) in lines {
        if matches!(leaf, Leaf::Link(_)) {
            out.push(b'#');
        }
        write_line(&mut out, leaf, &path);
    }
    out
}

/// Puts the two lock files together: the file lines say where each module lies, and must give its digest.
fn join(
    modules_name: &str,
    modules: &[Line<'_>],
    files_name: &str,
    mut lines: Vec<Line<'_>>,
) -> Result<State, LockError> {
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let files =
        Files { lines: &lines, places: places(&lines, &MANIFESTS), newer: places(&lines, &MANIFESTS[..1]) };
    let first: Vec<_> = modules.par_iter().map(|module| files.fit(module, |_| true)).collect();
    let mut seats = Seats { files: &files, modules, taken: BTreeMap::new() };
    for (index, first) in first.into_iter().enumerate() {
        if !seats.seat(index, first, &mut BTreeSet::new()) {
            let key = &modules[index].0;
            let what = if files.near(key).is_empty() {
                "lists no file of it"
            } else {
                "lists files that do not give its digest"
            };
            return Err(LockError::new(
                modules_name,
                &format!(
                    "inconsistent baseline: {} stands here, but {files_name} {what}; \
                 write both anew with: driftlock export --accept",
                    escaped(key)
                ),
            ));
        }
    }
    let mut state = State::default();
    let mut claimed = vec![false; lines.len()];
    for (place, (index, tree, range)) in seats.taken {
        claimed[range].fill(true);
        let entry = Entry { value: Value::from(modules[index].1), tree: Some(tree), stat: None };
        state.entries.insert(place.to_vec(), entry);
    }
    match claimed.iter().position(|claimed| !claimed) {
        None => Ok(state),
        Some(stray) => Err(LockError::new(
            files_name,
            &format!(
                "inconsistent baseline: {} belongs to no module of {modules_name}; \
             write both anew with: driftlock export --accept",
                escaped(&lines[stray].0)
            ),
        )),
    }
}

/// The lines of all files, and the directories that may be modules.
struct Files<'a> {
    lines: &'a [Line<'a>],
    places: Places<'a>,
    /// Those that hold the newer manifest: once, no others were modules.
    newer: Places<'a>,
}

impl<'a> Files<'a> {
    /// The places that may be the module that a lock file calls `key`, the likeliest first.
    fn near(&self, key: &[u8]) -> Vec<&'a [u8]> {
        let near = self.places.get(last(key)).map_or(&[][..], Vec::as_slice);
        let mut near: Vec<&[u8]> = near.iter().copied().filter(|place| is_called(place, key)).collect();
        near.sort_by_key(|place| (is_nested(&self.places, place), place.len(), *place));
        near
    }

    /// The first place among those that `may` be it whose files give the module's digest.
    fn fit(&self, (key, leaf): &Line<'_>, may: impl Fn(&[u8]) -> bool) -> Option<Fit<'a>> {
        let expected = Value::from(*leaf);
        self.near(key).into_iter().filter(|place| may(place)).find_map(|place| {
            let range = range_below(self.lines, place);
            let below = &self.lines[range.clone()];
            // A module inside this one is part of it, or left out of it and a subject of its own.
            let without = |places: &Places<'_>| {
                let is_own = |(path, _): &&Line<'_>| !is_in_inner_module(places, place, path);
                tree_of(below.iter().filter(is_own), place)
            };
            let is_it = |tree: &Tree| Value::Digest(tree.digest()) == expected;
            let whole = Some(tree_of(below.iter(), place)).filter(is_it);
            let tree = whole.or_else(|| [&self.places, &self.newer].map(without).into_iter().find(is_it))?;
            Some((place, tree, range))
        })
    }
}

/// Which module is at which place.
struct Seats<'a> {
    files: &'a Files<'a>,
    modules: &'a [Line<'a>],
    /// By place: the module's index, its files, and which lines they are.
    taken: BTreeMap<&'a [u8], (usize, Tree, Range<usize>)>,
}

impl<'a> Seats<'a> {
    /// Gives a module a place that fits, `first` if that is free; where all of them are taken, by modules of the same
    /// content, one of those moves to another place that fits it. No place is tried twice.
    fn seat(&mut self, index: usize, first: Option<Fit<'a>>, tried: &mut BTreeSet<&'a [u8]>) -> bool {
        let module = &self.modules[index];
        let is_free = |place: &[u8]| !self.taken.contains_key(place);
        let free = first.filter(|(place, ..)| is_free(place)).or_else(|| self.files.fit(module, is_free));
        if let Some((place, tree, range)) = free {
            self.taken.insert(place, (index, tree, range));
            return true;
        }
        while tried.len() < MOST_MOVES {
            let Some((place, tree, range)) = self.files.fit(module, |place| !tried.contains(place)) else {
                break;
            };
            tried.insert(place);
            let there = self.taken.get(place).map(|(there, ..)| *there);
            if there.is_none_or(|there| self.seat(there, None, tried)) {
                self.taken.insert(place, (index, tree, range));
                return true;
            }
        }
        false
    }
}

/// So many modules of one content move for another one at most; more than this is no baseline of anybody.
const MOST_MOVES: usize = 200;

/// A module's place, its files, and which lines they are.
type Fit<'a> = (&'a [u8], Tree, Range<usize>);

/// Whether the module at `place` may be the one that a lock file calls `key`.
fn is_called(place: &[u8], key: &[u8]) -> bool {
    place == key || place.strip_suffix(key).is_some_and(|above| above.ends_with(b"/"))
}

/// The lines of everything below `place`; they stand together because they are sorted.
fn range_below(lines: &[Line<'_>], place: &[u8]) -> Range<usize> {
    let prefix = [place, b"/"].concat();
    let start = lines.partition_point(|(path, _)| path.as_ref() < prefix.as_slice());
    let len = lines[start..].partition_point(|(path, _)| path.starts_with(&prefix));
    start..start + len
}

fn tree_of<'a>(lines: impl Iterator<Item = &'a Line<'a>>, place: &[u8]) -> Tree {
    let mut builder = TreeBuilder::default();
    for (path, leaf) in lines {
        builder.push(&path[place.len() + 1..], *leaf, None);
    }
    builder.build()
}

/// Directories that hold a manifest, by their last component.
type Places<'a> = BTreeMap<&'a [u8], Vec<&'a [u8]>>;

/// The directories that hold a file with one of these names.
fn places<'a>(lines: &'a [Line<'a>], names: &[&[u8]]) -> Places<'a> {
    let mut places = Places::new();
    for (path, _) in lines {
        let place = parent(path);
        if names.contains(&last(path)) && !place.is_empty() && !is_place(&places, place) {
            places.entry(last(place)).or_default().push(place);
        }
    }
    places
}

fn is_place(places: &Places<'_>, dir: &[u8]) -> bool {
    places.get(last(dir)).is_some_and(|all| all.contains(&dir))
}

/// Whether a directory above `place` is a module, too.
fn is_nested(places: &Places<'_>, place: &[u8]) -> bool {
    above(place).any(|dir| is_place(places, dir))
}

/// Whether a module lies between `place` and `path`.
fn is_in_inner_module(places: &Places<'_>, place: &[u8], path: &[u8]) -> bool {
    above(path).take_while(|dir| dir.len() > place.len()).any(|dir| is_place(places, dir))
}

/// The directories above a path, the nearest first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(parent(path)), |dir| Some(parent(dir))).take_while(|dir| !dir.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(files: &[(&str, Leaf)]) -> Entry {
        let mut builder = TreeBuilder::default();
        for (path, leaf) in files {
            builder.push(path.as_bytes(), *leaf, None);
        }
        let tree = builder.build();
        Entry { value: Value::Digest(tree.digest()), tree: Some(tree), stat: None }
    }

    fn file(text: &str) -> Leaf {
        Leaf::File(Digest::of(text.as_bytes()))
    }

    fn state(entries: &[(&str, Entry)]) -> State {
        State { entries: entries.iter().map(|(place, e)| (place.as_bytes().to_vec(), e.clone())).collect() }
    }

    fn parse_both(texts: &[Vec<u8>]) -> Result<State, LockError> {
        Addons.parse(&[("modules", &texts[0]), ("files", &texts[1])])
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let one = module(&[
            ("__manifest__.py", file("1")),
            ("a\nb", file("2")),
            ("l", Leaf::Link(Digest::of(b"x"))),
        ]);
        let nested = module(&[("__manifest__.py", file("1")), ("tests/two/__manifest__.py", file("3"))]);
        let all = state(&[("m/a/one", one.clone()), ("m/a-b/two", nested.clone()), ("m/b/one", one)]);
        let texts = Addons.print(&all);
        assert_eq!(parse_both(&texts).unwrap(), all);
        let names = String::from_utf8(texts[0].clone()).unwrap();
        let names: Vec<_> = names.lines().map(|line| &line[66..]).collect();
        assert_eq!(names, ["a/one", "b/one", "two"]);
    }

    #[test]
    fn a_copy_inside_another_module_is_not_mistaken_for_the_module() {
        let foo = module(&[("__manifest__.py", file("1"))]);
        let bar = module(&[("__manifest__.py", file("2")), ("foo/__manifest__.py", file("1"))]);
        let all = state(&[("community_addons/foo", foo), ("b/bar", bar)]);
        assert_eq!(parse_both(&Addons.print(&all)).unwrap(), all);
    }

    #[test]
    fn a_module_inside_another_may_be_left_out_of_it() {
        let outer = module(&[("__manifest__.py", file("1")), ("vendor", Leaf::Link(Digest::of(b"x")))]);
        let inner = module(&[("__manifest__.py", file("2")), ("a.py", file("3"))]);
        let all = state(&[("m/web", outer), ("m/web/vendor/inner", inner)]);
        assert_eq!(parse_both(&Addons.print(&all)).unwrap(), all);
    }

    #[test]
    fn modules_of_one_content_get_the_places_that_leave_one_for_each() {
        let inner = module(&[("__manifest__.py", file("1"))]);
        let outer = module(&[("__manifest__.py", file("1")), ("m/__manifest__.py", file("1"))]);
        let all = state(&[("x", outer), ("x/m", inner.clone()), ("y/x/m", inner)]);
        assert_eq!(parse_both(&Addons.print(&all)).unwrap(), all);
    }

    #[test]
    fn roots_of_one_name_give_whole_paths() {
        let places = [&b"x/addons/m"[..], b"y/addons/m", b"z/other"].into();
        let names = Addons.names(&places);
        assert_eq!(names[&b"x/addons/m"[..]], b"x/addons/m");
        assert_eq!(names[&b"z/other"[..]], b"other");
    }

    #[test]
    fn the_two_files_must_agree() {
        let all = state(&[("m/one", module(&[("__manifest__.py", file("1")), ("x", file("2"))]))]);
        let texts = Addons.print(&all);
        let without = |text: &[u8], word: &str| {
            let text = String::from_utf8(text.to_vec()).unwrap();
            text.lines()
                .filter(|l| !l.ends_with(word))
                .map(|l| format!("{l}\n"))
                .collect::<String>()
                .into_bytes()
        };
        let error = parse_both(&[texts[0].clone(), without(&texts[1], "/x")]).unwrap_err().to_string();
        assert!(error.contains("do not give its digest"), "{error}");
        let stray = [texts[1].clone(), texts[1][..66].to_vec(), b"zz/file\n".to_vec()].concat();
        let error = parse_both(&[texts[0].clone(), stray]).unwrap_err().to_string();
        assert!(error.contains("zz/file belongs to no module"), "{error}");
    }
}
