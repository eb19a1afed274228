//! The reports that watchers and agents leave: those of looks at everything, as a check leaves them.

use crate::audit::examine::{Examination, Sighting};
use crate::audit::remedies::Advice;
use crate::audit::signing_key;
use crate::audit::trust_policy::believes;
use crate::baseline::Source;
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{Report, Trigger};
use crate::notify::after_check::Telling;
use crate::store::after_run::after_run;
use crate::store::keeper::Keeper;
use crate::store::pause;
use crate::store::previous::Previous;
use crate::store::report_signing::Signing;
use std::sync::Arc;

/// Judges what was seen of a place, keeps the report as the newest, and tells whoever is to be told.
pub(crate) fn leave(
    examination: &Examination<'_>,
    source: &Source,
    sighting: &Sighting,
    watch: &Arc<Watch>,
) -> Result<Report, Failure> {
    let project = examination.auditor.project;
    let events = &*project.control.events;
    let (mut report, warning) = examination.judge(sighting, watch);
    report.trigger = Trigger::Schedule;
    if watch.is_cancelled() {
        return Err(crate::host::HostError::Interrupted.into());
    }
    let evidence = &sighting.look.evidence;
    Advice { project, aim: examination.aim, source, evidence, run: Some(""), watch }.give(&mut report);
    report.pause = pause::of_report(&project.store_root, &report).unwrap_or_else(|error| {
        error.warn(events);
        None
    });
    let previous = Previous::new(project, None)?;
    let signing = Signing::with(project, signing_key::for_reports(project));
    let (report, kept) = Keeper { project, previous: &previous, signing: &signing }.keep(report, None);
    kept.map_err(|failure| failure.before("the report could not be written: "))?;
    let mut reports = [report];
    let is_believed = believes(examination.auditor.trusting, &reports);
    let is_final = signing.is_on();
    Telling { project, previous: &previous, is_own_run: true, is_final, is_believed }
        .tell(&mut reports, watch);
    let warnings = if is_believed { after_run(project, watch) } else { Vec::new() };
    warnings.iter().chain(&warning).for_each(|why| events.warning(why));
    let [report] = reports;
    Ok(report)
}
