//! Whose signature a baseline must bear, and whether it does.

use crate::audit::signed_files;
use std::path::{Path, PathBuf};

use crate::atomic::read_file_within;
use crate::baseline::{Locks, SIGNATURE, Source, Whole};
use crate::check::{BASELINE_SIGNED, CHECKS, baseline_signed};
use crate::control::clock;
use crate::error::Failure;
use crate::git::Repository;
use crate::model::printable_path;
use crate::model::{CheckResult, ExitCode, Report, Verdict, in_words, judge, short_id};
use crate::project::Project;
use crate::section::lock_file_names;
use crate::trust::{
    self, ARMOR, AllowedSigner, COMMITS, Case, Civil, Clock, LONGEST, NAMESPACE, Refused, Signature,
    SignatureCheck, SignedCommit, Signer, list,
};

/// Whose signature counts.
#[derive(Debug, Clone)]
pub(crate) struct Trusting {
    /// The file that names them and how it is called; `None` where one is demanded and none is named.
    file: Option<(PathBuf, String)>,
    /// The one whose signature it must be.
    pub(crate) principal: Option<String>,
    /// Whether they were named beside the repository: then nothing that it says counts before it is signed.
    pub(crate) from_outside: bool,
}

/// The signatures that somebody beside the repository demands.
#[derive(Debug, Clone, Default)]
pub(crate) struct SignatureDemand {
    /// The file of those who may sign, and what named it: an option, a variable, or a file of the host.
    pub(crate) signers: Option<(PathBuf, String)>,
    /// Whether a baseline that nobody has signed is an error, whatever the repository says.
    pub(crate) is_required: bool,
}

impl SignatureDemand {
    /// Whose signature of a project's baseline counts; `None` where nobody's is demanded.
    ///
    /// # Errors
    /// When the file that was named is not there, or lies where those can write it who write the baseline.
    pub(crate) fn of(&self, project: &Project) -> Result<Option<Trusting>, Failure> {
        if let Some((path, called)) = &self.signers {
            return Trusting::named(project, path.clone(), called).map(Some);
        }
        let configured = Trusting::configured(project);
        Ok(if self.is_required { configured.or(Some(Trusting::nobody())) } else { configured })
    }

    /// The same for a project that was fetched: whoever pushes does not choose the signers that are demanded here.
    ///
    /// # Errors
    /// As [`SignatureDemand::of`].
    pub(crate) fn of_fetched(&self, project: &Project) -> Result<Option<Trusting>, Failure> {
        if self.signers.is_none() && self.is_required {
            Ok(Some(Trusting::nobody()))
        } else {
            self.of(project)
        }
    }

    /// The signer of a commit, given its object.
    ///
    /// # Errors
    /// The reason why no signature of it counts.
    pub(crate) fn signer_of_commit(&self, id: &str, object: &[u8]) -> Result<Signer, Refused> {
        let place = format!("commit {}", short_id(id));
        let other = |reason: &str| Refused::Other { place: place.clone(), reason: reason.to_owned() };
        let commit = SignedCommit::of(object);
        let bytes = match commit.signatures.as_slice() {
            [] => {
                return Err(other(
                    "nobody has signed it; sign commits with: git commit -S, and gpg.format = ssh",
                ));
            }
            [bytes] if bytes.starts_with(ARMOR) => bytes,
            [_] => {
                return Err(other(
                    "it is signed with OpenPGP or X.509, and who may sign is said of SSH keys; sign with gpg.format = ssh",
                ));
            }
            _ => return Err(other("it holds several signatures; sign it anew")),
        };
        let signers = Trusting { file: self.signers.clone(), principal: None, from_outside: true };
        signers.judge_bytes(bytes, &place, &commit.signed, COMMITS)
    }
}

/// Whether what the configuration says may be done after a check: where signers are named beside the repository, one of them
/// must have signed it.
pub(crate) fn believes(trusting: Option<&Trusting>, reports: &[Report]) -> bool {
    let is_signed = |report: &Report| {
        let mut its = report.checks.iter().filter(|check| check.id == BASELINE_SIGNED).peekable();
        its.peek().is_some() && its.all(|check| check.errors.is_empty())
    };
    trusting.is_none_or(|trusting| !trusting.from_outside) || reports.iter().all(is_signed)
}

