//! What a plan means: drift, what the code wants, noise, and what is only worth knowing. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::lock::{Settled, SettledValue};
use super::plan::{Action, Drift, Plan, Planned, Resource};
use super::secrets::{SENSITIVE, Secrets};
use super::values::{Difference, canonical, is_blank, overlap};
use crate::config::Weight;
use crate::model::{
    Attribute, Category, Change, Digest, Finding, Kind, LeftOut, Subject, SubjectSource, Unit, Value,
};

/// Longer values are told by their size and digest, in bytes.
const LONGEST: usize = 4096;
/// Longer texts are not part of what is compared as text, in characters.
const LONGEST_FACT: usize = 200;
/// How many names a note lists.
const LISTED: usize = 10;

/// What a plan is judged by.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// What a change is that the code wants and that was not applied.
    pub pending: Weight,
    /// What a failing `check` block is.
    pub checks: Weight,
    /// Drift that is meant to stay.
    pub settled: &'a Settled,
    /// What exists, by resource type, where a command told that.
    pub inventory: Option<&'a BTreeMap<String, BTreeSet<String>>>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// Differences, sorted by the subject's bytes.
    pub findings: Vec<Finding>,
    /// What is worth knowing and is no finding.
    pub notes: Vec<String>,
    /// Why the plan cannot be judged.
    pub errors: Vec<String>,
    /// How many resources were compared.
    pub subjects: usize,
    /// What differs and does not count, and why.
    pub left_out: Vec<LeftOut>,
    /// All drift that a lock file can hold.
    pub lockable: Settled,
}

/// Judges a plan.
pub(super) fn judge_plan(mut plan: Plan, rules: &Rules<'_>) -> Judged {
    let errors = refusals(&plan);
    if !errors.is_empty() {
        return Judged { errors, ..Judged::default() };
    }
    let resources = std::mem::take(&mut plan.resources);
    let drifted_only =
        resources.values().filter(|it| matches!(it.drift, Some(Drift::Deleted)) && it.change.is_none());
    let subjects = plan.subjects + drifted_only.count();
    let mut judging = Judging {
        rules,
        secrets: &plan.secrets,
        judged: Judged::default(),
        pending: Vec::new(),
        noise: 0,
        settled: 0,
    };
    judging.judged.subjects = subjects;
    let mut seen = BTreeSet::new();
    for ((address, deposed), resource) in resources {
        seen.insert(address.clone());
        let name = match deposed {
            Some(key) => format!("{address} (deposed {key})"),
            None => address,
        };
        judging.identified(resource.ids.clone(), |judging| judging.resource(&name, resource));
    }
    judging.unexpected(plan.ids.as_ref());
    judging.checks(&plan);
    judging.notes(&plan);
    judging.finish()
}

/// Why a plan is none that can be judged.
fn refusals(plan: &Plan) -> Vec<String> {
    let header = &plan.header;
    let mut errors = Vec::new();
    if header.errored {
        errors.push("planning ended with an error, so the plan does not tell everything".to_owned());
    }
    if header.complete == Some(false) || header.is_deferring {
        errors.push("the plan is not complete: some changes were left for a later plan".to_owned());
    }
    let is_all_new = plan.resources.values().all(|it| {
        it.drift.is_none() && it.change.as_ref().is_some_and(|change| change.action == Action::Create)
    });
    if plan.subjects > 0 && plan.in_state == 0 && !header.has_prior_resources && is_all_new {
        errors.push(
            "the state is empty and everything would be created: another workspace or backend is meant, the state is \
             lost, or nothing was ever applied"
                .to_owned(),
        );
    }
    errors
}

struct Judging<'a> {
    rules: &'a Rules<'a>,
    secrets: &'a Secrets,
    judged: Judged,
    /// What the code wants, where that is only a note.
    pending: Vec<String>,
    noise: u64,
    settled: u64,
}

/// A difference and its class.
struct Classed {
    change: Change,
    difference: Difference,
}

