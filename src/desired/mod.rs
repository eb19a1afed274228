//! What a CMDB says should be: configuration items and their fields, read out of its answers. Nothing is asked here.

mod fields;
mod page;
mod unique;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::NanoCpus;
pub use fields::PowerState;
pub use page::{AnswerError, AnswerPage, read, unfound};

/// A configuration item of a CMDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredItem {
    /// Its name.
    pub name: String,
    /// Whether it should exist now: not one that is planned, or being taken out of service.
    pub is_live: bool,
    /// Each field that it has, by its name, or why its value makes no sense.
    pub fields: BTreeMap<String, Result<DesiredValue, String>>,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesiredValue {
    /// Whether it runs.
    Power(PowerState),
    /// Processors.
    Cpus(NanoCpus),
    /// Memory in MB.
    Megabytes(u64),
    /// Memory in bytes, as engines tell it.
    Bytes(u64),
    /// The names of its networks.
    Networks(BTreeSet<String>),
    /// The name of its image.
    Image(String),
    /// A custom field, as text.
    Custom(String),
}

/// The names of the fields that every CI may have.
pub mod field {
    /// Whether it runs.
    pub const POWER_STATE: &str = "power_state";
    /// Its processors.
    pub const CPUS: &str = "cpus";
    /// Its memory in MB.
    pub const MEMORY_MB: &str = "memory_mb";
    /// Its networks.
    pub const NETWORKS: &str = "networks";
    /// Its image.
    pub const IMAGE: &str = "image";
    /// Its custom fields.
    pub const CUSTOM_FIELDS: &str = "custom_fields";
}
