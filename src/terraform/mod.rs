//! Infrastructure that Terraform code describes: what a plan says of it.
//!
//! [`look`] plans an environment with the program itself, in a private directory, and reads the plan as it arrives; nothing
//! is locked, written beside the code or applied. What it means is judged by a pure function.

mod child;
mod code;
mod command;
mod configuration;
mod diagnostic;
mod document;
mod judge;
mod lock;
mod look;
mod look_error;
mod needs;
mod plan;
mod private;
mod proposal;
mod secrets;
mod security;
mod slots;
mod state_version;
mod stream;
mod values;

pub use code::{Code, CodePlace};
pub use command::dry_run;
pub use judge::{Judged, Rules};
pub use lock::{BadLock, Settled, SettledValue, drifted, parse_lock, print_lock, why_not_lockable};
pub use look::{Environment, Look, look, look_at_file};
pub use needs::needed_variables;
pub use proposal::{Proposal, ProposalError, apply, propose};
pub use secrets::SENSITIVE;
pub use slots::Slots;
