//! `--since-last`: whether a check may trust what an earlier one has read, and what its report says of that.

use std::sync::Arc;

use crate::audit::target::Aim;
use crate::baseline::Source;
use crate::control::clock::Started;
use crate::control::dates;
use crate::error::Failure;
use crate::host::{CachePolicy, FullScanReason, Remembered, ServerCache, StatCache};
use crate::model::{SinceLast, in_words};
use crate::project::Project;
use crate::store::runs;

/// How much is read, by the command line and the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What has not moved is not read again.
    SinceLast,
    /// Everything is read, and remembered.
    Full,
}

impl Extent {
    /// What was asked for, if it can be had of these places and this baseline. A configuration that asks for what cannot
    /// be had is no error: everything is then read, and nothing remembered.
    ///
    /// # Errors
    /// When the command line asks for what cannot be had.
    pub(crate) fn of(
        (since_last, full): (bool, bool),
        project: &Project,
        aims: &[Aim],
        source: &Source,
    ) -> Result<Option<Self>, Failure> {
        let is_had = |aim: &Aim| aim.is_machine();
        let is_beyond = if since_last { !aims.iter().all(is_had) } else { !aims.iter().any(is_had) };
        let why_not = if is_beyond {
            Some("only of the disks of machines it is known what has not moved")
        } else if matches!(source, Source::Git(_)) {
            Some(
                "beside a git revision everything is read: only whole checks of the project's own baseline are remembered",
            )
        } else {
            None
        };
        match why_not {
            Some(why) if since_last => {
                let failure = Failure::new(format!("--since-last cannot be had here: {why}"));
                Err(failure.hint("leave --since-last out"))
            }
            Some(_) => Ok(None),
            None if since_last => Ok(Some(Self::SinceLast)),
            None if !project.config.check.trust_stat => Ok(None),
            None => Ok(Some(if full { Self::Full } else { Self::SinceLast })),
        }
    }

    /// Recalls what earlier checks of this place have read, as far as it may be trusted; `None` where the place is no machine, and
    /// is read whole.
    pub(crate) fn recall(self, project: &Project, aim: &Aim, started: &Started) -> Option<Remembered> {
        if !aim.is_machine() {
            return None;
        }
        let path = project.store_root.join(file_of(aim));
        let full_every = project.config.check.full_every;
        if let Some(place) = aim.told_apart() {
            let cache = ServerCache::new(path, place, full_every, self == Self::Full);
            return Some(Remembered::There(Arc::new(cache)));
        }
        let memory = CachePolicy {
            path,
            root: &aim.layout.locate(b"").unwrap_or_else(|| project.root.clone()),
            now: started.unix,
            full_every,
        };
        let remembered = if self == Self::Full { memory.renew() } else { memory.recall() };
        let why = remembered.full_because().map_or_else(|| "no".to_owned(), FullScanReason::to_string);
        log::info!(full = why.as_str(), full_at = remembered.full_at(); "recalled what was read");
        Some(Remembered::Here(Arc::new(remembered)))
    }
}

/// The file of what is remembered of a place: each target has its own.
fn file_of(aim: &Aim) -> String {
    let target = aim.target.iter().map(|target| format!("_{target}")).collect::<String>();
    format!("{}/{}{target}", runs::PATH, runs::REMEMBERED)
}

/// Remembers a whole look, and says why where that could not be done. One of some checks alone has met too little: what it
/// has not met would be forgotten.
pub(crate) fn keep(remembered: &Remembered, aim: &Aim, is_partial: bool) -> Option<String> {
    if is_partial {
        return None;
    }
    let error = remembered.cache()?.keep().err()?;
    Some(format!("{}: what was read is not remembered: {}", file_of(aim), in_words(&error)))
}

/// What the report says of it.
pub(crate) fn told(remembered: &Remembered, started: &Started) -> SinceLast {
    let cache = remembered.cache();
    let (read, trusted) = cache.map(StatCache::counts).unwrap_or_default();
    let full_at_unix = cache.map_or(started.unix, StatCache::full_at);
    let full_at = dates::moment_at(full_at_unix).map(|moment| moment.text);
    let full_because = remembered.full_because().map(FullScanReason::to_string);
    SinceLast {
        read,
        trusted,
        full_at: full_at.unwrap_or_else(|| started.rfc3339.clone()),
        full_at_unix,
        full_because,
    }
}
