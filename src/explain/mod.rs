//! Everything known of one subject: which one is meant, since when it differs, who accepted it, what can be done.

mod cause;
mod since;
mod subjects;
mod undo;
mod ways_out;

pub use cause::cause;
pub use since::{Carried, carried, since};
pub use subjects::{Known, Named, find, known, near};
pub use ways_out::{Situation, note, ways_out};
