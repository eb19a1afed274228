//! The words of driftlock as types: pure, synchronous, no serialisation, no I/O.

mod acknowledgement;
mod address;
mod check;
mod digest;
mod duration;
mod explanation;
mod finding;
mod glob;
mod line;
mod moment;
mod mount;
mod name;
mod provenance;
mod report;
mod shell;
mod since_last;
mod state;
mod system;
mod tree;
mod verdict;

pub use acknowledgement::{Acknowledged, Pause, name_of};
pub use address::{Address, is_address, without_secrets};
pub use check::{CheckLabels, CheckMeta, CheckResult, Role};
pub use digest::{Digest, Hasher};
pub use duration::{lasting, seconds};
pub use explanation::{AcceptedBy, Explanation, Shown, Since, WayOut};
pub use finding::{
    Change, Disposition, Finding, Kind, Part, SectionId, Subject, SubjectKind, SubjectSource, Value,
};
pub use glob::{BadGlob, Glob, any_match, is_wild};
pub use line::write_line;
pub use moment::{Moment, ReadMoment, day, time_of_day};
pub use mount::{Mount, MountUse, MountView, Shows, Views};
pub use name::{escaped, is_hidden, printable, readable, shown_json};
pub use provenance::{Commit, FileOrigin, Holder, Origin, Provenance, Versions};
pub use report::{BaselineOrigin, Mode, Notice, PastRun, PreviousReport, Report, SectionOff, Trigger};
pub use shell::{quoted, quoted_name};
pub use since_last::SinceLast;
pub use state::{Entry, LeftOut, Observation, Observed, State, Unit, Unreadable};
pub use system::in_words;
pub use tree::{Leaf, Stat, Tree, TreeBuilder};
pub use verdict::{ExitCode, Status, Verdict, judge, status};
