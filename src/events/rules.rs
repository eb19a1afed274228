//! What the configuration and policies make of an event: whose it is, its category, its severity.

use super::event::Event;
use crate::config::EventsConfig;
use crate::config::policies::{Affair, Policy};
use crate::model::Severity;

/// What events are judged by.
#[derive(Clone, Copy)]
pub(crate) struct EventRules<'a> {
    /// Categories and configuration items.
    pub(crate) config: &'a EventsConfig,
    /// Policies; the first that matches holds.
    pub(crate) policies: &'a [Policy],
}

impl<'a> EventRules<'a> {
    /// Judges an event, and gives the policy that holds for it; one that is of no check is left as it is.
    pub(crate) fn judge(&self, event: &mut Event) -> Option<&'a Policy> {
        let check = event.check.clone()?;
        let subject = event.subject.clone().unwrap_or_default();
        if let Some(item) = self.config.item(&check, subject.as_bytes()) {
            event.ci_id.clone_from(&item.id);
            event.ci_type.clone_from(&item.kind);
        }
        event.category = self.config.category(subject.as_bytes()).or(event.category);
        let affair = Affair {
            category: event.category,
            check: &check,
            subject: &subject,
            target: event.target.as_deref().unwrap_or("local"),
            ci_type: event.ci_type.as_deref(),
            fields: &event.fields,
        };
        let policy = self.policies.iter().find(|policy| policy.is_for(affair));
        event.policy = policy.map(|policy| policy.name.clone());
        let by_category = event.category.map(Severity::of);
        event.severity = policy.and_then(|policy| policy.severity).or(by_category);
        policy
    }
}
