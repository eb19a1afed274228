//! Infrastructure of a target that Terraform code describes: planned on this machine, wherever the target is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::audit::accept::{self, Change, Refusal};
use crate::audit::pipeline::{self, Request};
use crate::audit::target::Aim;
use crate::baseline::{Locks, OF_INFRASTRUCTURE};
use crate::check::TERRAFORM_PLAN;
use crate::config::Terraform;
use crate::error::Failure;
use crate::git::{Limit, Repository};
use crate::host::Watch;
use crate::model::{
    Attribute, Commit, Digest, Finding, Kind, day, escaped, printable, printable_path, quoted, quoted_name,
    short_id,
};
use crate::project::Project;
use crate::section::INFRASTRUCTURE;
use crate::terraform::{
    self, Code, CodePlace, Environment, Judged, Look, Proposal, ProposalError, Settled, drifted, parse_lock,
    print_lock,
};

/// What stays between runs, relative to the root; git ignores it.
pub(crate) const STATE: &str = "audit/state";

/// Looks at the infrastructure of a place, whose name is given with it.
pub(crate) fn look(project: &Project, aim: &Aim, request: &Request<'_>, watch: &Watch) -> (String, Look) {
    let name = aim.name();
    let Some(config) = aim.terraform.as_ref().filter(|_| request.wants(TERRAFORM_PLAN)) else {
        return (name, Look::default());
    };
    let settled = match settled(request.locks) {
        Ok(settled) => settled,
        Err(failure) => return (name, Look::failed(failure.in_one_line())),
    };
    let dir = code_dir(project, config);
    let state = state_dir(project);
    let (variables, slots) = (&project.control.environment, &*project.plans);
    let environment =
        Environment { name: &name, config, dir: &dir, root: &project.root, state: &state, variables, slots };
    let mut look = match &aim.plan_file {
        None => {
            keep_out_of_git(project);
            terraform::look(&environment, &settled, watch)
        }
        Some(file) => of_file(&environment, &settled, file, watch),
    };
    for finding in &mut look.judged.findings {
        let Some(place) = look.places.get(&finding.subject.key) else { continue };
        let file = place.file.strip_prefix(&project.root).unwrap_or(&place.file);
        finding.place = file.as_os_str().as_bytes().to_vec();
        finding.line = Some(place.line);
    }
    (name, look)
}

/// Where what Terraform needs stays between runs.
fn state_dir(project: &Project) -> PathBuf {
    project.store_root.join(STATE).join("terraform")
}

