//! `[[categories]]`, `[[ci]]` and `[events.redis]`: what events say, and where they are sent.

use serde::Deserialize;

use super::{ConfigError, Kept, compile, senseless};
use crate::model::{Category, Glob, any_match, seconds};

/// How long entries are kept in streams where nothing is configured, in seconds.
const KEEP: i64 = 7 * 24 * 60 * 60;

/// `[[categories]]`: the category of what has a path.
#[derive(Debug, Clone)]
pub struct CategoryOfPaths {
    /// Patterns over subjects.
    pub paths: Vec<Glob>,
    /// The category of their findings.
    pub category: Category,
}

/// `[[ci]]`: the configuration item that a subject belongs to.
#[derive(Debug, Clone)]
pub struct ConfigurationItem {
    /// Pattern over `CHECK/SUBJECT`.
    pub matches: Glob,
    /// Its id.
    pub id: String,
    /// Its type, if one is said.
    pub kind: Option<String>,
}

/// `[events.redis]`: streams that events are sent to, and those that hints are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisStreams {
    /// The address: `redis://` or `rediss://`, without a password.
    pub url: String,
    /// Where the password is kept, if there is one.
    pub password: Option<Kept>,
    /// What stands before the name of an event in the name of its stream.
    pub prefix: String,
    /// For how many seconds entries are kept.
    pub keep: i64,
    /// Streams that hints are read from.
    pub listen: Vec<String>,
}

/// `[events]`, `[[categories]]` and `[[ci]]` together.
#[derive(Debug, Clone, Default)]
pub struct EventsConfig {
    /// `[[categories]]`; the first that matches holds.
    pub categories: Vec<CategoryOfPaths>,
    /// `[[ci]]`; the first that matches holds.
    pub items: Vec<ConfigurationItem>,
    /// `[events.redis]`.
    pub redis: Option<RedisStreams>,
}

impl EventsConfig {
    /// The category that is configured for a subject.
    #[must_use]
    pub fn category(&self, subject: &[u8]) -> Option<Category> {
        self.categories.iter().find(|it| any_match(&it.paths, subject)).map(|it| it.category)
    }