impl Judging<'_> {
    fn subject(&self, name: &str) -> Subject {
        let name = self.secrets.replaced_in(name);
        let key = format!("{}:{name}", self.rules.environment).into_bytes();
        Subject { source: SubjectSource::Plan, key }
    }

    /// Judges by `judge`, and notes by which ids records name what it finds; a secret is none.
    fn identified(&mut self, mut ids: Vec<String>, judge: impl FnOnce(&mut Self)) {
        let before = self.judged.findings.len();
        judge(self);
        ids.retain(|id| !self.secrets.are_in(id));
        for finding in self.judged.findings.iter_mut().skip(before) {
            finding.resource_ids.clone_from(&ids);
        }
    }

    fn resource(&mut self, name: &str, resource: Resource) {
        let Resource { kind, drift, change, ids: _ } = resource;
        match drift {
            Some(Drift::Deleted) => self.deleted(name, change.as_ref()),
            Some(Drift::Changed(found)) => {
                let is_noise = found.all.is_empty();
                self.changed(name, &kind, found.all, change, is_noise);
            }
            None => self.changed(name, &kind, Vec::new(), change, false),
        }
    }

    fn deleted(&mut self, name: &str, change: Option<&Planned>) {
        if self.is_settled(name, "", SettledValue { kind: Kind::Missing, sha256: Digest::of(b"null") }) {
            return;
        }
        let subject = self.subject(name);
        let state = Value::Text("in the state".to_owned());
        let mut finding = Finding::new(subject, Kind::Missing, state, Value::Absent);
        let then = if change.is_some() {
            "the next apply creates it anew"
        } else {
            "the code does not have it any more"
        };
        finding.reason = Some(format!("missing: deleted outside of Terraform; {then}"));
        self.judged.findings.push(finding);
    }

    fn changed(
        &mut self,
        name: &str,
        kind: &str,
        drifted: Vec<Difference>,
        change: Option<Planned>,
        is_noise: bool,
    ) {
        self.noise += u64::from(is_noise);
        let (mut classed, accepted) = self.classed(name, drifted, change.as_ref());
        let is_drift = !classed.is_empty();
        let Some(change) = change else {
            if is_drift {
                self.put(name, kind, classed, None);
            }
            return;
        };
        let wanted = change
            .differences
            .all
            .iter()
            .filter(|it| !classed.iter().any(|known| overlap(&known.difference.path, &it.path)))
            .filter(|it| !accepted.iter().any(|path| overlap(path, &it.path)));
        let wanted: Vec<Classed> =
            wanted.map(|it| Classed { change: Change::Pending, difference: it.clone() }).collect();
        let is_explained = is_drift && matches!(change.action, Action::Update | Action::Replace);
        let is_update = matches!(change.action, Action::Update);
        let is_empty = wanted.is_empty() && change.differences.unknown.is_empty();
        if is_update && is_empty && !is_drift {
            self.noise += u64::from(!is_noise && accepted.is_empty());
            return;
        }
        if self.rules.pending == Weight::Note {
            if !wanted.is_empty() || !is_explained {
                self.pending.push(name.to_owned());
            }
        } else {
            classed.extend(wanted);
        }
        if is_drift || self.rules.pending == Weight::Fail {
            self.put(name, kind, classed, Some(&change));
        }
    }

    /// The class of each attribute that was changed outside; what is settled is counted instead. The paths of those among
    /// the latter that the plan would only set back come with it: no more is wanted of them.
    fn classed(
        &mut self,
        name: &str,
        drifted: Vec<Difference>,
        change: Option<&Planned>,
    ) -> (Vec<Classed>, Vec<String>) {
        let is_unknown = |it: &Difference| {
            change.is_some_and(|change| change.differences.unknown.iter().any(|path| overlap(path, &it.path)))
        };
        let is_told_elsewhere = drifted.iter().any(|it| !is_unknown(it));
        let (mut classed, mut accepted) = (Vec::new(), Vec::new());
        for difference in drifted {
            let class = class(&difference, change);
            if is_unknown(&difference) && is_told_elsewhere {
                continue;
            }
            let mut shown = difference.clone();
            self.hide(&mut shown);
            if !shown.is_sensitive && !is_hidden(&shown) {
                let value = SettledValue { kind: Kind::Modified, sha256: digest(&difference) };
                if self.is_settled(name, &difference.path, value) {
                    accepted.extend((class == Change::Reverted).then_some(difference.path));
                    continue;
                }
            }
            classed.push(Classed { change: class, difference });
        }
        (classed, accepted)
    }

    /// Whether the lock file holds this drift, which is noted as drift that it could hold: its names must be no secrets.
    fn is_settled(&mut self, name: &str, path: &str, value: SettledValue) -> bool {
        if self.secrets.are_in(name) || self.secrets.are_in(path) {
            return false;
        }
        self.judged.lockable.entry(name.to_owned()).or_default().insert(path.to_owned(), value);
        let is_settled = self.rules.settled.get(name).and_then(|paths| paths.get(path)) == Some(&value);
        self.settled += u64::from(is_settled);
        is_settled
    }

    fn hide(&self, difference: &mut Difference) {
        self.secrets.hide(&mut difference.old);
        self.secrets.hide(&mut difference.new);
        difference.path = self.secrets.replaced_in(&difference.path).into_owned();
    }

    /// Puts a finding on a resource.
    fn put(&mut self, name: &str, kind: &str, classed: Vec<Classed>, planned: Option<&Planned>) {
        let worst = [Change::Conflicting, Change::Kept, Change::Reverted];
        let change = worst.into_iter().find(|change| classed.iter().any(|it| it.change == *change));
        let change = change.unwrap_or(Change::Pending);
        let mut attributes: Vec<Attribute> = classed.into_iter().map(|it| self.attribute(kind, it)).collect();
        attributes.sort_by(|a, b| (!a.security, &a.path).cmp(&(!b.security, &b.path)));
        let (expected, actual) = values(&attributes, planned);
        let mut finding = Finding::new(self.subject(name), Kind::Modified, expected, actual);
        finding.category = attributes.iter().any(|it| it.security).then_some(Category::Security);
        finding.change = Some(change);
        finding.reason = Some(sentence(change, planned, self.secrets));
        finding.attributes = attributes;
        self.judged.findings.push(finding);
    }

    fn attribute(&self, kind: &str, classed: Classed) -> Attribute {
        let Classed { change, mut difference } = classed;
        let security = super::security::concerns(kind, &difference.path);
        let sensitive = difference.is_sensitive;
        self.hide(&mut difference);
        let Difference { path, mut old, mut new, is_elements, .. } = difference;
        shorten(&mut old);
        shorten(&mut new);
        let list = |value: &Json| {
            let mut elements = value.as_array().cloned().unwrap_or_default();
            elements.sort_by_cached_key(canonical);
            elements
        };
        let is_whole = !is_elements && !sensitive;
        Attribute {
            path,
            change: change.word().to_owned(),
            security,
            sensitive,
            removed: if is_elements && !sensitive { list(&old) } else { Vec::new() },
            added: if is_elements && !sensitive { list(&new) } else { Vec::new() },
            old: is_whole.then_some(old),
            new: is_whole.then_some(new),
        }
    }

    /// What exists and is in no state.
    fn unexpected(&mut self, ids: Option<&BTreeMap<String, BTreeSet<String>>>) {
        let (Some(inventory), Some(ids)) = (self.rules.inventory, ids) else { return };
        for (kind, there) in inventory {
            let known = ids.get(kind);
            for id in there.iter().filter(|id| !known.is_some_and(|known| known.contains(*id))) {
                let name = format!("{kind} {id}");
                let value = SettledValue { kind: Kind::Unexpected, sha256: Digest::of(id.as_bytes()) };
                if self.is_settled(&name, "", value) {
                    continue;
                }
                let subject = self.subject(&name);
                let actual = Value::Text(self.secrets.replaced_in(id).into_owned());
                let mut finding = Finding::new(subject, Kind::Unexpected, Value::Absent, actual);
                finding.reason = Some("unexpected: it exists, and the state does not have it".to_owned());
                self.judged.findings.push(finding);
            }
        }
    }

    fn checks(&mut self, plan: &Plan) {
        for (address, problems) in &plan.failed_checks {
            let why = problems.iter().map(|it| self.secrets.replaced_in(it)).collect::<Vec<_>>().join("; ");
            let why = super::diagnostic::in_one_line(&why);
            if self.rules.checks == Weight::Note {
                self.judged.notes.push(format!("{address} is not passed: {why}"));
                continue;
            }
            let (expected, actual) = (Value::Text("pass".to_owned()), Value::Text("fail".to_owned()));
            let mut finding = Finding::new(self.subject(address), Kind::Modified, expected, actual);
            finding.reason = Some(format!("not passed: {why}"));
            self.judged.findings.push(finding);
        }
    }

    fn notes(&mut self, plan: &Plan) {
        let hidden = |name: &String| self.secrets.replaced_in(name).into_owned();
        let moved: Vec<String> =
            plan.moved.iter().map(|(from, to)| format!("{} → {}", hidden(from), hidden(to))).collect();
        let imported: Vec<String> = plan.imported.iter().map(hidden).collect();
        let pending: Vec<String> = self.pending.iter().map(hidden).collect();
        let outputs: Vec<String> = plan.outputs.iter().map(hidden).collect();
        let groups = [
            ("the code wants changes that were not applied", pending),
            ("another address in the code, the same resource", moved),
            ("to be imported at the next apply", imported),
            ("outputs that change at the next apply", outputs),
        ];
        for (what, names) in groups.into_iter().filter(|(_, names)| !names.is_empty()) {
            self.judged.notes.push(format!("{what}: {}", listed(&names)));
        }
        if plan.reads > 0 {
            let sources = if plan.reads == 1 { "source is" } else { "sources are" };
            self.judged.notes.push(format!("{} data {sources} read only at the next apply", plan.reads));
        }
    }

    fn finish(mut self) -> Judged {
        let gone =
            self.rules.settled.iter().flat_map(|(name, paths)| paths.keys().map(move |path| (name, path)));
        for (name, path) in gone {
            let is_there = self.judged.lockable.get(name).is_some_and(|paths| paths.contains_key(path));
            if !is_there {
                let path = if path.is_empty() { String::new() } else { format!(" {path}") };
                self.judged.notes.push(format!("accepted drift that is gone: {name}{path}"));
            }
        }
        let counted = [
            (self.noise, "differ in nothing but how an empty value is written"),
            (self.settled, "differ as the lock file accepts it"),
        ];
        for (count, reason) in counted.into_iter().filter(|(count, _)| *count > 0) {
            let reason = reason.to_owned();
            self.judged.left_out.push(LeftOut { unit: Unit::Subjects, count, reason, remedy: None });
        }
        self.judged.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        self.judged
    }
}

