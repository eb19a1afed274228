//! Everything known of one subject: which one is meant, since when it differs, who accepted it, what can be done.

mod cause;
mod subjects;
mod undo;
mod ways_out;

pub use cause::{cause, may_be_of_older_rule};
pub use subjects::{Known, Named, find, known, near};
pub use ways_out::{OLDER_RULE, Situation, note, ways_out};
