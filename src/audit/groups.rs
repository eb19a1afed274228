//! One command for all findings of a cause: patterns that match exactly these, and nothing that a commit could not bring back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::git::{Limit, Repository};
use crate::host::Watch;
use crate::model::{
    Cause, Finding, GroupWays, Kind, Origin, Report, SubjectKind, WayOut, cover, quoted, short_id,
};
use crate::provenance::{BUDGET, How, NoSource, UndoSource};
use crate::section::kind_of;

/// The longest that a command may be, in bytes: a longer one is read by nobody.
const LONGEST: usize = 1500;
/// How many commands of single findings are put one behind the other at most.
const IN_A_ROW: usize = 10;

/// Where the baseline's files of a finding can be taken from.
pub(super) type Source = Option<Result<UndoSource, NoSource>>;

/// How commands are called from where the user stands.
pub(super) struct Caller<'a> {
    /// The project's root.
    pub(super) root: &'a Path,
    /// Git.
    pub(super) git: String,
    /// This program.
    pub(super) driftlock: String,
    /// The option that names the place again, with a space before it.
    pub(super) option: String,
    /// The run that can be accepted, with a space before it; none where there is none yet.
    pub(super) run: Option<&'a str>,
    /// Tells when the user ends the run.
    pub(super) watch: &'a Watch,
}

/// The commands for the causes of a report that have more than one finding; `sources` are those of all its findings.
pub(super) fn ways(caller: &Caller<'_>, report: &Report, sources: &[Source]) -> Vec<GroupWays> {
    let causes = report.causes();
    let groups = causes.iter().filter(|cause| cause.members.len() > 1);
    let each = groups.map(|cause| GroupWays {
        kind: cause.kind,
        tag: cause.release.map(|release| release.tag.clone()),
        undo: undo(caller, cause, sources).or_else(|| in_a_row(cause)),
        accept: accept(caller, cause),
    });
    each.filter(|ways| ways.undo.is_some() || ways.accept.is_some()).collect()
}

fn command_of<'a>(finding: &'a Finding, when: &str) -> Option<&'a str> {
    finding.ways_out.iter().find(|way| way.when == when).map(|way| way.command.as_str())
}

