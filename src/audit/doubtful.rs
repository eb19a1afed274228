//! What an export would make the baseline though the history says that it is stale, or that somebody edited it.

use crate::audit::changed;
use crate::audit::pipeline::{self, Look, Request};
use crate::baseline;
use crate::host::{Host, Watch};
use crate::model::{BaselineOrigin, CauseKind, Origin, Report};
use crate::project::Project;
use crate::provenance::{self, Trace};
use crate::report::cause_line;
use crate::section;
use crate::store::runs;

/// The causes, a line each; none where all that differs from the baseline is of no commit before it and of nobody's hand.
pub(crate) fn doubtful(
    project: &Project,
    request: &Request<'_>,
    look: &Look,
    host: &dyn Host,
    watch: &Watch,
) -> Vec<String> {
    let mut checks = pipeline::compare(request, look);
    if checks.iter().all(|check| check.findings.is_empty()) {
        return Vec::new();
    }
    let (root, digest) = (&project.root, request.locks.digest(&section::lock_file_groups()));
    let ask = Trace {
        root,
        anchor: baseline::commit_of(root, &digest),
        exclude: &project.config.addon_exclude,
        cache: Some(root.join(runs::PATH).join(runs::CACHE)),
        budget: provenance::BUDGET,
    };
    provenance::trace(&mut checks, &ask, watch);
    changed::tell(project, &mut checks, host, watch);
    let baseline = BaselineOrigin { from: baseline::PATH.to_owned(), digest, commit: None, dirty: None };
    let report = Report::of(checks, baseline);
    let mut causes = report.causes();
    for cause in &mut causes {
        let kind = cause.kind;
        cause.members.retain(|member| {
            let origin = member.finding.provenance.as_ref().map(|it| it.origin);
            matches!(kind, CauseKind::Edited | CauseKind::Stale)
                || matches!(origin, Some(Origin::Edited | Origin::Stale))
        });
    }
    causes.iter().filter(|cause| !cause.members.is_empty()).map(cause_line).collect()
}
