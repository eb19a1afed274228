//! `driftlock export`: observe, and write the lock files of what is there.

mod page;

use crate::audit::acceptance::Basis;
use crate::audit::acceptance::commit;
use crate::audit::acceptance::line;
use crate::audit::plan_text::describe;
use crate::check;
use crate::check::TERRAFORM_PLAN;
use crate::model::printable_path;
use crate::section;
use crate::store::after_run::after_run;
use crate::store::after_run::lock_project;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::audit::accept::{Change, apply, between, lock_files};
use crate::audit::doubtful::doubtful;
use crate::audit::fleet::Fleet;
use crate::audit::infrastructure;
use crate::audit::named_files;
use crate::audit::pipeline;
use crate::audit::pipeline::{Look, Request};
use crate::audit::revision::{aim_at, headline, word_of_owner};
use crate::audit::target::Aim;
use crate::audit::untracked;
use crate::baseline::{self, Locks};
use crate::check::{Check, Evidence};
use crate::cli::Session;
use crate::cli::args::checks::ChoiceArgs;
use crate::cli::args::formats::{FormatArgs, check_outputs, refuse_metrics};
use crate::cli::args::target::AimArgs;
use crate::cli::terminal::signals::Interrupt;
use crate::cli::terminal::{output, prompt};
use crate::control::clock::Started;
use crate::error::Failure;
use crate::host::{HostError, Watch};
use crate::model::{Observed, Report, SectionId, State, SubjectSource, escaped, judge, quoted};
use crate::project::Project;
use crate::section::{BEYOND_REPOSITORY, Purpose};
use crate::store::outputs::check_output;
use crate::store::runs;
use page::{Page, emit, strange, tell_what_was_accepted};

/// How many changes of the baseline are listed before the rest is only counted.
const LISTED: usize = 20;
/// How the line begins that tells of a host that could not be looked at.
const UNREACHABLE: &str = "Failed to collect server state";

/// Write the lock files of what is there into a new run
///
/// Looks at compose files, addon modules and other configured files, and writes
/// audit/runtime/<timestamp>/ with one lock file a section, ready to become the baseline.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock export                       write a run; look at it, then: driftlock accept
  driftlock export --accept              make it the baseline in the same step
  driftlock export --target production   a target of audit/driftlock.toml
  driftlock export --all --accept --own  every target, each with lock files of its own
  driftlock export --from git:v18.2 --accept
                                         what a release holds, whatever lies on this disk
  driftlock export --tracked --accept    without what git does not track
  driftlock export --output /tmp/state   write the lock files there")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    aim: AimArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    formats: FormatArgs,
    /// Observe the files of a commit instead of the disk, as a clean checkout of it would have them. A commit
    /// holds no containers: their lock file is neither exported nor replaced
    #[arg(long, value_name = "git:REVISION", help_heading = "Where to look",
        conflicts_with_all = ["local", "target", "all", "server"])]
    from: Option<String>,
    /// Leave out the files that git does not track, such as ignored ones
    #[arg(long, help_heading = "What to compare", conflicts_with_all = ["target", "all", "server", "from"])]
    tracked: bool,
    /// Also make it the baseline; asks only on a terminal, and only about what is stale or was edited by hand. Nothing is
    /// accepted where any section is an error
    #[arg(long, help_heading = "What to print and write")]
    accept: bool,
    /// With --accept: write the target's own lock files instead of the shared ones
    #[arg(long, requires = "accept", help_heading = "What to print and write")]
    own: bool,
    /// With --accept: why, for audit/accepted.jsonl
    #[arg(long, value_name = "TEXT", requires = "accept", help_heading = "What to print and write")]
    reason: Option<String>,
    /// Write the lock files into DIR instead of a new run
    #[arg(long, value_name = "DIR", help_heading = "What to print and write")]
    output: Option<PathBuf>,
    /// Remove no old runs
    #[arg(long, help_heading = "What to print and write")]
    keep: bool,
    /// Print nothing when all went well
    #[arg(long, short, help_heading = "What to print and write")]
    quiet: bool,
    /// Print what would be looked at; look at nothing, write nothing
    #[arg(long, help_heading = "What to print and write")]
    dry_run: bool,
}

