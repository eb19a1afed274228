//! `driftlock diff`: compare two states, recorded ones and targets as they are now.

use std::num::NonZeroUsize;

use clap::Args;

use crate::audit::fleet::Fleet;
use crate::audit::inventory;
use crate::audit::lines::{Lines, Versions, extent};
use crate::audit::pipeline::coverage;
use crate::audit::rename;
use crate::audit::rename::Rename;
use crate::audit::revision::word_of_owner;
use crate::audit::side::{BASELINE, Called, HERE, Side};
use crate::audit::target::host_name;
use crate::check::{CHECKS, Case, Evidence, NoBaseline};
use crate::cli::Session;
use crate::cli::args::formats::{DetailArgs, FormatArgs, check_outputs, emit, refuse_metrics};
use crate::cli::args::target::ReachArgs;
use crate::cli::completion;
use crate::cli::terminal::output::say;
use crate::cli::terminal::signals::Interrupt;
use crate::content::Extent;
use crate::control::clock::Started;
use crate::control::events::run_task;
use crate::error::Failure;
use crate::git::Repository;
use crate::host::{Scope, Watch};
use crate::model::{
    CheckResult, LeftOut, Mode, Observation, Observed, Report, SectionId, State, Unit, escaped, quoted_name,
};
use crate::project::Project;
use crate::section::{SECTIONS, Section};
use crate::store::open_run::run_named;

/// Compare two of: a run, baseline, git:REVISION, target:NAME, here
///
/// This machine (here) and a target are looked at now; everything else is compared as it was recorded. Of a revision the files
/// themselves count, and its lock files for containers and for what it holds no file of. Nothing is written.
/// Exit code 0: equal, 2: different, 1: error.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock diff                               the baseline, and this machine as it is now
  driftlock diff git:v1.4                      a release, and this machine as it is now
  driftlock diff baseline 20260129_154215      what a run saw that the baseline has not
  driftlock diff git:v1.3 git:v1.4             what a release changed
  driftlock diff git:v1.3 git:v1.4 --content   and which lines
  driftlock diff git:v1.3 git:v1.4 --show-content
                                               and all of them, secrets included
  driftlock diff git:HEAD baseline             what was accepted and is not yet committed
  driftlock diff git:v1.4 target:production    what runs there that is not of that release
  driftlock diff target:production target:staging --rename 's/prod/staging/'
                                               where two servers differ, by more than their names
  driftlock diff 20260128_030000 20260129_030000 --format json")]
pub(crate) struct DiffArgs {
    /// The one side
    #[arg(default_value = BASELINE, add = completion::SIDES.completer())]
    a: String,
    /// The other; here is this machine as it is now
    #[arg(default_value = HERE, add = completion::SIDES.completer())]
    b: String,
    /// Other names for the subjects of A, before they are paired with those of B: a substitution as sed -E has
    /// it, over container names and paths; repeatable, one after the other. Images keep their names
    #[arg(long, value_name = "s/FROM/TO/")]
    rename: Vec<Rename>,
    /// Show what differs in each file: the lines of code, the keys of compose files and settings with such values as never
    /// hold a secret, and how many lines of other files. From targets each file is fetched
    #[arg(long, conflicts_with = "rename")]
    content: bool,
    /// As --content, but every line of every file as it is, secrets included, in every format
    #[arg(long, conflicts_with = "rename")]
    show_content: bool,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    formats: FormatArgs,
    #[command(flatten)]
    details: DetailArgs,
    /// Print nothing when both are equal
    #[arg(long, short)]
    quiet: bool,
}

/// Both sides at once.
const BOTH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

