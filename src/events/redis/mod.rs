//! Redis Streams: events are sent there in the order of the journal, and what others publish there is read as hints.

mod listener;
mod sender;

use std::path::Path;

use redis::{Client, Connection, ConnectionInfo, IntoConnectionInfo, RedisError};

pub(crate) use listener::listen;
pub(crate) use sender::Sender;

use crate::atomic::read_file_within;
use crate::config::RedisStreams;
use crate::control::{Environment, waits};
use crate::error::Failure;
use crate::model::{escaped, in_words, printable_path};

/// The largest file of a password.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// A server, and how one logs in there.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    /// Its address without a user.
    shown: String,
}

impl Server {
    /// The server of a configuration, with its password.
    ///
    /// # Errors
    /// When the address is none, or the password cannot be read. Nothing is connected to.
    pub(crate) fn of(
        streams: &RedisStreams,
        root: &Path,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let place = streams
            .url
            .rsplit_once('@')
            .map_or_else(|| streams.url.split_once("://").map_or("", |(_, place)| place), |(_, place)| place);
        let shown = escaped(place.as_bytes());
        let bad =
            |error: &RedisError| Failure::new(format!("events.redis.url: {}", said(error))).of_project();
        let info: ConnectionInfo = streams.url.as_str().into_connection_info().map_err(|it| bad(&it))?;
        let mut settings = info.redis_settings().clone();
        if let Some(password) = password(streams, root, environment)? {
            settings = settings.set_password(password);
        }
        let client = Client::open(info.set_redis_settings(settings)).map_err(|it| bad(&it))?;
        Ok(Self { client, shown })
    }

    /// A new connection, on which no call waits for an answer for longer than a server's may take.
    fn connect(&self) -> Result<Connection, RedisError> {
        let connection = self.client.get_connection_with_timeout(waits::REDIS.most)?;
        connection.set_read_timeout(Some(waits::REDIS.most))?;
        connection.set_write_timeout(Some(waits::REDIS.most))?;
        Ok(connection)
    }
}

fn password(
    streams: &RedisStreams,
    root: &Path,
    environment: &Environment,
) -> Result<Option<String>, Failure> {
    if let Some(name) = &streams.password_env {
        let value = environment.variable(name).and_then(|value| value.to_str().map(str::to_owned));
        let missing = || {
            let name = escaped(name.as_bytes());
            Failure::new(format!("events.redis.password_env: the variable {name} is not set")).of_project()
        };
        return value.filter(|value| !value.is_empty()).ok_or_else(missing).map(Some);
    }
    let Some(file) = &streams.password_file else { return Ok(None) };
    let path = root.join(environment.expand_home(file));
    let refused = |why: &str| {
        Failure::new(format!("events.redis.password_file: {}: {why}", printable_path(&path))).of_project()
    };
    let bytes = read_file_within(&path, LONGEST_PASSWORD).map_err(|error| refused(&in_words(&error)))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// What a server or the way to it said, fit to be shown.
fn said(error: &RedisError) -> String {
    escaped(error.to_string().as_bytes())
}
