//! The words of driftlock as types: pure, synchronous, no I/O. Those that reports hold as they are derive serde.

mod acknowledgement;
mod address;
mod attribute_text;
mod category;
mod cause;
mod check;
mod cover;
mod cpus;
mod digest;
mod duration;
mod entry;
mod environment;
mod explanation;
mod finding;
mod glob;
mod image_name;
mod line;
mod look_alike;
mod moment;
mod mount;
mod name;
mod past;
mod percent;
mod provenance;
mod published;
mod reason;
mod release;
mod report;
mod severity;
mod shell;
mod since_last;
mod state;
mod system;
mod tree;
mod verdict;
mod who;

pub use acknowledgement::{Pause, Waiver, name_of};
pub use address::{Address, is_address, is_user_name, without_secrets};
pub use attribute_text::attribute_value;
pub use category::Category;
pub use cause::{Cause, CauseKind, GroupWays, Member, OLDER_RULE};
pub use check::{CheckLabels, CheckMeta, CheckResult, Role};
pub use cover::cover;
pub use cpus::{NanoCpus, NoCpus};
pub use digest::{Digest, Hasher};
pub use duration::{counted, lasting, seconds};
pub use entry::{Entry, Unreadable};
pub use environment::{AppliedEnvironment, ContainerEnvironment, EnvironmentNames};
pub use explanation::{AcceptedBy, Explanation};
pub use finding::{
    Attribute, Change, Disposition, Finding, Kind, Part, SectionId, Shown, Since, Subject, SubjectKind,
    SubjectSource, Value, WayOut,
};
pub use glob::{BadGlob, Glob, any_match, is_wild};
pub use image_name::full_image_name;
pub use line::{Leaf, write_line};
pub use moment::{Moment, OutOfDate, ReadMoment, day, is_up_to_date, time_of_day};
pub use mount::{
    Contents, ContentsState, Covered, HeldState, HeldSubject, InsideSubject, Mount, MountUse, MountView,
    NotRestarted, OnUse, Shows, Use, Views,
};
pub use name::{escaped, is_hidden, joined, printable, printable_path, readable, shown_json};
pub use past::{PastCheck, PastEvent, PastEvents, PastRun, PastSubject, PreviousReport};
pub use percent::percent_decoded;
pub use provenance::{Commit, FileOrigin, Holder, Origin, OtherForm, Provenance, Versions, short_id};
pub use published::PublishedPort;
pub use reason::{Obstacle, Reason};
pub use release::{OverallRelease, Release};
pub use report::{BaselineOrigin, Mode, Notice, Report, Resolved, SectionOff, Trigger, fingerprint};
pub use severity::Severity;
pub use shell::{escaped_command, quoted, quoted_name};
pub use since_last::SinceLast;
pub use state::{LeftOut, Observation, Observed, State, Unit};
pub use system::in_words;
pub use tree::{Stat, Tree, TreeBuilder};
pub use verdict::{Ending, ExitCode, Status, Verdict, judge};
pub use who::{Rung, Who};
