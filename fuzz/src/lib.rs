//! What must hold of every reader, whatever it is given. The fuzzer's binaries call it, and the ordinary tests with the corpus.

#![allow(clippy::missing_panics_doc, reason = "a target panics where something does not hold")]

mod allowed_signers;
mod configuration;
mod framed_output;
mod images_lock;
mod known_hosts;
mod names;
mod reports;
mod text_locks;

pub use allowed_signers::allowed_signers;
pub use configuration::configuration;
pub use framed_output::framed_output;
pub use images_lock::images_lock;
pub use known_hosts::known_hosts;
pub use names::names;
pub use reports::reports;
pub use text_locks::text_locks;

use driftlock::model::is_hidden;

/// A target: its name, and what panics where something does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. A new one is a new file, a line here, a file in `fuzz/fuzz_targets` and a few seeds in `fuzz/corpus`.
pub const TARGETS: &[Target] = &[
    ("allowed_signers", allowed_signers),
    ("configuration", configuration),
    ("framed_output", framed_output),
    ("images_lock", images_lock),
    ("known_hosts", known_hosts),
    ("names", names),
    ("reports", reports),
    ("text_locks", text_locks),
];

/// Asserts that a terminal shows a text as it is; `lines` says whether it may have line ends.
fn assert_printable(text: &str, lines: bool) {
    let odd = text.chars().find(|&c| is_hidden(c) && !(lines && c == '\n'));
    assert!(odd.is_none(), "{odd:?} gets through: {text:?}");
}
