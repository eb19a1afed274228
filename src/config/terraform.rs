//! `[targets.NAME] terraform` and `[terraform]`: directories of Terraform code, and how they are planned.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, DeploymentVariables, compile, senseless};
use crate::control::account::Account;
use crate::model::{Glob, seconds};

/// The directory whose subdirectories are environments where no target names `terraform`.
const ENVIRONMENTS: &str = "environments";
/// How long a plan may take where nothing is configured.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// `[terraform]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TerraformConfig {
    /// How many plans run at the same time.
    pub jobs: NonZeroUsize,
}

impl Default for TerraformConfig {
    fn default() -> Self {
        Self { jobs: NonZeroUsize::MIN }
    }
}

/// `[targets.NAME] terraform`: an environment.
#[derive(Debug, Clone)]
pub struct Terraform {
    /// The directory with the code, from the project's root unless it is absolute.
    pub dir: PathBuf,
    /// The workspace, where one is named.
    pub workspace: Option<String>,
    /// Files of variables, from the directory with the code.
    pub var_files: Vec<String>,
    /// The program: `terraform`, `tofu`, or a path.
    pub binary: String,
    /// When the directory is initialised.
    pub init: Init,
    /// How long the lock of the state is waited for; `None` takes no lock.
    pub lock: Option<Duration>,
    /// How long everything may take together.
    pub timeout: Duration,
    /// Patterns over the names of variables that the program receives.
    pub env: Vec<Glob>,
    /// Variables that it receives whatever those patterns are: those of a deployment.
    pub variables: DeploymentVariables,
    /// What a change is that the code wants and that was not applied.
    pub pending: Weight,
    /// What a failing `check` block is.
    pub checks: Weight,
    /// A command that prints what exists, by resource type.
    pub inventory: Vec<String>,
    /// The account that all of it runs as; `None` is that of this process.
    pub run_as: Option<Account>,
}

/// When a directory of code is initialised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// Where it was not yet, or its code or provider lock file has changed since.
    #[default]
    Auto,
    /// Before each plan.
    Always,
    /// Never: `TF_DATA_DIR`, or `.terraform` beside the code, is used as it is.
    Never,
}

/// The weight of what a plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A finding.
    Fail,
    /// A note.
    Note,
}

/// The table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    dir: PathBuf,
    workspace: Option<String>,
    #[serde(default)]
    var_files: Vec<String>,
    #[serde(default = "terraform")]
    binary: String,
    #[serde(default)]
    init: Init,
    #[serde(default)]
    lock: RawLock,
    timeout: Option<String>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default = "fail")]
    pending: Weight,
    #[serde(default = "note")]
    checks: Weight,
    #[serde(default)]
    inventory: Vec<String>,
}

/// `lock = false`, or how long is waited.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected false, or how long the lock is waited for, such as \"30s\"")]
enum RawLock {
    Switch(bool),
    Patience(String),
}

impl Default for RawLock {
    fn default() -> Self {
        Self::Switch(false)
    }
}

fn terraform() -> String {
    "terraform".to_owned()
}

fn fail() -> Weight {
    Weight::Fail
}

fn note() -> Weight {
    Weight::Note
}

impl Terraform {
    /// A directory of code, with nothing else configured.
    #[must_use]
    pub fn of_dir(dir: PathBuf) -> Self {
        Self {
            dir,
            workspace: None,
            var_files: Vec::new(),
            binary: terraform(),
            init: Init::Auto,
            lock: None,
            timeout: TIMEOUT,
            env: Vec::new(),
            variables: DeploymentVariables::default(),
            pending: Weight::Fail,
            checks: Weight::Note,
            inventory: Vec::new(),
            run_as: None,
        }
    }
}

