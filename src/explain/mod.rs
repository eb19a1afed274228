//! Everything known of one subject: which one is meant, since when it differs, who accepted it, what can be done.

mod cause;
mod no_undo;
mod other_form;
mod script;
mod situation;
mod step;
mod subjects;
mod undo_container;
mod undo_database;
mod undo_files;
mod undo_resource;
mod ways_out;

pub use cause::{cause, may_be_of_older_rule};
pub use no_undo::NoUndo;
pub use situation::{Above, Situation};
pub use step::{Restore, Step};
pub use subjects::{Known, Named, find, known, near};
pub use ways_out::{Advised, advise, undo};
