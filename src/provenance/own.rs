//! Content that is of the baseline's own commit, written in another form than the baseline has it.

use std::collections::{BTreeSet, HashMap};

use super::guise::{Guise, difference};
use super::judgement::Base;
use super::record::Touch;
use super::search::{Anchor, Search, Sought};
use super::tree::Inner;
use crate::git::Ends;
use crate::model::{Commit, Kind, Origin, OtherForm, Part, Provenance, Value};

/// Forms in which the same content is on both sides.
pub(super) type Forms = BTreeSet<OtherForm>;

/// What is asked of the host's content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is what a checkout here, or an archive, makes of it, and not as it is stored; or it is a pointer to what the
    /// baseline has.
    AsCheckedOutHere,
    /// It is in any form.
    Anyhow,
}

impl Search<'_> {
    /// Judges a file whose content a commit holds for both sides.
    pub(super) fn own_file(&self, sought: &Sought, kept: Kept) -> Option<Provenance> {
        let (path, expected, actual) = (&sought.path, &sought.expected, &sought.actual);
        let touches = self.touches(path);
        let found = touches.iter().filter_map(|(_, touch)| {
            Some((touch.step, self.forms_of_touch(path, touch, (expected, actual), kept)?))
        });
        let found: HashMap<usize, Forms> = found.collect();
        let mut steps: Vec<usize> = found.keys().copied().collect();
        steps.sort_by_key(|step| self.age(*step));
        let Base::Commit(commit) = self.base_among(&steps) else {
            return if kept == Kept::Anyhow { self.own_through_link(sought) } else { None };
        };
        let step = steps.into_iter().find(|step| self.record.commits[*step].id == commit.id)?;
        Some(self.own(commit, found.get(&step).cloned().unwrap_or_default()))
    }

    /// Judges a module of which a commit holds all that differs for both sides; `base` are the commits with what the baseline
    /// has, where they are known.
    pub(super) fn own_module(&self, sought: &Sought, kept: Kept, base: &[usize]) -> Option<Provenance> {
        if sought.parts.is_empty() || sought.expected == Value::Absent || sought.actual == Value::Absent {
            return None;
        }
        let mut known: HashMap<&str, Option<Forms>> = HashMap::new();
        let mut steps = Vec::new();
        for (step, tree) in self.states(sought) {
            let forms = known.entry(tree).or_insert_with(|| {
                let files = self.trees.files(tree, &sought.path, self.exclude)?;
                self.forms_of_module(sought, &files, kept)
            });
            if let Some(forms) = forms {
                steps.push((step, forms.clone()));
            }
        }
        // Where it is known which commits have the whole of it, it is one of them.
        let is_base = |step: &usize| base.contains(step);
        let all: Vec<usize> = steps.iter().map(|(step, _)| *step).collect();
        let whole: Vec<usize> = all.iter().copied().filter(is_base).collect();
        let Base::Commit(commit) = self.base_among(if whole.is_empty() { &all } else { &whole }) else {
            return None;
        };
        let (_, forms) = steps.into_iter().find(|(step, _)| self.record.commits[*step].id == commit.id)?;
        Some(self.own(commit, forms))
    }

    /// Judges a subject that is not there where an archive leaves it out, or where a link on the way to it is a file.
    pub(super) fn own_absence(&self, sought: &Sought, base: &Base) -> Option<Provenance> {
        if sought.is_behind_file {
            let commit = base.commit().or(self.head.as_ref())?.clone();
            return Some(self.own(commit, [OtherForm::LinksAsFiles].into()));
        }
        let commit = base.commit().filter(|_| self.is_left_out(&sought.path))?.clone();
        Some(self.own(commit, [OtherForm::Archive].into()))
    }

    /// The commit that holds a file of a module for both sides.
    pub(super) fn own_part(&self, sought: &Sought, part: &Part) -> Option<Commit> {
        if part.expected == Value::Absent || part.actual == Value::Absent {
            return None;
        }
        let path = sought.inner(&part.path);
        let touches = self.touches(&path);
        let sides = (&part.expected, &part.actual);
        let found = touches
            .iter()
            .filter(|(_, touch)| self.forms_of_touch(&path, touch, sides, Kept::Anyhow).is_some());
        let steps: Vec<usize> = found.map(|(_, touch)| touch.step).collect();
        self.base_among(&steps).commit().cloned()
    }

    /// How the host's side of what differs is written otherwise than the baseline's, each found in whatever commit.
    pub(super) fn forms_apart(&self, sought: &Sought) -> Forms {
        let mut forms = Forms::new();
        for (path, expected, actual) in sought.files() {
            let touches = self.touches(&path);
            let guises = |value| -> Vec<Guise> {
                touches.iter().flat_map(|(_, touch)| self.guises(&path, touch, value)).collect()
            };
            let (mut expected_in, actual_in) = (guises(expected), guises(actual));
            if expected_in.is_empty() && self.is_filtered(&path, expected) {
                expected_in.push(Guise::Filtered);
            }
            if *actual == Value::Absent && self.is_left_out(&path) {
                forms.insert(OtherForm::Archive);
            } else if !expected_in.iter().any(|guise| actual_in.contains(guise)) {
                forms.extend(difference(&expected_in, &actual_in, self.attributes_of(&path)));
            }
        }
        forms
    }

    fn own(&self, commit: Commit, forms: Forms) -> Provenance {
        Provenance {
            commit: Some(commit.clone()),
            baseline: Some(commit),
            unsearched: self.lost_anchor(),
            forms: forms.into_iter().collect(),
            ..Provenance::of(Origin::Own)
        }
    }

    fn forms_of_module(&self, sought: &Sought, files: &[Inner], kept: Kept) -> Option<Forms> {
        let by_path: HashMap<&[u8], &Inner> = files.iter().map(|file| (file.path.as_slice(), file)).collect();
        let mut forms = Forms::new();
        for part in sought.parts.iter().filter(|part| part.kind != Kind::Unreadable) {
            let file = by_path.get(part.path.as_slice())?;
            let sides = (&part.expected, &part.actual);
            forms.extend(self.forms_of(
                &sought.inner(&part.path),
                (&file.blob, file.is_link),
                sides,
                kept,
            )?);
        }
        let is_unread = sought.parts.iter().any(|part| part.kind == Kind::Unreadable);
        // An archive leaves out all such files or none.
        let differs: BTreeSet<&[u8]> = sought.parts.iter().map(|part| part.path.as_slice()).collect();
        let is_there = |file: &&Inner| {
            !differs.contains(file.path.as_slice()) && self.is_left_out(&sought.inner(&file.path))
        };
        let leaves_out =
            sought.parts.iter().any(|it| it.expected == Value::Absent || it.actual == Value::Absent);
        let is_half = leaves_out && files.iter().any(|file| is_there(&file));
        (!is_unread && !is_half && !forms.is_empty()).then_some(forms)
    }

    fn forms_of_touch(
        &self,
        path: &[u8],
        touch: &Touch,
        sides: (&Value, &Value),
        kept: Kept,
    ) -> Option<Forms> {
        let mode = touch.mode.filter(|_| super::search::is_content(touch))?;
        self.forms_of(path, (&touch.object, mode == crate::git::Mode::Link), sides, kept)
    }

    /// How both sides of a file differ, where they are forms of one blob or link.
    fn forms_of(
        &self,
        path: &[u8],
        content: (&str, bool),
        (expected, actual): (&Value, &Value),
        kept: Kept,
    ) -> Option<Forms> {
        let of = |value: &Value| self.guises_of(path, content, value);
        let one = |guises: Vec<Guise>| (!guises.is_empty()).then_some(guises);
        if self.is_left_out(path) {
            match (expected, actual) {
                (expected, Value::Absent) => return one(of(expected)).map(|_| [OtherForm::Archive].into()),
                (Value::Absent, actual) => return one(of(actual)).map(|_| [OtherForm::Checkout].into()),
                _ => {}
            }
        }
        let (mut wanted, seen) = (of(expected), one(of(actual))?);
        // What a filter makes is known to nobody who does not run it.
        let made =
            wanted.is_empty() && matches!(expected, Value::Digest(_)) && self.attributes_of(path).has_filter;
        let is_as_here = if seen.contains(&Guise::STORED) {
            wanted.contains(&Guise::Fetched)
        } else {
            seen.contains(&Guise::CheckedOut(Ends::Configured))
        };
        if made && self.is_of_base(path, content.0, kept) {
            wanted.push(Guise::Filtered);
        } else if kept == Kept::AsCheckedOutHere && !is_as_here {
            return None;
        }
        Some(difference(&one(wanted)?, &seen, self.attributes_of(path)))
    }

    /// Whether a blob is what the baseline's commit has of a file; where that is to be sure, the baseline must name it.
    fn is_of_base(&self, path: &[u8], blob: &str, kept: Kept) -> bool {
        let is_named = matches!(self.setting.anchor, Anchor::Named(_));
        let newest = self.base_among(&self.steps_of_file(path));
        let Some(commit) = newest.commit().filter(|_| is_named || kept == Kept::Anyhow) else { return false };
        let is_it = |touch: &Touch| self.record.commits[touch.step].id == commit.id && touch.object == blob;
        self.touches(path).iter().any(|(_, touch)| is_it(touch))
    }

    /// Whether a filter must have made what is found in no commit.
    fn is_filtered(&self, path: &[u8], value: &Value) -> bool {
        let has_filter = self.attributes_of(path).has_filter;
        has_filter && matches!(value, Value::Digest(_)) && self.matches(path, value).is_empty()
    }

    /// Whether a filter must have made what the baseline has of a subject and no commit holds.
    pub(super) fn is_of_filter(&self, sought: &Sought) -> bool {
        let lost = |(path, expected, _): &(Vec<u8>, &Value, &Value)| {
            **expected != Value::Absent && self.matches(path, expected).is_empty()
        };
        let lost: Vec<_> = sought.files().into_iter().filter(lost).collect();
        !lost.is_empty() && lost.iter().all(|(path, expected, _)| self.is_filtered(path, expected))
    }

    fn own_through_link(&self, sought: &Sought) -> Option<Provenance> {
        let through = self.through.get(&sought.named)?;
        let is_text = |value: &Value| *value == Value::Digest(through.text);
        let content = (through.blob.as_str(), false);
        let has = |value: &Value| !self.guises_of(&through.path, content, value).is_empty();
        let form = if is_text(&sought.actual) && has(&sought.expected) {
            OtherForm::LinksAsFiles
        } else if is_text(&sought.expected) && has(&sought.actual) {
            OtherForm::Links
        } else {
            return None;
        };
        let commit = [&self.base, &self.head].into_iter().flatten().find(|it| it.id == through.commit)?;
        Some(self.own(commit.clone(), [form].into()))
    }
}
