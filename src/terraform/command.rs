//! The commands of Terraform: their arguments, and the environment that they get.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::secrets::Secrets;
use crate::config::{Init, Terraform};
use crate::control::Environment;
use crate::model::{any_match, quoted};

/// Variables that the program gets in any case.
const KEPT: [&str; 4] = ["PATH", "HOME", "TF_PLUGIN_CACHE_DIR", "TF_CLI_CONFIG_FILE"];
/// Beginnings of variables that it never gets: they add arguments to its commands, print secrets, or choose what is planned.
const NEVER: [&str; 6] = ["TF_CLI_ARGS", "TF_LOG", "TF_DATA_DIR", "TF_WORKSPACE", "TF_INPUT", "TF_REATTACH"];
/// Beginnings of variables that providers and backends need, for a word on what was withheld.
const OF_PROVIDERS: [&str; 20] = [
    "AWS_",
    "ARM_",
    "AZURE_",
    "GOOGLE_",
    "GCLOUD_",
    "CLOUDSDK_",
    "DIGITALOCEAN_",
    "HCLOUD_",
    "CLOUDFLARE_",
    "PROXMOX_",
    "PM_",
    "VAULT_",
    "KUBE",
    "OS_",
    "TF_VAR_",
    "TF_TOKEN_",
    "TF_HTTP_",
    "PG_CONN_STR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
];
/// Endings of names whose values are no secrets.
const PLAIN: [&str; 12] = [
    "REGION",
    "PROFILE",
    "ENDPOINT",
    "ENDPOINT_URL",
    "PROJECT",
    "ZONE",
    "LOCATION",
    "ACCOUNT_ID",
    "USERNAME",
    "HOST",
    "PORT",
    "PATH",
];

/// How the program is called in one directory.
pub(super) struct Caller<'a> {
    /// What is configured.
    pub(super) config: &'a Terraform,
    /// The directory with the code.
    pub(super) dir: &'a Path,
    /// Where the program keeps providers and modules; `None` leaves it to the program.
    pub(super) data_dir: Option<PathBuf>,
    /// Where it keeps providers for all directories, unless the environment says.
    pub(super) plugin_cache: Option<PathBuf>,
    /// Whether the versions of providers are chosen here, because the code does not pin them.
    pub(super) is_unpinned: bool,
    /// The variables of this process.
    pub(super) environment: &'a Environment,
}

impl Caller<'_> {
    /// The program in the workspace that is configured.
    pub(super) fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = self.bare(arguments);
        if let Some(workspace) = &self.config.workspace {
            command.env("TF_WORKSPACE", workspace);
        }
        self.of_account(command)
    }

    /// The program before it is known whether that workspace is there: it would make one of its own accord.
    pub(super) fn without_workspace(&self, arguments: &[&OsStr]) -> Command {
        self.of_account(self.bare(arguments))
    }

    fn bare(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments).current_dir(self.dir).env_clear();
        for name in KEPT {
            // Directories of this user are none of the other one's.
            if self.config.run_as.is_some() && name != "PATH" {
                continue;
            }
            if let Some(value) = self.environment.non_empty(name) {
                command.env(name, value);
            }
        }
        for (name, value) in self.given() {
            command.env(name, value);
        }
        let is_set = command.get_envs().any(|(name, _)| name == "TF_PLUGIN_CACHE_DIR");
        if let Some(dir) = self.plugin_cache.as_ref().filter(|_| !is_set) {
            command.env("TF_PLUGIN_CACHE_DIR", dir);
        }
        let inherited = self.environment.non_empty("TF_DATA_DIR").filter(|_| self.config.init == Init::Never);
        let data_dir = self.data_dir.as_ref().map(|dir| dir.as_os_str()).or(inherited);
        if let Some(dir) = data_dir {
            command.env("TF_DATA_DIR", dir);
        }
        if self.is_unpinned {
            // Nothing of the cache is used without a lock file otherwise.
            command.env("TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "1");
        }
        command.envs([("TF_IN_AUTOMATION", "1"), ("TF_INPUT", "0"), ("CHECKPOINT_DISABLE", "1")]);
        command
    }

    /// The command as the account runs it that is configured.
    fn of_account(&self, command: Command) -> Command {
        match &self.config.run_as {
            Some(account) => account.becoming(&command),
            None => command,
        }
    }

    /// The program; a path in it is taken from the working directory of whoever runs this, not of the code.
    fn program(&self) -> OsString {
        let binary = Path::new(&self.config.binary);
        if binary.components().count() < 2 || binary.is_absolute() {
            return binary.into();
        }
        self.environment.working_directory().map_or_else(|_| binary.into(), |here| here.join(binary).into())
    }

    /// The variables that the configuration lets through.
    fn given(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let of_process = self.environment.beginning("");
        let of_process = of_process.filter(|(name, _)| any_match(&self.config.env, name.as_encoded_bytes()));
        let own = self.config.variables.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        let is_never =
            |name: &OsStr| NEVER.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()));
        of_process.chain(own).filter(move |(name, _)| !is_never(name))
    }

    /// The names of variables that a provider may have needed, and that were not let through.
    pub(super) fn withheld(&self) -> Vec<String> {
        let names = self.environment.beginning("").filter_map(|(name, _)| name.to_str());
        let withheld = names.filter(|name| OF_PROVIDERS.iter().any(|start| name.starts_with(start)));
        let is_own = |name: &str| self.config.variables.iter().any(|(own, _)| own == name);
        let withheld = withheld.filter(|name| !any_match(&self.config.env, name.as_bytes()) && !is_own(name));
        withheld.map(str::to_owned).collect()
    }

    /// Notes the secrets among the variables that are let through.
    pub(super) fn note_secrets(&self, is_plain_variable: &dyn Fn(&str) -> bool, secrets: &mut Secrets) {
        for (name, value) in self.given() {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
            let is_plain = match name.strip_prefix("TF_VAR_") {
                Some(variable) => is_plain_variable(variable),
                None => PLAIN.iter().any(|ending| name.ends_with(ending)),
            };
            if !is_plain {
                secrets.note_text(value);
            }
        }
    }
}