pub(crate) fn run(session: &Session, args: &DiffArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let started = Started::now();
    let wanted = args.formats.resolve()?;
    refuse_metrics(&wanted, "two recorded states are no state of a machine")?;
    let mut project = session.project()?;
    check_outputs(&project, None, &wanted)?;
    let targets = [&args.a, &args.b].map(|text| text.strip_prefix("target:").map(str::to_owned));
    inventory::include(&mut project.config, Some(&targets.into_iter().flatten().collect::<Vec<_>>()))?;
    refuse_bare_names(&project, [&args.a, &args.b])?;
    let [a, b] = [&args.a, &args.b].map(|text| Called::read(&project, text, &args.reach.reach()));
    let sides = [a?, b?];
    if !args.quiet && sides.iter().any(|side| side.text.starts_with("git:")) {
        let repository = Repository::around(&project.root).ok();
        if let Some(word) = repository.as_ref().and_then(word_of_owner) {
            say(&format!("warning: {word}"));
        }
    }
    let [a, b] = load(&project, &sides, args.quiet, interrupt)?;
    if interrupt.code().is_some() {
        return Ok(1);
    }
    let (mut a, b) = (a?, b?);
    apply(&args.rename, &mut a)?;
    let mut report = report(&project, &started, a, b);
    if args.content || args.show_content {
        show_lines(&project, &sides, extent(args.show_content), &mut report, interrupt)?;
    }
    emit(&mut [report], &wanted, args.details.presentation(args.quiet, session.color))
}

/// Refuses the bare name of a target or of a revision, with the call that was probably meant.
fn refuse_bare_names(project: &Project, sides: [&String; 2]) -> Result<(), Failure> {
    let bare = sides.map(|text| bare_name(project, text));
    let Some((what, full)) = bare.iter().flatten().next() else { return Ok(()) };
    let name = escaped(full.split_once(':').map_or(full.as_str(), |(_, name)| name).as_bytes());
    let failure = Failure::new(format!(
        "there is no run \"{name}\": it is {what}, which diff takes as {}",
        escaped(full.as_bytes())
    ));
    let each = sides.iter().zip(&bare);
    let words = each
        .map(|(text, bare)| quoted_name(bare.as_ref().map_or(text.as_str(), |(_, full)| full).as_bytes()));
    Err(failure.hint(format!("driftlock diff {}", words.collect::<Vec<_>>().join(" "))))
}

/// What a name is that is no side as it stands, and how it is written as one.
fn bare_name(project: &Project, text: &str) -> Option<(&'static str, String)> {
    if [BASELINE, HERE].contains(&text) || run_named(project, text).is_ok() {
        return None;
    }
    if project.config.targets.contains_key(text) {
        return Some(("a target", format!("target:{text}")));
    }
    let is_revision = !text.contains(':') && project.revision(text).is_ok();
    is_revision.then(|| ("a revision of git", format!("git:{text}")))
}