/// What the plan makes of a change that was made outside.
fn class(drift: &Difference, change: Option<&Planned>) -> Change {
    let Some(change) = change else { return Change::Kept };
    if !matches!(change.action, Action::Update | Action::Replace) {
        return Change::Conflicting;
    }
    let unknown = change.differences.unknown.iter().any(|path| overlap(path, &drift.path));
    let mut planned = change.differences.all.iter().filter(|it| overlap(&it.path, &drift.path));
    match planned.next() {
        None if unknown => Change::Conflicting,
        None => Change::Kept,
        Some(planned) => {
            let is_back = planned.path == drift.path
                && planned.is_elements == drift.is_elements
                && is_same(&planned.new, &drift.old, drift.is_elements)
                && is_same(&planned.old, &drift.new, drift.is_elements);
            if is_back { Change::Reverted } else { Change::Conflicting }
        }
    }
}

/// Whether two values are equal; elements in any order.
fn is_same(one: &Json, other: &Json, is_elements: bool) -> bool {
    let texts = |value: &Json| {
        let mut texts: Vec<String> = value.as_array().into_iter().flatten().map(canonical).collect();
        texts.sort_unstable();
        texts
    };
    if is_elements { texts(one) == texts(other) } else { canonical(one) == canonical(other) }
}