/// The arguments of `plan`; `file` is where it goes.
pub(super) fn plan_arguments(config: &Terraform, file: &Path) -> Vec<OsString> {
    plan_arguments_of(config, file, config.lock, None)
}

/// The same with another word on the state's lock, and of one resource alone.
pub(super) fn plan_arguments_of(
    config: &Terraform,
    file: &Path,
    lock: Option<Duration>,
    target: Option<&str>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["plan", "-json", "-input=false", "-no-color"].map(OsString::from).to_vec();
    match lock {
        None => arguments.push("-lock=false".into()),
        Some(patience) => arguments.push(format!("-lock-timeout={}s", patience.as_secs()).into()),
    }
    arguments.extend(config.var_files.iter().map(|name| format!("-var-file={name}").into()));
    arguments.extend(target.iter().map(|address| format!("-target={address}").into()));
    let mut out = OsString::from("-out=");
    out.push(file);
    arguments.push(out);
    arguments
}

/// The arguments of `init`; the last one only where the code pins its providers.
pub(super) const INIT: [&str; 4] = ["init", "-input=false", "-no-color", "-lockfile=readonly"];
/// The arguments of the list of workspaces.
pub(super) const WORKSPACES: [&str; 3] = ["workspace", "list", "-no-color"];

/// The commands that a look would run, a line each.
#[must_use]
pub fn dry_run(config: &Terraform, dir: &Path) -> Vec<String> {
    let program = format!("{} -chdir={}", quoted(&config.binary), quoted(&dir.display().to_string()));
    let line = |arguments: &[String]| {
        let words: Vec<String> = arguments.iter().map(|it| quoted(it)).collect();
        format!("{program} {}", words.join(" "))
    };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let mut lines = Vec::new();
    if config.init != Init::Never {
        let when = if config.init == Init::Auto { " (where it is not initialised yet)" } else { "" };
        lines.push(format!("{}{when}", line(&owned(&INIT))));
    }
    if config.workspace.as_ref().is_some_and(|name| name != "default") {
        lines.push(line(&owned(&WORKSPACES)));
    }
    let plan = plan_arguments(config, Path::new("PLANFILE"));
    lines.push(line(&plan.iter().map(|it| it.to_string_lossy().into_owned()).collect::<Vec<_>>()));
    lines.push(line(&owned(&["show", "-json", "PLANFILE"])));
    if !config.inventory.is_empty() {
        lines.push(config.inventory.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(" "));
    }
    lines
}
