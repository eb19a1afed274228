//! Who accepts, acknowledges or announces, and in which words.

use crate::control::Environment;
use crate::error::Failure;
use crate::git;
use crate::project::Project;

/// The account that runs this.
pub(crate) fn account(environment: &Environment) -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"];
    names.iter().find_map(|name| environment.text(name)).unwrap_or("unknown").to_owned()
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

/// Who answers: as given, as git has it, or the account.
pub(crate) fn who(project: &Project, by: Option<&str>) -> Result<String, Failure> {
    match by {
        Some(name) => filled("--by", name),
        None => Ok(git::identity(&project.root).unwrap_or_else(|| account(&project.control.environment))),
    }
}