/// Has something done with the environment of a place.
fn in_environment<T>(
    project: &Project,
    aim: &Aim,
    work: impl FnOnce(&Environment<'_>) -> Result<T, ProposalError>,
) -> Result<T, ProposalError> {
    let Some(config) = aim.terraform.as_ref() else { return Err(ProposalError::Moved) };
    let (name, dir) = (aim.name(), code_dir(project, config));
    let state = state_dir(project);
    let (variables, slots) = (&project.control.environment, &*project.plans);
    keep_out_of_git(project);
    work(&Environment {
        name: &name,
        config,
        dir: &dir,
        root: &project.root,
        state: &state,
        variables,
        slots,
    })
}

/// Plans the undo of what a plan found of one resource, to be applied as it is.
pub(crate) fn propose(
    project: &Project,
    aim: &Aim,
    (check, finding): (&str, &Finding),
    watch: &Watch,
) -> Result<Proposal, ProposalError> {
    let key = String::from_utf8_lossy(&finding.subject.key).into_owned();
    let address = key.split_once(':').map_or(key.as_str(), |(_, address)| address);
    in_environment(project, aim, |environment| {
        terraform::propose(environment, address, (check, finding.fingerprint(check)), watch)
    })
}

/// Applies a plan that was made by [`propose`].
pub(crate) fn apply(
    project: &Project,
    aim: &Aim,
    proposal: &Proposal,
    watch: &Watch,
) -> Result<(), ProposalError> {
    in_environment(project, aim, |environment| terraform::apply(environment, proposal, watch))
}

/// What is told where the look itself ended unexpectedly.
pub(crate) fn unexpected(aim: &Aim) -> (String, Look) {
    (aim.name(), Look::failed(Failure::unexpected().in_one_line()))
}

/// Where the resource of a finding is declared, and which commit last touched that, in a sentence.
pub(crate) fn declared(project: &Project, aim: &Aim, finding: &Finding) -> Option<String> {
    let key = std::str::from_utf8(&finding.subject.key).ok()?;
    let address = key.strip_prefix(&aim.name())?.strip_prefix(':')?;
    let config = aim.terraform.as_ref()?;
    let CodePlace { file, line, last_line } = Code::read(&code_dir(project, config)).place(address)?;
    let named = printable_path(&project.named(&file));
    let declared = format!("declared in {named}:{line}");
    let below = file.strip_prefix(&project.root).ok()?;
    let Ok(repository) = Repository::around(&project.root) else { return Some(declared) };
    let path = repository.path(below.as_os_str().as_bytes());
    let touched = repository.last_touch(&path, (line, last_line), &Limit::soon());
    Some(match touched {
        Some(Some(Commit { id, author, date, subject })) => {
            let said = format!("{} by {author} on {}: {subject}", short_id(&id), day(&date));
            format!("{declared}, last touched by {said}")
        }
        Some(None) => format!("{declared}, with changes that are not committed"),
        None => declared,
    })
}

/// The commands that a look would run, for `--dry-run`.
pub(crate) fn dry_run(project: &Project, config: &Terraform) -> String {
    let lines = terraform::dry_run(config, &project.named(&code_dir(project, config)));
    lines.iter().map(|line| format!("Would run: {}\n", printable(line))).collect()
}

/// How Terraform is called in the directory of an environment's code, as a shell takes it, and the options of what it plans.
pub(crate) fn call(project: &Project, config: &Terraform) -> (String, String) {
    let dir = project.named(&code_dir(project, config));
    let workspace = config.workspace.iter().map(|name| format!("TF_WORKSPACE={} ", quoted(name)));
    let workspace: String = workspace.collect();
    let call =
        format!("{workspace}{} -chdir={}", quoted(&config.binary), quoted_name(dir.as_os_str().as_bytes()));
    let options = config.var_files.iter().map(|name| format!(" -var-file={}", quoted(name)));
    (call, options.collect())
}

/// The directory of an environment's code.
pub(crate) fn code_dir(project: &Project, config: &Terraform) -> PathBuf {
    project.configured_path(&config.dir)
}

/// Drift that the baseline accepts.
fn settled(locks: &Locks) -> Result<Settled, Failure> {
    let files = locks.group(&[OF_INFRASTRUCTURE]);
    let there = files.iter().find_map(|file| Some((file, file.content.as_ref()?)));
    let Some((file, content)) = there else { return Ok(Settled::new()) };
    let bytes = content.as_ref().map_err(|error| Failure::new(error.to_string()))?;
    parse_lock(&file.shown, bytes).map_err(|bad| Failure::new(bad.to_string()))
}

/// The lock file of drift that there is now, and of how many resources; an error where a plan could not be judged, and none
/// where no plan was made.
pub(crate) fn lock_file(look: &pipeline::Look) -> Option<Result<(usize, Vec<u8>), Failure>> {
    let (_, look) = look.infrastructure.as_ref().filter(|(_, look)| look.was_made)?;
    let Judged { errors, lockable, .. } = &look.judged;
    if errors.is_empty() {
        return Some(Ok((lockable.len(), print_lock(lockable))));
    }
    let topic = TERRAFORM_PLAN.meta().labels.topic;
    let told: Vec<String> =
        errors.iter().map(|why| format!("{topic}: {}", escaped(why.as_bytes()))).collect();
    Some(Err(Failure::new(told.join("; "))))
}

/// A lock file by its name below `audit/locks/`.
type NamedFile = (String, Vec<u8>);

/// The changes between the drift that a baseline accepts and other drift.
fn between(environment: &str, before: &Settled, after: &Settled) -> Vec<Change> {
    let text = |settled: &Settled, address: &String| {
        let entry = settled.get(address)?;
        Some(Digest::of(&print_lock(&Settled::from([(address.clone(), entry.clone())]))).to_string())
    };
    let addresses: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changes = addresses.into_iter().filter(|it| before.get(*it) != after.get(*it)).map(|address| {
        let (expected, actual) = (text(before, address), text(after, address));
        let kind = match (&expected, &actual) {
            (None, _) => Kind::Unexpected,
            (_, None) => Kind::Missing,
            _ => Kind::Modified,
        };
        let key = format!("{environment}:{address}").into_bytes();
        let (section, check, place) = (INFRASTRUCTURE, TERRAFORM_PLAN.id().to_owned(), key.clone());
        let (parts, attributes, entry, baseline_entry) = (Vec::new(), Vec::new(), None, None);
        Change {
            section,
            check,
            key,
            place,
            kind,
            expected,
            actual,
            parts,
            attributes,
            entry,
            baseline_entry,
        }
    });
    changes.collect()
}

/// The lock file of an environment by its name, where accepting the drift that there is now changes it, and those changes.
///
/// # Errors
/// When the lock file that is there cannot be read.
pub(crate) fn accepted(
    look: &pipeline::Look,
    locks: &Locks,
) -> Result<(Option<NamedFile>, Vec<Change>), Failure> {
    let Some((environment, plan)) = &look.infrastructure else { return Ok((None, Vec::new())) };
    let lockable = &plan.judged.lockable;
    let before = settled(locks)?;
    if lockable.is_empty() || before == *lockable {
        return Ok((None, Vec::new()));
    }
    Ok((Some(named_file(environment, lockable)), between(environment, &before, lockable)))
}

fn named_file(environment: &str, settled: &Settled) -> NamedFile {
    (format!("{environment}/{OF_INFRASTRUCTURE}"), print_lock(settled))
}

/// The changes that the lock file of an export proposes for an environment.
///
/// # Errors
/// When one of the lock files cannot be read.
pub(crate) fn proposed(environment: &str, from: &Locks, now: &Locks) -> Result<Vec<Change>, Failure> {
    let is_there = from.group(&[OF_INFRASTRUCTURE]).iter().any(|file| file.content.is_some());
    if !is_there {
        return Ok(Vec::new());
    }
    Ok(between(environment, &settled(now)?, &settled(from)?))
}

/// Makes sure that drift is still what a run saw, of which there is a report or an export's lock file, and that a lock file
/// can hold it.
///
/// # Errors
/// Naming the first resource of which that is not so.
pub(crate) fn still_so(look: &pipeline::Look, chosen: &[Change], has_report: bool) -> Result<(), Refusal> {
    let mut chosen = chosen.iter().filter(|change| change.section == INFRASTRUCTURE).peekable();
    if chosen.peek().is_none() {
        return Ok(());
    }
    let (environment, Judged { findings, errors, lockable, .. }) = match &look.infrastructure {
        Some((environment, look)) => (environment.as_str(), &look.judged),
        None => return chosen.next().map_or(Ok(()), |change| Err(accept::moved(change))),
    };
    let check = TERRAFORM_PLAN.id();
    if !errors.is_empty() {
        let why = escaped(errors.join("; ").as_bytes());
        return Err(Refusal::NotLooked { check: check.to_owned(), why });
    }
    if !has_report {
        let mut now = BTreeMap::new();
        for change in between(environment, &Settled::new(), lockable) {
            now.insert(change.key, change.actual);
        }
        let is_same = |change: &Change| now.get(&change.key).cloned().flatten() == change.actual;
        return chosen.find(|change| !is_same(change)).map_or(Ok(()), |change| Err(accept::moved(change)));
    }
    let seen: BTreeMap<&[u8], &Finding> =
        findings.iter().map(|finding| (finding.subject.key.as_slice(), finding)).collect();
    for change in chosen {
        let finding = seen.get(change.key.as_slice()).filter(|it| is_of(it, change));
        let finding = finding.ok_or_else(|| accept::moved(change))?;
        let entry = address_in(environment, change).and_then(|address| lockable.get(address));
        let mut paths: Vec<&str> = drifted(finding).map(|it| it.path.as_str()).collect();
        if paths.is_empty() {
            paths.push("");
        }
        if !entry.is_some_and(|entry| paths.iter().all(|path| entry.contains_key(*path))) {
            let subject = format!("{check}/{}", escaped(&change.key));
            return Err(Refusal::NotLockable {
                subject,
                why: "no lock file can hold it; acknowledge it instead",
            });
        }
    }
    Ok(())
}

/// Whether a finding is the drift that a change accepts, whatever the code wants by now.
fn is_of(finding: &Finding, change: &Change) -> bool {
    let values = |it: &Attribute| Attribute { change: String::new(), ..it.clone() };
    let now = drifted(finding).map(values);
    finding.kind == change.kind && now.eq(change.attributes.iter().map(values))
}

/// The address of a change's resource.
fn address_in<'a>(environment: &str, change: &'a Change) -> Option<&'a str> {
    std::str::from_utf8(&change.key).ok()?.strip_prefix(environment)?.strip_prefix(':')
}

