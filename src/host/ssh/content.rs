//! The content of one file of a server: given by a script, and looked at like any other where there is none to give.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use super::connect::Connection;
use super::error::ScriptError;
use super::remote::SshHost;
use super::survey::{self, FileRequest, GivenFile, Snapshot};
use crate::host::reasons::{NO_PLACE, changed};
use crate::host::{Answer, Content, FileQuery, HostError, Query, Scope, Seen, Select, Watch};

/// The number of requests for a file that changes while it is given.
const ATTEMPTS: usize = 3;

/// A file whose bytes are wanted.
struct RemoteFile<'a> {
    /// Its path as it was asked for, without a NUL.
    path: &'a [u8],
    /// Its place on the server.
    place: &'a [u8],
    /// The bytes that it may have at most.
    limit: u64,
}

impl SshHost {
    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When the server could not be asked, or `watch` was cancelled.
    pub(super) fn read_file(&self, path: &[u8], limit: u64, watch: &Watch) -> Result<Content, HostError> {
        let unreadable = |why: &str| Ok(Content::Unreadable(why.into()));
        let Some(place) = self.layout.locate(path) else { return unreadable(NO_PLACE) };
        if path.contains(&0) {
            return unreadable("no path holds a NUL");
        }
        let file = RemoteFile { path, place: place.as_os_str().as_bytes(), limit };
        self.wait(watch, &async |connection| self.ask_content(connection, &file, watch).await)
    }

    async fn ask_content(
        &self,
        connection: &Connection,
        file: &RemoteFile<'_>,
        watch: &Watch,
    ) -> Result<Content, HostError> {
        let (path, started) = (file.path, Instant::now());
        for _ in 0..ATTEMPTS {
            let given = self.give(connection, file).await;
            match given.map_err(|error| self.broken(&error, started, watch))? {
                GivenFile::Bytes(bytes) => {
                    watch.count(bytes.len() as u64);
                    return Ok(Content::Bytes(bytes));
                }
                GivenFile::TooLarge(size) => return Ok(Content::TooLarge(size)),
                GivenFile::Changed => continue,
                GivenFile::NoFile => {}
            }
            let told = self.look_at(connection, path, watch).await;
            let told = told.map_err(|error| self.broken(&error, started, watch))?;
            let seen = match survey::answer(&self.layout, &question(path), &told, watch)? {
                Answer::Files(mut answer) => answer.files.remove(path),
                _ => None,
            };
            match seen.ok_or_else(|| self.broken(&ScriptError::NoAnswer, started, watch))? {
                Seen::Gone => return Ok(Content::Gone),
                Seen::Unreadable(why) => return Ok(Content::Unreadable(why)),
                Seen::File(..) => {}
            }
        }
        Ok(Content::Unreadable(changed()))
    }

    async fn give(&self, connection: &Connection, file: &RemoteFile<'_>) -> Result<GivenFile, ScriptError> {
        let mut request = FileRequest::new(file.place, file.limit);
        let script = request.script();
        let ended = connection
            .run(self.command(), script, self.access.limits.time, |piece| {
                request.feed(piece)?;
                Ok(request.has_begun())
            })
            .await?;
        request.finish().map_err(|error| self.explained(error, &ended))
    }

    /// Looks at a file that could not be given.
    async fn look_at(
        &self,
        connection: &Connection,
        path: &[u8],
        watch: &Watch,
    ) -> Result<Snapshot, ScriptError> {
        let nothing = std::future::ready(());
        let (snapshot, ()) = self.survey(connection, &[question(path)], nothing, watch).await?;
        Ok(snapshot.unwrap_or_default())
    }
}

/// The query for one file.
fn question(path: &[u8]) -> Query {
    Query::Files(FileQuery {
        select: Select::Named,
        exclude: Vec::new(),
        named: vec![path.to_vec()],
        scope: Scope::default(),
        beside: false,
    })
}
