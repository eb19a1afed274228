//! The content of one file of a server: given by a script, and looked at like any other where there is none to give.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use super::connect::Connection;
use super::remote::SshHost;
use super::survey::{self, Given, Request};
use crate::host::layout::NO_PLACE;
use crate::host::read::CHANGED;
use crate::host::{Answer, Content, FileQuery, Phase, Query, Scope, Seen, Select, Watch};

/// How often a file that changes while it is given is asked for again.
const ATTEMPTS: usize = 3;

impl SshHost {
    /// Connects and asks for a file's content.
    pub(super) async fn ask_content(
        &self,
        path: &[u8],
        limit: u64,
        watch: &Watch,
    ) -> Result<Content, String> {
        let unreadable = |why: &str| Ok(Content::Unreadable(why.to_owned()));
        let Some(host) = self.layout.locate(path) else { return unreadable(NO_PLACE) };
        if path.contains(&0) {
            return unreadable("no path holds a NUL");
        }
        let started = Instant::now();
        watch.set_phase(Phase::Connecting);
        let connection = self.connect(watch).await?;
        watch.set_phase(Phase::Collecting);
        for _ in 0..ATTEMPTS {
            let given = self.give(&connection, host.as_os_str().as_bytes(), limit).await;
            match given.map_err(|why| self.broken(&why, started, watch))? {
                Given::Bytes(bytes) => {
                    watch.count(bytes.len() as u64);
                    return Ok(Content::Bytes(bytes));
                }
                Given::TooLarge(size) => return Ok(Content::TooLarge(size)),
                Given::Changed => continue,
                Given::NoFile => {}
            }
            let seen = self.look_at(&connection, path, watch).await;
            match seen.map_err(|why| self.broken(&why, started, watch))? {
                Seen::Gone => return Ok(Content::Gone),
                Seen::Unreadable(why) => return Ok(Content::Unreadable(why)),
                Seen::File(..) => {}
            }
        }
        unreadable(CHANGED)
    }

    async fn give(&self, connection: &Connection, path: &[u8], limit: u64) -> Result<Given, String> {
        let mut request = Request::new(path, limit);
        let script = request.script();
        let ended = connection
            .run(self.command(), script, self.access.limits.time, |piece| request.feed(piece))
            .await?;
        request.finish().map_err(|why| self.explained(why, &ended))
    }

    /// Why there is no file to give.
    async fn look_at(&self, connection: &Connection, path: &[u8], watch: &Watch) -> Result<Seen, String> {
        let query = Query::Files(FileQuery {
            select: Select::Named,
            exclude: Vec::new(),
            named: vec![path.to_vec()],
            scope: Scope::default(),
            beside: false,
        });
        let nothing = std::future::ready(());
        let (snapshot, ()) = self.survey(connection, std::slice::from_ref(&query), nothing, watch).await?;
        let snapshot = snapshot.unwrap_or_default();
        let answer = survey::answer(&self.layout, &query, &snapshot, watch).map_err(|why| why.to_string())?;
        let seen = match answer {
            Answer::Files(mut answer) => answer.files.remove(path),
            _ => None,
        };
        seen.ok_or_else(|| "the server told nothing of the file".to_owned())
    }
}
