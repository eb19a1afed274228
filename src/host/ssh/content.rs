//! The content of one file of a server: given by a script, and looked at like any other where there is none to give.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use super::connect::Connection;
use super::error::ScriptError;
use super::remote::SshHost;
use super::survey::{self, FileRequest, FilesRequest, GivenFile, Snapshot};
use crate::host::reasons::{NO_PLACE, changed};
use crate::host::{Answer, Content, FileQuery, HostError, Query, Scope, Seen, Select, Watch};

/// The number of requests for a file that changes while it is given.
const ATTEMPTS: usize = 3;
/// The number of files that one script gives.
const TOGETHER: usize = 64;

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

    /// Reads several files, each with the most bytes that it may have: many with each script, and those that it does not give
    /// by themselves.
    ///
    /// # Errors
    /// As [`SshHost::read_file`].
    pub(super) fn read_files(
        &self,
        wanted: &[(Vec<u8>, u64)],
        watch: &Watch,
    ) -> Result<Vec<Content>, HostError> {
        let mut contents = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(TOGETHER) {
            let given = if some.len() > 1 { self.given_together(some, watch)? } else { None };
            let mut given = given.unwrap_or_default().into_iter();
            for (path, limit) in some {
                contents.push(match given.next() {
                    Some(GivenFile::Bytes(bytes)) => {
                        watch.count(bytes.len() as u64);
                        Content::Bytes(bytes)
                    }
                    Some(GivenFile::TooLarge(size)) => Content::TooLarge(size),
                    Some(GivenFile::NoFile | GivenFile::Changed) | None => {
                        self.read_file(path, *limit, watch)?
                    }
                });
            }
        }
        Ok(contents)
    }

    /// Files that one script gives; `None` where it could not give them together.
    fn given_together(
        &self,
        wanted: &[(Vec<u8>, u64)],
        watch: &Watch,
    ) -> Result<Option<Vec<GivenFile>>, HostError> {
        let place = |path: &Vec<u8>| self.layout.locate(path).filter(|_| !path.contains(&0));
        let places: Option<Vec<_>> = wanted.iter().map(|(path, _)| place(path)).collect();
        let Some(places) = places else { return Ok(None) };
        let files: Vec<(&[u8], u64)> = places
            .iter()
            .zip(wanted)
            .map(|(place, (_, limit))| (place.as_os_str().as_bytes(), *limit))
            .collect();
        self.wait(watch, &async |connection| {
            let mut request = FilesRequest::new(&files);
            let run = connection.run(self.command(), request.script(), self.access.limits.time, |piece| {
                request.feed(piece)?;
                Ok(request.has_begun())
            });
            Ok(run.await.ok().and_then(|_| request.finish().ok().flatten()))
        })
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
