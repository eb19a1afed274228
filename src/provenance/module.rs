//! Where the content of an addon module comes from: of one commit as a whole, or file by file.

use std::collections::{BTreeSet, HashMap};

use super::guise::{BlobAt, Guise};
use super::judgement::Base;
use super::own::Kept;
use super::places::module_at;
use super::record::Name;
use super::search::{Search, Sought};
use super::tree::Inner;
use crate::git::{Ends, Form};
use crate::model::{
    Commit, FileOrigin, Kind, Leaf, Origin, Part, Provenance, Stat, Tree, TreeBuilder, Value,
};

/// The form that all files of a module are in.
#[derive(Clone, Copy)]
struct Style {
    guise: Guise,
    links_as_files: bool,
}

impl Style {
    fn takes(self, guise: Guise) -> bool {
        let link = if self.links_as_files { Guise::LinkText } else { Guise::Link };
        guise == self.guise || guise == link
    }
}

/// What a module is said to be as soon as one of its files is, the worst first.
const LOST: [Origin; 4] = [Origin::Edited, Origin::Unreleased, Origin::Copied, Origin::Untracked];

/// A side of the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Expected,
    Actual,
}

impl Side {
    fn of(self, part: &Part) -> &Value {
        if self == Self::Expected { &part.expected } else { &part.actual }
    }

    fn whole(self, sought: &Sought) -> &Value {
        if self == Self::Expected { &sought.expected } else { &sought.actual }
    }
}

