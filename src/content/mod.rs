//! What differs between two versions of one file, by meaning and by line, and how much of it may be shown.

mod accounts;
mod change;
mod compose;
mod difference;
mod disclosure;
pub mod env;
mod given;
mod lines;
mod meaning;
mod named;
mod settings;
#[cfg(test)]
mod tests;
mod tree;
mod version;
mod yaml;

pub use change::Change;
pub use difference::{Difference, Extent};
pub use disclosure::FileRole;
pub use given::{GivenVariables, UnresolvedService, variables_of};
pub use meaning::MeaningError;
pub use named::{FileNames, NamedRole, Portion, names_in};
pub use tree::{YamlError, YamlFault};
pub use version::Version;
pub use yaml::{YamlValue, yaml_value};
