//! The terminal: output, progress, prompts, signals, logging.

pub(crate) mod logging;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod prompt;
pub(crate) mod signals;
