//! Watching a deployment between its times: what the system and the engine tell of its places is a hint to look at it now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::audit::target::Aim;
use crate::baseline;
use crate::config::{self, DockerMode, policies};
use crate::control::{held, waits};
use crate::events::engine::{self, EngineFollowing};
use crate::events::files::FileWatch;
use crate::events::inbox::{Batch, Gap, HintSource, Inbox};
use crate::host::Visitor;
use crate::model::printable_path;
use crate::project::Project;
use crate::{acknowledge, model};

/// The sources of hints of one deployment; they end when this is dropped.
pub(crate) struct Watching {
    inbox: Arc<Inbox>,
    files: Option<Arc<FileWatch>>,
    /// Whether files of this machine are among what is looked at.
    has_files: Arc<AtomicBool>,
    engines: BTreeMap<Option<String>, EngineFollowing>,
    /// Why files are not watched at all.
    no_files: Option<String>,
    hints: Arc<Mutex<HintLog>>,
}

/// What sources have hinted at, and how well they see.
#[derive(Default)]
struct HintLog {
    /// What the next run is begun for, and since when there is a hint.
    hint: Option<(HintSource, Instant)>,
    /// The same of the run that goes on.
    looking: Option<Instant>,
    coverage: WatchCoverage,
}

/// How well a deployment is watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct WatchCoverage {
    /// How many directories of this machine are watched; `None` where files cannot be.
    pub(crate) watches: Option<usize>,
    /// What cannot be watched now, each with the reason.
    pub(crate) unwatched: Vec<String>,
    /// How often something may have been missed since watching began, so that everything was looked at.
    pub(crate) gaps: u64,
    /// How many of them because more happened at once than could be reported one by one.
    pub(crate) overflows: u64,
    /// How long the newest run that a hint led to took, from the hint to its end.
    pub(crate) lag: Option<Duration>,
}

impl WatchCoverage {
    fn count(&mut self, gap: &Gap) {
        self.gaps += 1;
        self.overflows += u64::from(matches!(gap, Gap::Overflow | Gap::Flood));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.inbox.end();
    }
}

impl Watching {
    /// Begins to watch; each hint that is none of what lies in `own` is given to `hinted`, and why something may have been missed to
    /// `missed`, which a thread of its own does. Gives what somebody should hear of, too.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn begin(
        own: PathBuf,
        hinted: impl Fn(HintSource) + Send + 'static,
        missed: impl Fn(HintSource, &Gap) + Send + 'static,
    ) -> std::io::Result<(Self, Option<String>)> {
        let inbox = Arc::new(Inbox::default());
        let (files, warning) = match FileWatch::begin(Arc::clone(&inbox)) {
            Ok(files) => (Some(Arc::new(files)), None),
            Err(error) => {
                let (why, every) = (model::in_words(&error), waits::POLL.most.as_secs());
                let text = format!("files cannot be watched, and are looked at every {every} s: {why}");
                (None, Some(text + "; see sysctl fs.inotify.max_user_instances"))
            }
        };
        let has_files = Arc::new(AtomicBool::new(false));
        let (taken, known, wanted) = (Arc::clone(&inbox), files.clone(), Arc::clone(&has_files));
        let is_blind = move || {
            wanted.load(Ordering::Relaxed) && known.as_ref().is_none_or(|files| files.blind().is_some())
        };
        let hints = Arc::<Mutex<HintLog>>::default();
        let noted = Arc::clone(&hints);
        let hint = move |source| {
            held(&noted).hint.get_or_insert_with(|| (source, Instant::now()));
            hinted(source);
        };
        let noted = Arc::clone(&hints);
        let gap = move |source, gap: &Gap| {
            held(&noted).coverage.count(gap);
            missed(source, gap);
        };
        let wait = move || wait_for_hints(&taken, &is_blind, &own, &hint, &gap);
        Builder::new().name("hints".to_owned()).spawn(wait)?;
        let no_files = warning.clone();
        Ok((Self { inbox, files, has_files, engines: BTreeMap::new(), no_files, hints }, warning))
    }

    /// Prepares a look at places: what they visit is watched, and their engines are followed.
    pub(crate) fn join(&mut self, project: &Project, is_fetched: bool, aims: &mut [Aim]) {
        if let Some(files) = &self.files {
            files.renew();
            if !is_fetched {
                let paths = [config::PATH, acknowledge::PATH, policies::POLICIES, baseline::PATH];
                for path in paths {
                    files.file(&project.root.join(path));
                }
                files.directory(&project.root.join(baseline::PATH), false);
            }
        }
        let is_of_files = |aim: &Aim| aim.server().is_none() && aim.is_machine();
        self.has_files.store(aims.iter().any(is_of_files), Ordering::Relaxed);
        self.engines.retain(|target, _| aims.iter().any(|aim| aim.target == *target));
        for aim in aims {
            if is_of_files(aim) {
                aim.visitor = self.files.clone().map(|files| files as Arc<dyn Visitor>);
            }
            let is_followed = self.engines.contains_key(&aim.target);
            if aim.is_machine() && aim.docker != DockerMode::Off && !is_followed {
                let following = engine::begin(aim.open(None), Arc::clone(&self.inbox));
                self.engines.extend(following.ok().map(|following| (aim.target.clone(), following)));
            }
        }
    }

    /// What a run that begins now is begun for; what is hinted at from here on is for the next one.
    pub(crate) fn take_hint(&self) -> Option<HintSource> {
        let mut hints = held(&self.hints);
        let (source, since) = hints.hint.take()?;
        hints.looking = Some(since);
        Some(source)
    }

    /// Ends watching what the newest look has not met.
    pub(crate) fn looked(&self) {
        if let Some(files) = &self.files {
            files.sweep();
        }
        let mut hints = held(&self.hints);
        if let Some(since) = hints.looking.take() {
            hints.coverage.lag = Some(since.elapsed());
        }
    }

    /// How well the deployment is watched now.
    pub(crate) fn coverage(&self) -> WatchCoverage {
        let has_files = self.has_files.load(Ordering::Relaxed);
        let mut unwatched: Vec<String> = self.no_files.iter().filter(|_| has_files).cloned().collect();
        if let Some((count, path, why)) = self.files.as_ref().and_then(|files| files.blind()) {
            let (path, every) = (printable_path(&path), waits::POLL.most.as_secs());
            unwatched.push(format!("{count} places, which are looked at every {every} s: {path}: {why}"));
        }
        for (target, following) in &self.engines {
            let target = target.as_deref().unwrap_or("local");
            if let Some(why) = following.unfollowed() {
                unwatched.push(format!("{target}: the engine's events: {}", model::escaped(why.as_bytes())));
            }
        }
        let watches = self.files.as_ref().map(|files| files.directories());
        WatchCoverage { watches, unwatched, ..held(&self.hints).coverage.clone() }
    }
}

