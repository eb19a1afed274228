//! The file of a host in Ansible's fact cache (`jsonfile`): which it is, whether it is whole, of this host, and young enough.
//!
//! Before 2.19 ansible-core names it `HOST` and stores an object; since then it names it `s1_HOST`, and stores the object as a text
//! under `__payload__`.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::FactSource;
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::{OutOfDate, Reason, in_words, is_up_to_date, lasting, printable_path};

/// What stands before a host's name since 2.19.
const SCHEMA: &str = "s1_";
/// The object as a text, since 2.19.
const PAYLOAD: &str = "__payload__";
/// So many other hosts are named in an error.
const NAMED: usize = 3;
/// The words of an SSH key's kind.
const KEY_KINDS: [&str; 4] = ["ed25519", "ecdsa", "rsa", "dsa"];

/// The facts of a host.
pub(super) struct CachedFacts {
    facts: Map<String, Value>,
    shown: String,
}

impl CachedFacts {
    /// A fact, which the module `by` gathers.
    pub(super) fn fact(&self, name: &str, by: &str) -> Result<&Value, Reason> {
        self.facts.get(name).filter(|value| !value.is_null()).ok_or_else(|| {
            let play = format!("let the play that fills the cache run {by} on this host");
            Reason::from(format!("{} has no {name}: {play}", self.shown))
        })
    }
}

/// Reads the facts of a host.
///
/// # Errors
/// When there are none, or they are half written, of another host, or too old: what happened, and what to do.
pub(super) fn read(source: &FactSource) -> Result<CachedFacts, Reason> {
    let (path, modified) = found(source)?;
    let shown = printable_path(&path);
    let failed = |why: String| Reason::from(format!("{shown}: {why}"));
    let bytes = read_file_within(&path, LARGEST_TEXT).map_err(|error| failed(in_words(&error)))?;
    let facts = object(&bytes).ok_or_else(|| {
        failed("it is half written, or no fact cache: gather the facts of this host again".to_owned())
    })?;
    is_of_host(&facts, source).map_err(failed)?;
    // A copy is as young as its copying; what Ansible itself says is older counts.
    let gathered = facts.get("ansible_date_time").and_then(|time| time.get("epoch"));
    let gathered = gathered.and_then(|text| text.as_str()?.parse::<i64>().ok());
    let made = gathered.map_or(modified, |gathered| gathered.min(modified));
    match is_up_to_date(made, source.max_age, (source.clock)()) {
        Ok(()) => Ok(CachedFacts { facts, shown }),
        Err(OutOfDate::Old(age)) => Err(failed(format!(
            "the facts are {} old, and count for {} (facts_max_age): gather them again",
            lasting(age),
            lasting(source.max_age)
        ))),
        Err(OutOfDate::Ahead(by)) => Err(failed(format!(
            "it is dated {} ahead of this machine: set one of the two clocks right",
            lasting(by)
        ))),
    }
}

/// The newest file of the host among those that the pattern names, and when it was last changed.
fn found(source: &FactSource) -> Result<(PathBuf, i64), Reason> {
    let pattern = source.pattern.to_string_lossy();
    let shown = printable_path(&source.pattern);
    let failed = |why: String| Reason::from(format!("facts {shown}: {why}"));
    let paths = glob::glob(&pattern).map_err(|error| failed(error.msg.to_owned()))?;
    let mut all = Vec::new();
    for path in paths {
        let path = path.map_err(|error| failed(in_words(error.error())))?;
        all.extend(path.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| (path, meta.mtime())));
    }
    // Who names a single file says whose it is.
    let is_named = source.pattern.exists();
    let is_own = |path: &Path| is_named || host_of(path).is_some_and(|host| source.names.contains(&host));
    let newest = all.iter().filter(|(path, _)| is_own(path)).max_by_key(|(_, modified)| *modified);
    newest.cloned().ok_or_else(|| {
        let others: Vec<String> = all.iter().filter_map(|(path, _)| host_of(path)).collect();
        let own = source.names.join(" or ");
        if others.is_empty() {
            return failed(
                "no file is there: correct the pattern, or gather facts with fact_caching = jsonfile"
                    .to_owned(),
            );
        }
        let named = others.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if others.len() > NAMED { ", …" } else { "" };
        failed(format!(
            "none of these files is of {own}; they are of {named}{more}: gather the facts of this host"
        ))
    })
}

