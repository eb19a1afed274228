//! The policies of a project, as far as they count: where signatures are required, the baseline's signature must cover them.

use crate::audit::trust_policy::Trusting;
use crate::config::policies::{self, POLICIES, Policy};
use crate::error::Failure;
use crate::project::Project;

/// Reads the policies of a project; none, with a warning, where they must be signed and are not.
///
/// # Errors
/// When they cannot be read or make no sense.
pub(crate) fn of_project(project: &Project, trusting: Option<&Trusting>) -> Result<Vec<Policy>, Failure> {
    let is_there = project.config.policies_digest.is_some();
    if let Some(trusting) = trusting.filter(|_| is_there)
        && let Err(why) = trusting.look(project, &project.source(), None).by
    {
        project.control.events.warning(&format!(
            "{POLICIES} does not count: signatures are required, and it is not signed with the baseline: {why}"
        ));
        return Ok(Vec::new());
    }
    policies::load_of_project(&project.root, &project.config)
        .map_err(|error| Failure::from(error).of_project())
}
