//! Server-sent events: a feed that any thread fills, and readers that are cut where they are too slow.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use hyper::body::Bytes;
use tokio::sync::mpsc;

/// One event of a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamEvent {
    /// What a reader says when it comes back, as `Last-Event-ID`.
    pub(crate) id: Option<String>,
    /// Its type; readers know `message` where there is none.
    pub(crate) name: Option<&'static str>,
    /// What it says, mostly JSON.
    pub(crate) data: String,
}

impl StreamEvent {
    /// The lines of the event, whatever its texts hold.
    fn lines(&self) -> String {
        let mut out = String::with_capacity(self.data.len() + 80);
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        if let Some(id) = &self.id {
            let _ = writeln!(out, "id: {}", plain(id));
        }
        if let Some(name) = self.name {
            let _ = writeln!(out, "event: {}", plain(name));
        }
        for line in self.data.split(['\n', '\r']) {
            let _ = writeln!(out, "data: {line}");
        }
        out.push('\n');
        out
    }
}

/// The reading end of a stream, which a handler answers with.
pub(crate) struct EventFeed(pub(super) mpsc::Receiver<Bytes>);

#[cfg(test)]
impl EventFeed {
    /// The next event, where there is one already.
    pub(crate) fn next_now(&mut self) -> Option<String> {
        self.0.try_recv().ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The writing end of a stream.
pub(crate) struct FeedSender(mpsc::Sender<Bytes>);

/// The reader has gone, or was cut because it reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReaderGone;

/// A new stream; a reader that is `most` events behind is cut.
pub(crate) fn feed(most: usize) -> (FeedSender, EventFeed) {
    let (sender, receiver) = mpsc::channel(most.max(1));
    (FeedSender(sender), EventFeed(receiver))
}

impl FeedSender {
    /// Hands over an event, and never waits.
    ///
    /// # Errors
    /// When nobody reads any more, or the reader is too far behind; the sender is of no more use then.
    pub(crate) fn send(&self, event: &StreamEvent) -> Result<(), ReaderGone> {
        self.0.try_send(event.lines().into()).map_err(|_| ReaderGone)
    }
}

/// All readers of the same events.
#[derive(Default)]
pub(crate) struct Audience(Mutex<Vec<FeedSender>>);

impl Audience {
    /// Adds a reader.
    pub(crate) fn add(&self, sender: FeedSender) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    }

    /// Hands an event to each reader; those that are gone or too slow are forgotten, which ends their streams.
    pub(crate) fn send(&self, event: &StreamEvent) {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.send(event).is_ok());
    }

    /// The number of readers that were there at the last event.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A comment, which readers pass over.
pub(super) const COMMENT: &[u8] = b":\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_event_whatever_it_holds() {
        let event = StreamEvent {
            id: Some("7\nevent: forged\u{0}".to_owned()),
            name: Some("drift"),
            data: "{\n\"a\":\r1}".to_owned(),
        };
        assert_eq!(event.lines(), "id: 7event: forged\nevent: drift\ndata: {\ndata: \"a\":\ndata: 1}\n\n");
    }

    #[test]
    fn a_reader_that_is_behind_is_cut() {
        let audience = Audience::default();
        let (quick, mut feed_of_quick) = feed(2);
        let (slow, feed_of_slow) = feed(1);
        audience.add(quick);
        audience.add(slow);
        let event = StreamEvent { data: "x".to_owned(), ..StreamEvent::default() };
        audience.send(&event);
        assert!(feed_of_quick.0.try_recv().is_ok());
        audience.send(&event);
        assert_eq!(audience.len(), 1);
        drop((feed_of_slow, feed_of_quick));
        audience.send(&event);
        assert_eq!(audience.len(), 0);
    }
}
