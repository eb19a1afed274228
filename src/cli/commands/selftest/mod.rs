//! `driftlock selftest`: prove on a copy of the project that what is altered is noticed.

mod alteration;
mod containers;
mod copy;
mod files;
mod modules;
mod running;
mod system;

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::cli::Session;
use crate::cli::terminal::output;
use crate::cli::terminal::signals::Interrupt;
use crate::config::Config;
use crate::control::waits;
use crate::error::Failure;
use crate::host::Watch;
use crate::host::docker::{Engine, discover};
use crate::model::{CheckResult, ExitCode, SectionId, Status, escaped, in_words, judge};
use crate::section::SECTIONS;

use alteration::Alteration;
use copy::Copy;

/// What is not begun after so long is not tried.
const LONGEST: Duration = waits::SELFTEST.most;

/// Alter a small copy of the project in every way that counts, and see that each is noticed
///
/// Copies a few compose files, addon modules and other files into a temporary directory, makes them a baseline, and
/// checks: as copied, after each alteration, and after it was undone. The project itself is only read. Where an engine
/// runs here, a container of its own is made without a network, mounted files are replaced under it, and it is removed
/// with its image. Exit code 0: every alteration was noticed and nothing else; 1: one was not, or nothing could be tried.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock selftest                           proof that a green light can turn red
  driftlock selftest | grep -v '^\\[PASS\\]'     what was not noticed, and what could not be tried
  driftlock selftest --json | jq '.alterations[] | select(.status == \"not tried\")'")]
pub(crate) struct SelftestArgs {
    /// Print what was tried as JSON
    #[arg(long)]
    json: bool,
}

/// What came of one alteration, or of one look at the copy as it was.
#[derive(Serialize)]
struct Trial {
    /// What was done.
    what: String,
    /// To what; empty where nothing was altered.
    path: String,
    /// `noticed`, `not noticed` or `not tried`; `passed` or `failed` where nothing was altered.
    status: &'static str,
    /// How the check that must notice it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    /// Why it was not tried, or what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// All that was tried.
#[derive(Serialize)]
struct Outcome {
    schema: &'static str,
    version: &'static str,
    overall: &'static str,
    tried: usize,
    noticed: usize,
    not_tried: usize,
    copied: Vec<String>,
    alterations: Vec<Trial>,
}

pub(crate) fn run(session: &Session, args: &SelftestArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = session.project()?;
    let engine = discover::find(&session.control.environment);
    let laboratory = Laboratory { interrupt, watch: &interrupt.watch, engine, begun: Instant::now() };
    let mut trials = Vec::new();
    let copy = Copy::of(&project, laboratory.watch)?;
    let copied = described(&copy);
    if copied.is_empty() {
        let failure = Failure::new(
            "nothing of this project is small enough to be copied, or it holds nothing to check",
        );
        return Err(failure.hint("see what is looked at with: driftlock check --dry-run"));
    }
    laboratory.carry_out(&copy, files::all(&copy), &mut trials)?;
    drop(copy);
    match Copy::of_containers(&project, laboratory.engine.clone(), laboratory.watch) {
        Ok(copy) => laboratory.carry_out(&copy, containers::all(&copy), &mut trials)?,
        Err(failure) => {
            let why = failure.in_one_line();
            trials.push(Trial::not_tried("containers are not as accepted", String::new(), why));
        }
    }
    running::carry_out(&laboratory, &project, &mut trials)?;
    match Copy::of_system(&project, laboratory.watch) {
        Ok(Some(copy)) => laboratory.carry_out(&copy, system::all(&copy), &mut trials)?,
        Ok(None) => {}
        Err(failure) => {
            let why = failure.in_one_line();
            trials.push(Trial::not_tried("the system is not as accepted", String::new(), why));
        }
    }
    for (what, why) in beyond(&project.config) {
        trials.push(Trial::not_tried(what, String::new(), why.to_owned()));
    }
    let why =
        "only files of this machine are copied; what a server tells is judged by the same code".to_owned();
    trials.push(Trial::not_tried("the same on a server", String::new(), why));
    let outcome = Outcome::of(copied, trials);
    let text = if args.json { outcome.json()? } else { outcome.text() };
    output::print(text.as_bytes())?;
    Ok(if outcome.overall == "PASS" { 0 } else { ExitCode::Error.code() })
}

/// What is compared and not altered, since it lies neither in a file of the project nor in a lock file; and what proves it instead.
fn beyond(config: &Config) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    if !config.desired.all.is_empty() {
        let why = "no CMDB is altered; driftlock check --require desired_state fails where none answers";
        all.push(("a CI is other than a CMDB says", why));
    }
    if !config.odoo.is_empty() {
        let why = "no database is altered; driftlock check --require odoo_modules fails where none answers";
        all.push(("a database has another version of a module than the disk", why));
    }
    all
}

