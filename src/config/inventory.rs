//! `[inventory]`: hosts that a program lists, as targets.

use serde::Deserialize;

use super::error::{ConfigError, senseless};
use super::target::{RawTarget, Target, check_target, check_target_at};

/// `[inventory]`: the program that lists hosts, and what its targets have beside their addresses.
#[derive(Debug, Clone)]
pub struct InventoryConfig {
    /// The `[commands.NAME]` of this name lists them.
    pub command: String,
    /// The groups whose hosts count; `None` is every host.
    pub groups: Option<Vec<String>>,
    /// What each target has.
    target: RawTarget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInventory {
    command: String,
    groups: Option<Vec<String>>,
    #[serde(default)]
    target: RawTarget,
}

impl RawInventory {
    pub(super) fn checked(self) -> Result<InventoryConfig, ConfigError> {
        let Self { command, groups, target } = self;
        if groups.as_ref().is_some_and(Vec::is_empty) {
            return Err(senseless(
                "inventory.groups",
                "an empty list is nothing to look at: leave [inventory] out",
            ));
        }
        if target.host.is_some() || target.terraform.is_some() {
            let reason = "every host of the inventory would be one: the inventory says their addresses, and terraform is of [targets]";
            return Err(senseless("inventory.target", reason));
        }
        let config = InventoryConfig { command, groups, target };
        // What the table says is wrong whatever hosts there are.
        check_target_at("inventory.target", "host", config.raw("host"))?;
        Ok(config)
    }
}

impl InventoryConfig {
    fn raw(&self, host: &str) -> RawTarget {
        let mut raw = self.target.clone();
        raw.host = Some(host.to_owned());
        raw
    }

    /// The target that a host of the inventory is.
    ///
    /// # Errors
    /// When its name is none of a target, or its address or user has no sense.
    pub fn target(
        &self,
        name: &str,
        host: &str,
        port: Option<u16>,
        user: Option<String>,
    ) -> Result<Target, ConfigError> {
        if host == "local" {
            return Err(senseless(&format!("targets.{name}.host"), "\"local\" is no address of a server"));
        }
        let mut raw = self.raw(host);
        raw.port = port.or(raw.port);
        raw.user = user.or(raw.user);
        check_target(name, raw).map(|target| Target { is_of_inventory: true, ..target })
    }
}
