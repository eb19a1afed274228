//! Whose signature a baseline must bear, and whether it does.

use std::path::{Path, PathBuf};

use clap::Args;

use super::project::Project;
use super::{Failure, clock, output, signature, ssh};
use crate::atomic::read_file_within;
use crate::audit::lock_file_names;
use crate::baseline::{self, Locks, SIGNATURE, Source, Whole};
use crate::config;
use crate::git::Repository;
use crate::model::in_words;
use crate::trust::{
    self, AllowedSigner, Case, LONGEST, NAMESPACE, Refused, Signature, SignatureCheck, Signer, list,
};

/// The variable that stands in for `--allowed-signers`.
const VARIABLE: &str = "DRIFTLOCK_ALLOWED_SIGNERS";

/// Options that say whose signature counts.
#[derive(Args)]
#[command(next_help_heading = "Whose signature counts")]
pub(super) struct TrustArgs {
    /// An unsigned baseline is an error, whatever audit/driftlock.toml says
    #[arg(long)]
    require_signature: bool,
    /// Who may sign, instead of what audit/driftlock.toml names; FILE must lie outside the repository. Implies
    /// --require-signature [env: DRIFTLOCK_ALLOWED_SIGNERS]
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
}

/// Whose signature counts.
#[derive(Debug, Clone)]
pub(super) struct Trusting {
    /// The file that names them and how it is called; `None` where one is demanded and none is named.
    file: Option<(PathBuf, String)>,
    /// The one whose signature it must be.
    pub(super) principal: Option<String>,
    /// Whether they were named beside the repository: then nothing that it says counts before it is signed.
    pub(super) from_outside: bool,
}

/// What may not be done as a configuration says that nobody who may has signed.
pub(super) const UNSIGNED_CONFIGURATION: &str =
    "audit/driftlock.toml is not signed by any of --allowed-signers";

impl TrustArgs {
    /// The file that names the signers beside the repository, and what named it.
    fn given(&self) -> Option<(PathBuf, &'static str)> {
        match &self.allowed_signers {
            Some(path) => Some((path.clone(), "--allowed-signers")),
            None => std::env::var_os(VARIABLE).map(|value| (PathBuf::from(value), VARIABLE)),
        }
    }

    /// Whether the signers are named beside the repository.
    pub(super) fn is_from_outside(&self) -> bool {
        self.given().is_some()
    }

    /// Whose signature counts; `None` where nobody's is demanded.
    ///
    /// # Errors
    /// When the file that was named is not there, or lies where those can write it who write the baseline.
    pub(super) fn resolve(&self, project: &Project) -> Result<Option<Trusting>, Failure> {
        if let Some((path, called)) = self.given() {
            outside(project, &path, called)?;
            let shown = output::shown(&path);
            return Ok(Some(Trusting { file: Some((path, shown)), principal: None, from_outside: true }));
        }
        let configured = Trusting::configured(project);
        if self.require_signature {
            return Ok(configured.or(Some(Trusting { file: None, principal: None, from_outside: false })));
        }
        Ok(configured)
    }
}

/// Refuses a file that lies in the project, or in the repository around it.
fn outside(project: &Project, path: &Path, called: &str) -> Result<(), Failure> {
    if path.as_os_str().is_empty() {
        let failure = Failure::new(format!("{called} is set, and empty: nobody could sign"));
        return Err(failure.hint("name the file that says who may sign, or unset it").of_project());
    }
    let failed = |error: &std::io::Error| Failure::at(path, error).of_project();
    let tops = tops(project);
    let way = way(path).map_err(|error| failed(&error))?;
    if way.iter().any(|place| tops.iter().any(|dir| place.starts_with(dir))) {
        let shown = output::shown(path);
        let failure = Failure::new(format!(
            "{called} {shown}: it lies in the repository, so whoever writes the baseline can write it, too"
        ));
        return Err(failure
            .hint("keep a copy outside, or name it in audit/driftlock.toml alone")
            .of_project());
    }
    Ok(())
}

/// The project's root, and the uppermost directory of each repository around it, also where git cannot be asked.
fn tops(project: &Project) -> Vec<PathBuf> {
    let around = Repository::around(&project.root).ok();
    let told = around.and_then(|repository| repository.top().canonicalize().ok());
    let seen = project.root.ancestors().filter(|dir| dir.join(".git").symlink_metadata().is_ok());
    std::iter::once(project.root.clone()).chain(told).chain(seen.map(Path::to_owned)).collect()
}