/// What was copied, in words for each section.
fn described(copy: &Copy) -> Vec<String> {
    let count = |id: SectionId| copy.subjects.get(&id).map_or(0, Vec::len);
    let sections = SECTIONS.iter().filter(|section| count(section.id()) > 0);
    let one = |section: &&&'static dyn crate::section::Section| {
        let (one, many) = section.meta().nouns;
        let count = count(section.id());
        format!("{count} {}", if count == 1 { one } else { many })
    };
    sections.map(|section| one(&section)).collect()
}

struct Laboratory<'a> {
    interrupt: &'a Interrupt,
    watch: &'a Watch,
    engine: Engine,
    begun: Instant,
}

impl Laboratory<'_> {
    /// Tries each alteration on its own, and looks at the copy before and after each.
    fn carry_out(&self, copy: &Copy, all: Vec<Alteration>, trials: &mut Vec<Trial>) -> Result<(), Failure> {
        let before = self.unaltered(copy)?;
        let is_good = before.is_none();
        trials.push(Trial::unaltered("nothing is altered", before));
        if !is_good {
            return Ok(());
        }
        let mut undone = None;
        for alteration in all {
            if self.interrupt.code().is_some() {
                return Err(crate::host::HostError::Interrupted.into());
            }
            trials.push(self.attempt(copy, &alteration)?);
            copy.put_back()?;
            undone =
                undone.or(self.unaltered(copy)?.map(|why| format!("after \"{}\": {why}", alteration.what)));
        }
        trials.push(Trial::unaltered("every alteration is undone", undone));
        Ok(())
    }

    /// Why the check of a copy that nobody altered does not pass, if it does not.
    fn unaltered(&self, copy: &Copy) -> Result<Option<String>, Failure> {
        let checks = copy.check(self.watch)?;
        let verdict = judge(&checks);
        if verdict.ending().status() == Status::Pass {
            return Ok(None);
        }
        let bad = checks.iter().filter(|check| !matches!(check.status(), Status::Pass | Status::Skip));
        Ok(Some(bad.map(told).collect::<Vec<_>>().join("; ")))
    }

    fn attempt(&self, copy: &Copy, alteration: &Alteration) -> Result<Trial, Failure> {
        let path = escaped(std::os::unix::ffi::OsStrExt::as_bytes(alteration.path.as_os_str()));
        let what = alteration.what;
        let act = match &alteration.act {
            Ok(_) if self.begun.elapsed() > LONGEST => {
                return Ok(Trial::not_tried(what, path, "it took too long already".to_owned()));
            }
            Ok(act) => act,
            Err(why) => return Ok(Trial::not_tried(what, path, why.to_string())),
        };
        match alteration.apply(act, &copy.root()) {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(Trial::not_tried(what, path, why.to_owned())),
            Err(error) => return Ok(Trial::not_tried(what, path, in_words(&error))),
        }
        let checks = copy.check(self.watch)?;
        Ok(Trial::of(alteration, path, &checks))
    }
}

