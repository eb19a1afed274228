//! The container engine as a source of hints: a thread that does nothing but read its events.

use std::sync::Arc;
use std::thread::Builder;

use super::inbox::{Gap, HintSource, Inbox};
use crate::control::waits;
use crate::host::docker::{Engine, events};

/// How many seconds before the last event a stream is taken up again: an engine's clock runs backwards by milliseconds, and it
/// counts whole seconds.
const OVERLAP: i64 = 2;

/// Begins to follow the events of an engine, and goes on however often the stream ends.
///
/// # Errors
/// When there is no thread.
pub(crate) fn begin(engine: Engine, inbox: Arc<Inbox>) -> std::io::Result<()> {
    Builder::new().name("engine".to_owned()).spawn(move || follow(&engine, &inbox)).map(drop)
}

fn follow(engine: &Engine, inbox: &Inbox) {
    let (mut last, mut pause, mut was_there) = (None, waits::ENGINE_SOON.most, false);
    loop {
        let mut is_there = false;
        let ended = events::follow(
            engine,
            last.map(|last: i64| last - OVERLAP),
            || {
                is_there = true;
                if was_there {
                    // What happened while nobody listened may be forgotten by the engine, too.
                    inbox.everything(
                        HintSource::Engine,
                        Some(Gap::EngineStream("it is followed again".to_owned())),
                    );
                }
            },
            &mut |moment| {
                last = last.max(Some(moment));
                inbox.container();
            },
        );
        if is_there || was_there {
            let why = ended.err().map_or_else(|| "the engine ended it".to_owned(), |error| error.to_string());
            log::info!(why = why.as_str(); "the stream of the engine's events ended");
            if is_there {
                inbox.everything(HintSource::Engine, Some(Gap::EngineStream(why)));
            }
        }
        pause = if is_there { waits::ENGINE_SOON.most } else { (pause * 2).min(waits::ENGINE_AGAIN.most) };
        was_there |= is_there;
        std::thread::sleep(pause);
    }
}
