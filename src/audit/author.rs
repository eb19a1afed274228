//! Who accepts, acknowledges or announces, and in which words.

use std::ffi::OsStr;

use crate::control::Environment;
use crate::error::Failure;
use crate::git;
use crate::project::Project;

/// The user, as git names whoever makes a commit, else the account. Under sudo it is the account that called it, unless
/// git was told of somebody.
pub(crate) fn user(project: &Project) -> String {
    let environment = &project.control.environment;
    let caller = environment.non_empty("SUDO_USER").and_then(OsStr::to_str);
    git::identity(&project.root, environment, caller.is_none())
        .unwrap_or_else(|| account(environment, caller))
}

/// The account that runs this, or `caller`.
fn account(environment: &Environment, caller: Option<&str>) -> String {
    let named = |name: &&str| environment.non_empty(name).and_then(OsStr::to_str);
    let name = caller.or_else(|| ["USER", "LOGNAME"].iter().find_map(named));
    name.map_or_else(|| environment.account_name(), str::to_owned)
}

/// A text that says something.
pub(crate) fn filled(option: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::new(format!("{option} is empty")));
    }
    // As the commands that are printed have it.
    if text == "…" {
        return Err(Failure::new(format!("{option} …: put your own words in place of the dots")));
    }
    Ok(text.to_owned())
}

/// Who answers: as given, or the user.
pub(crate) fn who(project: &Project, by: Option<&str>) -> Result<String, Failure> {
    match by {
        Some(name) => filled("--by", name),
        None => Ok(user(project)),
    }
}
