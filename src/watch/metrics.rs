//! The metrics of a watcher, in the file that a textfile collector reads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::atomic;
use crate::control::waits;
use crate::error::Failure;
use crate::events::event::Event;
use crate::events::files::FileWatch;
use crate::events::inbox::Gap;
use crate::model::{Mode, Report, in_words, printable_path};
use crate::project::Project;
use crate::report::{self, WatchFigures};

/// The format of the file.
const FORMAT: &str = "prometheus";

/// The metrics of one watcher, and where they are written.
#[derive(Debug)]
pub(crate) struct WatchMetrics {
    file: PathBuf,
    target: String,
    project: String,
    figures: WatchFigures,
    /// Since when there is something that the file does not hold.
    since: Option<Instant>,
    written: Option<Instant>,
}

impl WatchMetrics {
    /// Metrics of the watcher of a target, or of the project's own tree, that nothing has happened to yet.
    pub(crate) fn new(file: PathBuf, project: &Project, target: Option<&str>) -> Self {
        Self {
            file,
            target: target.unwrap_or(Mode::Local.word()).to_owned(),
            project: printable_path(&project.root),
            figures: WatchFigures::default(),
            since: None,
            written: None,
        }
    }

    /// Counts events.
    pub(super) fn count(&mut self, events: &[Event]) {
        for event in events {
            *self.figures.events.entry(event.event.word()).or_default() += 1;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Counts a gap.
    pub(super) fn gap(&mut self, gap: &Gap) {
        self.figures.overflows += u64::from(matches!(gap, Gap::Overflow | Gap::Flood));
    }

    /// Notes how long a look took, from the first hint to its end.
    pub(super) fn looked(&mut self, lag: Duration) {
        self.figures.lag = Some(lag);
        self.since.get_or_insert_with(Instant::now);
    }

    /// When the file is to be written, if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.since?;
        Some(self.written.map_or(since, |written| written + waits::METRICS_AGAIN.most))
    }

    /// Writes a report, and the figures so far.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn report(&mut self, told: &Report, files: Option<&FileWatch>) -> Result<(), Failure> {
        let renewal = report::find(FORMAT).and_then(report::Reporter::renewal);
        let Some(renewal) = renewal else { return Ok(()) };
        self.note_watches(files);
        let one = std::slice::from_ref(told);
        self.renew(&|old| {
            let new = renewal(one, old);
            report::with_watch_figures(&self.target, &self.project, Some(&self.figures), &new)
        })?;
        (self.since, self.written) = (None, Some(Instant::now()));
        Ok(())
    }

    /// Writes the figures so far.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&mut self, files: Option<&FileWatch>) -> Result<(), Failure> {
        (self.since, self.written) = (None, Some(Instant::now()));
        self.note_watches(files);
        self.put(Some(&self.figures))
    }

    /// Takes the figures away: nobody watches any more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        self.put(None)
    }

    fn put(&self, figures: Option<&WatchFigures>) -> Result<(), Failure> {
        let (target, project) = (&self.target, &self.project);
        self.renew(&|old| report::with_watch_figures(target, project, figures, old.unwrap_or_default()))
    }

    fn note_watches(&mut self, files: Option<&FileWatch>) {
        self.figures.watches = files.map(FileWatch::directories);
        let unwatched = |files: &FileWatch| files.blind().map_or(0, |(count, ..)| count);
        self.figures.unwatched = files.map(unwatched);
    }

    fn renew(&self, renewal: &dyn Fn(Option<&[u8]>) -> Vec<u8>) -> Result<(), Failure> {
        let written = atomic::renew_file(&self.file, waits::REPORT_FILE.most, renewal);
        written.map(drop).map_err(|error| {
            let file = printable_path(&self.file);
            Failure::new(format!("--metrics {file}: {}", in_words(&error)))
                .hint("the directory must be there, and writable: the file is replaced as a whole")
        })
    }
}
