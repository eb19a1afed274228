//! The hosts of an inventory as targets: its program is run, and what it lists joins the configuration.

use std::collections::{BTreeMap, BTreeSet};

use crate::atomic::LARGEST_TEXT;
use crate::config::{Config, ConfigError, GROUP_MARK, Groups, InventoryConfig, Target};
use crate::error::Failure;
use crate::host::{AnsibleInventory, InventoryError, ProbeQuery, inventory_output};
use crate::model::{Mode, Reason, escaped};

/// Why an inventory gives no targets.
#[derive(Debug, thiserror::Error)]
enum InventoryFailure {
    #[error("[commands.{name}] was not run: {why}", name = escaped(.0.as_bytes()), why = .1)]
    NotRun(String, String),
    #[error("no [commands.{name}] defines the program", name = escaped(.0.as_bytes()))]
    NoCommand(String),
    #[error("[commands.{name}]: {why}", name = escaped(.0.as_bytes()), why = .1)]
    Program(String, Reason),
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    #[error("it has no group \"{name}\" with hosts; it has: {known}", name = escaped(.0.as_bytes()), known = .1)]
    NoGroup(String, String),
    #[error("the host {name}: {why}", name = escaped(.0.as_bytes()), why = .1)]
    Host(String, ConfigError),
}

impl From<InventoryFailure> for Failure {
    fn from(why: InventoryFailure) -> Self {
        let hint = match &why {
            InventoryFailure::NotRun(..) => None,
            InventoryFailure::NoCommand(name) => {
                let name = escaped(name.as_bytes());
                Some(format!("add it: [commands.{name}] run = [\"ansible-inventory\", \"--list\"]"))
            }
            InventoryFailure::Program(..) | InventoryFailure::Inventory(_) => Some(
                "run the program by hand, as this user; a slow one gets more time by timeout of its [commands]".to_owned(),
            ),
            InventoryFailure::NoGroup(..) | InventoryFailure::Host(..) => Some(
                "correct it in the inventory, or choose the groups that count: groups of [inventory]".to_owned(),
            ),
        };
        let failure = Failure::new(format!("[inventory]: {why}")).of_project();
        hint.into_iter().fold(failure, Failure::hint)
    }
}

/// The targets and groups that an inventory gives.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    targets: BTreeMap<String, Target>,
    groups: BTreeMap<String, Vec<String>>,
}

/// Lists the hosts of the inventory, where one is configured: its program is run.
///
/// # Errors
/// When it is not to be run, does not end well in time, or prints no inventory.
pub(crate) fn list(config: &Config) -> Result<Option<Listed>, Failure> {
    let Some(inventory) = &config.inventory else { return Ok(None) };
    Ok(Some(listed(config, inventory)?))
}

fn listed(config: &Config, inventory: &InventoryConfig) -> Result<Listed, InventoryFailure> {
    let name = &inventory.command;
    if let Some(why) = &config.desired.refused {
        return Err(InventoryFailure::NotRun(name.clone(), why.clone()));
    }
    let command = config.desired.commands.get(name);
    let command = command.ok_or_else(|| InventoryFailure::NoCommand(name.clone()))?;
    let (run, timeout) = (command.run.clone(), command.timeout);
    let program = ProbeQuery { name: name.clone(), run, timeout, fact: None };
    let most = usize::try_from(LARGEST_TEXT).unwrap_or(usize::MAX);
    let text =
        inventory_output(&program, most).map_err(|why| InventoryFailure::Program(name.clone(), why))?;
    let read = AnsibleInventory::read(&text)?;
    let chosen = chosen(&read, inventory)?;
    let mut targets = BTreeMap::new();
    for (name, host) in read.hosts.into_iter().filter(|(name, _)| chosen.contains(name)) {
        let target = inventory.target(&name, host.address.as_deref().unwrap_or(&name), host.port, host.user);
        let target = target.map_err(|error| InventoryFailure::Host(name.clone(), error))?;
        targets.insert(name, target);
    }
    let members = |hosts: BTreeSet<String>| hosts.intersection(&chosen).cloned().collect::<Vec<_>>();
    let groups = read.groups.into_iter().map(|(name, hosts)| (name, members(hosts)));
    let groups = groups.filter(|(_, members)| !members.is_empty()).collect();
    log::info!(command = name.as_str(), hosts = targets.len(); "read an inventory");
    Ok(Listed { targets, groups })
}

/// The names of the hosts that count.
fn chosen(
    read: &AnsibleInventory,
    inventory: &InventoryConfig,
) -> Result<BTreeSet<String>, InventoryFailure> {
    let Some(groups) = &inventory.groups else { return Ok(read.hosts.keys().cloned().collect()) };
    let mut chosen = BTreeSet::new();
    for name in groups {
        let hosts = read.groups.get(name).ok_or_else(|| {
            let known: Vec<String> = read.groups.keys().map(|name| escaped(name.as_bytes())).collect();
            InventoryFailure::NoGroup(name.clone(), known.join(", "))
        })?;
        chosen.extend(hosts.iter().cloned());
    }
    Ok(chosen)
}

impl Listed {
    /// Puts the targets and groups into a configuration, but for those that it `defines` itself.
    ///
    /// # Errors
    /// When a group of the configuration names a target that is not there either.
    pub(crate) fn put_into(
        &self,
        config: &mut Config,
        defines: &dyn Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        for (name, target) in self.targets.iter().filter(|(name, _)| !defines(name)) {
            config.targets.insert(name.clone(), target.clone());
        }
        let mut groups = Groups::of_inventory(&self.groups);
        groups.put(&config.groups);
        config.groups = groups;
        let checked = config.groups.check_members(|name| config.targets.contains_key(name));
        checked.map_err(|error| Failure::from(error).of_project())
    }
}

/// Whether the configuration says by itself what these names are; `None` is every target.
pub(crate) fn knows(config: &Config, names: Option<&[String]>, defines: &dyn Fn(&str) -> bool) -> bool {
    let is_known = |name: &String| match config.groups.expand([name.as_str()]) {
        Ok(targets) => targets.into_iter().all(|name| name == Mode::Local.word() || defines(name)),
        Err(_) => !name.starts_with(GROUP_MARK),
    };
    config.inventory.is_none() || names.is_some_and(|names| names.iter().all(is_known))
}

/// Adds the hosts of the inventory of a project to its targets, where one of `names` is none of those that are configured, or
/// where every target is wanted (`None`).
///
/// # Errors
/// As [`list`] and [`Listed::put_into`].
pub(crate) fn include(config: &mut Config, names: Option<&[String]>) -> Result<(), Failure> {
    let own: BTreeSet<String> = config.targets.keys().cloned().collect();
    let defines = |name: &str| own.contains(name);
    include_beside(config, names, &defines)
}

/// The same of a configuration of which only some is defined by whoever may.
///
/// # Errors
/// As [`include`].
pub(crate) fn include_beside(
    config: &mut Config,
    names: Option<&[String]>,
    defines: &dyn Fn(&str) -> bool,
) -> Result<(), Failure> {
    if knows(config, names, defines) {
        return Ok(());
    }
    list(config)?.map_or(Ok(()), |listed| listed.put_into(config, defines))
}
