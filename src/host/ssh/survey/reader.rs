//! Frames what the script writes: records that end with NUL, between two marks. Anything amiss is an error, never a part of an answer.

use std::sync::Arc;

use super::budget::Budget;
use super::error::SurveyError;
use super::records::Records;
use super::snapshot::Snapshot;
use crate::host::{ServerCache, Watch};

/// The longest field of a record is a batch of digests, each with a path.
const LONGEST: usize = 8 << 20;
/// A login shell may say something of its own first, and what it left running something at the end, but not without end.
const NOISE: u64 = 4 << 20;

/// Takes the script's output as it comes.
pub struct Reader {
    begin: Vec<u8>,
    end: Vec<u8>,
    where_at: Where,
    /// Noise that may hold the beginning of the first mark, or the beginning of a record.
    buffer: Vec<u8>,
    bytes: u64,
    records: Records,
    trouble: Option<SurveyError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Before,
    Inside,
    After,
}

impl Reader {
    /// A reader for the script that knows `nonce` and makes so many calls.
    #[must_use]
    pub fn new(nonce: &str, calls: usize, budget: Budget) -> Self {
        Self {
            begin: format!("\0{nonce} begin\0").into_bytes(),
            end: format!("Z{nonce} {calls}").into_bytes(),
            where_at: Where::Before,
            buffer: Vec::new(),
            bytes: 0,
            records: Records::within(budget),
            trouble: None,
        }
    }

    /// The same, where stats may stand for files that were read before.
    #[must_use]
    pub fn remembering(self, memory: Option<Arc<ServerCache>>) -> Self {
        Self { records: self.records.remembering(memory), ..self }
    }

    /// How many bytes of paths are held.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.buffer.len() + self.records.weight()
    }

    /// Whether nothing of the script's was heard.
    #[must_use]
    pub fn heard_nothing(&self) -> bool {
        self.where_at == Where::Before && self.trouble.is_none()
    }

    /// Takes a piece of the output; hashed files are counted in `watch`.
    ///
    /// # Errors
    /// When it is not what the script writes: nothing that follows can be of use.
    pub fn feed(&mut self, piece: &[u8], watch: &Watch) -> Result<(), SurveyError> {
        if self.trouble.is_none()
            && let Err(why) = self.take(piece, watch)
        {
            self.trouble = Some(why);
        }
        self.trouble.clone().map_or(Ok(()), Err)
    }

    fn take(&mut self, piece: &[u8], watch: &Watch) -> Result<(), SurveyError> {
        match self.where_at {
            Where::After => {
                self.bytes += piece.len() as u64;
                return if self.bytes > NOISE { Err(SurveyError::EndlessRest) } else { Ok(()) };
            }
            Where::Before => self.buffer.extend_from_slice(piece),
            Where::Inside => return self.take_inside(piece, watch),
        }
        let begins = self.buffer.windows(self.begin.len()).position(|window| window == self.begin);
        if let Some(at) = begins {
            self.where_at = Where::Inside;
            let rest = std::mem::take(&mut self.buffer).split_off(at + self.begin.len());
            return self.take_inside(&rest, watch);
        }
        let noise = self.buffer.len().saturating_sub(self.begin.len());
        self.buffer.drain(..noise);
        self.bytes += noise as u64;
        if self.bytes > NOISE {
            return Err(SurveyError::EndlessGreeting);
        }
        Ok(())
    }

    fn take_inside(&mut self, piece: &[u8], watch: &Watch) -> Result<(), SurveyError> {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|&b| b == 0) {
            let mut record = std::mem::take(&mut self.buffer);
            is_short_enough(record.len() + at)?;
            record.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            if self.records.are_complete() && record.first() == Some(&b'Z') {
                return self.take_end(&record);
            }
            self.records.take(record, watch)?;
        }
        is_short_enough(self.buffer.len() + rest.len())?;
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    fn take_end(&mut self, record: &[u8]) -> Result<(), SurveyError> {
        self.where_at = Where::After;
        self.bytes = 0;
        if let Some(why) = self.records.refusal() {
            return Err(SurveyError::Refusal(why.to_owned()));
        }
        if !self.records.are_whole() {
            return Err(SurveyError::Malformed("it ends in the middle of a directory"));
        }
        if record != self.end {
            return Err(SurveyError::Count);
        }
        Ok(())
    }

    /// The snapshot of the script's answer.
    ///
    /// # Errors
    /// When it was not told to the end, or not as the script tells it.
    pub fn finish(self) -> Result<Snapshot, SurveyError> {
        match (self.trouble, self.where_at) {
            (Some(why), _) => Err(why),
            (None, Where::After) => Ok(self.records.snapshot()),
            (None, Where::Inside) => Err(SurveyError::Cut),
            (None, Where::Before) => Err(SurveyError::NotBegun),
        }
    }
}

fn is_short_enough(field: usize) -> Result<(), SurveyError> {
    if field > LONGEST { Err(SurveyError::Malformed("a record has no end")) } else { Ok(()) }
}