/// The digest by which a lock file knows a value.
fn digest(difference: &Difference) -> Digest {
    let sorted = |value: &Json| {
        let mut texts: Vec<String> = value.as_array().into_iter().flatten().map(canonical).collect();
        texts.sort_unstable();
        texts.join(",")
    };
    if difference.is_elements {
        let text = format!("-[{}]+[{}]", sorted(&difference.old), sorted(&difference.new));
        return Digest::of(text.as_bytes());
    }
    Digest::of(canonical(&difference.new).as_bytes())
}

/// Whether something in it was hidden.
fn is_hidden(difference: &Difference) -> bool {
    let mut found = false;
    for value in [&difference.old, &difference.new] {
        super::values::scalars(value, &mut |scalar| found |= scalar == SENSITIVE);
    }
    found
}

/// What a finding is, in a sentence.
fn sentence(change: Change, planned: Option<&Planned>, secrets: &Secrets) -> String {
    let action = planned.map(|it| it.action);
    let then = match (change, action) {
        (Change::Reverted, _) => "changed outside of Terraform; the next apply sets it back",
        (Change::Kept, _) => "changed outside of Terraform; the next apply leaves it so",
        (Change::Conflicting, Some(Action::Delete)) => {
            "changed outside of Terraform; the code does not have it any more"
        }
        (Change::Conflicting, Some(Action::Forget)) => {
            "changed outside of Terraform; the next apply forgets it"
        }
        (Change::Conflicting, _) => "changed outside of Terraform; the code wants a third value",
        (_, Some(Action::Create)) => "the code has it, and it was not created yet",
        (_, Some(Action::Delete)) => "the code does not have it any more, and it was not destroyed yet",
        (_, Some(Action::Forget)) => "the next apply forgets it and leaves it as it is",
        _ => "the code wants a change that was not applied",
    };
    let anew = if action == Some(Action::Replace) { "; it is destroyed and made anew" } else { "" };
    let reason = planned.and_then(|it| it.reason.as_ref()).filter(|it| *it != "none");
    let reason =
        reason.map(|it| format!(" ({})", secrets.replaced_in(&it.replace('_', " ")))).unwrap_or_default();
    format!("{}: {then}{anew}{reason}", change.word())
}