/// Puts this machine's judgement of the baseline into a report that another one has made: what that says of the signature counts
/// only where it is an error.
pub(crate) fn judge_here(report: &mut Report, looked: Option<&SignatureCheck>) {
    let place = |id: &str| CHECKS.iter().position(|check| check.id() == id);
    let (theirs, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut report.checks).into_iter().partition(|check| check.id == BASELINE_SIGNED);
    report.checks = others;
    let theirs = theirs.into_iter().find(|check| !check.errors.is_empty());
    let at = report.checks.iter().position(|check| place(check.id) > place(BASELINE_SIGNED));
    let at = at.unwrap_or(report.checks.len());
    let own = match (looked.map(baseline_signed), theirs) {
        (Some(own), Some(theirs)) if own.errors.is_empty() => {
            Some(CheckResult { subjects: own.subjects, ..theirs })
        }
        (Some(own), _) => Some(own),
        (None, theirs) => theirs,
    };
    if let Some(own) = own {
        report.checks.insert(at, own);
    }
    let (theirs, own) = (report.verdict, judge(&report.checks));
    let nothing_compared = theirs.nothing_compared && own.errors == 0;
    let is_error = theirs.exit == ExitCode::Error || nothing_compared;
    report.verdict = Verdict { nothing_compared, ..if is_error { own.failed() } else { own } };
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
        let shown = printable_path(path);
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
    /// The signers of a file that is named beside the repository, by the option or variable `called`.
    ///
    /// # Errors
    /// When the file is not there, or lies where those can write it who write the baseline.
    pub(crate) fn named(project: &Project, path: PathBuf, called: &str) -> Result<Self, Failure> {
        outside(project, &path, called)?;
        let shown = printable_path(&path);
        Ok(Self { file: Some((path, shown)), principal: None, from_outside: true })
    }

    /// A signature is demanded, and nobody is named who may sign.
    pub(crate) fn nobody() -> Self {
        Self { file: None, principal: None, from_outside: false }
    }

    /// What the configuration says; `None` where it names no file.
    pub(crate) fn configured(project: &Project) -> Option<Self> {
        let named = project.config.trust.allowed_signers.as_ref()?;
        let path = project.configured_path(named);
        Some(Self { file: Some((path, printable_path(named))), principal: None, from_outside: false })
    }

    /// Those who may sign.
    pub(crate) fn signers(&self) -> Result<Vec<AllowedSigner>, Refused> {
        let Some((path, shown)) = &self.file else { return Err(Refused::NoSigners) };
        let bad = |why: String| Refused::Signers(format!("{shown}: {why}"));
        let bytes = read_file_within(path, LONGEST).map_err(|error| bad(in_words(&error)))?;
        trust::parse(&bytes).map_err(|line| bad(line.to_string()))
    }

    /// Who signed a baseline, and whether that counts; `locks` are the lock files that were read of it.
    pub(crate) fn look(&self, project: &Project, source: &Source, locks: Option<&Locks>) -> SignatureCheck {
        let whole = match Whole::read(source, &lock_file_names(), &signed_files::BESIDE) {
            Ok(whole) => whole,
            Err(error) => return SignatureCheck { files: 0, by: Err(other(source, &error.to_string())) },
        };
        let own = signed_files::beside(&project.config);
        let beside = if matches!(source, Source::Git(_)) { &whole.beside } else { &own };
        let listed = signed_files::listed(&whole, beside);
        let by = is_what_was_read(&whole, locks, source)
            .and_then(|()| self.judge(&whole, &list(&listed), source))
            .and_then(
                |signer| if *beside == own { Ok(signer) } else { self.beside(project, source, signer) },
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
    pub(crate) fn judge_bytes(
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
        let case = Case {
            namespace,
            signers: &signers,
            clock: Clock { now: clock::unix(), local: &without_summer_time },
            principal,
        };
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

/// Seconds since 1970 of a local time.
pub(crate) fn without_summer_time(civil: Civil) -> Option<i64> {
    Some(civil.as_utc() - i64::from(clock::standard_offset(civil.year)?))
}
