//! A deployment as the agent runs it: where its project comes from, and which of its places are looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::acknowledge::{self, Acknowledgement};
use crate::audit::acknowledgements::with_rules;
use crate::audit::target::{Aim, Reach};
use crate::audit::trust_policy::{SignatureDemand, Trusting};
use crate::audit::{inventory, signed_policies};
use crate::check::{self, Check};
use crate::config::host_file::HostFile;
use crate::config::policies::{self, Policy};
use crate::config::{Deployment, GROUP_MARK, Target, TerraformTrust, is_target_name};
use crate::control::account::Account;
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
    /// Its tree.
    pub(crate) tree: DeploymentTree,
    /// Its places.
    pub(crate) aims: Vec<Aim>,
    /// The checks; empty is all of them.
    pub(crate) only: Vec<&'static dyn Check>,
    /// What says how much a finding matters.
    pub(crate) policies: Vec<Policy>,
    /// Whose signature counts.
    pub(crate) trusting: Option<Trusting>,
    /// Whether what the project acknowledges counts: no signature is required, or the commit's covers it.
    pub(crate) is_covered: bool,
}

impl Prepared {
    /// What somebody answers for now: in the project, and by the API.
    ///
    /// # Errors
    /// When a file of them cannot be read, or has no sense.
    pub(crate) fn acknowledged(&self) -> Result<Vec<Acknowledgement>, Failure> {
        let project = &self.project;
        let mut all = Vec::new();
        if self.is_covered || project.store_root == project.root {
            let own = with_rules(|rules| acknowledge::load(&project.root, rules));
            all.extend(own.map_err(|error| Failure::from(error).of_project())?);
        }
        if project.store_root != project.root {
            let by_api = with_rules(|rules| acknowledge::load(&project.store_root, rules));
            // One that was pushed and has come back stands in both.
            let new: Vec<_> =
                by_api.map_err(Failure::from)?.into_iter().filter(|it| !all.contains(it)).collect();
            all.extend(new);
        }
        Ok(all)
    }
}

/// What every deployment is given.
#[derive(Clone)]
pub(crate) struct Setting {
    /// What the process gives.
    pub(crate) control: Control,
    /// The host's own file.
    pub(crate) host: HostFile,
    /// Targets of the agent's own configuration, where that was named.
    pub(crate) targets: OwnTargets,
    /// Whose signature counts for projects of this machine.
    pub(crate) demand: SignatureDemand,
    /// Whose signature counts for what is fetched.
    pub(crate) demand_fetched: SignatureDemand,
    /// Whether baselines of signed commits must be signed as well: that was asked for when the agent was started.
    pub(crate) is_demanded_twice: bool,
}

/// Targets that the agent's own configuration defines.
#[derive(Clone, Default)]
pub(crate) struct OwnTargets {
    /// The targets, by name.
    pub(crate) all: BTreeMap<String, Target>,
    /// Whether the file counts as one of the host: it lies in no work tree.
    pub(crate) is_of_host: bool,
    /// What the file is called.
    pub(crate) file: String,
}