/// Both sides of a finding as facts: what should be, and what is there.
fn values(attributes: &[Attribute], planned: Option<&Planned>) -> (Value, Value) {
    if attributes.is_empty() {
        let text = |text: &str| Value::Text(text.to_owned());
        return match planned.map(|it| it.action) {
            Some(Action::Create) => (text("created"), Value::Absent),
            Some(Action::Delete) => (text("destroyed"), text("there")),
            Some(Action::Forget) => (text("forgotten"), text("in the state")),
            Some(Action::Replace) => (text("made anew"), text("there")),
            _ => (text("known after the apply"), text("there")),
        };
    }
    let facts = |side: &dyn Fn(&Attribute) -> String| {
        Value::Structured(attributes.iter().map(|it| (it.path.clone(), side(it))).collect())
    };
    // What is pending is expected to become the new value; what was changed outside had the old one.
    let is_new = |it: &Attribute, is_expected: bool| (it.change == Change::Pending.word()) == is_expected;
    (facts(&|it| fact(it, is_new(it, true))), facts(&|it| fact(it, is_new(it, false))))
}

fn fact(attribute: &Attribute, is_new: bool) -> String {
    if attribute.sensitive {
        return SENSITIVE.to_owned();
    }
    let whole = if is_new { &attribute.new } else { &attribute.old };
    let elements = if is_new { &attribute.added } else { &attribute.removed };
    let text = whole.as_ref().map_or_else(
        || elements.iter().map(crate::model::attribute_value).collect::<Vec<_>>().join(", "),
        crate::model::attribute_value,
    );
    if text.chars().count() <= LONGEST_FACT {
        return text;
    }
    format!("sha256:{}", Digest::of(text.as_bytes()))
}

/// Replaces long texts by their size and digest.
fn shorten(value: &mut Json) {
    match value {
        Json::String(text) if text.len() > LONGEST => {
            *text = format!("({} bytes, sha256:{})", text.len(), Digest::of(text.as_bytes()));
        }
        Json::Array(items) => items.iter_mut().for_each(shorten),
        Json::Object(fields) => {
            fields.retain(|_, value| !is_blank(value));
            fields.values_mut().for_each(shorten);
        }
        _ => {}
    }
}

/// Names in a line, or how many more there are.
fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
    if more == 0 { shown } else { format!("{shown} … and {more} more") }
}