pub(crate) fn run(session: &Session, args: &ExportArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let wanted = args.formats.resolve()?;
    refuse_metrics(&wanted, "an export compares nothing")?;
    let (only, require) = (args.choice.only(), args.choice.require());
    let mut project = session.project()?;
    args.aim.take_inventory(&mut project)?;
    check_outputs(&project, args.output.as_deref(), &wanted)?;
    let aims = match &args.from {
        Some(from) => vec![aim_at(&project, from, args.choice.docker())?],
        None => args.aim.resolve(&project, args.choice.docker())?,
    };
    if args.own && aims.iter().any(|aim| aim.target.is_none()) {
        let failure = Failure::new("--own writes a target's own lock files, and no target is named");
        return Err(failure.hint("name one with --target, or leave --own out"));
    }
    let several = aims.len() > 1;
    if several && args.accept && !args.own {
        let failure =
            Failure::new("several targets would write the same lock files, and the last one would win");
        return Err(failure.hint("give each its own with --own, or accept them one by one"));
    }
    let for_machines = wanted.iter().any(|(reporter, _)| reporter.id() != "terminal");
    let job =
        |aim| Job { project: &project, args, aim, only: &only, require: &require, for_machines, several };
    let pages = if args.dry_run {
        aims.iter().map(|aim| job(aim).dry_run()).collect::<Result<Vec<Page>, Failure>>()?
    } else {
        let turn = if args.accept { Some(lock_project(&project, "export", &interrupt.watch)?) } else { None };
        let fleet = Fleet {
            jobs: args.aim.jobs,
            events: session.control.events_unless(args.quiet),
            cancel: &interrupt.watch,
        };
        let done = fleet.each(&aims, Aim::name, |aim, watch| job(aim).export(watch));
        drop(turn);
        if interrupt.code().is_some() {
            return tell_what_was_accepted(done);
        }
        let each = aims.iter().zip(done).map(|(aim, done)| job(aim).finished(done));
        each.collect::<Result<Vec<Page>, Failure>>()?
    };
    let wrote = pages.iter().any(|page| page.is_run);
    let code = emit(pages, &wanted, args.quiet, args.dry_run)?;
    if wrote && !args.keep {
        let warnings = after_run(&project, &interrupt.watch);
        warnings.iter().filter(|_| !args.quiet).for_each(|why| output::say(&format!("warning: {why}")));
    }
    Ok(code)
}

struct Job<'a> {
    project: &'a Project,
    args: &'a ExportArgs,
    aim: &'a Aim,
    only: &'a [&'static dyn Check],
    require: &'a [&'static dyn Check],
    /// Whether a format for machines was asked for.
    for_machines: bool,
    /// Whether several places are looked at: then what fails for one of them stands on that one's page.
    several: bool,
}

