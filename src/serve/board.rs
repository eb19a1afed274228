//! What the agent knows of drift: one incident for each finding, from the event that opened it to the one that ended it.
//!
//! The journals of the deployments are the store, with what is kept of findings that are open for longer than journals are; this is an
//! index of both in memory, made anew at each start.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::Serialize;

use crate::control::clock;
use crate::events::event::{Event, Happened};
use crate::events::open_findings::{FirstEvent, OpenFindings};
use crate::remedy::approvals::Approval;

/// How many of the events that were noted last are known by their order.
const RECENT: usize = 1024;

/// The state of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum IncidentStatus {
    /// It drifts, or cannot be looked at, and nobody has said anything of it.
    Open,
    /// Somebody has acknowledged it.
    Acknowledged,
    /// It drifts in a window for which drift is approved, or the steps of its repair are approved.
    Approved,
    /// It is being repaired.
    Remediating,
    /// A repair has failed, or was not allowed.
    Escalated,
    /// It is over.
    Resolved,
}

impl IncidentStatus {
    /// Every status.
    pub(crate) const ALL: [Self; 6] =
        [Self::Open, Self::Acknowledged, Self::Approved, Self::Remediating, Self::Escalated, Self::Resolved];

    /// The word of the API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Approved => "approved",
            Self::Remediating => "remediating",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
        }
    }

    fn after(event: &Event) -> Self {
        match event.event {
            Happened::Resolved => Self::Resolved,
            Happened::Acknowledged if event.evidence.approved.is_some() => Self::Approved,
            Happened::Acknowledged => Self::Acknowledged,
            // The next run sees that it is over.
            Happened::Remediated => Self::Remediating,
            Happened::Escalated => Self::Escalated,
            _ => Self::Open,
        }
    }
}

/// The end of an incident. There are thousands of them, of which hardly any is asked for: the event is kept as JSON.
#[derive(Debug, Clone)]
pub(crate) struct IncidentEnd {
    /// When it was seen to be over: RFC 3339, and seconds since 1970.
    pub(crate) at: (String, i64),
    id: String,
    event: Box<str>,
}

impl IncidentEnd {
    fn of(event: &Event) -> Self {
        Self {
            at: (event.detected_at.clone(), event.detected_at_unix),
            id: event.id.clone(),
            event: serde_json::to_string(event).unwrap_or_default().into_boxed_str(),
        }
    }
}

/// A finding of a deployment, from its first event to its last.
#[derive(Debug, Clone)]
pub(crate) struct Incident {
    /// The id of the event that opened it.
    pub(crate) id: String,
    /// The deployment.
    pub(crate) deployment: String,
    /// When it was opened: RFC 3339, and seconds since 1970.
    pub(crate) opened: (String, i64),
    /// How it ended.
    pub(crate) resolved: Option<IncidentEnd>,
    /// Its state, as its events tell.
    status: IncidentStatus,
    /// Until when the steps of its repair are approved, in seconds since 1970.
    approved_until: Option<i64>,
    /// What was last seen of it.
    pub(crate) last: Event,
    /// How many events had been noted with its newest one.
    noted: u64,
}

impl Incident {
    /// Its state now: an approval ends by itself.
    pub(crate) fn status(&self) -> IncidentStatus {
        let may_be = matches!(self.status, IncidentStatus::Open | IncidentStatus::Escalated);
        let is_approved = may_be && self.approved_until.is_some_and(|until| clock::unix() < until);
        if is_approved { IncidentStatus::Approved } else { self.status }
    }

    /// Whether it does not count: somebody answers for it, or drift is approved for now.
    pub(crate) fn is_waived(&self) -> bool {
        matches!(self.status, IncidentStatus::Acknowledged | IncidentStatus::Approved)
    }

