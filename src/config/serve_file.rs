//! The file that the agent is started with: a configuration as any other, or that of the older Python agent.

use std::path::Path;

use super::{Config, ConfigError, older_agent, system};
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::{Digest, printable_path};

/// A configuration of the agent, and what somebody should hear of it.
#[derive(Debug, Clone)]
pub struct ServeFile {
    /// What it says.
    pub config: Config,
    /// Warnings about what the older agent had and this one does otherwise.
    pub warnings: Vec<String>,
    /// Whether it is that of the older agent.
    pub is_of_older_agent: bool,
}

impl ServeFile {
    /// Reads the file; one whose name ends in `.yaml` or `.yml` is that of the older agent.
    ///
    /// # Errors
    /// When it cannot be read, others than this user and root may write it, or it makes no sense.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let shown = printable_path(path);
        let bytes = read_file_within(path, LARGEST_TEXT)
            .map_err(|source| ConfigError::Unreadable { path: shown.clone(), source })?;
        let refused = |reason: String| ConfigError::Refused { path: shown.clone(), reason };
        if let Some(why) = system::written_by_others(path) {
            return Err(refused(why));
        }
        let digest = Some(Digest::of(&bytes));
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let (config, warnings) = if is_yaml {
            older_agent::read(&shown, &text)?
        } else {
            let config = Config::parse(&text).map_err(|error| error.of_file(&shown))?;
            config.trust.check_of_project().map_err(|error| error.of_file(&shown))?;
            config.check_names().map_err(|error| error.of_file(&shown))?;
            (config, Vec::new())
        };
        Ok(Self { config: Config { digest, ..config }, warnings, is_of_older_agent: is_yaml })
    }
}
