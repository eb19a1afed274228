//! The content of one file of a server: given by a script, and looked at like any other where there is none to give.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use super::connect::Connection;
use super::error::ScriptError;
use super::remote::SshHost;
use super::survey::{self, FileRequest, GivenFile, Snapshot};
use crate::host::reasons::{NO_PLACE, changed};
use crate::host::{Answer, Content, FileQuery, HostError, Phase, Query, Scope, Seen, Select, Watch};

/// The number of requests for a file that changes while it is given.
const ATTEMPTS: usize = 3;

impl SshHost {
    /// Connects and asks for the content of files, each with its limit, one after the other.
    pub(super) async fn ask_contents(
        &self,
        wanted: &[(Vec<u8>, u64)],
        watch: &Watch,
    ) -> Result<Vec<Content>, HostError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        watch.set_phase(Phase::Connecting);
        let connection = self.connect(watch).await?;
        watch.set_phase(Phase::Collecting);
        let mut contents = Vec::new();
        for (path, limit) in wanted {
            contents.push(self.ask_content(&connection, path, *limit, watch).await?);
        }
        Ok(contents)
    }

    /// Asks for a file's content.
    async fn ask_content(
        &self,
        connection: &Connection,
        path: &[u8],
        limit: u64,
        watch: &Watch,
    ) -> Result<Content, HostError> {
        let unreadable = |why: &str| Ok(Content::Unreadable(why.into()));
        let Some(host) = self.layout.locate(path) else { return unreadable(NO_PLACE) };
        if path.contains(&0) {
            return unreadable("no path holds a NUL");
        }
        let started = Instant::now();
        for _ in 0..ATTEMPTS {
            let given = self.give(connection, host.as_os_str().as_bytes(), limit).await;
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

    async fn give(&self, connection: &Connection, path: &[u8], limit: u64) -> Result<GivenFile, ScriptError> {
        let mut request = FileRequest::new(path, limit);
        let script = request.script();
        let ended = connection
            .run(self.command(), script, self.access.limits.time, |piece| request.feed(piece))
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
