//! `driftlock ack`: answer for drift, for a time.

mod find;
mod label;
mod list;

use crate::audit::acknowledgements::with_rules;
use crate::audit::author::filled;
use crate::audit::author::who;
use crate::cli::commands::ack::label::called;
use crate::cli::completion;
use crate::model::CheckResult;
use crate::model::Finding;
use crate::store::after_run::lock_project;
use crate::store::open_run::newest_report;
use std::fmt::Write as _;

use clap::{Args, Subcommand};

use crate::acknowledge::{Acknowledgement, Edit, EditError, PATH, edit, reaches_too_far};
use crate::cli::Session;
use crate::cli::args::subjects::Named;
use crate::cli::commands::ack::list::ListArgs;
use crate::cli::terminal::output;
use crate::cli::terminal::signals::Interrupt;
use crate::control::clock::Started;
use crate::control::dates;
use crate::error::Failure;
use crate::model::{Moment, day, escaped};
use crate::project::Project;

/// Answer for drift, for a time: it is shown, and does not count
///
/// Takes the drift of SUBJECT from the newest check and writes it into audit/acknowledged.toml, bound to its
/// fingerprint: the moment the subject changes again, it counts again. An error cannot be acknowledged.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
#[command(after_help = "\
Examples:
  driftlock ack qr_ordering --until 7d --reason 'hotfix, goes into 18.2'
  driftlock ack 'compose_hashes/infra/stacks/edge-*/**' --until 2026-12-01 --reason 'proxy test'
  driftlock ack traefik --target production --until 12h --reason 'vendor is on it'
  driftlock ack list
  driftlock ack renew qr_ordering --until 2w
  driftlock ack remove qr_ordering")]
pub(crate) struct AckArgs {
    #[command(subcommand)]
    other: Option<Other>,
    /// The subject as a report names it, or check/subject; a pattern names several
    #[arg(required = true, add = completion::SUBJECTS.completer())]
    subject: Option<String>,
    /// Why it is left for now
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    /// Until when: 2026-12-01 (to the end of that day), 2026-12-01T18:00:00+01:00, or for how long: 12h, 7d, 2w
    #[arg(long, value_name = "WHEN", required = true)]
    until: Option<String>,
    /// Who answers for it [default: git's identity, or the account]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Drift on this target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
}

#[derive(Subcommand)]
enum Other {
    List(ListArgs),
    Renew(RenewArgs),
    Remove(RemoveArgs),
}

/// Move the end of an acknowledgement
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock ack renew qr_ordering --until 2w
  driftlock ack renew qr_ordering --until 2026-12-01 --reason 'release 18.2 is late'")]
