//! A path of a container as its engine's archive: for containers that do not run, or into which this user may not look.
//!
//! The call is not a read: where the source of a bind is missing, the engine makes a directory in its place. And under a mount it
//! shows what is on the host today. So it is made only where every source is there, and no mount meets the path.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::Deserialize;

use super::api::{CallError, EngineApi};
use super::rows::MountPoint;
use crate::host::archive::{ArchiveDisk, ArchiveReader, TarError};
use crate::host::layout::below;
use crate::host::{HostError, Watch};

/// The header that says what is at a path.
const STAT: &str = "x-docker-container-path-stat";

/// The largest file whose content is read, in bytes.
const LARGEST_CONTENT: u64 = 64 << 20;

/// Why a path was not read through the engine.
#[derive(Debug, thiserror::Error)]
pub(in crate::host) enum ArchiveError {
    #[error(
        "{1} is mounted at {0}, and the engine's archive would show what is there today: run driftlock as root while the container runs"
    )]
    Mounted(String, String),
    #[error(
        "the source of a bind, {0}, is not seen to be there, and the engine's archive would make a directory in its place: put it back, or run driftlock as root on the engine's own machine while the container runs"
    )]
    NoSource(String),
    #[error("there is no {0} in the container: correct the path in [[docker.contents]]")]
    Nothing(String),
    #[error(
        "with docker = \"cli\" the engine sends no archive: set docker = \"auto\" or \"sudo\" for the target"
    )]
    ByCommands,
    #[error("the engine sent no archive: {0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Tar(#[from] TarError),
    #[error("interrupted")]
    Interrupted,
}

impl From<HostError> for ArchiveError {
    fn from(_: HostError) -> Self {
        Self::Interrupted
    }
}

/// The fields that say what is mounted in a container.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mounted {
    mounts: Option<Vec<MountPoint>>,
    host_config: Option<TemporaryMounts>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TemporaryMounts {
    tmpfs: Option<BTreeMap<String, String>>,
}

/// What the engine says of a path: the kind and permissions as Go's `FileMode` has them. Docker names a target of links alone,
/// Podman one of everything.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PathStat {
    mode: u64,
}

/// The bit of a symbolic link: <https://pkg.go.dev/io/fs#FileMode>.
const SYMLINK: u64 = 1 << 27;

/// The container that is read.
#[derive(Clone, Copy)]
pub(in crate::host) enum Contained<'a> {
    /// One that somebody made. The function tells whether the source of a bind is on the engine's machine.
    Given(&'a dyn Fn(&str) -> bool),
    /// One that was made of an image just now: its volumes are copies of what the image has there.
    OfImage,
}

/// The files of a container at a path, and the first part of the path that is a link.
///
/// # Errors
/// When they could not be read, or must not be asked for.
pub(in crate::host) async fn read(
    engine: &EngineApi,
    id: &str,
    path: &str,
    of: Contained<'_>,
    watch: &Watch,
) -> Result<(ArchiveDisk, Option<String>), ArchiveError> {
    read_by(engine, (id, path), of, ArchiveReader::of(path), watch).await
}

async fn read_by(
    engine: &EngineApi,
    (id, path): (&str, &str),
    of: Contained<'_>,
    mut reader: ArchiveReader,
    watch: &Watch,
) -> Result<(ArchiveDisk, Option<String>), ArchiveError> {
    let mounted = engine.get::<Mounted>(&format!("/containers/{id}/json")).await?;
    if let Contained::Given(is_there) = of {
        may_be_asked(&mounted, path, is_there)?;
    }
    let mut link = None;
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    for end in ends {
        let part = &path[..end];
        let stat = match engine.header(&call(id, part), STAT).await {
            Err(error) if error.is_not_found() => return Err(ArchiveError::Nothing(part.to_owned())),
            stat => stat?,
        };
        let stat = stat.and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let stat = stat.and_then(|bytes| serde_json::from_slice::<PathStat>(&bytes).ok());
        if link.is_none() && stat.is_some_and(|stat| stat.mode & SYMLINK != 0) {
            link = Some(part.to_owned());
        }
    }
    engine
        .stream(&call(id, path), &mut |piece| {
            if watch.is_cancelled() {
                return Err(ArchiveError::Interrupted);
            }
            watch.read(piece.len() as u64);
            Ok(reader.feed(piece, watch)?)
        })
        .await?;
    Ok((reader.finish()?, link))
}

/// The same with the content of its files.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_content(
    engine: &EngineApi,
    id: &str,
    path: &str,
    of: Contained<'_>,
    watch: &Watch,
) -> Result<ArchiveDisk, ArchiveError> {
    let reader = ArchiveReader::keeping(path, LARGEST_CONTENT);
    read_by(engine, (id, path), of, reader, watch).await.map(|(disk, _)| disk)
}

fn may_be_asked(mounted: &Mounted, path: &str, is_there: &dyn Fn(&str) -> bool) -> Result<(), ArchiveError> {
    let meets = |point: &str| {
        let (point, path) = (point.trim_end_matches('/').as_bytes(), path.as_bytes());
        below(point, path).is_some() || below(path, point).is_some()
    };
    let temporary =
        mounted.host_config.iter().flat_map(|config| config.tmpfs.iter().flat_map(BTreeMap::keys));
    let temporary = temporary.map(|point| (point.as_str(), "a tmpfs"));
    let mounts = || mounted.mounts.iter().flatten();
    let points = mounts().map(|mount| {
        (mount.destination.as_deref().unwrap_or_default(), mount.source.as_deref().unwrap_or_default())
    });
    if let Some((at, what)) = points.chain(temporary).find(|(point, _)| meets(point)) {
        let what = if what.is_empty() { "something" } else { what };
        return Err(ArchiveError::Mounted(at.to_owned(), what.to_owned()));
    }
    let binds = mounts().filter(|mount| mount.kind.as_deref() == Some("bind"));
    let mut sources = binds.map(|mount| mount.source.as_deref().unwrap_or_default());
    match sources.find(|source| !is_there(source)) {
        Some(source) => Err(ArchiveError::NoSource(source.to_owned())),
        None => Ok(()),
    }
}

/// The call for a path, which may hold anything.
fn call(id: &str, path: &str) -> String {
    let escaped = path.bytes().map(|b| match b {
        b'/' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    });
    format!("/containers/{id}/archive?path={}", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_made_only_where_it_shows_what_the_container_has_and_makes_nothing() {
        let told = |text: &str| serde_json::from_str::<Mounted>(text).unwrap();
        let may = |text: &str, path: &str| may_be_asked(&told(text), path, &|path| path == "/srv");
        let bind = |source: &str, at: &str| {
            format!(r#"{{"Mounts": [{{"Type": "bind", "Source": "{source}", "Destination": "{at}"}}]}}"#)
        };
        assert!(may("{}", "/mnt").is_ok() && may(&bind("/srv", "/data"), "/mnt/addons").is_ok());
        for at in ["/mnt/addons", "/mnt/", "/", "/mnt/addons/shop"] {
            assert!(matches!(may(&bind("/srv", at), "/mnt/addons"), Err(ArchiveError::Mounted(..))), "{at}");
        }
        assert!(matches!(may(&bind("/gone", "/data"), "/mnt"), Err(ArchiveError::NoSource(_))));
        let tmpfs = r#"{"HostConfig": {"Tmpfs": {"/mnt": "size=1m"}}}"#;
        assert!(matches!(may(tmpfs, "/mnt/addons"), Err(ArchiveError::Mounted(..))));
        assert_eq!(call("c", "/a b/ü&?"), "/containers/c/archive?path=/a%20b/%C3%BC%26%3F");
    }
}
