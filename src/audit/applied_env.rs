//! The variables of containers against those that their compose files give now, by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use crate::audit::target::Aim;
use crate::check::Evidence;
use crate::content::{GivenVariables, env, variables_of};
use crate::host::{Content, Host, HostError, Watch};
use crate::model::{AppliedEnvironment, ContainerEnvironment, Observed, escaped};
use crate::section::IMAGES;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The variables that engines and the client give containers by themselves, or that a proxy of theirs has.
const OF_ENGINES: [&str; 15] = [
    "PATH",
    "HOME",
    "HOSTNAME",
    "TERM",
    "container",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
];

/// Puts into what was seen of containers how their variables stand to what their compose files give them now.
///
/// # Errors
/// When `watch` was cancelled.
pub(crate) fn put(
    aim: &Aim,
    host: &dyn Host,
    evidence: &mut [Evidence],
    watch: &Watch,
) -> Result<(), HostError> {
    let images = evidence.iter_mut().find(|e| e.section.id() == IMAGES).map(|e| &mut e.observed);
    let Some(Observed::Seen(seen)) = images else { return Ok(()) };
    let environments = &seen.views.environments;
    let files = environments.values().flat_map(|it| &it.files).flatten().cloned();
    let files = Files::read(host, files.collect(), watch)?;
    let given: BTreeMap<&Vec<u8>, Result<GivenVariables, AppliedEnvironment>> =
        environments.iter().map(|(name, it)| (name, given_by(it, &files))).collect();
    let named = environments.iter().flat_map(|(name, it)| {
        let files = given[name].as_ref().ok().into_iter().flat_map(|given| &given.files);
        files.filter_map(|(path, _)| place_of(aim, it, path))
    });
    let more = Files::read(host, named.collect(), watch)?;
    let applied = environments.iter().map(|(name, it)| {
        let one = match &given[name] {
            Ok(given) => compared(aim, it, given, &more).unwrap_or_else(|why| why),
            Err(why) => why.clone(),
        };
        (name.clone(), one)
    });
    seen.views.applied = applied.collect();
    Ok(())
}

/// Files that were read, by path.
struct Files(BTreeMap<Vec<u8>, Content>);

impl Files {
    fn read(host: &dyn Host, paths: BTreeSet<Vec<u8>>, watch: &Watch) -> Result<Self, HostError> {
        let wanted: Vec<(Vec<u8>, u64)> = paths.iter().map(|path| (path.clone(), LARGEST)).collect();
        if wanted.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let read = match host.contents(&wanted, watch) {
            Ok(read) => read,
            Err(HostError::Interrupted) => return Err(HostError::Interrupted),
            Err(HostError::Unreachable(why)) => {
                wanted.iter().map(|_| Content::Unreadable(why.clone().into())).collect()
            }
        };
        Ok(Self(paths.into_iter().zip(read).collect()))
    }

    /// The bytes of a file; none where nothing is there.
    fn bytes(&self, path: &[u8]) -> Result<Option<&[u8]>, AppliedEnvironment> {
        let refused = |why: String| {
            AppliedEnvironment::Unreadable(format!("{} could not be read: {why}", escaped(path)))
        };
        match self.0.get(path) {
            Some(Content::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Content::Gone) => Ok(None),
            Some(Content::TooLarge(size)) => {
                Err(refused(format!("it has {size} bytes, and no more than {LARGEST} are read")))
            }
            Some(Content::Unreadable(why)) => Err(refused(why.to_string())),
            None => Err(refused("it was not asked for".to_owned())),
        }
    }
}

fn unresolved(why: &str) -> AppliedEnvironment {
    AppliedEnvironment::Unresolved(why.to_owned())
}

/// The variables that the compose files of a container give.
fn given_by(it: &ContainerEnvironment, files: &Files) -> Result<GivenVariables, AppliedEnvironment> {
    if it.names.is_none() {
        return Err(unresolved("the engine was not asked for them, or does not have its image any more"));
    }
    let mut texts = Vec::new();
    for path in &it.files {
        let path = path.as_ref().ok_or_else(|| unresolved("one of them lies outside the repository"))?;
        let bytes = files.bytes(path)?;
        let bytes = bytes.ok_or_else(|| unresolved("one of them is not there any more"))?;
        texts.push(str::from_utf8(bytes).map_err(|_| unresolved("one of them is no text (UTF-8)"))?);
    }
    if texts.is_empty() {
        return Err(unresolved("it does not say which they are"));
    }
    variables_of(&texts, &it.service).map_err(|why| unresolved(&why.to_string()))
}

/// The path on the host of an environment file: one that is relative lies below the project's directory, else beside the first
/// compose file.
fn place_of(aim: &Aim, it: &ContainerEnvironment, path: &str) -> Option<Vec<u8>> {
    if path.starts_with('/') {
        return Some(path.as_bytes().to_vec());
    }
    let first = || {
        let first = it.files.first()?.as_deref()?;
        Some(first.iter().rposition(|&b| b == b'/').map_or(&[][..], |cut| &first[..cut]).to_vec())
    };
    let directory = it.directory.clone().or_else(first)?;
    let directory = aim.layout.locate(&directory)?;
    Some(directory.join(Path::new(path)).into_os_string().into_vec())
}

fn compared(
    aim: &Aim,
    it: &ContainerEnvironment,
    given: &GivenVariables,
    files: &Files,
) -> Result<AppliedEnvironment, AppliedEnvironment> {
    let (mut set, mut passed) = (BTreeSet::new(), BTreeSet::new());
    for (path, is_required) in &given.files {
        let outside = || unresolved("an environment file lies outside the repository");
        let place = place_of(aim, it, path).ok_or_else(outside)?;
        let Some(bytes) = files.bytes(&place)? else {
            if *is_required {
                let why = format!("the environment file {} is not there", escaped(path.as_bytes()));
                return Err(unresolved(&why));
            }
            continue;
        };
        let why =
            |error: env::EnvError| AppliedEnvironment::Unreadable(format!("{}: {error}", escaped(&place)));
        for (key, has_value) in env::defined(bytes).map_err(why)? {
            (if has_value { &mut set } else { &mut passed }).insert(key);
        }
    }
    // What is given in the compose file goes before what files give.
    set.extend(given.set.iter().cloned());
    passed.extend(given.passed.iter().cloned());
    let names = it.names.clone().unwrap_or_default();
    let is_its_own = |key: &&String| !names.image.contains(*key) && !OF_ENGINES.contains(&key.as_str());
    let missing = set.iter().filter(|key| !passed.contains(*key) && !names.own.contains(*key));
    let missing: BTreeSet<String> = missing.filter(is_its_own).cloned().collect();
    let left = names.own.iter().filter(|key| !set.contains(*key) && !passed.contains(*key));
    let left: BTreeSet<String> = left.filter(is_its_own).cloned().collect();
    let keys = names.own.union(&set).filter(is_its_own).count();
    Ok(AppliedEnvironment::Compared { keys, missing, left })
}