/// The lock file of an environment by its name with the chosen drift as it is now; `None` where nothing of it is chosen.
///
/// # Errors
/// When the lock file that is there cannot be read, or nothing would be left of it.
pub(crate) fn with_chosen(
    look: &pipeline::Look,
    locks: &Locks,
    chosen: &[Change],
) -> Result<Option<NamedFile>, Failure> {
    let mut chosen = chosen.iter().filter(|change| change.section == INFRASTRUCTURE).peekable();
    let Some((environment, plan)) = look.infrastructure.as_ref().filter(|_| chosen.peek().is_some()) else {
        return Ok(None);
    };
    let mut settled = settled(locks)?;
    for address in chosen.filter_map(|change| address_in(environment, change)) {
        match plan.judged.lockable.get(address) {
            Some(entry) => drop(settled.insert(address.to_owned(), entry.clone())),
            None => drop(settled.remove(address)),
        }
    }
    let file = named_file(environment, &settled);
    if settled.is_empty() {
        return Err(Refusal::Empty { file: file.0 }.into());
    }
    Ok(Some(file))
}

/// Judges a plan that was made elsewhere.
fn of_file(environment: &Environment<'_>, settled: &Settled, file: &Path, watch: &Watch) -> Look {
    if file == Path::new("-") {
        return terraform::look_at_file(environment, settled, io::stdin().lock(), watch);
    }
    let failed = |error: &io::Error| Look::failed(Failure::at(file, error).in_one_line());
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) => return failed(&error),
    };
    let mut look = terraform::look_at_file(environment, settled, opened, watch);
    for why in &mut look.judged.errors {
        *why = format!("{}: {why}", printable_path(file));
    }
    look
}