impl Raw {
    /// Makes sure that it has sense; `key` names it.
    pub(super) fn checked(self, key: &str) -> Result<Terraform, ConfigError> {
        let duration = |name: &str, text: &str| {
            let whole = seconds(text).and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0);
            whole.map(Duration::from_secs).ok_or_else(|| {
                let reason = format!("\"{text}\" is no length of time: write it as 30s, 10m or 1h30m");
                senseless(&format!("{key}.{name}"), &reason)
            })
        };
        let empty = [
            ("dir", self.dir.as_os_str().is_empty()),
            ("binary", self.binary.is_empty()),
            ("workspace", self.workspace.as_ref().is_some_and(String::is_empty)),
            ("var_files", self.var_files.iter().any(String::is_empty)),
            ("inventory", self.inventory.iter().any(String::is_empty)),
        ];
        if let Some((name, _)) = empty.iter().find(|(_, is_empty)| *is_empty) {
            return Err(senseless(&format!("{key}.{name}"), "\"\" names nothing"));
        }
        let lock = match self.lock {
            RawLock::Switch(false) => None,
            RawLock::Switch(true) => {
                let reason = "say how long the lock is waited for, such as \"30s\"; false takes none";
                return Err(senseless(&format!("{key}.lock"), reason));
            }
            RawLock::Patience(text) => Some(duration("lock", &text)?),
        };
        Ok(Terraform {
            dir: self.dir,
            workspace: self.workspace,
            var_files: self.var_files,
            binary: self.binary,
            init: self.init,
            lock,
            timeout: self.timeout.map_or(Ok(TIMEOUT), |text| duration("timeout", &text))?,
            env: compile(&format!("{key}.env"), &self.env, false)?,
            variables: DeploymentVariables::default(),
            pending: self.pending,
            checks: self.checks,
            inventory: self.inventory,
            run_as: None,
        })
    }
}

/// The environments that a project has where its configuration names none: each directory `environments/*` with `.tf`
/// files, by its name.
#[must_use]
pub fn detected(root: &Path) -> Vec<(String, Terraform)> {
    let Ok(entries) = std::fs::read_dir(root.join(ENVIRONMENTS)) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| super::is_target_name(name)).collect();
    names.sort_unstable();
    let dirs = names.into_iter().map(|name| (Path::new(ENVIRONMENTS).join(&name), name));
    dirs.filter(|(dir, _)| holds_code(&root.join(dir)))
        .map(|(dir, name)| (name, Terraform::of_dir(dir)))
        .collect()
}

/// Whether a directory holds files that Terraform reads.
#[must_use]
pub fn holds_code(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_code))
}

/// Whether Terraform or `OpenTofu` reads a file of this name as code.
#[must_use]
pub fn is_code(name: &str) -> bool {
    let endings = [".tf", ".tf.json", ".tofu", ".tofu.json"];
    !name.starts_with('.') && endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn of(table: &str) -> Result<Terraform, String> {
        let text = format!("[targets.prod]\nterraform = {table}\n");
        let config = Config::parse(&text).map_err(|error| error.to_string())?;
        Ok(config.targets["prod"].terraform.clone().unwrap())
    }

    #[test]
    fn every_key_is_read_and_the_rest_has_a_default() {
        let whole = of("{ dir = \"e\", workspace = \"w\", var_files = [\"a.tfvars\"], binary = \"tofu\", \
             init = \"never\", lock = \"30s\", timeout = \"1h\", env = [\"AWS_*\"], pending = \"note\", \
             checks = \"fail\", inventory = [\"./ids\"] }")
        .unwrap();
        assert_eq!((whole.lock, whole.timeout.as_secs()), (Some(Duration::from_secs(30)), 3600));
        assert_eq!((whole.pending, whole.checks, whole.init), (Weight::Note, Weight::Fail, Init::Never));
        assert!(whole.env[0].matches(b"AWS_REGION") && whole.binary == "tofu");
        let bare = of("{ dir = \"e\" }").unwrap();
        assert_eq!((bare.lock, bare.timeout, bare.init), (None, TIMEOUT, Init::Auto));
        assert_eq!((bare.pending, bare.checks), (Weight::Fail, Weight::Note));
    }

    #[test]
    fn what_has_no_sense_is_named_with_its_key() {
        let cases = [
            ("{ dir = \"\" }", "targets.prod.terraform.dir"),
            ("{ dir = \"e\", lock = true }", "say how long"),
            ("{ dir = \"e\", lock = 3 }", "expected false, or how long"),
            ("{ dir = \"e\", timeout = \"soon\" }", "targets.prod.terraform.timeout"),
            ("{ dir = \"e\", timeut = \"1m\" }", "did you mean `timeout`"),
            ("{ workspace = \"x\" }", "missing field `dir`"),
            ("{ dir = \"e\", inventory = [\"\"] }", "targets.prod.terraform.inventory"),
        ];
        for (table, expected) in cases {
            let error = of(table).unwrap_err();
            assert!(error.contains(expected), "{table}: {error}");
        }
    }

    #[test]
    fn directories_with_code_are_environments_where_none_is_named() {
        let root = tempfile::tempdir().unwrap();
        for (dir, file) in
            [("prod", "main.tf"), ("stage", "x.tf.json"), ("docs", "README.md"), (".git", "a.tf")]
        {
            let dir = root.path().join("environments").join(dir);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(file), "").unwrap();
        }
        let names: Vec<String> = detected(root.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["prod", "stage"]);
    }
}
