//! Provenance: which commit, by whom and since when, for what a host holds and the baseline does not, or differently.

mod absence;
mod beyond;
mod cache;
mod content;
mod digests;
mod file;
mod forms;
mod guise;
mod held;
mod holders;
mod holding;
mod judgement;
mod links;
mod module;
mod obstacles;
mod own;
mod places;
mod record;
mod release;
mod search;
mod tree;
mod undo_source;
mod versions;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use content::content;
pub use places::NoPath;
pub use undo_source::{How, NoSource, UndoSource, sources};
pub use versions::{LONGEST_MANIFEST, version};

use crate::control::waits;
use crate::git::{GitError, Limit, Repository};
use crate::host::Watch;
use crate::model::{CheckResult, Finding, Glob, Kind, Provenance, SubjectKind};
use crate::section::kind_of;
use places::Places;
use search::{Search, Sought};

/// How long one check may look for where all its findings come from, and as long again for the sources of their undo.
pub const BUDGET: Duration = waits::PROVENANCE.most;

/// The share of that after which nothing more is read; the rest is for judging by what was read until then.
const READING: f64 = 0.8;

/// How many findings git is asked about at once.
const AT_ONCE: usize = 64;

/// Whether a finding is on a module, whose files are compared one by one.
fn is_module(finding: &Finding) -> bool {
    kind_of(finding.subject.source) == Some(SubjectKind::Tree)
}

/// What is known of the baseline and the project.
#[derive(Debug, Clone)]
pub struct Trace<'a> {
    /// The project's root.
    pub root: &'a Path,
    /// The commit that the baseline is of, where that is known.
    pub anchor: Option<String>,
    /// What is left out of addon modules, by the configuration.
    pub exclude: &'a [Glob],
    /// Where the digests of blobs are remembered.
    pub cache: Option<PathBuf>,
    /// How long it may take.
    pub budget: Duration,
}

/// Looks in the history of the repository around the root for what each finding on a file or a module says that the
/// host holds, and puts the judgement on the finding. Without such a finding nothing is asked.
pub fn trace(checks: &mut [CheckResult], ask: &Trace<'_>, watch: &Watch) {
    let mut held = held::taken(checks);
    trace_all(checks, &mut held, ask, watch);
    held::put_back(checks, held, ask, watch);
}

fn trace_all(checks: &mut [CheckResult], held: &mut [Vec<Finding>], ask: &Trace<'_>, watch: &Watch) {
    let all = checks.iter_mut().flat_map(|check| check.findings.iter_mut());
    let all = all.chain(held.iter_mut().flatten());
    let mut findings: Vec<&mut Finding> = all.filter(|finding| is_traceable(finding)).collect();
    if findings.is_empty() {
        return;
    }
    let cancelled = || watch.is_cancelled();
    if let Err(error) = judge_all(&mut findings, ask, &cancelled) {
        let why = match error {
            GitError::NoGit { .. } => "there is no git here to ask".to_owned(),
            other => other.to_string(),
        };
        for finding in findings {
            finding.provenance = Some(Box::new(Provenance::unknown(why.clone())));
        }
    }
}

/// Whether a finding is on content that a repository can hold: not a container, and no path of the host's own.
fn is_traceable(finding: &Finding) -> bool {
    kind_of(finding.subject.source).is_some_and(SubjectKind::has_files)
        && finding.kind != Kind::Unreadable
        && !finding.place.starts_with(b"/")
}

fn judge_all(
    findings: &mut [&mut Finding],
    ask: &Trace<'_>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(), GitError> {
    let whole = Limit::new(ask.budget, cancelled);
    let limit = whole.part(READING);
    let repository = Repository::around(ask.root)?;
    let head = repository.head()?;
    let places = Places::new(ask.root, &repository, head.as_ref());
    let located = findings.iter().map(|finding| places.find(&finding.place));
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for (at, path) in located.enumerate() {
        match path {
            Ok(path) => here.push((at, path)),
            Err(why) => elsewhere.push((at, why)),
        }
    }
    for (at, why) in elsewhere {
        findings[at].provenance = Some(Box::new(Provenance::unknown(why.to_string())));
    }
    let sought: Vec<Sought> = here
        .iter()
        .map(|(at, path)| {
            let named = repository.path(&findings[*at].place);
            Sought {
                is_behind_link: named != *path,
                is_behind_file: findings[*at].kind == Kind::Missing && places.has_file_for_link(&named),
                named,
                ..Sought::of(findings[*at], path.clone())
            }
        })
        .collect();
    let (record, graph, setting) =
        search::read(&repository, &sought, ask, head.map(|head| head.commit), limit)?;
    let mut search = Search::new(&repository, &graph, record, setting, ask, limit);
    search.prepare(&sought);
    search.limit = whole;
    let mut judged = Vec::new();
    for ((at, _), sought) in here.iter().zip(&sought) {
        if search.limit.is_over() {
            findings[*at].provenance = Some(Box::new(Provenance::unknown(search.how_far())));
        } else {
            judged.push((*at, sought, search.judgement(sought)));
        }
    }
    // Git is asked once for many findings: what each process costs adds up.
    for some in judged.chunks_mut(AT_ONCE) {
        search.look_for_holders(&some.iter().map(|(_, sought, _)| *sought).collect::<Vec<_>>());
        for (_, sought, provenance) in some {
            provenance.holders = search.holders(sought);
        }
    }
    let versions = search.versions(judged.iter().map(|(_, sought, provenance)| (*sought, provenance)));
    for ((at, _, provenance), versions) in judged.into_iter().zip(versions) {
        findings[at].versions = versions;
        findings[at].provenance = Some(Box::new(provenance));
    }
    search.digests.keep();
    let base = search.base.as_ref().map(|base| base.id.clone());
    let limit = search.limit;
    release::name_all(findings, &repository, base.as_deref(), &limit);
    Ok(())
}