/// Puts the lines that differ on the findings.
fn show_lines(
    project: &Project,
    sides: &[Called<'_>; 2],
    extent: Extent,
    report: &mut Report,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let [a, b] = sides;
    let revisions = [a.revision(project)?, b.revision(project)?];
    let show = |watch: &Watch| {
        let before = Versions { name: a.text, store: a.store(revisions[0].as_ref()) };
        let after = Versions { name: b.text, store: b.store(revisions[1].as_ref()) };
        Lines { project, before, after, extent, watch }.show(&mut report.checks);
    };
    run_task(&*project.control.events, "lines that differ", &interrupt.watch, show);
    Ok(())
}

/// The report of a comparison.
fn report(project: &Project, started: &Started, a: Side, b: Side) -> Report {
    let evidence: Vec<Evidence> = SECTIONS.iter().map(|section| evidence(*section, &a, &b)).collect();
    let of_sections = CHECKS.iter().filter(|check| check.section().is_some());
    let checks: Vec<CheckResult> =
        of_sections.filter_map(|check| check.compare(&Case::of(&evidence))).collect();
    let (sections_off, left_out) = coverage(&evidence);
    Report {
        run: started.stamp.clone(),
        stamp: started.stamp.clone(),
        host: host_name(),
        mode: Mode::Diff,
        compared: Some(b.name),
        root_in_repository: project.root_in_repository(),
        started_at: started.rfc3339.clone(),
        started_at_unix: started.unix,
        duration_ms: started.elapsed_ms(),
        sections_off,
        left_out,
        ..Report::of(checks, a.origin)
    }
}

type Loaded = Result<Side, Failure>;

/// Gets both sides at the same time.
fn load(
    project: &Project,
    sides: &[Called<'_>; 2],
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<[Loaded; 2], Failure> {
    let fleet = Fleet { jobs: BOTH, events: project.control.events_unless(quiet), cancel: &interrupt.watch };
    let loaded = fleet.each(
        &[0, 1],
        |at| escaped(sides[*at].text.as_bytes()),
        |at, watch| sides[*at].load(project, &sides[1 - at], watch),
    );
    let ended = || Err(Failure::unexpected());
    let loaded: Vec<Loaded> = loaded.into_iter().map(|side| side.unwrap_or_else(ended)).collect();
    loaded.try_into().map_err(|_| Failure::new("a side is missing"))
}

/// Gives the subjects of a side their other names; what it is called says so.
fn apply(renames: &[Rename], side: &mut Side) -> Result<(), Failure> {
    for seen in side.sections.values_mut().flatten() {
        rename::subjects(renames, seen).map_err(|why| {
            Failure::new(format!("--rename: of {}, {why}", escaped(side.name.as_bytes())))
                .hint("write it so that every subject keeps a name of its own")
        })?;
    }
    side.scope = rename::scope(renames, &side.scope);
    let texts = renames.iter().map(Rename::text);
    side.origin.from = std::iter::once(side.name.as_str()).chain(texts).collect::<Vec<_>>().join(" ");
    Ok(())
}

/// What there is to compare of one section.
fn evidence(section: &'static dyn Section, a: &Side, b: &Side) -> Evidence {
    let (mut baseline, mut observed) = pair(a, b, section.id());
    if let (Ok(before), Observed::Seen(seen)) = (&mut baseline, &mut observed) {
        leave_out(section, [&a.scope, &b.scope], before, seen);
    }
    Evidence::of(section, baseline, observed)
}

/// Takes out of each side what does not belong on the other, and counts it.
fn leave_out(section: &dyn Section, [a, b]: [&Scope; 2], before: &mut State, seen: &mut Observation) {
    let count = |before: &State, seen: &Observation| before.entries.len() + seen.state.entries.len();
    let all = count(before, seen);
    before.entries.retain(|place, _| section.in_scope(b, place));
    // A pattern is not always renamed as the names are that it matches: what has a partner belongs there.
    seen.state.entries.retain(|place, _| section.in_scope(a, place) || before.entries.contains_key(place));
    seen.unreadable.retain(|place, _| section.in_scope(a, place) || section.in_scope(b, place));
    let count = (all - count(before, seen)) as u64;
    if count > 0 {
        let reason = "not included on both sides".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count, reason, remedy: None });
    }
}

/// What to compare of one section.
fn pair(a: &Side, b: &Side, id: SectionId) -> (Result<State, NoBaseline>, Observed) {
    let nothing = || Ok(State::default());
    let lacks = |side: &Side| {
        let why = side.lacks.get(&id).cloned();
        Observed::Skipped(why.unwrap_or_else(|| format!("{} holds nothing of it", side.name)))
    };
    match (a.sections.get(&id), b.sections.get(&id)) {
        (None, None) => (nothing(), Observed::Off("neither side has it".to_owned())),
        (Some(Err(why)), Some(Err(other))) => {
            (nothing(), Observed::Failed(format!("{}; {}", why.in_one_line(), other.in_one_line())))
        }
        (Some(Err(why)), _) | (_, Some(Err(why))) => (nothing(), Observed::Failed(why.in_one_line())),
        (Some(Ok(before)), Some(Ok(now))) => joined(before, now.clone()),
        (Some(Ok(before)), None) if b.knows_empty(id) => joined(before, Observation::default()),
        (None, Some(Ok(now))) if a.knows_empty(id) => (nothing(), Observed::Seen(now.clone())),
        (Some(Ok(_)), None) => (nothing(), lacks(b)),
        (None, Some(Ok(_))) => (nothing(), lacks(a)),
    }
}

/// One side as the baseline of the other. What could not be looked at on either cannot be compared.
fn joined(before: &Observation, mut now: Observation) -> (Result<State, NoBaseline>, Observed) {
    for (place, why) in &before.unreadable {
        let both = now.unreadable.entry(place.clone()).or_insert_with(|| why.clone());
        if both.reason != why.reason {
            both.reason = format!("{}; {}", why.reason, both.reason).into();
        }
        both.tree = None;
    }
    now.problems.extend(before.problems.iter().cloned());
    now.left_out.extend(before.left_out.iter().cloned());
    (Ok(before.state.clone()), Observed::Seen(now))
}