    /// The configuration item that a subject of a check belongs to, where that is configured.
    #[must_use]
    pub fn item(&self, check: &str, subject: &[u8]) -> Option<&ConfigurationItem> {
        let name = [check.as_bytes(), b"/", subject].concat();
        self.items.iter().find(|item| item.matches.matches(&name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCategory {
    paths: Vec<String>,
    category: Category,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawItem {
    #[serde(rename = "match")]
    matches: String,
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEvents {
    redis: Option<RawRedis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRedis {
    url: String,
    password_file: Option<String>,
    password_env: Option<String>,
    prefix: Option<String>,
    keep: Option<String>,
    #[serde(default)]
    listen: Vec<String>,
}

/// Makes sure that the tables have sense.
pub(super) fn checked(
    categories: Vec<RawCategory>,
    items: Vec<RawItem>,
    events: RawEvents,
) -> Result<EventsConfig, ConfigError> {
    let category = |raw: RawCategory| {
        let paths = compile("categories.paths", &raw.paths, true)?;
        Ok(CategoryOfPaths { paths, category: raw.category })
    };
    let item = |raw: RawItem| {
        let matches = compile("ci.match", &[raw.matches], false)?.pop();
        let matches = matches.ok_or_else(|| senseless("ci.match", "\"\" matches nothing"))?;
        Ok(ConfigurationItem { matches, id: raw.id, kind: raw.kind })
    };
    Ok(EventsConfig {
        categories: categories.into_iter().map(category).collect::<Result<_, ConfigError>>()?,
        items: items.into_iter().map(item).collect::<Result<_, ConfigError>>()?,
        redis: events.redis.map(RawRedis::checked).transpose()?,
    })
}

impl RawRedis {
    fn checked(self) -> Result<RedisStreams, ConfigError> {
        let keys = ("password_file", "password_env");
        let given = (self.password_file.as_deref(), self.password_env.as_deref());
        let password = redis_access(("events.redis", "events.redis.url"), &self.url, keys, given)?;
        let prefix = self.prefix.unwrap_or_else(|| "drift.".to_owned());
        if prefix.is_empty() {
            return Err(senseless("events.redis.prefix", "without one streams of others could be meant"));
        }
        let keep = self.keep.map_or(Some(KEEP), |keep| seconds(&keep).filter(|keep| *keep > 0));
        let Some(keep) = keep else {
            return Err(senseless("events.redis.keep", "it is a duration: 12h, 7d"));
        };
        if let Some(own) =
            self.listen.iter().find(|name| OWN.iter().any(|own| **name == format!("{prefix}{own}")))
        {
            let reason = format!("\"{own}\" is a stream that driftlock writes itself");
            return Err(senseless("events.redis.listen", &reason));
        }
        Ok(RedisStreams { url: self.url, password, prefix, keep, listen: self.listen })
    }
}

/// Makes sure that an address is one of a Redis server and holds no password, and gives where its password is kept. The names
/// are those of the table, of the address, and of the file and the variable.
///
/// # Errors
/// When the address or the name of a file or of a variable is none.
pub fn redis_access(
    (table, address): (&str, &str),
    url: &str,
    (file_key, variable_key): (&str, &str),
    (file, variable): (Option<&str>, Option<&str>),
) -> Result<Option<Kept>, ConfigError> {
    let place = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://"));
    let Some(place) = place.filter(|place| !place.is_empty()) else {
        return Err(senseless(address, "it begins with redis:// or rediss:// and names a server"));
    };
    if place.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        let reason =
            format!("it holds a password; name a file with {file_key}, or a variable with {variable_key}");
        return Err(senseless(address, &reason));
    }
    let kept = match (variable, file) {
        (None, None) => return Ok(None),
        (Some(name), None) => Kept::variable(name),
        (None, Some(path)) => Kept::file(path),
        _ => return Err(senseless(table, &format!("{file_key} and {variable_key}: name one of them"))),
    };
    let reason = format!(
        "{variable_key} is the name of a variable, {file_key} the path of a file, not what they hold"
    );
    kept.ok_or_else(|| senseless(table, &reason)).map(Some)
}

/// The names of streams behind the prefix: events without a leading `drift.`.
const OWN: [&str; 9] = [
    "detected",
    "changed",
    "resolved",
    "unreadable",
    "acknowledged",
    "remediated",
    "escalated",
    "watch.started",
    "watch.gap",
];

#[cfg(test)]
mod tests {
    use super::super::Config;
    use crate::model::Category;

    #[test]
    fn the_first_category_and_item_that_match_hold() {
        let text = "[[categories]]\npaths = [\"conf/secret*\", \"/etc/passwd\"]\ncategory = \"security\"\n\
                    [[categories]]\npaths = [\"conf/*\"]\ncategory = \"network\"\n\
                    [[ci]]\nmatch = \"config_hashes/conf/*\"\nid = \"VM-7\"\ntype = \"vm\"\n";
        let events = Config::parse(text).unwrap().events;
        assert_eq!(events.category(b"conf/secrets"), Some(Category::Security));
        assert_eq!(events.category(b"conf/other"), Some(Category::Network));
        assert_eq!(events.category(b"/etc/group"), None);
        assert_eq!(events.item("config_hashes", b"conf/a").unwrap().id, "VM-7");
        assert!(events.item("compose_hashes", b"conf/a").is_none());
    }

    #[test]
    fn streams_have_a_server_and_no_password_in_the_open() {
        let redis = |text: &str| Config::parse(&format!("[events.redis]\n{text}\n"));
        let parsed =
            redis("url = \"redis://127.0.0.1:6379/2\"\nkeep = \"12h\"").unwrap().events.redis.unwrap();
        assert_eq!((parsed.prefix.as_str(), parsed.keep), ("drift.", 43_200));
        for (text, why) in [
            ("url = \"http://x\"", "begins with redis://"),
            ("url = \"redis://\"", "names a server"),
            ("url = \"redis://:hunter2@x\"", "holds a password"),
            ("url = \"redis://x\"\nkeep = \"long\"", "is a duration"),
            ("url = \"redis://x\"\nprefix = \"\"", "without one"),
            ("url = \"redis://x\"\nlisten = [\"drift.detected\"]", "writes itself"),
            ("url = \"redis://x\"\npassword_file = \"a\"\npassword_env = \"B\"", "name one of them"),
            ("url = \"redis://x\"\npassword_env = \"not a name\"", "not what they hold"),
        ] {
            let error = redis(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(redis("url = \"redis://x\"\nlisten = [\"drift.file_changed\"]").is_ok());
    }
}
