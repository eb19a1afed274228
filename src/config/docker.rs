//! `[docker]`: which containers are compared, and what of them.

use serde::Deserialize;

use super::error::{ConfigError, compile, senseless};
use crate::model::OnUse;

/// `[docker]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DockerConfig {
    /// When containers are compared in a local run.
    pub mode: DockerMode,
    /// Patterns over container names.
    pub containers: Vec<String>,
    /// What a container that the baseline does not name is.
    pub unexpected: OnUnexpected,
    /// What becomes of locked files and addon roots that no container of the baseline has.
    pub unused: OnUse,
    /// What becomes of a container that started before a file that it has mounted last changed.
    pub not_restarted: OnUse,
    /// `[[docker.contents]]`: what containers have at a path.
    pub contents: Vec<ContentsConfig>,
}

/// The word for files inside containers that are in no repository: they are locked by themselves.
pub const LOCKED: &str = "locked";

impl ContentsConfig {
    /// Whether its files are locked by themselves.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is == LOCKED
    }

    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        compile("docker.contents.container", std::slice::from_ref(&self.container), false)?;
        let is_plain = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !self.path.strip_prefix('/').is_some_and(is_plain) {
            let reason =
                format!("\"{}\" is no absolute path in a container without \".\" and \"..\"", self.path);
            return Err(senseless("docker.contents.path", &reason));
        }
        if self.is_locked() && self.kind == Some(ContentsKind::Addons) {
            let reason = "with is = \"locked\" files are locked one by one: take kind out";
            return Err(senseless("docker.contents.kind", reason));
        }
        if !is_plain(&self.is) {
            let reason =
                format!("\"{}\" is no path of the repository, like \"odoo_modules/seisei\"", self.is);
            return Err(senseless("docker.contents.is", &reason));
        }
        Ok(())
    }
}

/// `[[docker.contents]]`: a path inside containers that should have a part of the baseline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentsConfig {
    /// The pattern over the containers' names.
    pub container: String,
    /// The absolute path in the container.
    pub path: String,
    /// The repository path of the part of the baseline that should lie there; [`LOCKED`]: files that are in no repository, which
    /// are locked as they lie there.
    pub is: String,
    /// What lies there; by default what the baseline has of that part.
    pub kind: Option<ContentsKind>,
}

/// What lies at a path inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentsKind {
    /// Addon modules.
    Addons,
    /// Files.
    Files,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            mode: DockerMode::Auto,
            containers: vec!["*".to_owned()],
            unexpected: OnUnexpected::Fail,
            unused: OnUse::Note,
            not_restarted: OnUse::Note,
            contents: Vec::new(),
        }
    }
}

/// When containers are compared in a local run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerMode {
    /// Where an engine answers and knows a container of the baseline.
    #[default]
    Auto,
    /// Always: an engine that cannot be reached is an error.
    Required,
    /// Never.
    Off,
}

/// What a container that the baseline does not name is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnexpected {
    /// Drift.
    #[default]
    Fail,
    /// Nothing.
    Ignore,
}
