//! A deployment as the agent runs it: where its project comes from, and which of its places are looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::acknowledge::{self, Acknowledgement};
use crate::audit::acknowledgements::with_rules;
use crate::audit::target::{Aim, Reach};
use crate::audit::trust_policy::Trusting;
use crate::check::{self, Check};
use crate::config::host_file::HostFile;
use crate::config::policies::{self, Policy};
use crate::config::{Deployment, is_target_name};
use crate::control::{Control, waits};
use crate::error::Failure;
use crate::host::ssh::{Prompt, Secret};
use crate::model::quoted_name;
use crate::project::Project;

/// The name of the project's own tree among the targets of a deployment.
const OWN_TREE: &str = "local";

/// What one run works with: the project as it is now, and what is said of it.
pub(crate) struct Prepared {
    /// The project.
    pub(crate) project: Arc<Project>,
    /// Its places.
    pub(crate) aims: Vec<Aim>,
    /// The checks; empty is all of them.
    pub(crate) only: Vec<&'static dyn Check>,
    /// What says how much a finding matters.
    pub(crate) policies: Vec<Policy>,
    /// What somebody answers for: in the project, and by the API.
    pub(crate) acknowledged: Vec<Acknowledgement>,
    /// Whose signature counts.
    pub(crate) trusting: Option<Trusting>,
}

/// What every deployment is given.
#[derive(Clone)]
pub(crate) struct Setting {
    /// What the process gives.
    pub(crate) control: Control,
    /// The host's own file.
    pub(crate) host: HostFile,
}

/// Nobody is there to be asked.
struct Nobody;

impl Prompt for Nobody {
    fn passphrase(&self, _key: &str) -> Option<Secret> {
        None
    }

    fn believes(&self, _text: &str, _fingerprint: &str) -> bool {
        false
    }

    fn note(&self, text: &str) {
        log::info!("{text}");
    }
}

impl Setting {
    /// Prepares a run of the project at `root`, of which runs and states are kept in `store_root`.
    ///
    /// # Errors
    /// When something of the project cannot be read or has no sense, or the deployment names what is not there.
    pub(crate) fn prepare(
        &self,
        deployment: &Deployment,
        root: &Path,
        store_root: PathBuf,
    ) -> Result<Prepared, Failure> {
        let mut project = Project::kept_at(root, store_root, &self.control)?;
        if deployment.git.is_some() {
            project.config = project.config.of_fetched_commit();
        }
        for warning in self.host.put_into(&mut project.config) {
            project.control.events.warning(&warning);
        }
        let aims = self.aims(deployment, &project)?;
        let only = deployment.checks.iter().map(|id| known_check(id)).collect::<Result<_, _>>()?;
        let mut policies = policies::load(&project.root, &project.config)?;
        if project.store_root != project.root {
            policies.extend(policies::load(&project.store_root, &project.config)?);
        }
        let trusting = Trusting::configured(&project);
        let acknowledged = acknowledged(&project)?;
        Ok(Prepared { project: Arc::new(project), aims, only, policies, acknowledged, trusting })
    }

    fn aims(&self, deployment: &Deployment, project: &Project) -> Result<Vec<Aim>, Failure> {
        let reach = Reach {
            timeout: waits::AGENT_CONNECT.most,
            accept_new_host_key: false,
            can_ask: false,
            prompt: Arc::new(Nobody),
        };
        let names: Vec<&str> = match &deployment.targets {
            Some(names) => names.iter().map(String::as_str).collect(),
            None if project.config.targets.is_empty() => vec![OWN_TREE],
            None => project.config.targets.keys().map(String::as_str).collect(),
        };
        let aim = |name: &str| match name {
            OWN_TREE => Ok(Aim::local(project)),
            name => {
                let target = project.target(name)?;
                if let Some(why) = self.host.forbids(name, target) {
                    return Err(Failure::new(why).of_project());
                }
                if deployment.git.is_some() && target.terraform.is_some() {
                    return Err(unplanned(name));
                }
                Aim::target(project, name, &reach)
            }
        };
        names.into_iter().map(aim).collect()
    }
}

/// The refusal to plan what a fetched commit describes: code of Terraform runs programs.
fn unplanned(target: &str) -> Failure {
    let failure = Failure::new(format!(
        "target {target}: Terraform is not run on code that was fetched: who pushes would run programs here"
    ));
    failure.hint("plan it from a checkout of your own: set root in place of git, or run driftlock check --env there").of_project()
}

/// The targets that a deployment has looked at before: those it names, and those that have left a report.
pub(crate) fn known_targets(deployment: &Deployment, store_root: &Path) -> Vec<Option<String>> {
    let target = |name: &String| (name != OWN_TREE).then(|| name.clone());
    if let Some(names) = &deployment.targets {
        names.iter().map(target).collect()
    } else {
        let left = crate::store::runs::targets(store_root).into_iter().filter(|name| is_target_name(name));
        std::iter::once(None).chain(left.map(Some)).collect()
    }
}

fn known_check(id: &str) -> Result<&'static dyn Check, Failure> {
    check::find(id).ok_or_else(|| {
        let known: Vec<&str> = check::CHECKS.iter().map(|check| check.id()).collect();
        Failure::new(format!("there is no check {}", quoted_name(id.as_bytes())))
            .hint(format!("checks: {}", known.join(", ")))
            .of_project()
    })
}

/// What is acknowledged in the project, and by the API.
fn acknowledged(project: &Project) -> Result<Vec<Acknowledgement>, Failure> {
    let mut all = with_rules(|rules| acknowledge::load(&project.root, rules))
        .map_err(|error| Failure::from(error).of_project())?;
    if project.store_root != project.root {
        let own = with_rules(|rules| acknowledge::load(&project.store_root, rules));
        all.extend(own.map_err(Failure::from)?);
    }
    Ok(all)
}
