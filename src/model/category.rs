//! Categories of findings: what kind of trouble a difference is.

use serde::{Deserialize, Serialize};

/// Category of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, schemars(rename = "WireCategory"))]
pub enum Category {
    /// Content of files, and settings.
    Configuration,
    /// Which software is installed, and in which version.
    Package,
    /// Who can be reached, and where.
    Network,
    /// What runs.
    State,
    /// Who may reach or do what.
    Security,
    /// Software of the machine itself.
    Firmware,
    /// What exists, and of what size.
    Infrastructure,
}

impl Category {
    /// Every category, in the order of the type.
    pub const ALL: [Self; 7] = [
        Self::Configuration,
        Self::Package,
        Self::Network,
        Self::State,
        Self::Security,
        Self::Firmware,
        Self::Infrastructure,
    ];

    /// The word in reports and the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Package => "package",
            Self::Network => "network",
            Self::State => "state",
            Self::Security => "security",
            Self::Firmware => "firmware",
            Self::Infrastructure => "infrastructure",
        }
    }
}
