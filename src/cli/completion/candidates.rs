//! What can be completed: targets, formats, runs, and the subjects of the newest report.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::atomic::read_file_within;
use crate::check::CHECKS;
use crate::cli::call::Call;
use crate::config::GROUP_MARK;
use crate::model::{Mode, PastRun, escaped};
use crate::project::Project;
use crate::report::REPORTERS;
use crate::report::json::read_run;
use crate::store::runs;

/// No report that is larger is read for a completion.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Finds what may stand where a word is being typed.
type Find = fn(&Typed) -> Vec<CompletionCandidate>;

/// Words for one argument.
#[derive(Clone, Copy)]
pub(crate) struct Candidates(Find);

/// Targets of the configuration.
pub(crate) const TARGETS: Candidates = Candidates(|typed| names(typed.targets()));
/// The same, and groups of them.
pub(crate) const GROUPS: Candidates =
    Candidates(|typed| names(typed.targets().into_iter().chain(typed.groups())));
/// The same, and this machine.
pub(crate) const PLACES: Candidates = Candidates(|typed| {
    let here = std::iter::once(Mode::Local.word().to_owned());
    names(here.chain(typed.targets()).chain(typed.groups()))
});
/// Formats of a report.
pub(crate) const FORMATS: Candidates = Candidates(|_| {
    REPORTERS.iter().map(|it| CompletionCandidate::new(it.id()).help(Some(it.about().into()))).collect()
});
/// Runs that were left, the newest first.
pub(crate) const RUNS: Candidates = Candidates(|typed| names(typed.runs()));
/// Sides of a diff, but for the names of revisions, which only git knows.
pub(crate) const SIDES: Candidates = Candidates(|typed| {
    let targets = typed.targets().into_iter().map(|name| format!("target:{name}"));
    let fixed = ["baseline", "here", "git:"].map(str::to_owned);
    names(fixed.into_iter().chain(targets).chain(typed.runs()))
});
/// Subjects that the newest report of the place names.
pub(crate) const SUBJECTS: Candidates = Candidates(|typed| names(typed.subjects()));

impl Candidates {
    /// What clap asks.
    pub(crate) fn completer(self) -> ArgValueCompleter {
        ArgValueCompleter::new(move |word: &OsStr| {
            let typed = Typed { call: call(), word: word.to_string_lossy().into_owned() };
            let mut all = (self.0)(&typed);
            all.retain(|candidate| candidate.get_value().to_string_lossy().starts_with(&typed.word));
            all
        })
    }
}

/// The call that is being typed: it stands behind the first `--`.
fn call() -> Call {
    Call::new(std::env::args_os().skip_while(|word| word != "--").skip(2))
}

fn names(all: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    all.into_iter().map(CompletionCandidate::new).collect()
}

/// What was typed so far.
struct Typed {
    call: Call,
    word: String,
}

impl Typed {
    fn project(&self) -> Option<Project> {
        self.call.project()
    }

    fn targets(&self) -> Vec<String> {
        self.project().map(|project| project.config.targets.keys().cloned().collect()).unwrap_or_default()
    }

    fn groups(&self) -> Vec<String> {
        let project = self.project();
        let groups = project.iter().flat_map(|project| project.config.groups.names());
        groups.map(|name| format!("{GROUP_MARK}{name}")).collect()
    }

    fn runs(&self) -> Vec<String> {
        let listed =
            self.project().and_then(|project| runs::listed(&project.store_root).ok()).unwrap_or_default();
        listed.runs.into_iter().map(|run| escaped(run.name.as_bytes())).collect()
    }

    /// The newest report of the place that the call is about.
    fn newest(&self) -> Option<PastRun> {
        let target = self.call.value(&["--target", "--env"]);
        let path = runs::latest(&self.project()?.root, target);
        read_run(&read_file_within(&path, LARGEST).ok()?).ok()
    }

    /// Subjects by name, behind their check's name where that was begun. They are given as they are printed, which
    /// commands read, too: a terminal obeys none of them.
    fn subjects(&self) -> BTreeSet<String> {
        let is_behind_check = CHECKS.iter().any(|check| self.word.starts_with(&format!("{}/", check.id())));
        let checks = self.newest().map(|newest| newest.checks).unwrap_or_default();
        let each =
            checks.iter().flat_map(|check| check.subjects.iter().map(move |it| (&check.name, &it.name)));
        // What is not UTF-8 was replaced.
        let whole = each.filter(|(_, name)| !name.contains(char::REPLACEMENT_CHARACTER));
        let one = |(check, name): (&String, &String)| {
            let name = escaped(name.as_bytes());
            if is_behind_check { format!("{check}/{name}") } else { name }
        };
        whole.map(one).collect()
    }
}
