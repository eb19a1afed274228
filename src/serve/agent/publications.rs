//! Acknowledgements that are committed to the repositories of deployments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Instant;

use super::{Agent, MIRROR, Plan};
use crate::config::Deployment;
use crate::control::{held, waits};
use crate::host::Watch;
use crate::serve::mirror::Mirror;
use crate::serve::publish::{Outbox, Publication, PublishError, Pushed};
use crate::serve::running::{Running, Work};

impl Agent {
    /// How it stands with the acknowledgements of each deployment that are committed to its repository.
    pub(crate) fn publications(&self) -> BTreeMap<String, Publication> {
        held(&self.publications).all()
    }

    /// Has what was just acknowledged of a deployment committed to its repository, where that is configured.
    pub(in crate::serve) fn publish(&self, deployment: &str) {
        held(&self.publications).ask(deployment);
        self.ring();
    }

    pub(super) fn begin_publication(self: &Arc<Self>, name: &str) {
        let plan = self.plan();
        let Some(deployment) = plan.deployment(name).cloned() else { return };
        held(&self.publications).began(name);
        let watch = Arc::new(Watch::default());
        let deadline = Instant::now() + waits::GIT_PUSH.most;
        let (agent, own) = (Arc::clone(self), Arc::clone(&watch));
        let mut running = held(&self.running);
        let work = Work::Publication(name.to_owned());
        let push = Running { watch, last_look: Arc::default(), deadline, thread: None, repair: None };
        running.all.insert(work.clone(), push);
        let carry_out = move || agent.carry_out_publication(&plan, &deployment, &own);
        match Builder::new().name(format!("push {name}")).spawn(carry_out) {
            Ok(thread) => {
                if let Some(push) = running.all.get_mut(&work) {
                    push.thread = Some(thread);
                }
            }
            Err(error) => {
                running.all.remove(&work);
                drop(running);
                let why = crate::model::in_words(&error);
                self.warn(name, &format!("no thread could be started: {why}"));
                held(&self.publications).ended(name, &Err(PublishError::Defect), 0);
            }
        }
    }

    fn carry_out_publication(&self, plan: &Plan, deployment: &Deployment, watch: &Watch) {
        let name = &deployment.name;
        let (Some(git), Some(branch)) = (&deployment.git, &plan.commit_acknowledgements) else { return };
        let store_root = self.store_root(name);
        let outbox = Outbox { deployment, git, branch, store_root: &store_root };
        let attempt = std::panic::AssertUnwindSafe(|| -> Result<Option<Pushed>, PublishError> {
            let mirror = Mirror::open(&store_root.join(MIRROR), git, &plan.setting.control.environment)?;
            outbox.empty(&mirror, plan.setting.host.requires_signed_commits(), watch)
        });
        let done = std::panic::catch_unwind(attempt).unwrap_or(Err(PublishError::Defect));
        held(&self.running).all.remove(&Work::Publication(name.clone()));
        match &done {
            Ok(Some(Pushed { commit, count })) => {
                log::info!(deployment = name.as_str(), branch = branch.as_str(), commit = commit.as_str(), count; "acknowledgements were pushed");
            }
            Ok(None) => {}
            // They wait on the disk for the next start.
            Err(_) if watch.is_cancelled() => {}
            Err(why) => self.warn(name, &format!("acknowledgements are not pushed to {branch}: {why}")),
        }
        held(&self.publications).ended(name, &done, outbox.count());
        self.ring();
    }
}
