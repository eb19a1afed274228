//! What is shipped to run driftlock by: units, hooks, jobs, the image, alert rules, wrapper scripts.

pub(crate) mod alert_rules;
mod alert_script;
mod ci;
mod fleet;
mod hook;
mod hook_install;
mod image;
mod metrics;
mod package;
mod sandbox;
mod systemd;
mod terraform;
mod wrapper_scripts;
