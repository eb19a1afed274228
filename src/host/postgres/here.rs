//! The ways from this machine to its servers.

use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::{DatabaseAnswer, DatabaseError, DatabaseQuery, Fault, Listener, Ways, answer};
use crate::control::runtime;
use crate::host::docker::{Contact, Engine, EngineApi, Stream};
use crate::host::{HostError, Watch};
use crate::model::in_words;

/// The interval in which a waiting call looks for a cancelled run.
const POLL: Duration = Duration::from_millis(50);

struct Here<'a> {
    engine: &'a Engine,
}

impl Ways for Here<'_> {
    async fn dial(&self, listener: &Listener) -> Result<Stream, Fault> {
        let opened = match listener {
            Listener::Socket(path) => UnixStream::connect(path).await.map(|it| Box::new(it) as Stream),
            Listener::Tcp { host, port } => {
                TcpStream::connect((host.as_str(), *port)).await.map(|it| Box::new(it) as Stream)
            }
        };
        opened.map_err(|error| Fault::of_dial(&error))
    }

    async fn engine(&self) -> Result<(EngineApi, Contact<'_>), Fault> {
        let api = self.engine.connect().map_err(|error| Fault::Engine(error.to_string()))?;
        Ok((api, self.engine.contact()))
    }
}

/// Reads databases from this machine, one server after the other.
///
/// # Errors
/// When `watch` was cancelled.
pub(in crate::host) fn observe(
    engine: &Engine,
    queries: &[DatabaseQuery],
    watch: &Watch,
) -> Result<Vec<DatabaseAnswer>, HostError> {
    let here = Here { engine };
    let cancelled = async {
        while !watch.is_cancelled() {
            tokio::time::sleep(POLL).await;
        }
    };
    let asked = async {
        let mut answers = Vec::new();
        for query in queries {
            answers.push(answer(query, &here).await);
        }
        answers
    };
    let waited = runtime::block_on(async {
        tokio::select! {
            answers = asked => Ok(answers),
            () = cancelled => Err(HostError::Interrupted),
        }
    });
    waited.unwrap_or_else(|error| {
        let failed = |query: &DatabaseQuery| {
            Err(DatabaseError::new(&query.server.shown(), None, Fault::NotLooked(in_words(&error))))
        };
        Ok(queries.iter().map(failed).collect())
    })
}