    /// Its newest event.
    pub(crate) fn newest(&self) -> Cow<'_, Event> {
        let end = self.resolved.as_ref().and_then(|end| serde_json::from_str(&end.event).ok());
        end.map_or(Cow::Borrowed(&self.last), Cow::Owned)
    }

    /// When that was seen, in seconds since 1970.
    pub(crate) fn newest_at(&self) -> i64 {
        self.resolved.as_ref().map_or(self.last.detected_at_unix, |end| end.at.1)
    }

    fn newest_id(&self) -> &str {
        self.resolved.as_ref().map_or(&self.last.id, |end| &end.id)
    }
}

/// The place of a finding: deployment, target, check, subject.
type Place = (String, Option<String>, String, Option<String>);

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Oldest first; ids are in this order, too.
    incidents: Vec<Incident>,
    by_id: HashMap<String, usize>,
    open: HashMap<Place, usize>,
    counts: BTreeMap<(&'static str, &'static str), u64>,
    /// The places of each deployment whose open findings are known.
    places: BTreeMap<String, BTreeSet<Option<String>>>,
    /// How many events were noted since the start, and the ids of the last of them.
    noted: u64,
    recent: VecDeque<String>,
}

impl Board {
    /// Takes note of an event that a journal holds from before.
    pub(crate) fn recall(&mut self, deployment: &str, event: &Event) {
        let Some(check) = &event.check else { return };
        let place = (deployment.to_owned(), event.target.clone(), check.clone(), event.subject.clone());
        let known = self.open.get(&place).copied();
        // A repair may end after a run has seen that the finding is over.
        if known.is_none() && matches!(event.event, Happened::Remediated | Happened::Escalated) {
            return;
        }
        let at = known.unwrap_or_else(|| self.begin(deployment, event, &place));
        let Some(incident) = self.incidents.get_mut(at) else { return };
        incident.status = IncidentStatus::after(event);
        incident.noted = self.noted;
        // An approval is of what was seen, and of what nobody has tried since.
        if incident.status != IncidentStatus::Open || event.fingerprint != incident.last.fingerprint {
            incident.approved_until = None;
        }
        if incident.status == IncidentStatus::Resolved {
            incident.resolved = Some(IncidentEnd::of(event));
            self.open.remove(&place);
        } else {
            incident.last = event.clone();
        }
    }

    /// Takes note of what is kept of the open findings of a deployment's places; what the journal alone has as open is of no place
    /// any more.
    pub(crate) fn recall_open(&mut self, deployment: &str, places: &[OpenFindings]) {
        self.incidents.retain(|it| it.deployment != deployment || it.resolved.is_some());
        self.recall_places(deployment, places);
    }

    /// Takes note of what is kept of the open findings of places that are not known.
    pub(crate) fn recall_places(&mut self, deployment: &str, places: &[OpenFindings]) {
        let mut kept = Self::default();
        for (last, first, tried) in places.iter().flat_map(OpenFindings::last_events) {
            kept.recall(deployment, last);
            if let Some(tried) = tried {
                kept.recall(deployment, tried);
            }
            if let Some(incident) = kept.incidents.last_mut() {
                let FirstEvent { id, detected_at, detected_at_unix } = first;
                incident.id = id;
                incident.opened = (detected_at, detected_at_unix);
            }
        }
        kept.places.insert(deployment.to_owned(), places.iter().map(|it| it.target().cloned()).collect());
        self.absorb(kept);
    }

    /// Takes note of the approvals that hold of repairs of a place.
    pub(crate) fn recall_approvals(&mut self, deployment: &str, target: Option<&str>, all: &[Approval]) {
        let is_of_place = |it: &Incident| it.deployment == deployment && it.last.target.as_deref() == target;
        for incident in self.incidents.iter_mut().filter(|it| it.resolved.is_none() && is_of_place(it)) {
            let is_of_it = |approval: &&Approval| {
                let was_tried_since = incident.status != IncidentStatus::Open
                    && incident.last.detected_at_unix > approval.since;
                !was_tried_since
                    && incident.last.fingerprint.as_ref().is_some_and(|it| approval.fingerprints.contains(it))
            };
            incident.approved_until = all.iter().filter(is_of_it).map(|approval| approval.until).max();
        }
    }