/// The tree that a run looks at.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentTree {
    /// The project's root.
    pub(crate) root: PathBuf,
    /// The commit, where it was fetched.
    pub(crate) commit: Option<String>,
    /// Whether that is signed by somebody who may.
    pub(crate) is_signed: bool,
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
    /// Prepares a run of the project at `root`, of which runs and states are kept in `store_root`: those of a fetched one for
    /// `retention_days`.
    ///
    /// # Errors
    /// When something of the project cannot be read or has no sense, or the deployment names what is not there.
    pub(crate) fn prepare(
        &self,
        deployment: &Deployment,
        tree: &DeploymentTree,
        store_root: PathBuf,
        retention_days: u32,
    ) -> Result<Prepared, Failure> {
        let mut project = Project::kept_at(&tree.root, store_root, &self.control)?;
        if tree.commit.is_some() {
            project.config = project.config.of_fetched_commit();
            // Whoever pushes does not decide for how long it is remembered.
            project.config.retention_days = retention_days;
        }
        project.config.targets.extend(self.targets.all.clone());
        for warning in self.host.put_into(&mut project.config) {
            project.control.events.warning(&warning);
        }
        let defines = |name: &str| self.host.defines(name) || self.targets.all.contains_key(name);
        inventory::include_beside(&mut project.config, deployment.targets.as_deref(), &defines)?;
        let variables = deployment.terraform_variables(&tree.root)?;
        for terraform in project.config.targets.values_mut().filter_map(|it| it.terraform.as_mut()) {
            terraform.variables.clone_from(&variables);
        }
        if tree.commit.is_some() {
            self.become_other(&mut project)?;
        }
        let aims = self.aims(deployment, &project, tree)?;
        let only = deployment.checks.iter().map(|id| known_check(id)).collect::<Result<_, _>>()?;
        let trusting = match &tree.commit {
            None => self.demand.of(&project)?,
            // Its signature covers the baseline, the configuration and the policies.
            Some(_) if tree.is_signed && !self.is_demanded_twice => None,
            Some(_) => self.demand_fetched.of_fetched(&project)?,
        };
        let is_covered = trusting.is_none() || tree.is_signed;
        let of_tree = trusting.as_ref().filter(|_| !tree.is_signed);
        let mut policies = signed_policies::of_project(&project, of_tree)?;
        if project.store_root != project.root {
            policies.extend(policies::load(&project.store_root, &project.config)?);
        }
        // A signature of the baseline does not cover what is acknowledged.
        if !is_covered && project.root.join(acknowledge::PATH).exists() {
            let text = format!(
                "{}: {} does not count: signatures are required, and it is not signed",
                deployment.name,
                acknowledge::PATH
            );
            project.control.events.warning(&text);
        }
        let prepared = Prepared {
            project: Arc::new(project),
            tree: tree.clone(),
            aims,
            only,
            policies,
            trusting,
            is_covered,
        };
        // What makes no sense is said before anything is looked at.
        prepared.acknowledged().map(|_| prepared)
    }

    /// Makes sure that a fetched commit is signed, where the host requires it; whether it is.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn judge_commit(
        &self,
        id: &str,
        object: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<bool, Failure> {
        if !self.host.requires_signed_commits() {
            return Ok(false);
        }
        let signer = self.demand_fetched.signer_of_commit(id, &object()?).map_err(|why| {
            let failure = Failure::new(why.to_string());
            failure.hint(format!("{} says require = true under [trust]", self.host.name())).of_project()
        })?;
        log::info!(commit = id, signer = signer.principals.as_str(), key = signer.key.as_str(); "the commit is signed");
        Ok(true)
    }

    /// Has Terraform run as the account that the host names.
    fn become_other(&self, project: &mut Project) -> Result<(), Failure> {
        let Some(name) = self.host.run_as() else { return Ok(()) };
        let mut planned =
            project.config.targets.values_mut().filter_map(|it| it.terraform.as_mut()).peekable();
        if planned.peek().is_none() {
            return Ok(());
        }
        let account = Account::to_become(name).map_err(|error| {
            Failure::new(error.to_string())
                .hint(format!("run_as stands under [trust] of {}", self.host.name()))
        })?;
        planned.for_each(|terraform| terraform.run_as = Some(account.clone()));
        Ok(())
    }

    /// Why a target may not be looked at: nobody whom this machine trusts has defined it.
    fn forbids(&self, name: &str, target: &Target) -> Option<String> {
        let why = self.host.forbids(name, target)?;
        match (self.targets.all.contains_key(name), self.targets.is_of_host) {
            (true, true) => None,
            (true, false) => Some(format!(
                "target {name} is defined in {}, which lies in a work tree: keep that file outside, or define the target in {}",
                self.targets.file,
                self.host.name()
            )),
            (false, _) => Some(why),
        }
    }

    fn aims(
        &self,
        deployment: &Deployment,
        project: &Project,
        tree: &DeploymentTree,
    ) -> Result<Vec<Aim>, Failure> {
        let reach = Reach {
            timeout: waits::AGENT_CONNECT.most,
            accept_new_host_key: false,
            can_ask: false,
            prompt: Arc::new(Nobody),
        };
        let names: Vec<&str> = match &deployment.targets {
            Some(names) => project.expand(names)?,
            None if project.config.targets.is_empty() => vec![OWN_TREE],
            None => project.config.targets.keys().map(String::as_str).collect(),
        };
        let aim = |name: &str| match name {
            OWN_TREE => Ok(Aim::local(project)),
            name => {
                let target = project.target(name)?;
                if let Some(why) = self.forbids(name, target) {
                    return Err(Failure::new(why).of_project());
                }
                let may_plan = tree.commit.is_none()
                    || (tree.is_signed && self.host.terraform_trust() == TerraformTrust::Signed);
                if target.terraform.is_some() && !may_plan {
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
        "target {target}: Terraform is not run on code that was fetched and that nobody has signed: who pushes would run programs here"
    ));
    let hint = "require signed commits with require = true and allowed_signers under [trust] of the host's own file, or plan it from a \
                checkout of your own: set root in place of git";
    failure.hint(hint).of_project()
}

/// The targets that a deployment has looked at before: those it names, and those that have left a report.
pub(crate) fn known_targets(deployment: &Deployment, store_root: &Path) -> Vec<Option<String>> {
    let target = |name: &String| (name != OWN_TREE).then(|| name.clone());
    let are_targets = |names: &&Vec<String>| !names.iter().any(|name| name.starts_with(GROUP_MARK));
    if let Some(names) = deployment.targets.as_ref().filter(are_targets) {
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