struct RenewArgs {
    /// The subject, or check/subject; a pattern names several
    #[arg(add = completion::SUBJECTS.completer())]
    subject: String,
    /// Until when: 2026-12-01 (to the end of that day), 2026-12-01T18:00:00+01:00, or for how long: 12h, 7d, 2w
    #[arg(long, value_name = "WHEN")]
    until: String,
    /// Why, where there is more to say now
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who answers for it from now on [default: git's identity, or the account]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What is acknowledged on this target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
}

/// Take an acknowledgement back: the drift counts again
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock ack remove qr_ordering
  driftlock ack remove '**' --target production")]
struct RemoveArgs {
    /// The subject, or check/subject; a pattern names several
    #[arg(add = completion::SUBJECTS.completer())]
    subject: String,
    /// What is acknowledged on this target
    #[arg(long, alias = "env", value_name = "NAME", add = completion::TARGETS.completer())]
    target: Option<String>,
}

pub(crate) fn run(session: &Session, args: &AckArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = session.project()?;
    let _turn = match &args.other {
        Some(Other::List(_)) => None,
        _ => Some(lock_project(&project, "ack", &interrupt.watch)?),
    };
    let told = match (&args.other, &args.subject, &args.reason, &args.until) {
        (Some(Other::List(list)), ..) => list::text(&project, list)?,
        (Some(Other::Renew(renew)), ..) => renewed(&project, renew)?,
        (Some(Other::Remove(remove)), ..) => removed(&project, remove)?,
        (None, Some(subject), Some(reason), Some(until)) => {
            let answer = Answer::read(&project, reason, args.by.as_deref(), until)?;
            added(&project, &Named::new(subject), args.target.as_deref(), &answer)?
        }
        _ => return Err(Failure::new("a subject, --reason and --until are needed")),
    };
    output::print(told.as_bytes())?;
    Ok(0)
}

/// What somebody says when answering for something.
struct Answer {
    reason: String,
    by: String,
    since: Moment,
    until: Moment,
}

impl Answer {
    fn read(project: &Project, reason: &str, by: Option<&str>, until: &str) -> Result<Self, Failure> {
        let now = Started::now();
        Ok(Self {
            reason: filled("--reason", reason)?,
            by: who(project, by)?,
            until: dates::until(until, now.unix)?,
            since: Moment { text: now.rfc3339, unix: now.unix },
        })
    }
}

impl Named {
    fn is(&self, entry: &Acknowledgement) -> bool {
        self.names(&entry.check, &entry.subject)
    }
}

/// Acknowledges what the newest check found of a subject.
fn added(project: &Project, named: &Named, target: Option<&str>, answer: &Answer) -> Result<String, Failure> {
    let report = newest_report(project, target)?;
    let found = find::Search { project, report: &report, named, target }.findings()?;
    let is_too_far = |finding: &Finding| reaches_too_far(finding, answer.until.unix, answer.since.unix);
    if let Some((_, finding)) = found.iter().find(|(_, finding)| is_too_far(finding)) {
        let name = escaped(&finding.subject.key);
        let failure =
            Failure::new(format!("{name}: a sensitive value drifted, and nobody sees whether it stays so"));
        return Err(failure.hint("acknowledge it for 30 days at most: --until 30d"));
    }
    let new: Vec<Acknowledgement> =
        found.iter().map(|(check, finding)| of(check, finding, target, answer)).collect();
    let added =
        with_rules(|rules| edit(&project.root, rules, |there| adding(there, &new, answer.since.unix)))?;
    let mut told = String::new();
    for entry in &new {
        let state = if added.contains(entry) { "Acknowledged" } else { "Was acknowledged already" };
        let _ = writeln!(told, "{state}: {}", called(entry));
    }
    let _ = writeln!(told, "Until: {}, in {PATH}", day(&answer.until.text));
    Ok(told)
}

/// The edits that add `new`, and which of them are new indeed. One of the same subject that is not among what was
/// found, or that has expired, is void: the new one takes its place.
fn adding(
    there: &[Acknowledgement],
    new: &[Acknowledgement],
    now: i64,
) -> Result<(Vec<Edit>, Vec<Acknowledgement>), Failure> {
    let fresh: Vec<&Acknowledgement> =
        new.iter().filter(|n| !there.iter().any(|t| t.is_of_same(n) && !t.is_over(now))).collect();
    if fresh.is_empty() {
        let names: Vec<String> = new.iter().map(called).collect();
        let failure = Failure::new(format!("it is acknowledged already: {}", names.join(", ")));
        return Err(failure.hint("move its end with: driftlock ack renew SUBJECT --until WHEN"));
    }
    let mut edits = Vec::new();
    for entry in &fresh {
        let is_void = |t: &Acknowledgement| {
            t.is_of_same_subject(entry) && (t.is_over(now) || !new.iter().any(|n| n.is_of_same(t)))
        };
        let mut void = (0..there.len()).filter(|at| is_void(&there[*at]));
        match void.next() {
            Some(first) => edits.push(Edit::Put(first, (*entry).clone())),
            None => edits.push(Edit::Add((*entry).clone())),
        }
        edits.extend(void.map(Edit::Remove));
    }
    Ok((edits, fresh.into_iter().cloned().collect()))
}

fn of(check: &CheckResult, finding: &Finding, target: Option<&str>, answer: &Answer) -> Acknowledgement {
    Acknowledgement {
        check: check.id.to_owned(),
        subject: finding.subject.key.clone(),
        target: target.map(str::to_owned),
        kind: finding.kind,
        fingerprint: finding.fingerprint(check.id),
        reason: answer.reason.clone(),
        by: answer.by.clone(),
        since: answer.since.clone(),
        until: answer.until.clone(),
    }
}

/// The indices of the entries that are named.
fn entries(there: &[Acknowledgement], named: &Named, target: Option<&str>) -> Result<Vec<usize>, Failure> {
    let here: Vec<usize> = (0..there.len()).filter(|at| there[*at].target.as_deref() == target).collect();
    let keys: Vec<(&str, Vec<u8>)> =
        here.iter().map(|at| (there[*at].check.as_str(), there[*at].subject.clone())).collect();
    let found: Vec<usize> = named.among(&keys).into_iter().map(|at| here[at]).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let failure = Failure::new(format!("{}: no such subject is acknowledged", named.shown()));
    let elsewhere: Vec<String> = there.iter().filter(|entry| named.is(entry)).map(called).collect();
    Err(failure.hint(match (elsewhere.as_slice(), named.near(&keys)) {
        ([], near) if near.is_empty() => "nothing is acknowledged there".to_owned(),
        ([], near) => format!("acknowledged: {}", near.join(", ")),
        (elsewhere, _) => format!("elsewhere it is: {}; --target says where", elsewhere.join(", ")),
    }))
}

fn renewed(project: &Project, args: &RenewArgs) -> Result<String, Failure> {
    let now = Started::now();
    let until = dates::until(&args.until, now.unix)?;
    let reason = args.reason.as_deref().map(|text| filled("--reason", text)).transpose()?;
    let by = who(project, args.by.as_deref())?;
    let named = Named::new(&args.subject);
    let decide = |there: &[Acknowledgement]| {
        let found = entries(there, &named, args.target.as_deref())?;
        let new = |at: &usize| {
            let old = there[*at].clone();
            let reason = reason.clone().unwrap_or(old.reason);
            Edit::Put(*at, Acknowledgement { until: until.clone(), by: by.clone(), reason, ..old })
        };
        let lines: String = found.iter().map(|at| format!("Renewed: {}\n", called(&there[*at]))).collect();
        Ok::<_, Failure>((found.iter().map(new).collect(), lines))
    };
    let told = with_rules(|rules| edit(&project.root, rules, decide))?;
    Ok(format!("{told}Until: {}, in {PATH}\n", day(&until.text)))
}

fn removed(project: &Project, args: &RemoveArgs) -> Result<String, Failure> {
    let named = Named::new(&args.subject);
    let decide = |there: &[Acknowledgement]| {
        let found = entries(there, &named, args.target.as_deref())?;
        let lines: String = found.iter().map(|at| format!("Removed: {}\n", called(&there[*at]))).collect();
        Ok::<_, Failure>((found.into_iter().map(Edit::Remove).collect(), lines))
    };
    with_rules(|rules| edit(&project.root, rules, decide))
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        Self::new(error.to_string())
    }
}
