//! The mounts of a server's containers: asked of its shell after its engine and its files, over the same connection.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::connect::Connection;
use super::error::ScriptError;
use super::remote::SshHost;
use super::survey::{MountQuestion, MountRequest, Survey};
use crate::control::waits;
use crate::host::docker::{EngineError, Gathered, MountedContainer};
use crate::host::mounts::{
    Found, HeldReading, Judged, LockedPaths, Running, ToldMachine, first_questions, judge, start_in,
};
use crate::host::{ContainerQuery, LockedSubject, Watch};
use crate::model::MountView;

/// The number of looks at containers that change meanwhile, and the pause before each.
const LOOKS: usize = 6;
const PAUSE: Duration = Duration::from_millis(200);
/// The number of scripts for one look: what is mounted inside mounts is only known after the first.
const ROUNDS: usize = 6;
/// The number of files in one question.
const FILES: usize = 200;
/// The time for which a server may refuse a session after the one before it has ended.
const ROOM: Duration = waits::SSH_ROOM.most;
const POLL: Duration = Duration::from_millis(50);

impl SshHost {
    /// Looks at the mounts of the containers that the engine named, and again while they change: those that there are in the end,
    /// and what is seen of those that run.
    pub(super) async fn look_at_mounts(
        &self,
        connection: &Connection,
        query: &ContainerQuery,
        mut gathered: Gathered,
        watch: &Watch,
    ) -> (Gathered, BTreeMap<Running, MountView>) {
        if query.locked.is_none() || !query.mounts {
            return (gathered, BTreeMap::new());
        }
        let mut views = BTreeMap::new();
        for look in 1..=LOOKS {
            let (seen, is_final) = self.views(connection, query, &gathered, watch).await;
            views = seen;
            if is_final || look == LOOKS || watch.is_cancelled() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            // Whatever is wrong, the containers may be others by now.
            match super::engine::observe(connection, self.access.engine, query).await {
                now @ Gathered::Seen(..) => {
                    let is_same = running(&now) == running(&gathered);
                    gathered = now;
                    let is_unseen = |view: &MountView| matches!(view, MountView::Unseen(_));
                    if is_same && views.values().any(is_unseen) {
                        break;
                    }
                }
                unreachable => {
                    gathered = unreachable;
                    break;
                }
            }
        }
        (gathered, views)
    }