/// Writes a `.gitignore` into the directory of what stays between runs, where there is none: it holds what providers need.
fn keep_out_of_git(project: &Project) {
    let dir = project.store_root.join(STATE);
    if std::fs::create_dir_all(&dir).is_ok() && !dir.join(".gitignore").exists() {
        let written = crate::atomic::replace_file(&dir.join(".gitignore"), b"*\n");
        if let Err(error) = written {
            log::info!(error:% = error; "no .gitignore for what stays between runs");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::events::Silent;
    use crate::control::{Control, Environment as Variables};

    #[test]
    fn an_undo_has_its_state_where_runs_are_kept_and_not_in_the_work_tree() {
        let (root, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(root.path().join("audit")).unwrap();
        let text = "[targets.prod]\nhost = \"local\"\nroot = \".\"\nterraform = { dir = \"infra\" }\n";
        std::fs::write(root.path().join("audit/driftlock.toml"), text).unwrap();
        let control = Control { environment: Variables::of_process(), events: Arc::new(Silent) };
        let project = Project::kept_at(root.path(), kept.path().to_owned(), &control).unwrap();
        let aim = Aim { terraform: project.config.targets["prod"].terraform.clone(), ..Aim::local(&project) };
        let mut seen = None;
        let _: Result<(), ProposalError> = in_environment(&project, &aim, |environment| {
            seen = Some(environment.state.to_owned());
            Ok(())
        });
        assert_eq!(seen, Some(kept.path().join("audit/state/terraform")));
        assert!(!root.path().join(STATE).exists());
    }
}
