//! Redis Streams: events are sent there in the order of the journal, and what others publish there is read as hints.

mod listener;
mod sender;

use redis::{Client, Connection, ConnectionInfo, IntoConnectionInfo, RedisError};

pub(crate) use listener::listen;
pub(crate) use sender::StreamSender;

use crate::config::RedisStreams;
use crate::control::waits;
use crate::error::Failure;
use crate::model::escaped;

/// A server, and how one logs in there.
#[derive(Clone)]
pub(crate) struct RedisServer {
    client: Client,
    /// Its address without a user.
    shown: String,
}

impl RedisServer {
    /// The server of a configuration, with its password.
    ///
    /// # Errors
    /// When the address is none. Nothing is connected to.
    pub(crate) fn of(streams: &RedisStreams, password: Option<&str>) -> Result<Self, Failure> {
        Self::at("events.redis.url", &streams.url, password)
    }

    /// The server at an address, which stands under the name `called`.
    ///
    /// # Errors
    /// When the address is none. Nothing is connected to.
    pub(crate) fn at(called: &str, url: &str, password: Option<&str>) -> Result<Self, Failure> {
        let (_, place) = url.split_once("://").unwrap_or_default();
        let shown = escaped(place.rsplit('@').next().unwrap_or_default().as_bytes());
        let bad = |error: &RedisError| Failure::new(format!("{called}: {}", said(error))).of_project();
        let info: ConnectionInfo = url.into_connection_info().map_err(|it| bad(&it))?;
        let mut settings = info.redis_settings().clone();
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let client = Client::open(info.set_redis_settings(settings)).map_err(|it| bad(&it))?;
        Ok(Self { client, shown })
    }

    /// Its address without a user, for people.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// A new connection, on which no call waits for an answer for longer than a server's may take.
    pub(crate) fn connect(&self) -> Result<Connection, RedisError> {
        let connection = self.client.get_connection_with_timeout(waits::REDIS.most)?;
        connection.set_read_timeout(Some(waits::REDIS.most))?;
        connection.set_write_timeout(Some(waits::REDIS.most))?;
        Ok(connection)
    }
}

/// What a server or the way to it said, fit to be shown.
pub(crate) fn said(error: &RedisError) -> String {
    escaped(error.to_string().as_bytes())
}
