//! Removing old runs after one was written, and waiting for this process's turn.

use crate::atomic::Unfit;
use crate::control::clock;
use crate::control::progress::Watch;
use crate::error::Failure;
use crate::model::{escaped, in_words, printable_path};
use crate::project::Project;
use crate::store::lock::{NotNow, Turn};
use crate::store::retention::{self, Ask, Sorted};
use crate::store::runs;

/// Into how many runs is looked after a check, which nobody wants to wait for.
pub(crate) const PATIENCE: usize = 1000;

pub(crate) fn sorted(project: &Project, days: u32, patience: usize) -> std::io::Result<Sorted> {
    let is_target = |name: &str| project.config.may_have(name);
    let (first, now) = (clock::stamp_before(days), clock::unix());
    Ask { root: &project.store_root, first: &first, now, patience, is_target: &is_target }.sort()
}

/// Removes old runs after one was written; whatever comes of it, the verdict stays. Gives what is to be warned of.
pub(crate) fn after_run(project: &Project, cancel: &Watch) -> Vec<String> {
    let days = project.config.retention_days;
    if days == 0 {
        return Vec::new();
    }
    let runtime = printable_path(&project.named(&project.store_root.join(runs::PATH)));
    let sorted = match sorted(project, days, PATIENCE) {
        Ok(sorted) => sorted,
        Err(error) => return vec![format!("old runs were not removed: {runtime}: {}", in_words(&error))],
    };
    for (run, why) in &sorted.kept {
        log::info!(run = run.name.as_str(), why = why.as_str(); "left an old run alone");
    }
    if sorted.removable.is_empty() {
        return Vec::new();
    }
    // Whoever has the turn either removes them now, or will not be long.
    let _turn = match Turn::take(&project.store_root, "prune") {
        Ok(turn) => turn,
        Err(holder) => {
            log::info!(holder:%; "left old runs for the next time");
            return Vec::new();
        }
    };
    let mut stuck = Vec::new();
    for it in sorted.removable.iter().take_while(|_| !cancel.is_cancelled()) {
        if let Err(Unfit::Refused(error)) = retention::remove(&project.store_root, it) {
            stuck.push(format!("{runtime}/{}: {}", escaped(it.name.as_bytes()), in_words(&error)));
        }
    }
    let (removed, young) = (sorted.removable.len() - stuck.len(), sorted.young);
    log::info!(removed, young, days; "removed old runs");
    match stuck.as_slice() {
        [] => Vec::new(),
        [one] => vec![format!("an old run was not removed: {one}")],
        [first, rest @ ..] => vec![format!("old runs were not removed: {first}; and {} more", rest.len())],
    }
}

/// Waits for this process's turn to write the baseline or to remove runs.
pub(crate) fn lock_project(project: &Project, command: &str, cancel: &Watch) -> Result<Turn, Failure> {
    Turn::wait(&project.store_root, command, &|| cancel.is_cancelled()).map_err(refusal)
}

/// The failure of whoever has waited for another process in vain.
fn refusal(why: NotNow) -> Failure {
    let failure = Failure::new(why.to_string());
    match why {
        NotNow::Held(holder) => {
            let look = holder.pid.map(|pid| format!("; see what it does with: ps -fp {pid}"));
            failure
                .hint(format!("nothing was written; try again when it has ended{}", look.unwrap_or_default()))
        }
        NotNow::Interrupted => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock::Holder;

    #[test]
    fn who_waits_in_vain_is_told_for_whom() {
        let holder = Holder { pid: Some(7), command: Some("accept".to_owned()) };
        let told = refusal(NotNow::Held(holder)).to_string();
        assert_eq!(
            told,
            "error: process 7 (driftlock accept) is at work on this baseline and did not end within 10 s\n hint: nothing \
             was written; try again when it has ended; see what it does with: ps -fp 7"
        );
        assert!(
            refusal(NotNow::Held(Holder::default())).to_string().ends_with("try again when it has ended")
        );
    }
}