/// The host that a file is of, by its name.
fn host_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".json").unwrap_or(name);
    Some(name.strip_prefix(SCHEMA).unwrap_or(name).to_owned())
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let Value::Object(mut outer) = serde_json::from_slice(bytes).ok()? else { return None };
    match outer.remove(PAYLOAD) {
        None => Some(outer),
        Some(Value::String(text)) => serde_json::from_str(&text).ok(),
        Some(_) => None,
    }
}

/// Whether the facts are those of the host: where its keys are known, by those that the facts hold.
fn is_of_host(facts: &Map<String, Value>, source: &FactSource) -> Result<(), String> {
    let key = |kind: &&str| facts.get(&format!("ansible_ssh_host_key_{kind}_public"))?.as_str();
    let fingerprint = |key: &str| {
        let blob = BASE64.decode(key.as_bytes()).ok()?;
        Some(format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(blob))))
    };
    let told: Vec<String> = KEY_KINDS.iter().filter_map(key).filter_map(fingerprint).collect();
    let is_known = told.is_empty() || source.host_keys.is_empty();
    if is_known || told.iter().any(|key| source.host_keys.contains(key)) {
        return Ok(());
    }
    let name = facts.get("ansible_nodename").and_then(Value::as_str).unwrap_or("another host");
    let name = crate::model::escaped(name.as_bytes());
    Err(format!(
        "it is of another host ({name}): none of its SSH keys is one of host_keys; gather the facts of this host"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(dir: &Path, names: &[&str]) -> FactSource {
        FactSource {
            pattern: dir.join("*"),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            max_age: 3600,
            host_keys: Vec::new(),
            clock: crate::control::clock::unix,
        }
    }

    #[test]
    fn the_newest_file_of_the_host_counts_and_half_of_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let why = |source: &FactSource| read(source).err().map(|why| why.to_string()).unwrap_or_default();
        let prod = source(dir.path(), &["prod", "203.0.113.10"]);
        assert!(why(&prod).contains("no file is there"));
        std::fs::write(dir.path().join("s1_other"), "{}").unwrap();
        assert!(why(&prod).contains("none of these files is of prod or 203.0.113.10; they are of other"));
        std::fs::write(dir.path().join("203.0.113.10.json"), "{\"packages\": {}}").unwrap();
        assert!(read(&prod).unwrap().fact("packages", "x").is_ok());
        let whole = r#"{"__payload__": "{\"services\": {}}"}"#;
        let newer = dir.path().join("s1_prod");
        for end in 1..whole.len() {
            std::fs::write(&newer, &whole[..end]).unwrap();
            let path = FactSource { pattern: newer.clone(), ..prod.clone() };
            assert!(why(&path).contains("half written"), "{end}");
        }
        std::fs::write(&newer, whole).unwrap();
        let path = FactSource { pattern: newer, ..prod };
        let facts = read(&path).unwrap();
        assert!(facts.fact("services", "x").is_ok());
        let missing = facts.fact("packages", "package_facts").err().unwrap().to_string();
        assert!(missing.contains("has no packages") && missing.contains("run package_facts"), "{missing}");
    }

    #[test]
    fn facts_age_by_the_file_and_by_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let prod = source(dir.path(), &["prod"]);
        let now = crate::control::clock::unix();
        let of = |epoch: i64| {
            let text = format!("{{\"ansible_date_time\": {{\"epoch\": \"{epoch}\"}}}}");
            std::fs::write(dir.path().join("prod"), text).unwrap();
            read(&prod).err().map(|why| why.to_string()).unwrap_or_default()
        };
        assert_eq!(of(now - 60), "");
        assert!(of(now - 7200).contains("the facts are 2 hours old"));
        let ahead = FactSource { clock: || 0, ..prod.clone() };
        assert!(read(&ahead).err().unwrap().to_string().contains("ahead of this machine"));
    }

    #[test]
    fn facts_of_another_host_are_known_by_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"ansible_nodename": "vm2", "ansible_ssh_host_key_ed25519_public": "AAAA"}"#;
        std::fs::write(dir.path().join("prod"), text).unwrap();
        let known = |keys: &[&str]| {
            let host_keys = keys.iter().map(|key| (*key).to_owned()).collect();
            read(&FactSource { host_keys, ..source(dir.path(), &["prod"]) }).map(drop)
        };
        let own = format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest([0, 0, 0])));
        assert!(known(&[]).is_ok() && known(&["SHA256:x", &own]).is_ok());
        assert!(known(&["SHA256:x"]).unwrap_err().to_string().contains("of another host (vm2)"));
    }
}
