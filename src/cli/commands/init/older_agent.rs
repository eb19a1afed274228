//! `driftlock init --from config.yaml`: the configuration of the older Python agent, written as one of driftlock.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::atomic::{replace_file, replace_private_file, write_file};
use crate::cli::Session;
use crate::cli::terminal::output::{self, say};
use crate::cli::terminal::prompt;
use crate::config::{self, Config, Deployment, GitWay, Schedule, ServeConfig, ServeFile};
use crate::control::Environment;
use crate::error::Failure;
use crate::host::ssh::server_key::{KeyedServer, ServerKeyError, known_hosts_of};
use crate::model::{escaped, printable_path};
use crate::store::state;

/// Where the variables of deployments lie, below the directory that git ignores.
const ENVIRONMENTS: &str = "env";

/// Host keys that were accepted, by server, and servers without one.
#[derive(Default)]
struct ServerKeys {
    accepted: BTreeMap<(String, u16), String>,
    troubles: Vec<String>,
}

/// Writes `audit/driftlock.toml` of the project from the file.
pub(super) fn run(session: &Session, from: &Path, root: &Path) -> Result<(), Failure> {
    let read = ServeFile::load(from)?;
    if !read.is_of_older_agent {
        let failure = Failure::new(format!("{}: its name does not end in .yaml", printable_path(from)));
        return Err(failure.hint("name the config.yaml of the older agent"));
    }
    let keys = ServerKeys::of(&read.config.deployments, &session.control.environment);
    let mut troubles = keys.troubles.clone();
    let variables = write_variables(root, &read.config.deployments, &mut troubles)?;
    let text = configuration(&read.config, &keys, &variables);
    let file = root.join(config::PATH);
    std::fs::create_dir_all(root.join("audit")).map_err(|error| Failure::at(root, &error))?;
    write_file(&file, text.as_bytes()).map_err(|error| Failure::at(&file, &error))?;
    // What was written is what will be read.
    Config::parse(&text)?;
    let mut words = format!("Deployments: {}\n", read.config.deployments.len());
    for deployment in &read.config.deployments {
        let _ = writeln!(words, "  {}", escaped(deployment.name.as_bytes()));
    }
    for path in variables.values() {
        let _ = writeln!(
            words,
            "Wrote: {} (variables of Terraform, readable by you alone)",
            printable_path(path)
        );
    }
    let _ = writeln!(words, "Wrote: {}", config::PATH);
    words.push_str("Next: driftlock serve\n");
    output::print(words.as_bytes())?;
    for warning in read.warnings.iter().skip(1).chain(&troubles) {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}

impl ServerKeys {
    /// Asks each server for its key, and the user about those that nobody has accepted.
    fn of(deployments: &[Deployment], environment: &Environment) -> Self {
        let mut keys = Self::default();
        let mut asked: Vec<(String, u16)> = Vec::new();
        for deployment in deployments {
            let Some(GitWay::Ssh { host, port }) = deployment.git.as_ref().map(|git| &git.way) else {
                continue;
            };
            let server = (host.clone(), *port);
            if !asked.contains(&server) {
                keys.ask(&server, environment);
                asked.push(server);
            }
        }
        keys
    }

    fn ask(&mut self, server: &(String, u16), environment: &Environment) {
        let (host, port) = server;
        let known_hosts = known_hosts_of(environment);
        let asked = KeyedServer { host, port: *port, fingerprints: &[], known_hosts };
        let name = format!("{} port {port}", escaped(host.as_bytes()));
        match asked.trusted_line(&|| false) {
            // ~/.ssh/known_hosts has it, where the agent looks for it, too.
            Ok(_) => {}
            Err(ServerKeyError::Unseen(unknown)) => {
                if prompt::at_terminal().believes(&unknown.question(), &unknown.fingerprint) {
                    self.accepted.insert(server.clone(), unknown.fingerprint);
                } else {
                    self.troubles.push(format!(
                        "{name} shows the {} host key {}, which nobody has accepted: compare it, and put it into host_keys",
                        unknown.key_type, unknown.fingerprint
                    ));
                }
            }
            Err(other) => self.troubles.push(format!("{name}: {other}; its host key was not asked for")),
        }
    }
}

/// Writes the variables of each deployment into a file of its own: the paths, relative to the root.
fn write_variables(
    root: &Path,
    deployments: &[Deployment],
    troubles: &mut Vec<String>,
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut written = BTreeMap::new();
    let state = root.join(state::PATH);
    for deployment in deployments.iter().filter(|deployment| deployment.variables.iter().next().is_some()) {
        let name = &deployment.name;
        let Some(lines) = deployment.variables.to_lines() else {
            troubles.push(format!(
                "{name}: a variable of env_vars has several lines, and no file of variables was written"
            ));
            continue;
        };
        let dir = state.join(ENVIRONMENTS);
        let ignore = state.join(".gitignore");
        let made = std::fs::create_dir_all(&dir)
            .and_then(|()| if ignore.exists() { Ok(()) } else { replace_file(&ignore, b"*\n") });
        made.map_err(|error| Failure::at(&dir, &error))?;
        let file = dir.join(format!("{name}.env"));
        replace_private_file(&file, lines.as_bytes()).map_err(|error| Failure::at(&file, &error))?;
        written.insert(name.clone(), Path::new(state::PATH).join(ENVIRONMENTS).join(format!("{name}.env")));
    }
    Ok(written)
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

fn configuration(config: &Config, keys: &ServerKeys, variables: &BTreeMap<String, PathBuf>) -> String {
    let mut text =
        "# The agent: driftlock serve. Each deployment is looked at again and again.\n\n".to_owned();
    let serve = config.serve.clone().unwrap_or_default();
    text.push_str(&served(&serve));
    for deployment in &config.deployments {
        text.push_str(&target(config, &deployment.name));
        text.push_str(&deployed(deployment, keys, variables.get(&deployment.name)));
    }
    text
}

fn served(serve: &ServeConfig) -> String {
    let mut text = format!(
        "[serve]\nlisten = {}\nhosts = {}\n",
        quoted(&serve.listen.to_string()),
        list(serve.hosts.iter().map(String::as_str))
    );
    if serve.allow_listening(false).is_err() {
        text.push_str(
            "# Tokens would travel in the open: name a certificate, or start with --insecure behind something that speaks TLS.\n\
             # tls = { cert = \"/etc/driftlock/cert.pem\", key = \"/etc/driftlock/key.pem\" }\n",
        );
    }
    text
}

fn target(config: &Config, name: &str) -> String {
    let terraform = config.targets.get(name).and_then(|target| target.terraform.as_ref());
    let Some(terraform) = terraform else { return String::new() };
    let dir = quoted(&terraform.dir.to_string_lossy());
    let env = list(terraform.env.iter().map(crate::model::Glob::text));
    let key = if name.contains('.') { quoted(name) } else { name.to_owned() };
    format!("\n[targets.{key}]\nterraform = {{ dir = {dir}, env = {env} }}\n")
}

fn deployed(deployment: &Deployment, keys: &ServerKeys, variables: Option<&PathBuf>) -> String {
    let mut text = format!("\n[[deployments]]\nname = {}\n", quoted(&deployment.name));
    if !deployment.enabled {
        text.push_str("enabled = false\n");
    }
    let targets = deployment.targets.iter().flatten().map(String::as_str);
    let _ = writeln!(text, "targets = {}", list(targets));
    if let Schedule::Every(interval) = &deployment.schedule {
        let minutes = interval.as_secs() / 60;
        let _ = writeln!(text, "interval = \"{minutes}m\"");
    }
    if let Some(git) = &deployment.git {
        let mut table = format!("url = {}, branch = {}", quoted(&git.url), quoted(&git.branch));
        if let Some(key) = &git.ssh_key {
            let _ = write!(table, ", ssh_key = {}", quoted(&key.to_string_lossy()));
        }
        let accepted = match &git.way {
            GitWay::Ssh { host, port } => keys.accepted.get(&(host.clone(), *port)),
            GitWay::Web | GitWay::Here => None,
        };
        if let Some(fingerprint) = accepted {
            let _ = write!(table, ", host_keys = [{}]", quoted(fingerprint));
        }
        let _ = writeln!(text, "git = {{ {table} }}");
    }
    if let Some(file) = variables {
        let _ = writeln!(text, "env_file = {}", quoted(&file.to_string_lossy()));
    }
    if !deployment.tags.is_empty() {
        let tags = deployment.tags.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)));
        let _ = writeln!(text, "tags = {{ {} }}", tags.collect::<Vec<_>>().join(", "));
    }
    text
}
