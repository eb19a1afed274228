//! A check as a library call: what is looked at, the pipeline, and what is done with its report.

pub mod accept;
pub(crate) mod acceptance;
pub(crate) mod acknowledgements;
pub(crate) mod author;
pub(crate) mod baseline_signature;
pub(crate) mod changed;
mod containers_here;
pub(crate) mod examine;
pub(crate) mod fleet;
pub(crate) mod groups;
pub(crate) mod infrastructure;
pub(crate) mod line_ends;
pub(crate) mod lines;
pub(crate) mod named_files;
pub mod pipeline;
pub(crate) mod plan_text;
pub(crate) mod remedies;
pub(crate) mod rename;
pub(crate) mod revision;
pub(crate) mod second_look;
pub(crate) mod side;
pub(crate) mod signed_files;
pub(crate) mod signing_key;
pub(crate) mod since_last;
pub(crate) mod target;
pub(crate) mod trust_policy;
pub(crate) mod untracked;
