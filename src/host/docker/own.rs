//! A container of driftlock's own on an engine of this machine, for proving what the checks of containers notice: of a tiny image that
//! is imported for it, without a network. Both are removed when it is dropped, also where the run is interrupted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::DEADLINE;
use super::api::{CallError, EngineApi};
use super::engine::Engine;
use super::failure::EngineError;
use crate::control::progress::Unfinished;
use crate::control::{any_number, clock, runtime};
use crate::host::Watch;

/// The label of such a container and of its image.
const LABEL: &str = "driftlock.selftest";
/// The name of its only program, from the root of its image.
const PROGRAM: &str = "wait";
/// The permissions of an archive's entries: everybody may read and run them.
const MODE: u32 = 0o755;
/// The time after which the container ends by itself, should nobody be left to remove it.
const LIFE_SECONDS: u32 = 300;

/// How the names of such containers begin, and of their images.
const NAME: &str = "driftlock-selftest-";

/// The pause before it is looked again whether the container is gone.
const PAUSE: Duration = Duration::from_millis(20);
/// The size of the headers of an executable with one segment.
const HEADERS: u64 = 64 + 56;
/// The address at which it is loaded.
const BASE: u64 = 0x40_0000;
/// The size of a block of an archive.
const BLOCK: usize = 512;

/// A container that waits. Nothing is ever started in it but that.
pub(crate) struct OwnContainer {
    engine: Engine,
    /// Its name, which its image has, too.
    name: String,
    image_id: String,
    /// What it is made of.
    wanted: Value,
    _unfinished: Unfinished,
}

/// What is read of the container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    image: String,
}

/// What is read of an image in the engine's list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedImage {
    /// In seconds since 1970.
    created: i64,
    repo_tags: Option<Vec<String>>,
}

impl OwnContainer {
    /// A name that no other container has.
    pub(crate) fn new_name() -> String {
        format!("{NAME}{:016x}", any_number())
    }

    /// Starts a container of this name whose image has these files, with paths of this machine mounted at others.
    ///
    /// # Errors
    /// When there is no engine here, or it does not do that.
    pub(crate) fn start(
        engine: &Engine,
        name: String,
        files: &[(&str, &[u8])],
        mounted: &[(PathBuf, &str)],
        watch: &Watch,
    ) -> Result<Self, EngineError> {
        if engine.is_of_another_machine() {
            return Err(EngineError::NoEngine("the engine is on another machine".to_owned()));
        }
        let Some(program) = program() else {
            let why = format!("no container can be made for {} machines", std::env::consts::ARCH);
            return Err(EngineError::NoEngine(why));
        };
        let files: Vec<(&str, &[u8])> =
            std::iter::once((PROGRAM, &program[..])).chain(files.iter().copied()).collect();
        let mounts = mounted.iter().map(|(source, at)| {
            json!({"Type": "bind", "Source": source.to_string_lossy(), "Target": at, "ReadOnly": true})
        });
        // Podman would give it more than a small machine may.
        let limits = ["nofile", "nproc"].map(|limit| json!({"Name": limit, "Soft": 1024, "Hard": 1024}));
        let wanted = json!({
            "Image": reference(&name),
            "Cmd": [format!("/{PROGRAM}")],
            "Labels": { LABEL: name },
            "HostConfig": {
                "NetworkMode": "none",
                // A check whose baseline does not name it leaves it out, and it does not outlive its program.
                "AutoRemove": true,
                "CapDrop": ["ALL"],
                "Mounts": mounts.collect::<Vec<_>>(),
                "Ulimits": limits,
            },
        });
        let import = format!(
            "/images/create?fromSrc=-&repo=localhost/{name}&tag=latest&changes=LABEL%20{LABEL}={name}"
        );
        // From here on, whatever was made is removed when this is dropped.
        let (engine, image_id) = (engine.clone(), String::new());
        let mut container = Self { engine, name, image_id, wanted, _unfinished: watch.unfinished() };
        container.image_id = container.ask(async |engine| {
            forget_the_killed(engine).await?;
            engine.send(Method::POST, &import, archive(&files)).await?;
            container.run(engine).await
        })?;
        Ok(container)
    }

    /// Makes the container and starts it: the ID of its image.
    async fn run(&self, engine: &EngineApi) -> Result<String, CallError> {
        let name = &self.name;
        engine.post::<IgnoredAny>(&format!("/containers/create?name={name}"), &self.wanted).await?;
        engine.send(Method::POST, &format!("/containers/{name}/start"), Bytes::new()).await?;
        Ok(engine.get::<Inspected>(&format!("/containers/{name}/json")).await?.image)
    }