    /// Takes over what another index holds.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.incidents.extend(other.incidents);
        for (deployment, places) in other.places {
            self.places.entry(deployment).or_default().extend(places);
        }
        self.incidents.sort_by(|a, b| a.id.cmp(&b.id));
        self.index();
    }

    /// Forgets deployments that are not looked at any more.
    pub(crate) fn keep_deployments(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.incidents.retain(|it| is_kept(&it.deployment));
        self.places.retain(|name, _| is_kept(name));
        self.index();
    }

    /// Forgets what is open of places that a deployment does not have any more. Gives those of its places whose open findings are
    /// not known: they are new, or have come back.
    pub(crate) fn keep_places(
        &mut self,
        deployment: &str,
        targets: &[Option<String>],
    ) -> Vec<Option<String>> {
        let known = self.places.entry(deployment.to_owned()).or_default();
        known.retain(|target| targets.contains(target));
        let unknown = targets.iter().filter(|target| !known.contains(*target)).cloned().collect();
        let is_gone = |it: &Incident| {
            it.deployment == deployment && it.resolved.is_none() && !targets.contains(&it.last.target)
        };
        if self.incidents.iter().any(is_gone) {
            self.incidents.retain(|it| !is_gone(it));
            self.index();
        }
        unknown
    }

    fn begin(&mut self, deployment: &str, event: &Event, place: &Place) -> usize {
        let at = self.incidents.len();
        self.incidents.push(Incident {
            id: event.id.clone(),
            deployment: deployment.to_owned(),
            opened: (event.detected_at.clone(), event.detected_at_unix),
            resolved: None,
            status: IncidentStatus::Open,
            approved_until: None,
            last: event.clone(),
            noted: 0,
        });
        self.by_id.insert(event.id.clone(), at);
        self.open.insert(place.clone(), at);
        at
    }

    /// Takes note of an event that has just been recorded.
    pub(crate) fn note(&mut self, deployment: &str, event: &Event) {
        self.noted += 1;
        self.recent.push_back(event.id.clone());
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.recall(deployment, event);
        let category = event.category.map_or("none", crate::model::Category::word);
        *self.counts.entry((event.event.word(), category)).or_default() += 1;
    }

    /// The incidents whose newest event was noted after one with an id, in that order.
    pub(crate) fn since(&self, id: &str) -> Vec<&Incident> {
        let behind = self.recent.iter().rev().position(|it| it == id);
        // Events are noted in another order than they happened; what was noted by another process is known by its id alone.
        let is_missed = |it: &&Incident| match behind {
            Some(behind) => it.noted + behind as u64 > self.noted,
            None => it.newest_id() > id,
        };
        let mut missed: Vec<&Incident> = self.incidents.iter().filter(is_missed).collect();
        missed.sort_by(|a, b| (a.noted, a.newest_id()).cmp(&(b.noted, b.newest_id())));
        missed
    }

    /// An incident by its id.
    pub(crate) fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.get(*self.by_id.get(id)?)
    }

    /// Takes note that an incident is being repaired.
    pub(crate) fn begin_repair(&mut self, id: &str) {
        if let Some(incident) = self.one_unresolved(id) {
            incident.status = IncidentStatus::Remediating;
        }
    }

    /// Takes note that the steps of its repair are approved, until a moment in seconds since 1970.
    pub(crate) fn approve(&mut self, id: &str, until: i64) {
        if let Some(incident) = self.one_unresolved(id) {
            incident.approved_until = incident.approved_until.max(Some(until));
        }
    }

    /// Takes note that nobody repairs it any more: it is as its last event says.
    pub(crate) fn end_repair(&mut self, id: &str) {
        if let Some(incident) = self.one_unresolved(id) {
            incident.status = IncidentStatus::after(&incident.last);
        }
    }

    fn one_unresolved(&mut self, id: &str) -> Option<&mut Incident> {
        let incident = self.incidents.get_mut(*self.by_id.get(id)?)?;
        incident.resolved.is_none().then_some(incident)
    }

    /// Incidents, newest first, that were opened before the one with an id, where one is said.
    pub(crate) fn before<'a>(&'a self, id: Option<&str>) -> impl Iterator<Item = &'a Incident> {
        let end = id.map_or(self.incidents.len(), |id| {
            self.by_id
                .get(id)
                .copied()
                .unwrap_or_else(|| self.incidents.partition_point(|incident| incident.id.as_str() < id))
        });
        self.incidents[..end].iter().rev()
    }

    /// Incidents that are not over.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = &Incident> {
        self.open.values().filter_map(|at| self.incidents.get(*at))
    }

    /// How many events there were since the start, by event and category.
    pub(crate) fn counts(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.counts
    }

    /// Forgets incidents that were over before a moment.
    pub(crate) fn forget_before(&mut self, unix: i64) {
        let is_old = |it: &Incident| it.resolved.as_ref().is_some_and(|end| end.at.1 < unix);
        if !self.incidents.iter().any(is_old) {
            return;
        }
        self.incidents.retain(|it| !is_old(it));
        self.index();
    }

    fn index(&mut self) {
        self.by_id = self.incidents.iter().enumerate().map(|(at, it)| (it.id.clone(), at)).collect();
        let unresolved = self.incidents.iter().enumerate().filter(|(_, it)| it.resolved.is_none());
        let place = |it: &Incident| {
            let last = &it.last;
            let check = last.check.clone().unwrap_or_default();
            (it.deployment.clone(), last.target.clone(), check, last.subject.clone())
        };
        self.open = unresolved.map(|(at, it)| (place(it), at)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::Scene;
    use crate::events::inbox::HintSource;

    fn event(happened: Happened, subject: &str) -> Event {
        let mut event = Event::new(happened, Scene { target: None, trigger: HintSource::Start });
        event.check = Some("compose_hashes".to_owned());
        event.subject = Some(subject.to_owned());
        event
    }

    fn told(board: &Board) -> Vec<(String, &'static str)> {
        let of = |it: &Incident| (it.last.subject.clone().unwrap(), it.status().word());
        board.before(None).map(of).collect()
    }

    #[test]
    fn an_incident_leads_from_its_first_event_to_its_last() {
        let mut board = Board::default();
        let first = event(Happened::Detected, "a");
        board.note("erp", &first);
        board.note("erp", &event(Happened::Detected, "b"));
        board.note("erp", &event(Happened::Changed, "a"));
        board.note("erp", &event(Happened::Acknowledged, "b"));
        board.note("erp", &event(Happened::Resolved, "a"));
        assert_eq!(told(&board), [("b".to_owned(), "acknowledged"), ("a".to_owned(), "resolved")]);
        assert_eq!(board.incident(&first.id).unwrap().status(), IncidentStatus::Resolved);
        board.note("erp", &event(Happened::Detected, "a"));
        assert_eq!(told(&board).first().unwrap(), &("a".to_owned(), "open"));
        assert_eq!(board.unresolved().count(), 2);
        // The same subject of another deployment is another one.
        board.note("shop", &event(Happened::Detected, "a"));
        assert_eq!((board.unresolved().count(), board.before(None).count()), (3, 4));
    }

    #[test]
    fn a_repair_is_seen_until_a_run_or_a_person_ends_it() {
        let mut board = Board::default();
        let first = event(Happened::Detected, "a");
        board.note("erp", &first);
        let status = |board: &Board| board.incident(&first.id).unwrap().status();
        board.begin_repair(&first.id);
        assert_eq!(status(&board), IncidentStatus::Remediating);
        board.end_repair(&first.id);
        assert_eq!(status(&board), IncidentStatus::Open);
        board.note("erp", &event(Happened::Escalated, "a"));
        assert_eq!(status(&board), IncidentStatus::Escalated);
        board.end_repair(&first.id);
        assert_eq!(status(&board), IncidentStatus::Escalated);
        board.note("erp", &event(Happened::Remediated, "a"));
        assert_eq!(status(&board), IncidentStatus::Remediating);
        board.note("erp", &event(Happened::Resolved, "a"));
        board.begin_repair(&first.id);
        assert_eq!(status(&board), IncidentStatus::Resolved);
        // What came of a repair may be told after the run that has seen the end of the drift.
        for late in [Happened::Remediated, Happened::Escalated] {
            board.note("erp", &event(late, "a"));
        }
        assert_eq!((status(&board), told(&board).len()), (IncidentStatus::Resolved, 1));
    }

    #[test]
    fn pages_go_on_where_they_ended_though_more_has_come() {
        let mut board = Board::default();
        for subject in ["a", "b", "c"] {
            board.note("erp", &event(Happened::Detected, subject));
        }
        let first = board.before(None).next().unwrap().id.clone();
        board.note("erp", &event(Happened::Detected, "d"));
        let rest: Vec<_> = board.before(Some(&first)).map(|it| it.last.subject.clone().unwrap()).collect();
        assert_eq!(rest, ["b", "a"]);
    }

    #[test]
    fn what_is_open_for_longer_than_the_journal_reaches_back_is_known_and_removed_deployments_are_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("audit/state")).unwrap();
        let (old, changed) = (event(Happened::Detected, "a"), event(Happened::Changed, "a"));
        let mut open = OpenFindings::read(root.path(), None).unwrap();
        open.note_up_to(&[old.clone(), changed.clone()], None);
        open.write(root.path()).unwrap();
        let open = OpenFindings::read(root.path(), None).unwrap();
        let mut board = Board::default();
        // The journal has forgotten how it began, and holds what is of no place any more.
        board.recall("erp", &changed);
        board.recall("erp", &Event { target: Some("gone".to_owned()), ..event(Happened::Detected, "b") });
        board.recall_open("erp", &[open]);
        assert_eq!(told(&board), [("a".to_owned(), "open")]);
        let known = board.incident(&old.id).unwrap();
        assert_eq!((&known.opened.0, &known.last), (&old.detected_at, &changed));
        board.note("erp", &event(Happened::Resolved, "a"));
        assert_eq!(board.incident(&old.id).unwrap().status(), IncidentStatus::Resolved);
        board.note("shop", &event(Happened::Detected, "c"));
        board.keep_deployments(|name| name == "shop");
        assert_eq!(told(&board), [("c".to_owned(), "open")]);
        let far = [Some("far".to_owned())];
        assert_eq!(board.keep_places("shop", &far), far);
        assert_eq!(board.before(None).count(), 0);
    }

    #[test]
    fn deployments_that_are_recalled_one_after_the_other_are_in_the_order_of_their_events() {
        let events = ["a", "b", "c"].map(|subject| event(Happened::Detected, subject));
        let (mut board, mut later) = (Board::default(), Board::default());
        board.recall("erp", &events[0]);
        board.recall("erp", &events[2]);
        later.recall("shop", &events[1]);
        board.absorb(later);
        let subjects: Vec<_> = board.before(None).map(|it| it.last.subject.clone().unwrap()).collect();
        assert_eq!(subjects, ["c", "b", "a"]);
    }

    #[test]
    fn what_is_over_is_forgotten_and_what_is_open_is_not() {
        let mut board = Board::default();
        for (happened, subject) in
            [(Happened::Detected, "a"), (Happened::Detected, "b"), (Happened::Resolved, "a")]
        {
            board.note("erp", &event(happened, subject));
        }
        board.forget_before(i64::MAX);
        assert_eq!(told(&board), [("b".to_owned(), "open")]);
        board.note("erp", &event(Happened::Resolved, "b"));
        assert_eq!(told(&board), [("b".to_owned(), "resolved")]);
    }
    #[test]
    fn who_comes_back_hears_of_what_was_resolved_and_of_what_was_noted_late() {
        let mut board = Board::default();
        let [first, late, second] = ["a", "late", "b"].map(|subject| event(Happened::Detected, subject));
        board.note("erp", &first);
        board.note("erp", &second);
        let missed = |board: &Board, id: &str| -> Vec<String> {
            board.since(id).iter().map(|it| it.newest().id.clone()).collect()
        };
        assert_eq!(missed(&board, &second.id), [""; 0]);
        // It happened before the one that the reader has heard, and is noted after that.
        board.note("erp", &late);
        let over = event(Happened::Resolved, "a");
        board.note("erp", &over);
        assert_eq!(missed(&board, &second.id), [late.id.clone(), over.id.clone()]);
        assert_eq!(missed(&board, &first.id), [second.id, late.id, over.id.clone()]);
        assert_eq!(missed(&board, "0").len(), 3, "one event of each");
        assert_eq!(missed(&board, &over.id), [""; 0]);
    }

    #[test]
    fn what_a_repair_came_to_and_a_target_that_comes_back_are_known_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("audit/state")).unwrap();
        let mut open = OpenFindings::read(root.path(), None).unwrap();
        let detected = event(Happened::Detected, "a");
        open.note_up_to(&[detected.clone(), event(Happened::Escalated, "a")], None);
        open.write(root.path()).unwrap();
        let kept = || OpenFindings::read(root.path(), None).unwrap();
        let mut board = Board::default();
        board.recall_open("erp", &[kept()]);
        assert_eq!(told(&board), [("a".to_owned(), "escalated")]);
        assert_eq!(board.keep_places("erp", &[Some("far".to_owned())]), [Some("far".to_owned())]);
        assert_eq!(told(&board), []);
        assert_eq!(board.keep_places("erp", &[None]), [None]);
        board.recall_places("erp", &[kept()]);
        assert_eq!(told(&board), [("a".to_owned(), "escalated")]);
        assert!(board.incident(&detected.id).is_some(), "it is the same one");
        assert_eq!(board.keep_places("erp", &[None]), [None; 0]);
    }

    #[test]
    fn drift_is_approved_by_its_window_or_by_an_approval_of_its_repair_until_either_ends() {
        let with = |happened, fingerprint: &str| Event {
            fingerprint: Some(fingerprint.to_owned()),
            ..event(happened, "a")
        };
        let mut board = Board::default();
        let first = with(Happened::Detected, "1");
        board.note("erp", &first);
        let status = |board: &Board| board.incident(&first.id).unwrap().status();
        board.approve(&first.id, clock::unix() - 1);
        assert_eq!(status(&board), IncidentStatus::Open);
        board.approve(&first.id, clock::unix() + 60);
        assert_eq!(status(&board), IncidentStatus::Approved);
        assert!(!board.incident(&first.id).unwrap().is_waived(), "it drifts until it is repaired");
        board.note("erp", &with(Happened::Changed, "2"));
        assert_eq!(status(&board), IncidentStatus::Open, "other drift is not what was approved");
        let approval = |fingerprint: &str, since| Approval {
            plan: String::new(),
            subjects: Vec::new(),
            fingerprints: vec![fingerprint.to_owned()],
            since,
            by: "ada".to_owned(),
            until: clock::unix() + 60,
            reason: String::new(),
        };
        board.recall_approvals("erp", None, &[approval("1", clock::unix())]);
        assert_eq!(status(&board), IncidentStatus::Open);
        board.recall_approvals("erp", None, &[approval("2", clock::unix())]);
        assert_eq!(status(&board), IncidentStatus::Approved);
        board.note("erp", &with(Happened::Escalated, "2"));
        assert_eq!(status(&board), IncidentStatus::Escalated);
        board.recall_approvals("erp", None, &[approval("2", clock::unix() - 60)]);
        assert_eq!(status(&board), IncidentStatus::Escalated, "the repair that was approved failed");
        let mut window = with(Happened::Acknowledged, "2");
        window.evidence.approved = Some("CHG7".to_owned());
        board.note("erp", &window);
        assert_eq!(status(&board), IncidentStatus::Approved);
        assert!(board.incident(&first.id).unwrap().is_waived());
        board.note("erp", &with(Happened::Changed, "2"));
        assert_eq!(status(&board), IncidentStatus::Open);
    }
}
