//! Repairs: the undo of a finding as steps of data, carried out here or on a host after a fresh look, and looked at again.
//!
//! A [`plan::RemedyPlan`] is made of what was just seen, and is shown before anything happens. It is bound to the findings'
//! fingerprints, the baseline and what stands at each file: whatever moved since is refused. Afterwards everything is looked at
//! again; what the repair made worse is put back as it was.

pub(crate) mod approvals;
pub(crate) mod automatic;
pub(crate) mod job;
mod keep;
mod perform;
pub(crate) mod plan;
mod refusal;
mod restore;
mod server;
mod step;
