//! Why a look at an environment gave no plan.

use std::io;
use std::path::PathBuf;

use super::child::ChildError;
use super::document::BadDocument;
use crate::model::{in_words, printable_path};

/// Why there is no plan to judge. The words go to the user, with the values of secrets replaced.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    /// A file or directory of driftlock's own could not be made, read or written.
    #[error("{}: {}", printable_path(.0), in_words(.1))]
    Path(PathBuf, #[source] io::Error),
    /// The configured directory is not there.
    #[error("{}: there is no such directory", printable_path(.0))]
    NoDirectory(PathBuf),
    /// There is nothing to plan in the configured directory.
    #[error("{}: no file there is Terraform code (*.tf)", printable_path(.0))]
    NoCode(PathBuf),
    /// The state may hold what this program does not know.
    #[error(
        "the state was written by version {written}, and this is {program}: name a program of that version or a newer one \
         by binary in audit/driftlock.toml"
    )]
    NewerState {
        /// The version that wrote it, escaped.
        written: String,
        /// The version that is called, escaped.
        program: String,
    },
    /// Another process has the environment's lock.
    #[error("another check initialises this environment and does not end")]
    Busy,
    /// The configured workspace is not there, and planning would make it.
    #[error("there is no workspace \"{wanted}\"; there are: {known}")]
    NoWorkspace {
        /// The one that is configured.
        wanted: String,
        /// Those that are there, escaped.
        known: String,
    },
    /// The program gave nothing that counts.
    #[error("{0}{remedy}", remedy = remedy(.0))]
    Child(#[from] ChildError),
    /// The inventory's command could not be started.
    #[error("inventory: {0}")]
    Inventory(#[source] ChildError),
    /// The inventory's command printed something else.
    #[error("the inventory is not JSON of the form {{\"RESOURCE_TYPE\": [\"ID\", …]}}")]
    NoInventory,
    /// A program ended with an error, which it told in these words.
    #[error("{0}")]
    Told(String),
    /// What it printed is no plan that can be judged.
    #[error(transparent)]
    Plan(#[from] BadDocument),
    /// A saved plan could not be shown.
    #[error("{source}; where the directory is initialised: {command}")]
    Saved {
        /// Why not.
        #[source]
        source: Box<LookError>,
        /// The command that judges it where that is possible.
        command: String,
    },
}

/// What helps against a child's error, to be put behind it.
fn remedy(error: &ChildError) -> &'static str {
    match error {
        ChildError::NotFound(_) => ": install it, or name it by binary in audit/driftlock.toml",
        ChildError::Late(..) => ": a provider or backend may not answer; see timeout in audit/driftlock.toml",
        ChildError::System(..) | ChildError::TooMuch(_) | ChildError::Interrupted(_) => "",
    }
}
