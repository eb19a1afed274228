//! Options that say whose signature counts.

use std::path::PathBuf;

use clap::Args;

use crate::audit::trust_policy::{SignatureDemand, Trusting};
use crate::control::Environment;
use crate::error::Failure;
use crate::project::Project;

/// The variable that stands in for `--allowed-signers`.
const VARIABLE: &str = "DRIFTLOCK_ALLOWED_SIGNERS";

/// Options that say whose signature counts.
#[derive(Args, Clone)]
#[command(next_help_heading = "Whose signature counts")]
pub(crate) struct TrustArgs {
    /// An unsigned baseline is an error, whatever audit/driftlock.toml says
    #[arg(long)]
    require_signature: bool,
    /// Who may sign, instead of what audit/driftlock.toml names; FILE must lie outside the repository. Implies
    /// --require-signature [env: DRIFTLOCK_ALLOWED_SIGNERS]
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
}

impl TrustArgs {
    /// The file that names the signers beside the repository, and what named it.
    fn given(&self, environment: &Environment) -> Option<(PathBuf, &'static str)> {
        match &self.allowed_signers {
            Some(path) => Some((path.clone(), "--allowed-signers")),
            None => environment.variable(VARIABLE).map(|value| (PathBuf::from(value), VARIABLE)),
        }
    }

    /// Whether the signers are named beside the repository.
    pub(crate) fn is_from_outside(&self, environment: &Environment) -> bool {
        self.given(environment).is_some()
    }

    /// Whose signature counts; `None` where nobody's is demanded.
    ///
    /// # Errors
    /// When the file that was named is not there, or lies where those can write it who write the baseline.
    pub(crate) fn resolve(&self, project: &Project) -> Result<Option<Trusting>, Failure> {
        self.demand(&project.control.environment).of(project)
    }

    /// What is demanded, whatever the project.
    pub(crate) fn demand(&self, environment: &Environment) -> SignatureDemand {
        let signers = self.given(environment).map(|(path, called)| (path, called.to_owned()));
        SignatureDemand { signers, is_required: self.require_signature }
    }
}