/// The commands of containers and of the system, one behind the other: nothing that they discard is kept in a file.
fn in_a_row(cause: &Cause<'_>) -> Option<String> {
    let has_no_files =
        |finding: &Finding| kind_of(finding.subject.source).is_some_and(|kind| !kind.lies_on_disk());
    if cause.members.len() > IN_A_ROW || !cause.members.iter().all(|it| has_no_files(it.finding)) {
        return None;
    }
    let mut commands: Vec<&str> = Vec::new();
    for member in &cause.members {
        let command = command_of(member.finding, WayOut::UNDO)?;
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    Some(commands.join(" && ")).filter(|line| line.len() <= LONGEST)
}

/// The command that restores all files of a cause, where each of them is as some commit has it.
fn undo(caller: &Caller<'_>, cause: &Cause<'_>, sources: &[Source]) -> Option<String> {
    let mut by_commit: BTreeMap<&str, Vec<(Vec<u8>, bool)>> = BTreeMap::new();
    for member in &cause.members {
        command_of(member.finding, WayOut::UNDO)?;
        let source = sources.get(member.at)?.as_ref()?.as_ref().ok()?;
        let is_module = kind_of(member.finding.subject.source) == Some(SubjectKind::Tree);
        if !loses_nothing(member.finding) || !is_plain(source) {
            return None;
        }
        by_commit.entry(&source.commit).or_default().push((source.from.clone(), is_module));
    }
    let repository = Repository::around(caller.root).ok()?;
    let cancelled = || caller.watch.is_cancelled();
    let limit = Limit::new(BUDGET, &cancelled);
    let commands = by_commit.into_iter().map(|(commit, members)| {
        let patterns = pathspecs(&repository, commit, &members)?;
        let tag = repository.tag_at(commit, &limit);
        let name = tag.as_deref().unwrap_or_else(|| short_id(commit));
        let specs: String = patterns.iter().map(|spec| format!(" '{spec}'")).collect();
        Some(format!("{} restore --overlay --source={name} --{specs}", caller.git))
    });
    let commands = commands.collect::<Option<Vec<String>>>()?;
    Some(commands.join(" && ")).filter(|line| line.len() <= LONGEST)
}

/// Whether all that would be written over is of a commit that stays.
fn loses_nothing(finding: &Finding) -> bool {
    if finding.parts.iter().any(|part| part.kind == Kind::Unexpected || part.kind == Kind::Unreadable) {
        return false;
    }
    let is_held = |commit: bool, origin: Origin| commit && origin.is_released() && origin != Origin::Unknown;
    match finding.kind {
        Kind::Missing => true,
        Kind::Modified => {
            finding.provenance.as_ref().is_some_and(|it| is_held(it.commit.is_some(), it.origin))
        }
        Kind::Unexpected | Kind::Unreadable => false,
    }
}

/// Whether git itself restores it, told the subject alone.
fn is_plain(source: &UndoSource) -> bool {
    matches!(source.how, How::Restore | How::RestoreAll)
        && source.takes_whole
        && source.aside.is_empty()
        && !source.has_replacements
        && !source.to.starts_with(b"..")
}

/// Pathspecs that match exactly these paths of a commit, and all below those that are modules.
fn pathspecs(repository: &Repository, commit: &str, members: &[(Vec<u8>, bool)]) -> Option<Vec<String>> {
    let all = repository.at(commit).list_all().ok()?;
    let mut specs = Vec::new();
    for is_module in [false, true] {
        let paths: Vec<&[u8]> = members
            .iter()
            .filter(|(_, module)| *module == is_module)
            .map(|(path, _)| path.as_slice())
            .collect();
        if paths.is_empty() {
            continue;
        }
        let own: BTreeSet<&[u8]> = paths.iter().copied().collect();
        // A pattern for a module also matches what lies as deep elsewhere.
        let mut others: BTreeSet<&[u8]> = BTreeSet::new();
        for listed in &all {
            let path = listed.path.as_slice();
            let cuts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
            let rivals = cuts.chain([path]).filter(|rival| is_module || rival.len() == path.len());
            others.extend(rivals.take_while(|rival| !own.contains(rival)));
        }
        let others: Vec<&[u8]> = others.into_iter().collect();
        let end = if is_module { "/**" } else { "" };
        specs.extend(cover(&paths, &others)?.into_iter().map(|glob| format!(":(top,glob){glob}{end}")));
    }
    Some(specs)
}

/// The command that makes what all findings of a cause are about the baseline.
fn accept(caller: &Caller<'_>, cause: &Cause<'_>) -> Option<String> {
    let run = caller.run?;
    let mut patterns: Vec<String> = Vec::new();
    let mut checks: Vec<&str> = Vec::new();
    for member in &cause.members {
        command_of(member.finding, WayOut::ACCEPT)?;
        if !checks.contains(&member.check.id) {
            checks.push(member.check.id);
        }
    }
    for id in checks {
        let of_check = || cause.members.iter().filter(|member| member.check.id == id);
        let members: Vec<&[u8]> = of_check().map(|it| it.finding.subject.key.as_slice()).collect();
        let all = of_check().next()?.check.findings.iter().map(|it| it.subject.key.as_slice());
        let others: Vec<&[u8]> = all.filter(|key| !members.contains(key)).collect();
        for glob in cover(&members, &others)? {
            patterns.push(format!(" --only {}", quoted(&format!("{id}/{glob}"))));
        }
    }
    let Caller { driftlock, option, .. } = caller;
    let command = format!("{driftlock} accept{run}{option}{} --reason '…'", patterns.concat());
    (command.len() <= LONGEST).then_some(command)
}