impl Job<'_> {
    fn request<'b>(&'b self, locks: &'b Locks) -> Request<'b> {
        let setting = self.aim.setting(self.project, Purpose::Export);
        Request { only: self.only, require: self.require, ..Request::of(setting, locks) }
    }

    fn dry_run(&self) -> Result<Page, Failure> {
        let locks = self.project.locks(&self.project.source(), self.aim.target.as_deref())?;
        let mut page = Page::default();
        if let Some(revision) = self.aim.revision() {
            page.line(&headline(revision)?);
        }
        for (prefix, place) in self.aim.layout.places().filter(|_| self.aim.revision().is_none()) {
            let name = if prefix.is_empty() { "Root".to_owned() } else { escaped(prefix) };
            page.line(&format!("{name}: {}", printable_path(place)));
        }
        page.text += &self
            .aim
            .terraform
            .iter()
            .map(|it| infrastructure::dry_run(self.project, it))
            .collect::<String>();
        for planned in pipeline::plan(&self.request(&locks)) {
            page.text += &describe(planned.section, &planned.plan);
        }
        Ok(page)
    }

    /// The page of a place, of which `done` is what came of looking at it.
    fn finished(&self, done: Option<Result<Page, Failure>>) -> Result<Page, Failure> {
        let failure = match done {
            Some(Ok(page)) => return Ok(page),
            Some(Err(failure)) if !self.several => return Err(failure),
            Some(Err(failure)) => failure,
            None => Failure::unexpected(),
        };
        let mut page = self.page();
        page.error(&failure.in_one_line());
        if self.for_machines {
            page.report = Some(self.aim.report_of_failure(self.project, &failure, baseline::PATH));
        }
        Ok(page)
    }

    /// An empty page, under the target's name where there are several.
    fn page(&self) -> Page {
        let mut page = Page::default();
        if self.several {
            page.line(&format!("Target: {}", self.aim.name()));
        }
        page
    }

    /// Tells which commit was looked at, or what of the disk git does not track.
    fn begin(&self, look: &mut Look, page: &mut Page) -> Result<(), Failure> {
        if let Some(revision) = self.aim.revision() {
            page.line(&headline(revision)?);
            if let Some(word) = word_of_owner(revision.repository()) {
                page.line(&format!("[INFO] {word}"));
            }
        } else if self.aim.is_own_tree() {
            let (root, evidence) = (&self.project.root, &mut look.evidence);
            page.warnings.extend(untracked::told_or_left_out(root, evidence, self.args.tracked)?);
        }
        Ok(())
    }

    fn export(&self, watch: &Watch) -> Result<Page, Failure> {
        let started = Started::now();
        let locks = self.project.locks(&self.project.source(), self.aim.target.as_deref())?;
        let request = self.request(&locks);
        let planned = pipeline::plan(&request);
        let elsewhere: Vec<State> = planned.iter().map(|p| p.out_of_scope.clone()).collect();
        let host = self.aim.open(None);
        let mut look = pipeline::observe(&request, planned, &*host, watch)?;
        if self.aim.terraform.is_some() {
            look.infrastructure = Some(infrastructure::look(self.project, self.aim, &request, watch));
        }
        if watch.is_cancelled() {
            return Err(HostError::Interrupted.into());
        }
        let mut page = self.page();
        self.begin(&mut look, &mut page)?;
        named_files::count(self.project, (self.aim, &*host), &mut look.evidence, watch)?;
        let plan = infrastructure::lock_file(&look);
        let mut files = match &look.unreachable {
            Some(why) => {
                let what =
                    if self.aim.revision().is_some() { "Failed to read the commit" } else { UNREACHABLE };
                page.error(&format!("{what}: {}", escaped(why.as_bytes())));
                Vec::new()
            }
            None => self.files(&look.evidence, &mut page),
        };
        match &plan {
            Some(Ok((count, bytes))) => {
                let topic = TERRAFORM_PLAN.meta().labels.topic;
                let resources = if *count == 1 { "resource" } else { "resources" };
                page.line(&format!(
                    "[PASS] {topic}: {count} {resources} with drift that a lock file can hold"
                ));
                files.extend((*count > 0).then(|| (baseline::OF_INFRASTRUCTURE.to_owned(), bytes.clone())));
            }
            Some(Err(failure)) => page.error(&failure.in_one_line()),
            None => {}
        }
        if self.for_machines {
            page.report = Some(self.report(&started, &request, &look, page.failed));
        }
        page.not_locked(&look.evidence);
        if files.is_empty() && matches!(plan, Some(Ok(_))) && !page.failed {
            page.line("There is nothing to export: infrastructure is locked only where it drifted");
            return Ok(page);
        }
        if files.is_empty() {
            page.error("Nothing was exported");
            return Ok(page);
        }
        let run = self.keep(&started, &files)?;
        page.is_run = self.args.output.is_none();
        log::info!(run:% = run.display(), files = files.len(); "wrote the run");
        if let (Some(report), Some(name)) = (&mut page.report, run.file_name()) {
            report.run = name.to_string_lossy().into_owned();
        }
        page.line(&format!("Run: {}", printable_path(&self.project.named(&run))));
        if !self.args.accept {
            page.line(&self.next(&run));
        } else if page.failed {
            page.line("Nothing was accepted: mend the errors above first");
        } else if watch.is_cancelled() {
            return Err(HostError::Interrupted.into());
        } else if self.is_meant(&doubtful(self.project, &request, &look, &*host, watch), &mut page) {
            match self.accept(&started, &locks, &look, elsewhere, &run) {
                Ok(accepted) => self.tell_accepted(&mut page, &accepted),
                Err(failure) if self.several => page.error(&failure.in_one_line()),
                Err(failure) => return Err(failure),
            }
        }
        Ok(page)
    }

    /// Says what would be accepted though it is stale or was edited by hand, and asks about that where somebody is there.
    fn is_meant(&self, doubtful: &[String], page: &mut Page) -> bool {
        // Whoever names a commit means that one.
        if doubtful.is_empty() || self.aim.revision().is_some() {
            return true;
        }
        let place = self.aim.target.as_deref().unwrap_or("this machine");
        let lines: Vec<String> =
            doubtful.iter().map(|cause| format!("[INFO] Not as released on {place}: {cause}")).collect();
        let asked = lines.iter().map(String::as_str).chain(["Make this the baseline?"]);
        let is_meant = prompt::agreed(&asked.collect::<Vec<_>>().join("\n")).unwrap_or(true);
        for line in &lines {
            page.line(line);
        }
        if !is_meant {
            page.line("Nothing was accepted");
            page.failed = true;
        }
        is_meant
    }

    fn tell_accepted(&self, page: &mut Page, accepted: &Accepted) {
        for change in accepted.changes.iter().take(LISTED) {
            page.line(&format!("  {}", line(change)));
        }
        if accepted.changes.len() > LISTED {
            page.line(&format!("  … and {} more", accepted.changes.len() - LISTED));
        }
        page.is_accepted = accepted.files > 0;
        let target = self.aim.target.as_deref();
        let own = target.filter(|_| self.args.own).map(|target| format!("/{target}")).unwrap_or_default();
        page.line(&match accepted.files {
            0 => "Baseline: already as exported".to_owned(),
            1 => format!("Baseline: audit/locks{own}, 1 lock file written"),
            n => format!("Baseline: audit/locks{own}, {n} lock files written"),
        });
        let commit = self.project.commit_of_baseline().filter(|_| page.is_accepted);
        let next = commit.unwrap_or_else(|| format!("driftlock check{}", self.option()));
        page.line(&format!("Next: {next}"));
    }

    /// The option that names the place again.
    fn option(&self) -> String {
        match (&self.aim.target, self.aim.server()) {
            (Some(name), Some(host)) if !self.is_configured(name) => {
                format!(" --server {}", quoted(&escaped(host.as_bytes())))
            }
            (Some(name), _) => format!(" --target {name}"),
            (None, _) => String::new(),
        }
    }

    fn is_configured(&self, name: &str) -> bool {
        self.project.config.targets.contains_key(name)
    }

    /// The export as a report: what was seen, compared with itself, so that only what could not be looked
    /// at is told.
    fn report(&self, started: &Started, request: &Request<'_>, look: &Look, failed: bool) -> Report {
        let with_itself = |e: &Evidence| {
            let state =
                if let Observed::Seen(seen) = &e.observed { seen.state.clone() } else { State::default() };
            Evidence::of(e.section, Ok(state), e.observed.clone())
        };
        let evidence = look.evidence.iter().map(with_itself).collect();
        let mut checks = pipeline::compare(
            request,
            &Look {
                evidence,
                unreachable: look.unreachable.clone(),
                infrastructure: None,
                databases: None,
                desired: None,
            },
        );
        // An export asks for no lock file.
        checks.retain(|check| {
            check::meta(check.id).is_none_or(|meta| meta.source != Some(SubjectSource::LockFile))
        });
        let verdict = judge(&checks);
        let verdict = if failed { verdict.failed() } else { verdict };
        let (sections_off, left_out) = pipeline::coverage(&look.evidence);
        let digest = request.locks.digest(&section::lock_file_groups());
        let report = self.aim.report(self.project, started, checks, baseline::PATH, digest);
        Report { partial: !self.only.is_empty(), sections_off, left_out, verdict, ..report }
    }

    /// The lock files of every section that was observed without error; the page tells of all of them.
    fn files(&self, evidence: &[Evidence], page: &mut Page) -> runs::Files {
        let mut files = Vec::new();
        for e in evidence {
            let check = check::first_of(e.section.id());
            let Some(words) = check.map(|check| &check.meta().labels) else { continue };
            let required = self.require.iter().any(|required| required.section() == Some(e.section.id()));
            match &e.observed {
                Observed::Off(why) if required => {
                    page.error(&format!("{}: required, but off: {why}", words.topic));
                }
                Observed::Skipped(why) if !required => {
                    page.line(&format!("[SKIP] {}: {}", words.topic, escaped(why.as_bytes())));
                }
                Observed::Skipped(why) | Observed::Failed(why) => {
                    page.error(&format!("{}: {}", words.topic, escaped(why.as_bytes())));
                }
                Observed::Seen(seen) if page.is_whole(words, seen) => {
                    page.warnings.extend(strange(seen));
                    let (one, many) = e.section.meta().nouns;
                    let count = seen.state.entries.len();
                    page.line(&format!(
                        "[PASS] {}: {count} {}",
                        words.topic,
                        if count == 1 { one } else { many }
                    ));
                    let names = e.section.lock_files().iter().map(|name| (*name).to_owned());
                    files.extend(names.zip(e.section.print(&seen.state)));
                }
                Observed::Off(_) | Observed::Seen(_) => {}
            }
        }
        files
    }

    /// The command that accepts this export and no other. A server that is no target cannot be found again.
    fn next(&self, run: &Path) -> String {
        if self.aim.target.as_deref().is_some_and(|name| !self.is_configured(name)) {
            return "Next: make this server a target in audit/driftlock.toml, or export it with --accept"
                .to_owned();
        }
        if let Some(revision) = self.aim.revision() {
            let from = quoted(&format!("git:{}", escaped(revision.name.as_bytes())));
            return format!("Next: driftlock export --from {from} --accept");
        }
        if self.args.tracked {
            return "Next: driftlock export --tracked --accept".to_owned();
        }
        let place = self.args.output.iter().map(|_| format!(" {}", quoted(&printable_path(run))));
        format!("Next: driftlock accept{}{}", self.option(), place.collect::<String>())
    }

    fn keep(&self, started: &Started, files: &runs::Files) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.args.output {
            let dir = self.aim.output_dir(dir, self.several);
            check_output(self.project, Some(&dir))?;
            return runs::write_into(&dir, files).map(|()| dir.clone()).map_err(|e| Failure::at(&dir, &e));
        }
        let target = self.aim.target.as_deref();
        runs::create(&self.project.store_root, &started.stamp, target, &mut |_| files.clone()).map_err(
            |error| Failure::at(&self.project.named(&self.project.store_root.join(runs::PATH)), &error),
        )
    }

    /// Whether the lock files of a section, which cannot be read, may be replaced: not where they hold more than
    /// was looked at.
    fn may_replace(&self, section: SectionId) -> Result<(), Failure> {
        let scope = &self.aim.scope;
        let (why, hint) = match () {
            () if scope.include.is_some() => (
                "its shared lock file cannot be read, and this target holds only a part of it",
                "mend it, or use --own",
            ),
            () if scope.repository_only && section == BEYOND_REPOSITORY => (
                "its lock file cannot be read, and may name files that no commit holds",
                "mend it, or remove it",
            ),
            () => return Ok(()),
        };
        Err(Failure::new(format!("{section}: {why}")).hint(hint))
    }

    /// Makes the observation the baseline and keeps what lies outside this target.
    fn accept(
        &self,
        started: &Started,
        locks: &Locks,
        look: &Look,
        elsewhere: Vec<State>,
        run: &Path,
    ) -> Result<Accepted, Failure> {
        let own = self.aim.target.as_deref().filter(|_| self.args.own);
        let mut files = BTreeMap::new();
        let mut changes = Vec::new();
        for (e, elsewhere) in look.evidence.iter().zip(elsewhere) {
            let Observed::Seen(seen) = &e.observed else { continue };
            let read = locks.group(e.section.lock_files());
            if e.baseline.is_err() && read.iter().any(|f| f.content.is_some()) {
                self.may_replace(e.section.id())?;
            }
            let before = e.baseline.clone().unwrap_or_default();
            let proposed = between(e.section, &before, seen.state.clone());
            let rest = if own.is_some() { State::default() } else { elsewhere };
            let whole = State { entries: before.entries.into_iter().chain(rest.entries).collect() };
            let state = apply(whole, &proposed, e.section.id(), &e.observed);
            files.extend(lock_files(e.section, &state, &read, own)?);
            changes.extend(proposed);
        }
        let (file, of_plan) = infrastructure::accepted(look, locks)?;
        files.extend(file);
        changes.extend(of_plan);
        let name = match (&self.args.output, run.file_name()) {
            (None, Some(name)) => name.to_string_lossy().into_owned(),
            _ => printable_path(&self.project.named(run)),
        };
        let revision = self.aim.revision().map(|revision| revision.commit.as_str());
        let basis = Basis { locks, target: self.aim.target.as_deref(), run: name, commit: revision };
        commit(self.project, &basis, &files, &changes, self.args.reason.as_deref(), started)?;
        // Of a first baseline everything is new.
        let changes = if locks.there().is_empty() { Vec::new() } else { changes };
        Ok(Accepted { files: files.len(), changes })
    }
}

/// What became of the baseline.
struct Accepted {
    /// How many lock files were written.
    files: usize,
    /// What changed in a baseline that was there before.
    changes: Vec<Change>,
}
