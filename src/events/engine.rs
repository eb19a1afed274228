//! The container engine as a source of hints: a thread that does nothing but read its events.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use super::inbox::{Gap, HintSource, Inbox};
use crate::control::{held, waits};
use crate::host::{Host, HostError, StreamEnd};

/// How many seconds before the last event a stream is taken up again: an engine's clock runs backwards by milliseconds, and it
/// counts whole seconds.
const OVERLAP: i64 = 2;

/// The following of an engine's events; it ends when this is dropped, where the host lets it.
pub(crate) struct EngineFollowing {
    host: Arc<dyn Host>,
    is_over: Arc<AtomicBool>,
    /// Why they are not followed now.
    unfollowed: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for EngineFollowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFollowing").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl Drop for EngineFollowing {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.host.leave_engine();
    }
}

impl EngineFollowing {
    /// Why the events are not followed now; `None` where they are, or are about to be.
    pub(crate) fn unfollowed(&self) -> Option<String> {
        held(&self.unfollowed).clone()
    }
}

/// Begins to follow the events of a host's engine, and goes on however often the stream ends.
///
/// # Errors
/// When there is no thread.
pub(crate) fn begin(host: Arc<dyn Host>, inbox: Arc<Inbox>) -> std::io::Result<EngineFollowing> {
    let is_over = Arc::new(AtomicBool::new(false));
    let unfollowed = Arc::<Mutex<Option<String>>>::default();
    let following = EngineFollowing {
        host: Arc::clone(&host),
        is_over: Arc::clone(&is_over),
        unfollowed: Arc::clone(&unfollowed),
    };
    let note = move |why: Option<&str>| {
        *held(&unfollowed) = why.map(str::to_owned);
    };
    Builder::new().name("engine".to_owned()).spawn(move || follow(&*host, &inbox, &is_over, &note))?;
    Ok(following)
}

fn follow(host: &dyn Host, inbox: &Inbox, is_over: &AtomicBool, note: &(dyn Fn(Option<&str>) + Sync)) {
    let (mut last, mut pause, mut was_there) = (None, waits::ENGINE_SOON.most, false);
    let broke = |why: String| inbox.everything(HintSource::Engine, Some(Gap::EngineStream(why)));
    while !is_over.load(Ordering::Relaxed) {
        let mut is_there = false;
        let ended = host.follow_engine(
            last.map(|last: i64| last - OVERLAP),
            &mut || {
                is_there = true;
                note(None);
                if was_there {
                    // What happened while nobody listened may be forgotten by the engine, too.
                    broke("it is followed again".to_owned());
                } else {
                    // What happened between the first look and now.
                    inbox.container();
                }
            },
            &mut |moment| {
                last = last.max(Some(moment));
                inbox.container();
            },
        );
        let why = match ended {
            Ok(StreamEnd::Left) | Err(HostError::Interrupted) => return,
            Ok(StreamEnd::NotOffered(why)) => {
                note(Some(why));
                return inbox.everything(HintSource::Engine, Some(Gap::NoEngineStream(why)));
            }
            Ok(StreamEnd::Ended) => "the engine ended it".to_owned(),
            Err(HostError::Unreachable(why)) => why,
        };
        log::info!(why = why.as_str(), was_followed = is_there; "the engine's events are not followed");
        note(Some(&why));
        if is_there {
            broke(why);
        }
        pause = if is_there { waits::ENGINE_SOON.most } else { (pause * 2).min(waits::ENGINE_AGAIN.most) };
        was_there |= is_there;
        std::thread::sleep(pause);
    }
}
