//! A plan: of every resource what was changed outside, and what the next apply would change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::document::{self, BadDocument, Header, RawCheck, RawResource, Receive};
use super::secrets::Secrets;
use super::values::{Differences, Marks, Sides};

/// What is known of a plan once it was read to its end.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What the document says of itself.
    pub(super) header: Header,
    /// The resources that are not as they were, or will not stay as they are, by address and deposed key.
    pub(super) resources: BTreeMap<(String, Option<String>), Resource>,
    /// How many managed resources the plan tells of.
    pub(super) subjects: usize,
    /// How many of them the state had.
    pub(super) in_state: usize,
    /// How many data sources are read at the apply.
    pub(super) reads: u64,
    /// The resources that only get another address: the old and the new one.
    pub(super) moved: Vec<(String, String)>,
    /// The resources that are imported.
    pub(super) imported: Vec<String>,
    /// The outputs that change.
    pub(super) outputs: Vec<String>,
    /// The checks that were not passed: address, and why.
    pub(super) failed_checks: Vec<(String, Vec<String>)>,
    /// The ids in the state by resource type, where they were asked for.
    pub(super) ids: Option<BTreeMap<String, BTreeSet<String>>>,
    /// What must not be shown.
    pub(super) secrets: Secrets,
}

/// One resource.
#[derive(Debug, Default)]
pub(super) struct Resource {
    /// Its type.
    pub(super) kind: String,
    /// What was changed outside.
    pub(super) drift: Option<Drift>,
    /// What the apply would do.
    pub(super) change: Option<Planned>,
    /// Its id and ARN, where it was changed outside.
    pub(super) ids: Vec<String>,
}

/// A change that Terraform did not make.
#[derive(Debug)]
pub(super) enum Drift {
    /// It is gone.
    Deleted,
    /// Some of its attributes differ.
    Changed(Differences),
}

/// An action of the next apply.
#[derive(Debug)]
pub(super) struct Planned {
    /// The action.
    pub(super) action: Action,
    /// Why the action was chosen, in the word of the plan.
    pub(super) reason: Option<String>,
    /// What changes, for an update or a replacement.
    pub(super) differences: Differences,
}

/// Kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is destroyed and made anew.
    Replace,
    /// It is destroyed.
    Delete,
    /// It is forgotten, and stays as it is.
    Forget,
    /// Something that this version does not know.
    Other,
}

impl Plan {
    /// Reads a plan to its end; `with_ids` also keeps the ids of what the state has.
    pub(super) fn read(from: impl Read, with_ids: bool) -> Result<Self, BadDocument> {
        let mut plan = Self { ids: with_ids.then(BTreeMap::new), ..Self::default() };
        let mut secrets = Secrets::default();
        // Two parts of one plan: what is received, and what is hidden of it.
        let mut receiver = Receiver { plan: &mut plan, secrets: Secrets::default() };
        let header = document::read(from, &mut receiver, &mut secrets)?;
        let of_changes = receiver.secrets;
        secrets.absorb(&of_changes);
        plan.header = header;
        plan.secrets = secrets;
        Ok(plan)
    }
}

struct Receiver<'a> {
    plan: &'a mut Plan,
    secrets: Secrets,
}

impl Receiver<'_> {
    fn entry(&mut self, resource: &RawResource) -> &mut Resource {
        let key = (resource.address.clone(), resource.deposed.clone());
        let entry = self.plan.resources.entry(key).or_default();
        entry.kind.clone_from(&resource.kind);
        entry
    }

    fn differences(&mut self, resource: &RawResource) -> Result<Differences, serde_json::Error> {
        let change = resource.change.parsed()?;
        change.note_secrets(&mut self.secrets);
        Ok(Differences::between(Sides {
            old: &change.before,
            new: &change.after,
            old_sensitive: Marks::new(Some(&change.before_sensitive)),
            new_sensitive: Marks::new(Some(&change.after_sensitive)),
            unknown: Marks::new(Some(&change.after_unknown)),
        }))
    }
}

impl Receive for Receiver<'_> {
    fn drift(&mut self, resource: &RawResource) -> Result<(), serde_json::Error> {
        if resource.change.is(&["delete"]) {
            if resource.change.is_marked() {
                resource.change.parsed()?.note_secrets(&mut self.secrets);
            }
            let entry = self.entry(resource);
            (entry.drift, entry.ids) = (Some(Drift::Deleted), resource.change.identity());
            return Ok(());
        }
        let differences = self.differences(resource)?;
        if !resource.change.is(&["no-op"]) || !differences.all.is_empty() {
            let entry = self.entry(resource);
            (entry.drift, entry.ids) = (Some(Drift::Changed(differences)), resource.change.identity());
        }
        Ok(())
    }

    fn change(&mut self, resource: &RawResource) -> Result<(), serde_json::Error> {
        let change = &resource.change;
        if resource.mode.as_deref() == Some("data") {
            self.plan.reads += u64::from(change.is(&["read"]));
            if change.is_marked() {
                change.parsed()?.note_secrets(&mut self.secrets);
            }
            return Ok(());
        }
        self.plan.subjects += 1;
        self.plan.in_state += usize::from(change.has_before());
        if change.importing.is_some() {
            self.plan.imported.push(resource.address.clone());
        } else if let Some(before) = resource.previous_address.as_ref().filter(|it| **it != resource.address)
        {
            self.plan.moved.push((before.clone(), resource.address.clone()));
        }
        if let (Some(ids), Some(id)) = (&mut self.plan.ids, change.id()) {
            ids.entry(resource.kind.clone()).or_default().insert(id);
        }
        let action = match change.actions.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["no-op"] => {
                if change.is_marked() {
                    change.parsed()?.note_secrets(&mut self.secrets);
                }
                return Ok(());
            }
            ["create"] => Action::Create,
            ["update"] => Action::Update,
            ["delete"] => Action::Delete,
            ["forget"] => Action::Forget,
            ["create", "delete"] | ["delete", "create"] => Action::Replace,
            _ => Action::Other,
        };
        let mut differences = self.differences(resource)?;
        if !matches!(action, Action::Update | Action::Replace) {
            differences = Differences::default();
        }
        let reason = resource.action_reason.clone();
        self.entry(resource).change = Some(Planned { action, reason, differences });
        Ok(())
    }

    fn output(&mut self, name: &str) {
        self.plan.outputs.push(name.to_owned());
    }

    fn check(&mut self, check: RawCheck) {
        // Conditions of resources and outputs end the plan itself where they fail.
        let problems = check.instances.into_iter().flat_map(|it| it.problems).map(|it| it.message);
        let address = if check.address.kind == "check" || check.address.to_display.contains('.') {
            check.address.to_display
        } else {
            format!("{}.{}", check.address.kind, check.address.to_display)
        };
        self.plan.failed_checks.push((address, problems.collect()));
    }
}
