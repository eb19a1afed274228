//! One run of a deployment: its places are looked at, what has changed is recorded, and reports are kept.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::acknowledge::Acknowledgement;
use crate::audit::examine::{Auditor, BaselineChoice, Examination, Selection, Sighting};
use crate::audit::fleet::Fleet;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::check::Check;
use crate::config::policies::Policy;
use crate::error::Failure;
use crate::events::event::{Event, Scene};
use crate::events::inbox::HintSource;
use crate::events::journal::Journal;
use crate::events::open_findings::OpenFindings;
use crate::events::rules::EventRules;
use crate::host::Watch;
use crate::model::Report;
use crate::project::Project;
use crate::store::state;
use crate::watch::{WatchRecords, hands, reports};

/// A deployment as it is looked at once.
pub(crate) struct DeploymentRun<'a> {
    /// Its project, as it is now.
    pub(crate) project: &'a Project,
    /// Its places.
    pub(crate) aims: &'a [Aim],
    /// The checks; empty is all of them.
    pub(crate) only: &'a [&'static dyn Check],
    /// What says how much a finding matters.
    pub(crate) policies: &'a [Policy],
    /// Reads what somebody answers for, as it is now.
    pub(crate) acknowledged: &'a (dyn Fn() -> Result<Vec<Acknowledgement>, Failure> + Sync),
    /// Whose signature counts.
    pub(crate) trusting: Option<&'a Trusting>,
    /// What led to it.
    pub(crate) trigger: HintSource,
    /// How many places are looked at at the same time.
    pub(crate) jobs: NonZeroUsize,
    /// Receives each event once it is in the journal.
    pub(crate) sink: &'a (dyn Fn(&Event) + Sync),
}

impl DeploymentRun<'_> {
    /// Looks at every place; what came of each, in their order.
    pub(crate) fn carry_out(&self, watch: &Watch) -> Vec<Result<Report, Failure>> {
        let events = &*self.project.control.events;
        let fleet = Fleet { jobs: self.jobs, events, cancel: watch };
        let done = fleet.each(self.aims, Aim::name, |aim, watch| self.look(aim, &Arc::new(watch.child())));
        let unexpected = || Failure::new("the run was ended, or ended by itself, before anything came of it");
        done.into_iter().map(|one| one.unwrap_or_else(|| Err(unexpected()))).collect()
    }

    fn look(&self, aim: &Aim, watch: &Arc<Watch>) -> Result<Report, Failure> {
        let project = self.project;
        let source = project.source();
        let auditor = Auditor { project, acknowledged: &[], since_last: None, trusting: self.trusting };
        let mut examination = Examination {
            auditor,
            aim,
            selection: Selection { only: self.only, require: &[], subjects: None },
            baseline: BaselineChoice { source: &source, is_named: false },
        };
        let sighting = examination.sight(watch)?;
        // The look may take long, and somebody may acknowledge meanwhile.
        let acknowledged;
        {
            // What is open is read, changed and written by one at a time.
            let target = aim.target.as_deref();
            let _alone = state::hold(&project.store_root, target, &|| watch.is_cancelled())?;
            acknowledged = (self.acknowledged)()?;
            examination.auditor.acknowledged = &acknowledged;
            self.record(&examination, &sighting)?;
        }
        reports::leave(&examination, &source, &sighting, watch)
    }

    /// Records what has changed since the place was last looked at.
    fn record(&self, examination: &Examination<'_>, sighting: &Sighting) -> Result<(), Failure> {
        let project = self.project;
        let target = examination.aim.target.as_deref();
        let checks = examination.compare(sighting);
        let covers = |id: &str| self.only.is_empty() || self.only.iter().any(|check| check.id() == id);
        let rules = EventRules { config: &project.config.events, policies: self.policies };
        let scene = Scene { target, trigger: self.trigger };
        let at_state = |error: std::io::Error| Failure::at(&project.store_root.join(state::PATH), &error);
        let mut journal = Journal::open(&project.store_root).map_err(at_state)?;
        let mut open = OpenFindings::read(&project.store_root, target).map_err(at_state)?;
        let mut events = open.events(&checks, scene, &covers, &|event| {
            rules.judge(event);
        });
        hands::put_on(&mut events, &checks, examination);
        let mut sink = |event: &Event| {
            (self.sink)(event);
            Ok(())
        };
        let mut records = WatchRecords { journal: &mut journal, open: &mut open, sink: &mut sink };
        drop(records.record(project, events)?);
        open.write(&project.store_root).map_err(at_state)
    }
}
