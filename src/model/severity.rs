//! Severities: how much a finding matters. They order and route, and change no verdict.

use serde::{Deserialize, Serialize};

use super::Category;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can wait.
    Low,
    /// It should be looked at.
    Medium,
    /// It should be looked at today.
    High,
    /// It should be looked at now.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word in events and policies.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The next higher one, where there is one.
    #[must_use]
    pub fn raised(self) -> Self {
        match self {
            Self::Low => Self::Medium,
            Self::Medium => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }

    /// The severity of what no policy speaks of.
    #[must_use]
    pub fn of(category: Category) -> Self {
        match category {
            Category::Security => Self::Critical,
            Category::Configuration | Category::State | Category::Infrastructure => Self::High,
            Category::Network | Category::Package | Category::Firmware => Self::Medium,
        }
    }
}
