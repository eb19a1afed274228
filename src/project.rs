//! The project a command works on: where its root is, and how to name paths from where the user stands.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::baseline::{self, Locks, Source};
use crate::config::{self, Config, GROUP_MARK, Target};
use crate::control::{Control, Environment};
use crate::error::Failure;
use crate::git::{Repository, Revision};
use crate::model::{escaped, printable_path, quoted_name};
use crate::section::{self, BEYOND_REPOSITORY, lock_file_names};
use crate::terraform::Slots;

/// A project with its configuration.
pub(crate) struct Project {
    /// The root, as an absolute path.
    pub(crate) root: PathBuf,
    /// The directory below which runs and states are kept: the root, or a directory of an agent's own for a commit that it
    /// has checked out.
    pub(crate) store_root: PathBuf,
    /// The root as seen from the working directory: empty, `..`, or as it was given.
    from_here: PathBuf,
    /// Whether the root was named on the command line.
    is_given: bool,
    /// Its configuration.
    pub(crate) config: Config,
    /// What the process gives to work on it.
    pub(crate) control: Control,
    /// How many plans of infrastructure run at the same time.
    pub(crate) plans: Arc<Slots>,
}

impl Project {
    /// Finds the root: `--root`, or the nearest directory at or above the working directory that has one.
    pub(crate) fn find(given: Option<&Path>, control: &Control) -> Result<Self, Failure> {
        let (root, from_here) = match given {
            Some(given) => (given.canonicalize().map_err(|e| Failure::at(given, &e))?, given.to_owned()),
            None => search(&control.environment)?,
        };
        if !root.is_dir() {
            return Err(Failure::new(format!("{} is not a directory", printable_path(&root))));
        }
        let config = Config::load(&root).map_err(|error| Failure::from(error).of_project())?;
        let has_file = root.join(config::PATH).exists();
        let configuration = if has_file { config::PATH } else { "none" };
        log::info!(root:% = root.display(), configuration, targets = config.targets.len(); "found the project");
        let plans = Arc::new(Slots::new(config.terraform.jobs));
        let store_root = root.clone();
        Ok(Self {
            root,
            store_root,
            from_here,
            is_given: given.is_some(),
            config,
            control: control.clone(),
            plans,
        })
    }

    /// The project at a root, of which runs and states are kept elsewhere.
    pub(crate) fn kept_at(root: &Path, store_root: PathBuf, control: &Control) -> Result<Self, Failure> {
        Ok(Self { store_root, ..Self::find(Some(root), control)? })
    }

    /// The project as if nothing were configured, for what must be told where its configuration cannot be read.
    pub(crate) fn unconfigured(given: Option<&Path>, control: &Control) -> Option<Self> {
        let (root, from_here) = Self::find_or_here(given, &control.environment).ok()?;
        let (config, control) = (Config::parse("").ok()?, control.clone());
        let plans = Arc::new(Slots::new(config.terraform.jobs));
        let store_root = root.clone();
        Some(Self { root, store_root, from_here, is_given: given.is_some(), config, control, plans })
    }

    /// Finds the root as [`Project::find`] does, or takes the working directory for a new project.
    pub(crate) fn find_or_here(
        given: Option<&Path>,
        environment: &Environment,
    ) -> Result<(PathBuf, PathBuf), Failure> {
        match (given, search(environment)) {
            (Some(given), _) => {
                Ok((given.canonicalize().map_err(|e| Failure::at(given, &e))?, given.to_owned()))
            }
            (None, Ok(found)) => Ok(found),
            (None, Err(_)) => Ok((working_directory(environment)?, PathBuf::new())),
        }
    }

    /// The root as a path from the top of the work tree that it lies in, empty at the top and where there is none.
    pub(crate) fn root_in_repository(&self) -> Vec<u8> {
        let is_top = |dir: &&Path| dir.join(".git").symlink_metadata().is_ok();
        let below = self.root.ancestors().find(is_top).and_then(|top| self.root.strip_prefix(top).ok());
        below.map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default()
    }

