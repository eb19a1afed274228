//! What a repair replaced, below `audit/state/replaced`: a directory of each repair, which this user alone can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::step::FileStep;
use crate::atomic::replace_file;
use crate::control::clock;
use crate::host::PlaceState;
use crate::model::{Digest, escaped};
use crate::store::state;

/// The directory below that of the state.
const DIRECTORY: &str = "replaced";
/// The file that says what the others are.
const MANIFEST: &str = "manifest.json";

/// The directory of what repairs replaced, relative to the root.
pub(super) fn directory() -> PathBuf {
    Path::new(state::PATH).join(DIRECTORY)
}

/// One file that was replaced.
#[derive(Debug, Serialize)]
struct ReplacedFile {
    /// Its path as the repository has it.
    path: String,
    /// Where it lies on its host.
    place: String,
    /// `nothing`, `file` or `link`.
    was: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Where its bytes, or the text of the link, lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

/// What is written beside the files.
#[derive(Debug, Serialize)]
struct ReplacedManifest {
    schema: &'static str,
    began: String,
    target: Option<String>,
    by: String,
    why: String,
    steps: Vec<String>,
    files: Vec<ReplacedFile>,
    outcome: Option<String>,
}

/// What one repair replaced.
#[derive(Debug)]
pub(super) struct ReplacedFiles {
    root: PathBuf,
    /// Relative to the root.
    dir: PathBuf,
    manifest: ReplacedManifest,
}

impl ReplacedFiles {
    /// Makes a directory and puts what stands at each place into it, all of it on the disk before anything is replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn begin(
        root: &Path,
        (target, by, why): (Option<&str>, &str, &str),
        steps: Vec<String>,
        files: &[&FileStep],
    ) -> io::Result<Self> {
        let all = root.join(directory());
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700).create(&all)?;
        std::fs::set_permissions(&all, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let ignore = root.join(state::PATH).join(".gitignore");
        if !ignore.exists() {
            replace_file(&ignore, b"*\n")?;
        }
        let (began, _) = clock::utc();
        let name = format!("{}-{}", clock::utc_day_before(0), uuid::Uuid::now_v7().simple());
        let dir = directory().join(name);
        DirBuilder::new().mode(0o700).create(root.join(&dir))?;
        let mut kept = Vec::new();
        for (number, file) in files.iter().enumerate() {
            kept.push(keep(&root.join(&dir), number, file)?);
        }
        let manifest = ReplacedManifest {
            schema: "driftlock.replaced/1",
            began,
            target: target.map(str::to_owned),
            by: by.to_owned(),
            why: why.to_owned(),
            steps,
            files: kept,
            outcome: None,
        };
        let kept = Self { root: root.to_owned(), dir, manifest };
        kept.write()?;
        File::open(root.join(&kept.dir))?.sync_all()?;
        File::open(&all)?.sync_all()?;
        Ok(kept)
    }

    /// Where it lies, relative to the root.
    pub(super) fn place(&self) -> &Path {
        &self.dir
    }

    /// Says what became of the repair.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn end(&mut self, outcome: &str) -> io::Result<()> {
        self.manifest.outcome = Some(outcome.to_owned());
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&self.manifest).map_err(io::Error::from)?;
        bytes.push(b'\n');
        let path = self.root.join(&self.dir).join(MANIFEST);
        if self.manifest.outcome.is_some() {
            replace_file(&path, &bytes)
        } else {
            write_private(&path, &bytes)
        }
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn keep(dir: &Path, number: usize, file: &FileStep) -> io::Result<ReplacedFile> {
    let name = format!("{number:04}");
    let (was, bytes, ownership) = match &file.standing {
        PlaceState::Nothing => ("nothing", None, None),
        PlaceState::Link(text) => ("link", Some(&text[..]), None),
        PlaceState::File { bytes, ownership } => ("file", Some(&bytes[..]), Some(*ownership)),
    };
    if let Some(bytes) = bytes {
        write_private(&dir.join(&name), bytes)?;
    }
    Ok(ReplacedFile {
        path: escaped(&file.path),
        place: crate::model::printable_path(&file.change.place.whole()),
        was,
        mode: ownership.map(|it| format!("{:04o}", it.mode)),
        owner: ownership.map(|it| format!("{}:{}", it.uid, it.gid)),
        digest: bytes.map(|bytes| Digest::of(bytes).to_string()),
        kept: bytes.map(|_| name),
    })
}

/// Removes what repairs of days replaced that are over by so many days.
pub(super) fn prune(root: &Path, days: u32) {
    if days == 0 {
        return;
    }
    let first = clock::utc_day_before(days);
    let Ok(entries) = std::fs::read_dir(root.join(directory())) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let day = name.get(..8).filter(|day| day.bytes().all(|b| b.is_ascii_digit()));
        let is_ours = name.get(8..9) == Some("-") && entry.path().join(MANIFEST).is_file();
        if is_ours && day.is_some_and(|day| day < first.as_str()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