/// Waits for hints until the end, and tells of each burst of them once: not of more than one in [`waits::HINTED`].
fn wait_for_hints(
    inbox: &Inbox,
    is_blind: &dyn Fn() -> bool,
    own: &Path,
    hinted: &dyn Fn(HintSource),
    missed: &dyn Fn(HintSource, &Gap),
) {
    let mut quiet_until = Instant::now();
    let mut pending: Option<HintSource> = None;
    loop {
        let is_blind = is_blind();
        let most = if is_blind { waits::POLL.most } else { waits::TIMETABLE.most };
        let deadline = if pending.is_some() { quiet_until } else { Instant::now() + most };
        let batch = inbox.next(deadline);
        if batch.end {
            return;
        }
        for (source, gap) in &batch.everything {
            if let Some(gap) = gap {
                missed(*source, gap);
            }
        }
        let polled =
            (is_blind && pending.is_none() && Instant::now() >= deadline).then_some(HintSource::Poll);
        pending = pending.or_else(|| source(&batch, own)).or(polled);
        if let Some(source) = pending.filter(|_| quiet_until <= Instant::now()) {
            pending = None;
            quiet_until = Instant::now() + waits::HINTED.most;
            hinted(source);
        }
    }
}

/// The source of a batch that tells of something; `None` where it is all of what the agent itself writes.
fn source(batch: &Batch, own: &Path) -> Option<HintSource> {
    let of_all = batch.everything.first().map(|(source, _)| *source);
    let of_containers = (batch.containers + batch.inside > 0).then_some(HintSource::Engine);
    let of_files = batch.paths.keys().any(|path| !path.starts_with(own)).then_some(HintSource::Inotify);
    of_all.or(of_containers).or(of_files)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use std::time::Duration;

    use super::*;

    #[test]
    fn who_hears_of_a_gap_holds_up_nobody_who_asks_for_the_coverage() {
        let (heard, gaps) = channel();
        let (go_on, more) = channel::<()>();
        let missed = move |_, _: &Gap| {
            let _ = heard.send(());
            let _ = more.recv();
        };
        let (watching, _) = Watching::begin("/own".into(), |_| {}, missed).unwrap();
        watching.inbox.everything(HintSource::Engine, Some(Gap::Flood));
        gaps.recv_timeout(Duration::from_secs(30)).unwrap();
        let (told, coverage) = channel();
        std::thread::spawn(move || {
            let _ = told.send(watching.coverage().gaps);
            drop(watching);
        });
        assert_eq!(coverage.recv_timeout(Duration::from_secs(30)), Ok(1));
        drop(go_on);
    }

    #[test]
    fn hints_are_told_once_a_while_and_those_of_the_agent_itself_never() {
        let dir = tempfile::tempdir().unwrap();
        let (told, hints) = channel();
        let (missed, gaps) = channel();
        let (watching, _) = Watching::begin(
            dir.path().to_owned(),
            move |source| {
                let _ = told.send(source);
            },
            move |_, gap: &Gap| {
                let _ = missed.send(gap.clone());
            },
        )
        .unwrap();
        watching.inbox.path(dir.path().join("runs/1"));
        watching.inbox.path("/elsewhere".into());
        assert_eq!(hints.recv_timeout(Duration::from_secs(30)).unwrap(), HintSource::Inotify);
        watching.inbox.path(dir.path().join("runs/2"));
        for _ in 0..3 {
            watching.inbox.container();
            std::thread::sleep(waits::BURST.most);
        }
        assert_eq!(hints.recv_timeout(Duration::from_secs(30)).unwrap(), HintSource::Engine);
        assert_eq!(watching.take_hint(), Some(HintSource::Inotify));
        watching.looked();
        assert!(watching.coverage().lag.is_some());
        watching.inbox.everything(HintSource::Inotify, Some(Gap::Overflow));
        assert_eq!(gaps.recv_timeout(Duration::from_secs(30)).unwrap(), Gap::Overflow);
        assert_eq!(hints.recv_timeout(Duration::from_secs(30)).unwrap(), HintSource::Inotify);
        assert_eq!((watching.coverage().gaps, watching.coverage().overflows), (1, 1));
        drop(watching);
        // Nothing more, and the thread has ended.
        assert!(hints.recv_timeout(Duration::from_secs(30)).is_err());
    }
}
