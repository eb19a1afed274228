//! By whose hand, on events: records of this machine are read once for all drift of a look that is new, and for none where nothing is.

use std::collections::BTreeMap;

use crate::audit::examine::Examination;
use crate::audit::whose_hand::WhoSearch;
use crate::events::event::{Event, Happened};
use crate::model::{CheckResult, Finding};

/// Puts on events of drift that came or changed whose hand it was.
pub(crate) fn put_on(events: &mut [Event], checks: &[CheckResult], examination: &Examination<'_>) {
    let is_new = |event: &Event| matches!(event.event, Happened::Detected | Happened::Changed);
    if !events.iter().any(is_new) {
        return;
    }
    let all = checks.iter().flat_map(|check| check.findings.iter().map(move |it| (check.id, it)));
    let by_fingerprint: BTreeMap<String, &Finding> =
        all.map(|(check, finding)| (finding.fingerprint(check).to_string(), finding)).collect();
    let finding = |event: &Event| by_fingerprint.get(event.fingerprint.as_ref()?).copied();
    let (news, findings): (Vec<&mut Event>, Vec<&Finding>) = events
        .iter_mut()
        .filter(|event| is_new(event))
        .filter_map(|event| finding(event).map(|found| (event, found)))
        .unzip();
    let claims = WhoSearch::in_brief(examination.auditor.project, examination.aim).claims(&findings);
    for (event, who) in news.into_iter().zip(claims) {
        event.evidence.who = who;
    }
}
