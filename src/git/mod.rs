//! Git: the repository around a project, asked by `git` itself, and never changed.

mod attributes;
mod bare;
mod checkout;
mod command;
mod converted;
mod error;
mod form;
mod graph;
mod history;
mod hooks;
mod limit;
mod objects;
mod repository;
mod revision;
mod source;
mod tracked;
mod work_tree;

pub use attributes::Attributes;
pub(crate) use bare::{BareRepository, Remote};
pub use checkout::{Checkout, CheckoutFault, Treatment};
pub use converted::Ends;
pub use error::GitError;
pub(crate) use error::PARTIAL;
pub use form::Form;
pub use graph::{Ancestors, Graph};
pub use history::{Changed, Renamed, Step, Walk};
pub use hooks::{Hooks, ROOT_SETTING};
pub(crate) use limit::too_slow;
pub use limit::{End, Limit};
pub use objects::{Object, ObjectEvent};
pub use repository::Repository;
pub use revision::{Listed, Mode, Revision};
pub use source::PassedOver;
pub use tracked::{Index, Standing};
pub use work_tree::{WorkTree, identity, work_tree};
