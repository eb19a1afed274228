//! `driftlock hook install`: git's pre-push hook, written into this clone.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::{Args, Subcommand};

use crate::atomic::{read_file, write_new};
use crate::cli::Session;
use crate::cli::terminal::output;
use crate::error::Failure;
use crate::git::{ROOT_SETTING, Repository};
use crate::model::{escaped, printable_path, quoted_name};

/// The hook, as `deploy/git` has it.
const HOOK: &[u8] = include_bytes!("../../../deploy/git/pre-push");
/// How many of its first lines tell it from the hook of anybody else.
const HEAD_LINES: usize = 2;
/// The name that git runs it by.
const NAME: &str = "pre-push";
/// The name that --force gives the hook that was there.
const KEPT: &str = "pre-push.before-driftlock";

/// Install a git hook that checks what is pushed
///
/// The pre-push hook compares each commit that is pushed with the lock files in it, and stops the push where they differ. It
/// looks at commits alone, never at the work tree or at a host. git push --no-verify pushes without it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock hook install            write .git/hooks/pre-push, or where core.hooksPath says
  driftlock hook install --force    replace another hook, and keep it under another name")]
pub(crate) struct HookArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Install(InstallArgs),
}

/// Write the pre-push hook into this clone
///
/// Another pre-push hook is refused. Exit code 0: installed, or installed already.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock hook install
  driftlock --root erp hook install    for a project below the top of the repository")]
struct InstallArgs {
    /// Replace another pre-push hook, which is kept as pre-push.before-driftlock
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(session: &Session, args: &HookArgs) -> Result<u8, Failure> {
    let Action::Install(install) = &args.action;
    let project = session.project()?;
    let repository = Repository::around(&project.root)?;
    if let Some(owner) = repository.foreign_owner() {
        let failure = Failure::new(format!("this repository belongs to another user (uid {owner})"));
        return Err(failure.hint("install the hook as that user"));
    }
    let hooks = repository.hooks()?;
    let place = hooks.dir.join(NAME);
    let shown = printable_path(&project.named(&place));
    let root = root_to_set(&repository)?;
    let done = put(&place, &shown, install.force)?;
    let mut lines = vec![match done {
        Done::Installed => format!("Installed: {shown}"),
        Done::Updated => format!("Updated: {shown}"),
        Done::Unchanged => format!("Installed already: {shown}"),
        Done::Replaced => {
            format!("Installed: {shown}; the hook that was there is {KEPT} beside it, and does not run")
        }
    }];
    if hooks.is_configured {
        lines.push(
            "core.hooksPath names that directory: the hook serves every repository that has the same setting"
                .to_owned(),
        );
    }
    if let Some(root) = root {
        repository.set_hooked_root(&root)?;
        lines.push(format!("Set: git config {ROOT_SETTING} {}", quoted_name(&root)));
    }
    output::print((lines.join("\n") + "\n").as_bytes())?;
    Ok(0)
}

/// The setting that the hook needs to find a project below the top; none where it needs none, or has it.
fn root_to_set(repository: &Repository) -> Result<Option<Vec<u8>>, Failure> {
    let prefix = repository.prefix();
    let root = prefix.strip_suffix(b"/").unwrap_or(prefix);
    let wanted = if root.is_empty() { b"." } else { root };
    match repository.hooked_root()? {
        Some(set) if set == wanted => Ok(None),
        None if root.is_empty() => Ok(None),
        None => Ok(Some(root.to_owned())),
        Some(other) => {
            let message = format!(
                "git config {ROOT_SETTING} is {}: the hook serves one project of a repository",
                escaped(&other)
            );
            Err(Failure::new(message)
                .hint(format!("for this one: git config {ROOT_SETTING} {}", quoted_name(wanted))))
        }
    }
}

/// What became of the file.
#[derive(Clone, Copy)]
enum Done {
    Installed,
    Updated,
    Unchanged,
    Replaced,
}

fn put(place: &Path, shown: &str, force: bool) -> Result<Done, Failure> {
    let failed = |error: std::io::Error| Failure::at(Path::new(shown), &error);
    if let Some(dir) = place.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let done = match place.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Done::Installed,
        Err(error) => return Err(failed(error)),
        // A link leads to a file that belongs to somebody else.
        Ok(meta) if meta.is_file() => match read_file(place).map_err(failed)? {
            same if same == HOOK => Done::Unchanged,
            other if head(&other) == head(HOOK) => Done::Updated,
            _ => Done::Replaced,
        },
        Ok(_) => Done::Replaced,
    };
    match done {
        Done::Replaced if !force => {
            let failure =
                Failure::new(format!("{shown}: there is another pre-push hook, and it was left as it is"));
            return Err(
                failure.hint(format!("replace it, and keep it as {KEPT}: driftlock hook install --force"))
            );
        }
        Done::Replaced => set_aside(place, shown)?,
        Done::Updated => std::fs::remove_file(place).map_err(failed)?,
        Done::Installed | Done::Unchanged => {}
    }
    if !matches!(done, Done::Unchanged) {
        write_new(place, HOOK).map_err(failed)?;
    }
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(done)
}

/// The first lines of a hook.
fn head(hook: &[u8]) -> Vec<&[u8]> {
    hook.split(|byte| *byte == b'\n').take(HEAD_LINES).collect()
}

/// Renames the hook that is there.
fn set_aside(place: &Path, shown: &str) -> Result<(), Failure> {
    let kept = place.with_file_name(KEPT);
    if kept.symlink_metadata().is_ok() {
        let failure = Failure::new(format!("{shown}: {KEPT} beside it is taken, so the hook cannot be kept"));
        return Err(failure.hint(format!("move {KEPT} away first")));
    }
    std::fs::rename(place, &kept).map_err(|error| Failure::at(Path::new(shown), &error))
}