    /// Removes the container, and waits until it is gone: the engine removes it, too, once its program ends.
    async fn remove(&self, engine: &EngineApi) -> Result<(), CallError> {
        let name = &self.name;
        let removed = engine.delete(&format!("/containers/{name}?force=true&v=true")).await;
        let since = Instant::now();
        while since.elapsed() < DEADLINE {
            match engine.get::<IgnoredAny>(&format!("/containers/{name}/json")).await {
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        removed
    }

    /// The image's name.
    pub(crate) fn reference(&self) -> String {
        reference(&self.name)
    }

    /// The image's ID.
    pub(crate) fn image_id(&self) -> &str {
        &self.image_id
    }

    /// Makes it anew, as its image has it and with the host's paths as they are now.
    ///
    /// # Errors
    /// When the engine does not do that.
    pub(crate) fn recreate(&self) -> Result<(), EngineError> {
        self.ask(async |engine| {
            self.remove(engine).await?;
            self.run(engine).await.map(drop)
        })
    }

    /// Writes a file in it, below its root.
    ///
    /// # Errors
    /// When the engine does not do that.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let call = format!("/containers/{}/archive?path=/", self.name);
        self.ask(async |engine| engine.send(Method::PUT, &call, archive(&[(path, bytes)])).await.map(drop))
    }

    /// Has a conversation with the engine. No cancelled run ends it: what was begun to be made must be known to be removed.
    fn ask<T>(&self, talk: impl AsyncFnOnce(&EngineApi) -> Result<T, CallError>) -> Result<T, EngineError> {
        runtime::block_on(async {
            let engine = self.engine.connect()?;
            talk(&engine).await.map_err(|error| self.engine.contact().failed(error))
        })?
    }
}

impl Drop for OwnContainer {
    fn drop(&mut self) {
        let image = format!("/images/{}?force=true", self.reference());
        let _ = self.ask(async |engine| {
            // The image is there, whether the container is or not.
            let removed = self.remove(engine).await;
            engine.delete(&image).await.and(removed)
        });
    }
}

/// Removes the images of runs that were killed: they are older than any such container lives. One that is in use stays.
async fn forget_the_killed(engine: &EngineApi) -> Result<(), CallError> {
    let labelled = format!("/images/json?filters=%7B%22label%22%3A%5B%22{LABEL}%22%5D%7D");
    let images: Vec<ListedImage> = engine.get(&labelled).await?;
    let begun = clock::unix() - i64::from(LIFE_SECONDS);
    let old = images.into_iter().filter(|image| image.created < begun);
    for tag in old.flat_map(|image| image.repo_tags.unwrap_or_default()) {
        if tag.starts_with(&format!("localhost/{NAME}")) {
            // What cannot be removed now is tried again the next time.
            let _ = engine.delete(&format!("/images/{tag}")).await;
        }
    }
    Ok(())
}

/// The name of the image of a container.
fn reference(name: &str) -> String {
    format!("localhost/{name}:latest")
}

/// A tar archive of regular files, each below directories that are there or are made.
fn archive(files: &[(&str, &[u8])]) -> Bytes {
    let mut all = Vec::new();
    for (name, bytes) in files {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, name.as_bytes());
        put(100, format!("{MODE:07o}").as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{:011o}\0{:011o}", bytes.len(), 0).as_bytes());
        put(148, b"        0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all.extend(header);
        all.extend(*bytes);
        all.resize(all.len().next_multiple_of(BLOCK), 0);
    }
    all.resize(all.len() + 2 * BLOCK, 0);
    all.into()
}

/// The smallest program that waits and ends: a static executable for Linux, without anything that it would need beside it. `None`
/// where none is known for this machine's processor.
fn program() -> Option<Vec<u8>> {
    let (machine, code): (u8, &[u8]) = match std::env::consts::ARCH {
        "x86_64" => (
            62,
            &[
                0x48, 0x8d, 0x3d, 25, 0, 0, 0, // lea rdi, [rip + 25]: the time below
                0x31, 0xf6, // xor esi, esi
                0xb8, 35, 0, 0, 0, // mov eax, 35: nanosleep
                0x0f, 0x05, // syscall
                0xb8, 60, 0, 0, 0, // mov eax, 60: exit
                0x31, 0xff, // xor edi, edi
                0x0f, 0x05, // syscall
                0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
            ],
        ),
        "aarch64" => (
            183,
            &[
                0x00, 0x01, 0x00, 0x10, // adr x0, 32: the time below
                0xe1, 0x03, 0x1f, 0xaa, // mov x1, xzr
                0xa8, 0x0c, 0x80, 0x52, // mov w8, 101: nanosleep
                0x01, 0x00, 0x00, 0xd4, // svc 0
                0x00, 0x00, 0x80, 0x52, // mov w0, 0
                0xa8, 0x0b, 0x80, 0x52, // mov w8, 93: exit
                0x01, 0x00, 0x00, 0xd4, // svc 0
                0x1f, 0x20, 0x03, 0xd5, // nop
            ],
        ),
        _ => return None,
    };
    let time = [LIFE_SECONDS.into(), 0].map(u64::to_le_bytes).concat();
    let length = HEADERS + (code.len() + time.len()) as u64;
    let words = |all: &[u64]| all.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    // An executable of 64 bits, with one segment: the whole file, to be read and run.
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    file.extend([machine, 0, 1, 0, 0, 0]);
    file.extend(words(&[BASE + HEADERS, 64, 0]));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    file.extend(words(&[0, BASE, BASE, length, length, 0x1000]));
    file.extend(code);
    file.extend(time);
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_runs_and_waits() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PROGRAM);
        std::fs::write(&path, program().unwrap()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(MODE)).unwrap();
        let mut child = std::process::Command::new(&path).spawn().unwrap();
        let call = format!("/proc/{}/syscall", child.id());
        let nanosleep = if std::env::consts::ARCH == "x86_64" { "35 " } else { "101 " };
        let sleeps = || std::fs::read_to_string(&call).is_ok_and(|at| at.starts_with(nanosleep));
        while !sleeps() {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
