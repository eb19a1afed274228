//! The alterations of what the lock file says of containers that run here.

use crate::check::{
    COMPOSE_APPLIED, CONTAINER_CONTENTS, CONTAINER_MOUNTS, CONTAINER_NETWORKS, CONTAINER_STATE,
};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::baseline;
use crate::cli::commands::selftest::alteration::{Act, Alteration, NotTried};
use crate::cli::commands::selftest::copy::Copy;
use crate::config::OnUnexpected;
use crate::section::{IMAGES, INSIDE, find};

/// A container that nobody has.
const NOBODY: &str = "driftlock-selftest";

/// Everything that is tried on them.
pub(crate) fn all(copy: &Copy) -> Vec<Alteration> {
    let file = find(IMAGES).and_then(|section| section.lock_files().first());
    let Some(path) = file.map(|file| Path::new(baseline::PATH).join(file)) else { return Vec::new() };
    let Ok(lock) = serde_json::from_slice::<Value>(copy.bytes(&path)) else { return Vec::new() };
    let name = lock["images"].as_object().and_then(|images| images.keys().next());
    let Some(name) = name.cloned() else { return Vec::new() };
    let container = Container { lock, name, path };
    let mut all = container.of_images(copy);
    all.extend(container.of_states());
    all.extend(container.of_surroundings());
    all.extend(of_contents(copy));
    all
}

/// The alterations of what is locked of files inside containers, where any are.
fn of_contents(copy: &Copy) -> Vec<Alteration> {
    let file = find(INSIDE).and_then(|section| section.lock_files().first());
    let Some(path) = file.map(|file| Path::new(baseline::PATH).join(file)) else { return Vec::new() };
    let lock = copy.bytes(&path).to_vec();
    let Some(first) = lock.iter().position(|&b| b == b'\n').map(|end| lock[..=end].to_vec()) else {
        return Vec::new();
    };
    let (digest, name) = first.trim_ascii_end().split_at(first.len().min(DIGEST));
    let place = name.trim_ascii_start().to_vec();
    let other: Vec<u8> = digest.iter().map(|&b| if b == b'0' { b'1' } else { b'0' }).collect();
    let changed = [&other, &lock[digest.len()..]].concat();
    let beside = [&place, &b"!driftlock-selftest"[..]].concat();
    let more = [&first[..], &other, b"  ", &beside, b"\n", &lock[first.len()..]].concat();
    let is_alone = lock.len() == first.len();
    let taken = if is_alone { Err(NotTried::OneLine) } else { Ok(Act::Write(lock[first.len()..].to_vec())) };
    let one = |what, place: Vec<u8>, act| Alteration {
        what,
        path: path.clone(),
        check: CONTAINER_CONTENTS,
        place: Some(place),
        act,
    };
    vec![
        one("a file in a container has other bytes than accepted", place.clone(), Ok(Act::Write(changed))),
        one("a file is gone from a container", beside, Ok(Act::Write(more))),
        one("a file is in a container that nobody accepted", place, taken),
    ]
}

/// The length of a digest in hex.
const DIGEST: usize = 64;

/// One container of the lock file.
struct Container {
    lock: Value,
    name: String,
    path: PathBuf,
}

impl Container {
    fn alteration(
        &self,
        what: &'static str,
        check: &'static str,
        name: &str,
        act: Result<Act, NotTried>,
    ) -> Alteration {
        Alteration { what, path: self.path.clone(), check, place: Some(name.as_bytes().to_vec()), act }
    }

    /// The lock file with a change.
    fn with(&self, change: impl FnOnce(&mut Value)) -> Result<Act, NotTried> {
        let mut other = self.lock.clone();
        change(&mut other["images"]);
        let bytes =
            serde_json::to_vec_pretty(&other).map_err(|error| NotTried::NotWritten(error.to_string()))?;
        Ok(Act::Write([&bytes[..], b"\n"].concat()))
    }

    /// The lock file with another value of a fact, where that is known of the container.
    fn with_other(&self, field: &str, other: impl FnOnce(&str) -> String) -> Result<Act, NotTried> {
        let Some(known) = self.lock["images"][&self.name][field].as_str() else {
            return Err(NotTried::NotLocked(field.to_owned()));
        };
        self.with(|images| images[&self.name][field] = other(known).into())
    }

    fn of_images(&self, copy: &Copy) -> Vec<Alteration> {
        let nothing = || format!("sha256:{}", "0".repeat(64));
        let added = |images: &mut Value| images[NOBODY] = json!({"image": "x:1", "imageId": nothing()});
        let taken = |images: &mut Value| {
            images.as_object_mut().map(|images| images.remove(&self.name));
            added(images);
        };
        let is_ignored =
            copy.config().docker.as_ref().is_some_and(|docker| docker.unexpected == OnUnexpected::Ignore);
        let unknown = if is_ignored { Err(NotTried::Ignored) } else { self.with(taken) };
        let id = self.with_other("imageId", |_| nothing());
        let tag = self.with_other("image", |_| "driftlock-selftest:1".to_owned());
        let check = "docker_images";
        vec![
            self.alteration("a container runs another image than accepted", check, &self.name, id),
            self.alteration("a container runs another tag than accepted", check, &self.name, tag),
            self.alteration("an accepted container is not there", check, NOBODY, self.with(added)),
            self.alteration("a container runs that nobody accepted", check, &self.name, unknown),
            Alteration {
                what: "a lock file is removed",
                path: self.path.clone(),
                check,
                place: None,
                act: Ok(Act::Remove),
            },
        ]
    }

    /// The lock file with one more entry in a list of the container, where that is known of it.
    fn with_more(&self, field: &str, more: Value) -> Result<Act, NotTried> {
        if !self.lock["images"][&self.name][field].is_array() {
            return Err(NotTried::NotLocked(field.to_owned()));
        }
        self.with(|images| {
            if let Some(all) = images[&self.name][field].as_array_mut() {
                all.push(more);
            }
        })
    }

    fn of_surroundings(&self) -> Vec<Alteration> {
        let mount = json!({"destination": "/driftlock-selftest", "type": "bind", "source": "/", "rw": false});
        let (mount, network) = (self.with_more("mounts", mount), self.with_more("networks", NOBODY.into()));
        let port = self.with_more("ports", "127.0.0.1:1->1/tcp".into());
        let mounts = CONTAINER_MOUNTS.id();
        vec![
            self.alteration("a container has lost a mount", mounts, &self.name, mount),
            self.alteration("a container has left a network", CONTAINER_NETWORKS, &self.name, network),
            self.alteration("a container no longer publishes a port", CONTAINER_NETWORKS, &self.name, port),
        ]
    }

    fn of_states(&self) -> Vec<Alteration> {
        let turned = |state: &str| if state == "running" { "exited" } else { "running" }.to_owned();
        let state = self.with_other("state", turned);
        let hash = self.with_other("composeConfigHash", |_| "0".repeat(64));
        vec![
            self.alteration(
                "a container is in another state than accepted",
                CONTAINER_STATE,
                &self.name,
                state,
            ),
            self.alteration(
                "a container has another configuration than accepted",
                COMPOSE_APPLIED,
                &self.name,
                hash,
            ),
        ]
    }
}
