//! Streams that others write: what they publish is read by a consumer group as hints, and acknowledged after the look.
//!
//! An entry has a path or a configuration item: in a field `payload` that holds JSON, beside a field `ci_id`, or in fields of its
//! own. Its text is never evidence.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, sleep};
use std::time::Duration;

use redis::{Connection, RedisError, Value, cmd};
use serde_json::Value as Json;

use super::{RedisServer, said};
use crate::control::{Events, waits};
use crate::events::inbox::{HintSource, Inbox};

/// The consumer group.
const GROUP: &str = "driftlock";
/// How many entries are taken at once.
const BATCH: usize = 1000;
/// Keys under which publishers name a file.
const PATHS: [&str; 4] = ["path", "file", "file_path", "subject"];

/// An entry of a stream: the stream, its id, its fields.
type StreamEntry = (String, String, Vec<(String, String)>);

/// Begins to read hints from streams as a consumer of that name.
///
/// # Errors
/// When there is no thread.
pub(crate) fn listen(
    server: RedisServer,
    streams: Vec<String>,
    consumer: String,
    inbox: Arc<Inbox>,
    events: Arc<dyn Events>,
) -> std::io::Result<()> {
    let listen = move || {
        let (mut pause, mut is_away, mut was_ever_reached) = (waits::REDIS_SOON.most, false, false);
        loop {
            let mut was_reached = false;
            let ended = follow(&server, &streams, (&consumer, was_ever_reached), &inbox, &mut was_reached);
            if was_reached {
                (pause, is_away, was_ever_reached) = (waits::REDIS_SOON.most, false, true);
            }
            if let Err(error) = ended
                && !std::mem::replace(&mut is_away, true)
            {
                events.warning(&format!("no hints are read: {}: {}", server.shown, said(&error)));
            }
            sleep(pause);
            pause = (pause * 2).min(waits::REDIS_AGAIN.most);
        }
    };
    Builder::new().name("redis-hints".to_owned()).spawn(listen).map(drop)
}

/// Reads entries until the connection breaks.
fn follow(
    server: &RedisServer,
    streams: &[String],
    (consumer, is_again): (&str, bool),
    inbox: &Inbox,
    was_reached: &mut bool,
) -> Result<(), RedisError> {
    let mut connection = server.connect()?;
    for stream in streams {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(stream).arg(GROUP).arg("$").arg("MKSTREAM");
        match create.query::<()>(&mut connection) {
            Err(error) if error.code() == Some("BUSYGROUP") => {}
            made => {
                made?;
                if is_again {
                    // The group is lost, and with it what was published since.
                    inbox.everything(HintSource::Redis, None);
                }
            }
        }
    }
    *was_reached = true;
    // What was taken before and never looked at comes first.
    while hint(&mut connection, streams, consumer, ("0", false), inbox)? {}
    loop {
        hint(&mut connection, streams, consumer, (">", true), inbox)?;
        // One look a second, however much is published.
        sleep(waits::REDIS_HINTS.most);
    }
}

/// Takes entries, puts what they hint at into the inbox, waits for the look and acknowledges them. Whether there were any.
fn hint(
    connection: &mut Connection,
    streams: &[String],
    consumer: &str,
    (from, is_waiting): (&str, bool),
    inbox: &Inbox,
) -> Result<bool, RedisError> {
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg(consumer).arg("COUNT").arg(BATCH);
    if is_waiting {
        read.arg("BLOCK").arg(waits::REDIS_LISTEN.most.as_millis().to_string());
    }
    read.arg("STREAMS").arg(streams).arg(vec![from; streams.len()]);
    let silence = if is_waiting { waits::REDIS_LISTEN.most } else { Duration::ZERO };
    connection.set_read_timeout(Some(silence + waits::REDIS.most))?;
    let entries = entries(read.query::<Value>(connection)?);
    connection.set_read_timeout(Some(waits::REDIS.most))?;
    if entries.is_empty() {
        return Ok(false);
    }
    let named: Vec<Option<PathBuf>> = entries.iter().map(|(_, _, fields)| path_in(fields)).collect();
    let paths: BTreeSet<PathBuf> = named.iter().flatten().cloned().collect();
    if named.iter().any(Option::is_none) {
        inbox.everything(HintSource::Redis, None);
    }
    let looked = inbox.hints(paths);
    // It ends when the look has been taken, or nobody looks any more.
    let _ = looked.recv();
    for (stream, id, _) in &entries {
        cmd("XACK").arg(stream).arg(GROUP).arg(id).query::<()>(connection)?;
    }
    Ok(true)
}

/// The entries of an answer: streams, each with entries, each with an id and fields.
fn entries(answer: Value) -> Vec<StreamEntry> {
    let text = |value: &Value| redis::from_redis_value_ref::<String>(value).ok();
    let items = |value: Value| match value {
        Value::Array(items) => items,
        Value::Map(pairs) => pairs.into_iter().map(|(key, value)| Value::Array(vec![key, value])).collect(),
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for stream in items(answer) {
        let [name, entries] = <[Value; 2]>::try_from(items(stream)).unwrap_or([Value::Nil, Value::Nil]);
        let Some(name) = text(&name) else { continue };
        for entry in items(entries) {
            let [id, fields] = <[Value; 2]>::try_from(items(entry)).unwrap_or([Value::Nil, Value::Nil]);
            let Some(id) = text(&id) else { continue };
            let fields: Vec<String> = items(fields).iter().filter_map(text).collect();
            let pairs = fields.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            all.push((name.clone(), id, pairs.collect()));
        }
    }
    all
}

/// The absolute path that an entry names.
fn path_in(fields: &[(String, String)]) -> Option<PathBuf> {
    let is_path = |text: &str| text.starts_with('/') && !text.contains('\0');
    let own = fields.iter().filter(|(key, value)| PATHS.contains(&key.as_str()) && is_path(value));
    if let Some((_, path)) = own.into_iter().next() {
        return Some(path.into());
    }
    fields.iter().filter_map(|(_, value)| serde_json::from_str::<Json>(value).ok()).find_map(|json| {
        let text = PATHS.iter().filter_map(|key| json.get(key)?.as_str()).find(|text| is_path(text));
        text.map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_in_both_shapes() {
        let of = |fields: &[(&str, &str)]| {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            path_in(&fields)
        };
        assert_eq!(of(&[("path", "/etc/hosts"), ("ci_id", "vm")]), Some("/etc/hosts".into()));
        assert_eq!(of(&[("payload", "{\"file\": \"/opt/a\"}"), ("ci_id", "vm")]), Some("/opt/a".into()));
        for none in [&[("payload", "{\"file\": \"a\"}")][..], &[("payload", "[")], &[("ci_id", "/x")], &[]] {
            assert_eq!(of(none), None);
        }
    }
}