impl Search<'_> {
    /// The names that a module's directory has had.
    pub(super) fn names_of(&self, sought: &Sought) -> Vec<Name> {
        let names = self.record.names(&self.key(sought)).into_iter();
        let mut names: Vec<Name> = names.map(|name| Name { path: module_at(&name.path), ..name }).collect();
        // A manifest that was renamed within its module gives the module's directory twice.
        let mut known = BTreeSet::new();
        names.retain(|name| known.insert(name.path.clone()));
        names
    }

    /// The commits that changed something in a module, the newest first.
    pub(super) fn steps_of_module(&self, sought: &Sought) -> Vec<usize> {
        let mut steps = Vec::new();
        for name in self.names_of(sought) {
            let own = self.record.steps_below(&name.path).into_iter();
            steps.extend(own.filter(|step| self.is_within(*step, name.within.as_deref())));
        }
        steps.sort_by_key(|step| self.age(*step));
        steps.dedup();
        steps
    }

    /// The commits that made a module what no parent of theirs has, each with its tree, the newest first.
    pub(super) fn states(&self, sought: &Sought) -> Vec<(usize, &str)> {
        let names = self.names_of(sought);
        let mut all = Vec::new();
        for name in &names {
            let states = self.record.states(&name.path).iter();
            let of_then = states.filter(|(step, _)| self.is_within(*step, name.within.as_deref()));
            all.extend(of_then.map(|(step, tree)| (*step, tree.as_str())));
        }
        all.sort_by_key(|(step, _)| self.age(*step));
        all
    }

    /// Every file that a module has ever had, from the uppermost directory, under its present name.
    pub(super) fn files_ever(&self, sought: &Sought) -> BTreeSet<Vec<u8>> {
        let trees: BTreeSet<&str> = self.states(sought).into_iter().map(|(_, tree)| tree).collect();
        let files = trees.into_iter().filter_map(|tree| self.trees.files(tree, &sought.path, self.exclude));
        let files = files.flatten();
        files.map(|file| sought.inner(&file.path)).collect()
    }

    /// Reads the trees of all candidates, and the blobs of those that agree with what is known of the differing files.
    pub(super) fn learn_modules(&mut self, sought: &[Sought]) {
        let modules: Vec<&Sought> = sought.iter().filter(|one| one.is_module).collect();
        let all = modules.iter().flat_map(|one| self.states(one));
        let roots: BTreeSet<String> = all.map(|(_, tree)| tree.to_owned()).collect();
        self.trees.read(self.repository, &roots, &self.limit);
        let mut blobs: Vec<String> = Vec::new();
        // What is not found in the forms that files have here may have come from where they have others.
        let (mut here, mut elsewhere): (Vec<BlobAt>, Vec<BlobAt>) = (Vec::new(), Vec::new());
        for one in &modules {
            if self.limit.is_over() {
                self.trees.was_cut = true;
                break;
            }
            for side in [Side::Actual, Side::Expected] {
                let is_lost = self.has_lost_modules && self.matches_of_module(one, side).is_empty();
                for file in self.agreeing(one, side, None).into_iter().flat_map(|(_, files)| files) {
                    if !file.is_link {
                        let written = if is_lost { &mut elsewhere } else { &mut here };
                        written.push((file.blob.clone(), one.inner(&file.path)));
                    }
                    blobs.push(file.blob);
                }
            }
        }
        let blobs: Vec<&str> = blobs.iter().map(String::as_str).collect();
        self.digests.learn(self.repository, &blobs, Form::Stored, &|_| true, &self.limit);
        self.learn_checked_out(here, false);
        self.learn_checked_out(elsewhere, true);
    }

    /// The candidates in which every differing file is as `side` has it, as far as that is known, each with its files: in a
    /// style, or in whatever form.
    fn agreeing(&self, sought: &Sought, side: Side, style: Option<Style>) -> Vec<(Vec<usize>, Vec<Inner>)> {
        if *side.whole(sought) == Value::Absent {
            return Vec::new();
        }
        let mut by_tree: Vec<(&str, Vec<usize>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (step, tree) in self.states(sought) {
            let at = *places.entry(tree).or_insert_with(|| {
                by_tree.push((tree, Vec::new()));
                by_tree.len() - 1
            });
            by_tree[at].1.push(step);
        }
        let mut agreeing = Vec::new();
        for (tree, steps) in by_tree {
            let Some(files) = self.trees.files(tree, &sought.path, self.exclude) else { continue };
            let by_path: HashMap<&[u8], &Inner> =
                files.iter().map(|file| (file.path.as_slice(), file)).collect();
            let agrees = |part: &Part| {
                let file = by_path.get(part.path.as_slice());
                part.kind == Kind::Unreadable
                    || self.may_be(sought, part, file.copied(), side.of(part), style)
            };
            if sought.parts.iter().all(agrees) {
                agreeing.push((steps, files));
            }
        }
        agreeing
    }

    /// Whether a file of a tree may have this value: not known is a perhaps.
    fn may_be(
        &self,
        sought: &Sought,
        part: &Part,
        file: Option<&Inner>,
        value: &Value,
        style: Option<Style>,
    ) -> bool {
        let path = sought.inner(&part.path);
        match (value, file) {
            (Value::Absent, None) => true,
            (Value::Absent, Some(_)) => style.is_none() && self.is_left_out(&path),
            (_, None) => false,
            (value, Some(file)) => {
                self.digests.get(&file.blob, Form::Stored).is_none()
                    || self
                        .guises_of(&path, (&file.blob, file.is_link), value)
                        .into_iter()
                        .any(|guise| style.is_none_or(|style| style.takes(guise)))
            }
        }
    }

    /// The commits at which the module as a whole is what `side` has, the newest first: all files in one style, or those that
    /// differ in whatever form.
    fn matches_in(&self, sought: &Sought, side: Side, style: Style, is_strict: bool) -> Vec<usize> {
        let Value::Digest(wanted) = side.whole(sought) else { return Vec::new() };
        let mut steps: Vec<usize> = Vec::new();
        for (of_tree, files) in self.agreeing(sought, side, is_strict.then_some(style)) {
            if style.links_as_files && files.iter().all(|file| !file.is_link) {
                continue;
            }
            let is_archive =
                !is_strict && files.iter().any(|file| self.is_left_out(&sought.inner(&file.path)));
            for without_left_out in [false, true].into_iter().take(1 + usize::from(is_archive)) {
                let tree = self.tree(sought, side, &files, style, without_left_out);
                if tree.is_some_and(|tree| tree.digest() == *wanted) {
                    steps.extend(&of_tree);
                    break;
                }
            }
        }
        steps.sort_by_key(|step| self.age(*step));
        steps.dedup();
        steps
    }

    /// The same in whatever form.
    pub(super) fn matches_of_module(&self, sought: &Sought, side: Side) -> Vec<usize> {
        let mut steps: Vec<usize> = Vec::new();
        for style in self.styles(sought) {
            steps.extend(self.matches_in(sought, side, style, false));
        }
        steps.sort_by_key(|step| self.age(*step));
        steps.dedup();
        steps
    }

    /// The styles that may give different files.
    fn styles(&self, sought: &Sought) -> Vec<Style> {
        let inside = [&sought.path, &b"/"[..]].concat();
        let is_converted =
            self.attributes.iter().any(|(path, it)| it.is_converted && path.starts_with(&inside));
        let guises = [Guise::STORED].into_iter().chain(Ends::ALL.map(Guise::CheckedOut));
        let guises: Vec<Guise> =
            guises.take(if is_converted || self.has_lost_modules { 4 } else { 1 }).collect();
        let style = |links_as_files| guises.iter().map(move |guise| Style { guise: *guise, links_as_files });
        style(false).chain(style(true)).collect()
    }

    /// The module that a commit's files are in a style; of those that differ, what the side has.
    fn tree(
        &self,
        sought: &Sought,
        side: Side,
        files: &[Inner],
        style: Style,
        without_left_out: bool,
    ) -> Option<Tree> {
        let parts: HashMap<&[u8], &Part> =
            sought.parts.iter().map(|part| (part.path.as_slice(), part)).collect();
        let mut builder = TreeBuilder::default();
        for file in files {
            let path = sought.inner(&file.path);
            let part = parts.get(file.path.as_slice()).filter(|part| part.kind != Kind::Unreadable);
            let stored = || self.digests.get(&file.blob, Form::Stored);
            let leaf = match part.map(|part| side.of(part)) {
                _ if without_left_out && self.is_left_out(&path) => continue,
                Some(Value::Absent) => return None,
                Some(Value::Digest(digest)) => Leaf::File(*digest),
                Some(Value::Link(digest)) => Leaf::Link(*digest),
                _ if file.is_link && style.links_as_files => Leaf::File(stored()?),
                _ if file.is_link => Leaf::Link(stored()?),
                _ => {
                    let mut known = self.guises.of(&file.blob, &path).iter();
                    let written = known.find(|(guise, _)| *guise == style.guise).map(|(_, digest)| *digest);
                    // What is not converted is written as it is stored.
                    Leaf::File(written.or_else(stored)?)
                }
            };
            builder.push(&*file.path, leaf, None);
        }
        Some(builder.build())
    }

    /// Whether both sides of a module were found as a whole.
    pub(super) fn is_whole(&self, sought: &Sought) -> bool {
        [Side::Expected, Side::Actual].into_iter().all(|side| {
            *side.whole(sought) == Value::Absent || !self.matches_of_module(sought, side).is_empty()
        })
    }

    /// Judges a module that is there and should be another, or should not be there.
    pub(super) fn module(&self, sought: &Sought) -> Provenance {
        let expected = self.matches_of_module(sought, Side::Expected);
        let all = self.steps_of_module(sought);
        if let Some(own) = self.own_module(sought, Kept::AsCheckedOutHere, &expected) {
            return own;
        }
        // In one style on both sides before others.
        for style in self.styles(sought) {
            let of = |side| self.matches_in(sought, side, style, true);
            let expected = of(Side::Expected);
            if (sought.expected == Value::Absent || !expected.is_empty())
                && let Some(provenance) = self.placed(sought, (&expected, &of(Side::Actual)), &all)
            {
                return provenance;
            }
        }
        if let Some(own) = self.own_module(sought, Kept::Anyhow, &expected) {
            return own;
        }
        let seen = self.matches_of_module(sought, Side::Actual);
        if let Some(provenance) = self.placed(sought, (&expected, &seen), &all) {
            return Provenance { forms: self.forms_apart(sought).into_iter().collect(), ..provenance };
        }
        let base = self.base_of(sought, &expected);
        let files: Vec<FileOrigin> = sought.parts.iter().map(|part| self.part(sought, part, &base)).collect();
        let has = |origin| files.iter().any(|file| file.origin == origin);
        let differing: Vec<(Vec<u8>, &Value)> =
            sought.files().into_iter().map(|(path, _, actual)| (path, actual)).collect();
        let nowhere = self.found_nowhere(sought, &differing);
        let origin = if nowhere.origin == Origin::Unknown || has(Origin::Unknown) {
            Origin::Unknown
        } else if let Some(origin) = LOST.into_iter().find(|origin| has(*origin)) {
            origin
        } else if files.iter().all(|file| file.origin == Origin::Absent) {
            Origin::Absent
        } else if expected.is_empty() && sought.expected != Value::Absent {
            // Then it is not known what the files that do not differ are of.
            Origin::Unknown
        } else {
            Origin::Mixed
        };
        let other = || "what a part of it comes from could not be found out".to_owned();
        let unsearched = nowhere.unsearched.or_else(|| (origin == Origin::Unknown).then(other));
        let edited = newest_edit(&sought.parts, &files, origin);
        let baseline = if let Base::Commit(commit) = base { Some(commit) } else { None };
        // Of something else it would say that the module as a whole is of that commit.
        let commit = one_commit(&files).filter(|_| !origin.is_released()).cloned();
        Provenance { commit, baseline, files, edited, unsearched, ..Provenance::of(origin) }
    }

    /// Where one file of a module comes from.
    fn part(&self, sought: &Sought, part: &Part, base: &Base) -> FileOrigin {
        let path = sought.inner(&part.path);
        let own;
        let base = if matches!(base, Base::Unknown) {
            own = self.base_among(&self.matches(&path, &part.expected));
            &own
        } else {
            base
        };
        let told = |origin, commit| FileOrigin { path: part.path.clone(), origin, commit, held_as: None };
        if part.kind == Kind::Unreadable {
            return told(Origin::Unknown, None);
        }
        if let Some(commit) = self.own_part(sought, part) {
            return told(Origin::Own, Some(commit));
        }
        if part.actual == Value::Absent {
            let deleted = self.deleted_after(&path, base);
            return deleted
                .map_or_else(|| told(Origin::Absent, None), |commit| told(Origin::Ahead, Some(commit)));
        }
        let Some(step) = self.pick(&self.matches(&path, &part.actual), base) else {
            let beyond = self.beyond_in_module(&part.path, &path, &part.actual);
            return beyond
                .unwrap_or_else(|| told(self.found_nowhere(sought, &[(path, &part.actual)]).origin, None));
        };
        let commit = self.record.commits[step].clone();
        // That it is of a commit is known, also where that cannot be placed.
        let origin = match self.relation(&commit.id, base) {
            Origin::Unknown => Origin::Diverged,
            origin => origin,
        };
        told(origin, Some(commit))
    }
}

/// The commit that all these files are of.
fn one_commit(files: &[FileOrigin]) -> Option<&Commit> {
    let first = files.first()?.commit.as_ref();
    first.filter(|_| files.iter().all(|file| file.commit.as_ref() == first))
}

/// What the host tells of the file that was edited last, in a module that is judged as `origin`.
fn newest_edit(parts: &[Part], files: &[FileOrigin], origin: Origin) -> Option<Stat> {
    let is_lost = matches!(origin, Origin::Edited | Origin::Untracked);
    let edited = parts.iter().zip(files).filter(|(_, file)| is_lost && file.origin == origin);
    edited.filter_map(|(part, _)| part.stat).max_by_key(|stat| stat.mtime)
}
