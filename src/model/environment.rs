//! Variables of containers by their names alone, and how they stand to what compose files give. No value is ever held.

use std::collections::BTreeSet;

/// The variables of a container of a Compose service that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEnvironment {
    /// The service.
    pub service: String,
    /// The repository paths of its compose files; none for one that lies elsewhere.
    pub files: Vec<Option<Vec<u8>>>,
    /// The repository path of the project's directory, where it lies there.
    pub directory: Option<Vec<u8>>,
    /// Their names, where they could be asked for.
    pub names: Option<EnvironmentNames>,
}

/// Names of variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentNames {
    /// Those of the container.
    pub own: BTreeSet<String>,
    /// Those that its image sets.
    pub image: BTreeSet<String>,
}

/// The variables of a container against those that its compose files give its service now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppliedEnvironment {
    /// They were compared.
    Compared {
        /// The number of names on both sides.
        keys: usize,
        /// Names that the files give and the container does not have.
        missing: BTreeSet<String>,
        /// Names that the container has, and neither the files nor its image give.
        left: BTreeSet<String>,
    },
    /// It cannot be told what the files give, with the reason.
    Unresolved(String),
    /// A file could not be read, with the reason.
    Unreadable(String),
}
