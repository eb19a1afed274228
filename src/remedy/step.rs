//! Steps of a repair, as data.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::RemedyKind;
use crate::host::{FileChange, PlaceState};
use crate::model::{Digest, escaped, quoted, quoted_name, short_id};
use crate::terraform::Proposal;

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum RemedyStep {
    /// Makes files as the baseline has them.
    Files(Vec<FileStep>),
    /// Has the engine's client do this with a container.
    Container {
        /// `start`, `stop`, `restart`, `pause`, `unpause`.
        verb: &'static str,
        /// The container.
        name: String,
    },
    /// Has Compose start or make anew the containers of a service.
    Service {
        /// Whether they are made anew.
        recreates: bool,
        /// The compose files, where they lie on the host.
        files: Vec<PathBuf>,
        /// The project.
        project: String,
        /// The service.
        service: String,
    },
    /// Runs a program of the host's own file on this machine.
    Run {
        /// Its name.
        name: String,
        /// The program and its arguments.
        argv: Vec<String>,
        /// The longest that it may take.
        timeout: Duration,
    },
    /// Asks a server of the host's own file to repair.
    Ask {
        /// Its name.
        name: String,
        /// Its address, as it may be shown.
        address: String,
        /// The longest that it may take.
        timeout: Duration,
    },
    /// Has Terraform apply a plan of one resource.
    Apply {
        /// The plan, which is removed with this.
        proposal: Arc<Proposal>,
        /// What it changes, a line each.
        changes: Vec<String>,
    },
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct FileStep {
    /// Its path as the repository has it.
    pub(crate) path: Vec<u8>,
    /// The change.
    pub(crate) change: FileChange,
    /// What stands there.
    pub(crate) standing: PlaceState,
    /// The commit that its content is of; none of what is taken away.
    pub(crate) commit: Option<String>,
    /// What differs, in a few words.
    pub(crate) diff: Option<String>,
}

impl RemedyStep {
    /// The kind, as the host allows it.
    pub(crate) fn kind(&self) -> RemedyKind {
        match self {
            Self::Files(_) => RemedyKind::Restore,
            Self::Service { recreates: true, .. } => RemedyKind::Recreate,
            Self::Container { .. } | Self::Service { .. } => RemedyKind::Restart,
            Self::Run { .. } | Self::Ask { .. } => RemedyKind::Run,
            Self::Apply { .. } => RemedyKind::Apply,
        }
    }

    /// What it will do, a line for each thing.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.iter().map(FileStep::line).collect(),
            Self::Container { verb, name } => {
                vec![format!("$ docker {verb} {}", quoted(&escaped(name.as_bytes())))]
            }
            Self::Service { recreates, files, project, service } => {
                let files = files.iter().map(|file| {
                    use std::os::unix::ffi::OsStrExt as _;
                    format!(" --file {}", quoted_name(file.as_os_str().as_bytes()))
                });
                let verb = if *recreates { "up --detach --no-deps --force-recreate" } else { "restart" };
                let [project, service] = [project, service].map(|it| quoted(&escaped(it.as_bytes())));
                vec![format!(
                    "$ docker compose{} --project-name {project} {verb} {service}",
                    files.collect::<String>()
                )]
            }
            Self::Run { name, argv, .. } => {
                let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
                vec![format!("$ {}   ([remediations.{name}])", escaped(words.join(" ").as_bytes()))]
            }
            Self::Ask { name, address, .. } => {
                vec![format!("POST {address}   ([remediations.{name}])")]
            }
            Self::Apply { proposal, changes } => {
                let target = quoted(&escaped(proposal.address().as_bytes()));
                let first = format!("$ terraform apply -target={target}   (exactly the plan of this)");
                let changes = changes.iter().map(|line| format!("    {}", escaped(line.as_bytes())));
                std::iter::once(first).chain(changes).collect()
            }
        }
    }
}

impl FileStep {
    /// The digest of its content afterwards.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match &self.change.after {
            PlaceState::File { bytes, .. } => Some(Digest::of(bytes)),
            PlaceState::Link(text) => Some(Digest::of(text)),
            PlaceState::Nothing => None,
        }
    }

    fn line(&self) -> String {
        let path = escaped(&self.path);
        let commit =
            self.commit.as_deref().map(|id| format!(", of commit {}", short_id(id))).unwrap_or_default();
        let diff = self.diff.as_ref().map(|diff| format!("   ({diff})")).unwrap_or_default();
        match (&self.standing, &self.change.after) {
            (_, PlaceState::Nothing) => format!("- {path}: taken away"),
            (PlaceState::Nothing, PlaceState::Link(_)) => format!("+ {path}: a link{commit}"),
            (PlaceState::Nothing, PlaceState::File { .. }) => format!("+ {path}: written{commit}"),
            (_, PlaceState::Link(_)) => format!("~ {path}: made a link{commit}"),
            (_, PlaceState::File { .. }) => format!("~ {path}: written anew{commit}{diff}"),
        }
    }
}
