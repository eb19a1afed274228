//! Deployments that are watched: what is noticed leads to a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Agent;
use crate::config::Deployment;
use crate::control::held;
use crate::events::event::{Event, Happened, Scene};
use crate::events::inbox::{Gap, HintSource};
use crate::model::escaped;
use crate::serve::deployed::Prepared;
use crate::serve::watching::{WatchCoverage, Watching};

impl Agent {
    /// Watches the places of a deployment that is to be watched, from the look on that is about to begin.
    pub(super) fn watch(self: &Arc<Self>, deployment: &Deployment, prepared: &mut Prepared) {
        let name = &deployment.name;
        if !(deployment.watch && self.plan().deployment(name).is_some_and(|it| it.watch)) {
            return;
        }
        let mut all = held(&self.watching);
        if !all.contains_key(name) {
            let (agent, hinted) = (Arc::downgrade(self), name.clone());
            let tell = move |_| {
                if let Some(agent) = agent.upgrade() {
                    agent.reconcile(Some(std::slice::from_ref(&hinted)));
                }
            };
            let (agent, gapped) = (Arc::downgrade(self), name.clone());
            let missed = move |source, gap: &Gap| {
                if let Some(agent) = agent.upgrade() {
                    agent.note_gap(&gapped, source, gap);
                }
            };
            match Watching::begin(self.store_root(name), tell, missed) {
                Ok((watching, warning)) => {
                    if let Some(text) = warning {
                        self.warn(name, &text);
                    }
                    all.insert(name.clone(), watching);
                }
                Err(error) => {
                    let why = crate::model::in_words(&error);
                    self.warn(name, &format!("it is not watched: no thread could be started: {why}"));
                }
            }
        }
        if let Some(watching) = all.get_mut(name) {
            watching.join(&prepared.project, deployment.git.is_some(), &mut prepared.aims);
        }
    }

    /// Records that something may have been missed of a deployment that is watched: it is looked at again.
    fn note_gap(&self, deployment: &str, source: HintSource, gap: &Gap) {
        let mut event = Event::new(Happened::Gap, Scene { target: None, trigger: source });
        event.evidence.reason = Some(escaped(gap.in_words().as_bytes()));
        if let Some(event) = self.record(deployment, event) {
            self.note(deployment, &event);
        }
    }

    /// How well each deployment that is watched is watched now.
    pub(crate) fn coverage(&self) -> BTreeMap<String, WatchCoverage> {
        held(&self.watching).iter().map(|(name, watching)| (name.clone(), watching.coverage())).collect()
    }
}