/// A check and what it found, in short.
fn told(check: &CheckResult) -> String {
    let findings =
        check.findings.iter().map(|finding| format!("{} {}", finding.kind.word(), escaped(&finding.place)));
    let all: Vec<String> =
        findings.chain(check.errors.iter().map(|error| escaped(error.as_bytes()))).collect();
    format!("{} {}: {}", check.id, check.status().word(), all.join(", "))
}

impl Trial {
    fn not_tried(what: &str, path: String, reason: String) -> Self {
        Self { what: what.to_owned(), path, status: "not tried", verdict: None, reason: Some(reason) }
    }

    fn unaltered(what: &str, wrong: Option<String>) -> Self {
        let status = if wrong.is_none() { "passed" } else { "failed" };
        Self { what: what.to_owned(), path: String::new(), status, verdict: None, reason: wrong }
    }

    /// What the check that must notice an alteration made of it: it must not pass, must name the altered subject, and the
    /// call as a whole must not end as if all were well.
    fn of(alteration: &Alteration, path: String, checks: &[CheckResult]) -> Self {
        let names = |check: &CheckResult| {
            let is_its = |place: &Vec<u8>| check.findings.iter().any(|finding| finding.place == *place);
            alteration.place.as_ref().is_none_or(is_its)
        };
        Self::judged(alteration.what, path, alteration.check, names, checks)
    }

    /// The same where `names` tells whether the check names what was altered.
    fn judged(
        what: &str,
        path: String,
        check: &'static str,
        names: impl Fn(&CheckResult) -> bool,
        checks: &[CheckResult],
    ) -> Self {
        let its = checks.iter().find(|result| result.id == check);
        let noticed =
            its.is_some_and(|check| !matches!(check.status(), Status::Pass | Status::Skip) && names(check));
        let noticed = noticed && judge(checks).exit != ExitCode::Pass;
        let what = what.to_owned();
        let verdict = its.map(|check| check.status().word());
        let reason = (!noticed).then(|| its.map_or_else(|| format!("{check} did not run"), told));
        Self { what, path, status: if noticed { "noticed" } else { "not noticed" }, verdict, reason }
    }

    fn line(&self) -> String {
        let tag = match self.status {
            "noticed" | "passed" => "PASS",
            "not tried" => "SKIP",
            _ => "FAIL",
        };
        let path = if self.path.is_empty() { String::new() } else { format!(" ({})", self.path) };
        let status = match self.status {
            "passed" => "the check passes".to_owned(),
            "failed" => "the check does not pass".to_owned(),
            status => status.to_owned(),
        };
        let verdict = self.verdict.map(|verdict| format!(": {verdict}")).unwrap_or_default();
        let reason =
            self.reason.as_ref().map(|why| format!(": {}", escaped(why.as_bytes()))).unwrap_or_default();
        format!("[{tag}] {}{path}: {status}{verdict}{reason}\n", self.what)
    }
}

impl Outcome {
    fn of(copied: Vec<String>, alterations: Vec<Trial>) -> Self {
        let count = |status: &str| alterations.iter().filter(|trial| trial.status == status).count();
        let (noticed, not_tried) = (count("noticed"), count("not tried"));
        let tried = noticed + count("not noticed");
        let is_good = tried > 0 && noticed == tried && count("failed") == 0;
        Self {
            schema: "driftlock.selftest/1",
            version: env!("CARGO_PKG_VERSION"),
            overall: if is_good { "PASS" } else { "FAIL" },
            tried,
            noticed,
            not_tried,
            copied,
            alterations,
        }
    }

    fn text(&self) -> String {
        let lines: String = self.alterations.iter().map(Trial::line).collect();
        format!(
            "[INFO] Copied: {}\n{lines}\nAlterations: {} tried, {} noticed, {} not tried\nSELFTEST: {}\n",
            self.copied.join(", "),
            self.tried,
            self.noticed,
            self.not_tried,
            self.overall
        )
    }

    fn json(&self) -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::new(error.to_string()))?;
        Ok(text + "\n")
    }
}