/// All that decides which file a path leads to: itself, each link that it leads through at its end, and the file.
fn way(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut way, mut here) = (vec![path.canonicalize()?], std::path::absolute(path)?);
    loop {
        way.push(here.clone());
        let (Some(dir), Some(name)) = (here.parent(), here.file_name()) else { return Ok(way) };
        let place = dir.canonicalize()?.join(name);
        way.push(place.clone());
        match std::fs::read_link(&place) {
            Ok(target) => here = place.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(way),
        }
    }
}

impl Trusting {
    /// What the configuration says; `None` where it names no file.
    pub(super) fn configured(project: &Project) -> Option<Self> {
        let named = project.config.trust.allowed_signers.as_ref()?;
        let path = project.root.join(ssh::expand_home(named));
        Some(Self { file: Some((path, output::shown(named))), principal: None, from_outside: false })
    }

    /// Those who may sign.
    pub(super) fn signers(&self) -> Result<Vec<AllowedSigner>, Refused> {
        let Some((path, shown)) = &self.file else { return Err(Refused::NoSigners) };
        let bad = |why: String| Refused::Signers(format!("{shown}: {why}"));
        let bytes = read_file_within(path, LONGEST).map_err(|error| bad(in_words(&error)))?;
        trust::parse(&bytes).map_err(|line| bad(line.to_string()))
    }

    /// Who signed a baseline, and whether that counts; `locks` are the lock files that were read of it.
    pub(super) fn look(&self, project: &Project, source: &Source, locks: Option<&Locks>) -> SignatureCheck {
        let whole = match Whole::read(source, &lock_file_names(), config::PATH) {
            Ok(whole) => whole,
            Err(error) => return SignatureCheck { files: 0, by: Err(other(source, &error.to_string())) },
        };
        let own = project.config.digest;
        let configuration = if matches!(source, Source::Git(_)) { whole.configuration } else { own };
        let listed = signature::listed(&whole, configuration);
        let by = is_what_was_read(&whole, locks, source)
            .and_then(|()| self.judge(&whole, &list(&listed), source))
            .and_then(
                |signer| if configuration == own { Ok(signer) } else { self.beside(project, source, signer) },
            );
        SignatureCheck { files: listed.len(), by }
    }

    /// The signer of a commit's baseline, where the present configuration, another one, is signed as well.
    fn beside(&self, project: &Project, source: &Source, signer: Signer) -> Result<Signer, Refused> {
        match self.look(project, &project.source(), None).by {
            Ok(_) => Ok(signer),
            Err(why) => Err(Refused::Configuration { from: source.name(), why: Box::new(why) }),
        }
    }

    fn judge(&self, whole: &Whole, message: &[u8], source: &Source) -> Result<Signer, Refused> {
        self.signers()?;
        let place = format!("{}/{SIGNATURE}", source.name());
        let bytes = match &whole.signature {
            None => return Err(Refused::unsigned(place)),
            Some(Err(error)) => return Err(other(source, &error.to_string())),
            Some(Ok(bytes)) => bytes,
        };
        self.judge_bytes(bytes, &place, message, NAMESPACE)
    }

    /// Judges the bytes of a signature's file.
    pub(super) fn judge_bytes(
        &self,
        bytes: &[u8],
        place: &str,
        message: &[u8],
        namespace: &str,
    ) -> Result<Signer, Refused> {
        let signers = self.signers()?;
        let signature =
            Signature::read(bytes).map_err(|damaged| Refused::damaged(place, &damaged, namespace))?;
        let principal = self.principal.as_deref();
        let case = Case { namespace, signers: &signers, clock: clock::of_signatures(), principal };
        trust::judge(&signature, message, &case)
    }
}

/// What could not be read of a baseline.
fn other(source: &Source, reason: &str) -> Refused {
    let reason = reason.strip_prefix(&format!("{}/", source.name())).unwrap_or(reason).to_owned();
    Refused::Other { place: source.name(), reason }
}

/// Makes sure that what is compared with is what the signature is of: somebody may write meanwhile.
fn is_what_was_read(whole: &Whole, locks: Option<&Locks>, source: &Source) -> Result<(), Refused> {
    let read = locks.map(Locks::digests).unwrap_or_default();
    let Some((name, _)) = read.iter().find(|(name, digest)| whole.files.get(**name) != digest.as_ref())
    else {
        return Ok(());
    };
    let why = match source {
        Source::Git(_) => {
            "the commit does not hold it, and nobody has signed what stands in for it; \
                           compare with a commit that holds signed lock files"
        }
        Source::Directory { .. } => "it was replaced while it was read; check again",
    };
    Err(Refused::Other { place: format!("{}/{name}", source.name()), reason: why.to_owned() })
}

/// Where the signature of the project's own baseline lies.
pub(super) fn own_place() -> String {
    format!("{}/{SIGNATURE}", baseline::PATH)
}