    /// What is seen of each container now, and whether another look would show nothing else.
    async fn views(
        &self,
        connection: &Connection,
        query: &ContainerQuery,
        gathered: &Gathered,
        watch: &Watch,
    ) -> (BTreeMap<Running, MountView>, bool) {
        let subjects = query.locked.as_deref().unwrap_or_default();
        let reading = HeldReading { exclude: &query.exclude, watch, visitor: None };
        let containers: Vec<(&Running, MountedContainer<'_>)> =
            gathered.mounted().into_iter().filter_map(|it| Some((it.running?, it))).collect();
        if containers.is_empty() {
            return (BTreeMap::new(), true);
        }
        let mut told = ToldMachine::default();
        let mut questions = vec![MountQuestion::Machine];
        questions.extend(self.subject_paths(subjects).into_iter().map(MountQuestion::Path));
        for (running, container) in &containers {
            questions.push(MountQuestion::Container((*running).clone()));
            let first = first_questions(running, container.mounts).into_iter();
            questions.extend(first.map(MountQuestion::End));
        }
        let (mut locked, mut is_read) = (None, false);
        for _ in 0..=ROUNDS {
            if let Err(error) = self.ask_mounts(connection, std::mem::take(&mut questions), &mut told).await {
                let refused = MountView::Refused(format!("what is mounted could not be asked: {error}"));
                return (containers.iter().map(|(it, _)| ((*it).clone(), refused.clone())).collect(), true);
            }
            let locked = locked.get_or_insert_with(|| self.locked_paths(subjects, &told));
            let judged: Vec<(Running, Judged)> = containers
                .iter()
                .map(|(running, it)| ((*running).clone(), judged(&told, locked, running, it, reading)))
                .collect();
            let wanted = told.wanted.take();
            if wanted.is_empty() && !is_read && !watch.is_cancelled() && !told.has_all() {
                is_read = true;
                questions = changes(&told);
                self.read_inside(connection, &mut told, watch).await;
                continue;
            }
            if wanted.is_empty() || watch.is_cancelled() {
                let is_final = judged.iter().all(|(_, judged)| matches!(judged, Judged::View(_)));
                let views = judged.into_iter().map(|(running, judged)| match judged {
                    Judged::View(view) | Judged::Again(view) => (running, view),
                });
                return (views.collect(), is_final);
            }
            questions = wanted.into_iter().map(MountQuestion::End).collect();
        }
        let why = "what is mounted in its mounts has no end: look at it by hand";
        let refused = MountView::Refused(why.to_owned());
        (containers.iter().map(|(it, _)| ((*it).clone(), refused.clone())).collect(), true)
    }

    /// Reads what containers still have. Where that fails, the mounts that are stale are told all the same.
    async fn read_inside(&self, connection: &Connection, told: &mut ToldMachine, watch: &Watch) {
        for (pid, paths) in told.wanted_held.take() {
            let start = told.containers.get(&pid).and_then(|it| start_in(&it.stat));
            let Some(start) = start else { continue };
            let survey = Survey::inside(pid, start, &paths, self.access.limits.files);
            match self.ask_script_at_last(connection, &survey, watch).await {
                Ok(snapshot) => drop(told.held.insert(pid, Box::new(snapshot))),
                Err(error) => log::info!(pid, why:% = error; "what a container has was not read"),
            }
        }
    }

    /// The paths of the baseline's subjects, and the directories that they lie in.
    fn subject_paths(&self, subjects: &[LockedSubject]) -> BTreeSet<Vec<u8>> {
        let places = subjects.iter().filter_map(|subject| self.layout.locate(&subject.place));
        let both = places.flat_map(|path| [path.parent().map(Path::to_owned), Some(path)]);
        both.flatten().map(|path| path.as_os_str().as_bytes().to_vec()).collect()
    }

    fn locked_paths(&self, subjects: &[LockedSubject], told: &ToldMachine) -> LockedPaths {
        let real = |path: &Path| match told.paths.get(path.as_os_str().as_bytes())? {
            Found::At { real, .. } => Some(PathBuf::from(std::ffi::OsStr::from_bytes(real))),
            Found::Gone | Found::Refused(_) => None,
        };
        LockedPaths::by(subjects, &self.layout, &real, &|path, beside| {
            real(path).or_else(|| Some(beside.to_owned()))
        })
    }

    /// Asks the server's shell; one that allows a single session may need a moment to see the end of that before.
    pub(super) async fn ask_mounts(
        &self,
        connection: &Connection,
        questions: Vec<MountQuestion>,
        told: &mut ToldMachine,
    ) -> Result<(), ScriptError> {
        let began = Instant::now();
        while !questions.is_empty() {
            let mut request = MountRequest::new(questions.clone());
            let ended = connection
                .run(self.command(), request.script(), self.access.limits.time, |piece| {
                    request.feed(piece)?;
                    Ok(request.has_begun())
                })
                .await;
            match ended {
                Ok(ended) => return request.finish(told).map_err(|error| self.explained(error, &ended)),
                Err(_)
                    if !request.has_begun() && began.elapsed() < ROOM && !connection.handle.is_closed() =>
                {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The questions about when files changed of which that is wanted.
fn changes(told: &ToldMachine) -> Vec<MountQuestion> {
    let paths: Vec<Vec<u8>> = told.wanted_changes.take().into_iter().collect();
    paths.chunks(FILES).map(|paths| MountQuestion::Changed(paths.to_vec())).collect()
}

/// The processes of the containers that run.
fn running(gathered: &Gathered) -> Vec<Option<&Running>> {
    gathered.mounted().into_iter().map(|it| it.running).collect()
}

fn judged(
    told: &ToldMachine,
    locked: &LockedPaths,
    running: &Running,
    container: &MountedContainer<'_>,
    reading: HeldReading<'_>,
) -> Judged {
    let device = |volume: &str| match container.devices {
        Some(devices) => Ok(devices.get(volume).cloned()),
        None => Err(EngineError::NoEngine(format!(
            "the volume {volume} is a mount of the server, and docker was not asked of what"
        ))),
    };
    judge(told, locked, running, container.mounts, &device, reading)
}