    /// A path below the root, as one that opens from the working directory.
    pub(crate) fn named(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |below| self.from_here.join(below))
    }

    /// A path of the configuration: below the home directory, below the root, or absolute.
    pub(crate) fn configured_path(&self, path: &Path) -> PathBuf {
        self.root.join(self.control.environment.expand_home(path))
    }

    /// How git is called so that its paths are those of the project.
    pub(crate) fn git(&self) -> String {
        match self.from_here.as_os_str().as_bytes() {
            b"" => "git".to_owned(),
            dir => format!("git -C {}", quoted_name(dir)),
        }
    }

    /// The command that commits the baseline and nothing else; none where no repository is around the project.
    pub(crate) fn commit_of_baseline(&self) -> Option<String> {
        Repository::around(&self.root).ok()?;
        let all = [config::PATH, config::policies::POLICIES, baseline::PATH, baseline::RECORD];
        let paths: Vec<&str> = all.into_iter().filter(|path| self.root.join(path).exists()).collect();
        let (git, paths) = (self.git(), paths.join(" "));
        Some(format!("{git} add -- {paths} && {git} commit -m 'Accept the baseline' -- {paths}"))
    }

    /// How driftlock is called so that it works on this project.
    pub(crate) fn driftlock(&self) -> String {
        if self.is_given {
            return format!("driftlock --root {}", quoted_name(self.from_here.as_os_str().as_bytes()));
        }
        "driftlock".to_owned()
    }

    /// The root as seen from the working directory; empty where it is the same.
    pub(crate) fn way_here(&self) -> &[u8] {
        self.from_here.as_os_str().as_bytes()
    }

    /// Names of targets, with the members in place of each group; each once, in the order in which they stand.
    pub(crate) fn expand<'a>(&'a self, names: &'a [String]) -> Result<Vec<&'a str>, Failure> {
        let groups = &self.config.groups;
        groups.expand(names.iter().map(String::as_str)).map_err(|error| {
            let known: Vec<String> = groups.names().map(|name| format!("@{name}")).collect();
            let failure = Failure::new(error.to_string());
            failure.hint(match known.as_slice() {
                [] => "none is configured: add one as [groups] NAME = [\"TARGET\", …]".to_owned(),
                known => format!("configured: {}", known.join(", ")),
            })
        })
    }

    /// A target of the configuration.
    pub(crate) fn target(&self, name: &str) -> Result<&Target, Failure> {
        let targets = &self.config.targets;
        if name.starts_with(GROUP_MARK) {
            return Err(self.one_of_group(name));
        }
        targets.get(name).ok_or_else(|| {
            let known: Vec<&str> = targets.keys().map(String::as_str).collect();
            let name = printable_path(name.as_ref());
            Failure::new(format!("no target \"{name}\" in audit/driftlock.toml")).hint(
                match known.as_slice() {
                    [] => "none is configured: add one as [targets.NAME]".to_owned(),
                    known => format!("configured: {}", known.join(", ")),
                },
            )
        })
    }

    /// The failure where a group stands in the place of one target.
    fn one_of_group(&self, name: &str) -> Failure {
        let name = name.to_owned();
        match self.expand(std::slice::from_ref(&name)) {
            Err(failure) => failure,
            Ok(members) => {
                let members: Vec<String> = members.iter().map(|it| escaped(it.as_bytes())).collect();
                let failure = Failure::new(format!("\"{name}\" is a group, and one target is needed here"));
                failure.hint(format!("name one of {}", members.join(", ")))
            }
        }
    }

    /// Where the lock files lie.
    pub(crate) fn locks_dir(&self) -> PathBuf {
        self.root.join(baseline::PATH)
    }

    /// The lock files of `source` that count for `target`. A target with files of its own has a lock file of its own for
    /// them, so that no other place is asked for what only that one has.
    pub(crate) fn locks(&self, source: &Source, target: Option<&str>) -> Result<Locks, Failure> {
        let locks = read_locks(source, target)?;
        let target = target.and_then(|name| self.config.targets.get(name));
        let has_own = source.is_own() && target.is_some_and(|target| !target.files.is_empty());
        let names =
            section::find(BEYOND_REPOSITORY).filter(|_| has_own).map(|section| section.meta().lock_files);
        Ok(locks.owning(names.unwrap_or_default()))
    }

    /// The project's own baseline.
    pub(crate) fn source(&self) -> Source {
        Source::Directory { path: self.locks_dir(), name: baseline::PATH.to_owned() }
    }

    /// The commit that a revision of the repository around the project names.
    pub(crate) fn revision(&self, revision: &str) -> Result<Revision, Failure> {
        Ok(Repository::around(&self.root)?.resolve(revision)?)
    }

    /// What `--baseline` or a side of a diff names: a directory, or `git:REVISION`.
    pub(crate) fn source_named(&self, text: &str) -> Result<Source, Failure> {
        if let Some(revision) = text.strip_prefix("git:") {
            return Ok(Source::Git(self.revision(revision)?));
        }
        let path = PathBuf::from(text);
        if !path.is_dir() {
            let failure = Failure::new(format!("{}: there is no such directory", printable_path(&path)));
            return Err(failure.hint("name a directory of lock files, or git:REVISION"));
        }
        Ok(Source::Directory { path, name: text.trim_end_matches('/').to_owned() })
    }
}

/// Reads the lock files of `source` for `target`.
pub(crate) fn read_locks(source: &Source, target: Option<&str>) -> Result<Locks, Failure> {
    Ok(Locks::read(source, target, &lock_file_names())?)
}

fn working_directory(environment: &Environment) -> Result<PathBuf, Failure> {
    let failed = |error: &std::io::Error| Failure::at(Path::new("."), error);
    environment.working_directory().map_err(failed)?.canonicalize().map_err(|error| failed(&error))
}

fn search(environment: &Environment) -> Result<(PathBuf, PathBuf), Failure> {
    let here = working_directory(environment)?;
    let mut from_here = PathBuf::new();
    for dir in here.ancestors() {
        if let Err(error) = dir.join(config::PATH).metadata()
            && error.kind() == std::io::ErrorKind::PermissionDenied
        {
            return Err(Failure::at(&from_here.join("audit"), &error));
        }
        if dir.join(config::PATH).symlink_metadata().is_ok() || dir.join(baseline::PATH).is_dir() {
            return Ok((dir.to_owned(), from_here));
        }
        from_here.push("..");
    }
    let message = "no project here: neither audit/driftlock.toml nor audit/locks/ at or above this directory";
    Err(Failure::new(message).hint("start one with: driftlock init"))
}
