//! CloudTrail's records of events: which identity last wrote a resource, by its id or ARN, before a moment.
//!
//! Formats: files as they are delivered, `{"Records": [RECORD, …]}`, also compressed, and what `aws cloudtrail lookup-events` prints,
//! `{"Events": [{"CloudTrailEvent": "RECORD", …}, …]}`. Fields:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.
//! Parameters of a request are compared with the resource's id, and neither kept nor told.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::control::dates;
use crate::model::{Glob, Rung, Who, any_match, escaped, in_words, lasting, printable_path};

/// How many files are read, the newest first.
const FILES: usize = 4096;
/// How much one file may hold, unpacked.
const LARGEST_FILE: u64 = 64 << 20;
/// The longest that a name or an address in a record may be.
const LONGEST_TEXT: usize = 256;
/// How far into the future a record may lie, in seconds: clocks differ.
const AHEAD: i64 = 300;

/// Where CloudTrail's records lie, and which of them count.
#[derive(Debug, Clone)]
pub(crate) struct TrailSources<'a> {
    /// The files.
    pub(crate) files: Vec<PathBuf>,
    /// What a command printed, and how it is called.
    pub(crate) printed: Option<(String, Vec<u8>)>,
    /// The identities that are meant to write: patterns over their ARNs.
    pub(crate) expected: &'a [Glob],
    /// How old a record may be, in seconds.
    pub(crate) window: i64,
    /// The moment of the look.
    pub(crate) now: i64,
}

/// The events of some resources.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    events: Vec<TrailEvent>,
    /// What was left out, a sentence each.
    pub(crate) warnings: Vec<String>,
    window: i64,
}

/// One event that wrote something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TrailEvent {
    seconds: i64,
    time: String,
    name: String,
    identity: String,
    is_expected: bool,
    address: Option<String>,
    id: String,
    source: String,
    /// The ids of the resources asked for that it names.
    resources: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Delivered<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<&'a RawValue>>,
    #[serde(rename = "Events", borrow)]
    events: Option<Vec<&'a RawValue>>,
}

/// An entry of what `lookup-events` prints.
#[derive(Deserialize)]
struct LookedUp {
    #[serde(rename = "CloudTrailEvent")]
    event: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_time: String,
    event_source: String,
    event_name: String,
    #[serde(rename = "eventID")]
    event_id: String,
    user_identity: Identity,
    #[serde(rename = "sourceIPAddress")]
    address: Option<String>,
    read_only: Option<bool>,
    error_code: Option<String>,
    #[serde(default)]
    request_parameters: Value,
    #[serde(default)]
    response_elements: Value,
    #[serde(default)]
    resources: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    arn: Option<String>,
    user_name: Option<String>,
    invoked_by: Option<String>,
}

impl Identity {
    /// The whole identity, for patterns, and as it is called.
    fn names(&self) -> Option<(&str, String)> {
        let arn = self.arn.as_deref().filter(|arn| is_plain(arn));
        if let Some(arn) = arn {
            let called = arn.splitn(6, ':').nth(5)?;
            let short = called.split_once('/').filter(|(kind, _)| matches!(*kind, "user" | "assumed-role"));
            return Some((arn, short.map_or(called, |(_, name)| name).to_owned()));
        }
        let name = self.user_name.as_deref().or(self.invoked_by.as_deref()).filter(|it| is_plain(it))?;
        Some((name, name.to_owned()))
    }
}

/// Whether a text of a record may be told: one line without anything that a terminal obeys, of a length.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_TEXT && escaped(text.as_bytes()) == text
}

/// The ids of one resource: what Terraform calls `id` and `arn`.
#[derive(Debug, Clone, Copy)]
struct Resource<'a>(&'a [String]);

impl Resource<'_> {
    /// The service of its ARN: `ec2` of `arn:aws:ec2:…`.
    fn service(&self) -> Option<&str> {
        let arn = self.0.iter().find(|id| id.starts_with("arn:"))?;
        arn.split(':').nth(2)
    }

    /// The id by which a record of a service names it. A name, as that of a bucket, is one of its own service alone.
    fn named_by(&self, service: &str, text: &str) -> bool {
        let is_own = || self.service() == Some(service);
        self.0.iter().any(|id| id == text) && (is_unmistakable(text) || is_own())
    }
}

/// Whether nothing else has such an id: an ARN, or a prefix and hexadecimal digits as in `i-0abcd1234efgh5678`'s form.
fn is_unmistakable(id: &str) -> bool {
    let is_long = |digits: &str| digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    id.starts_with("arn:")
        || id.rsplit_once('-').is_some_and(|(kind, digits)| !kind.is_empty() && is_long(digits))
}

impl Trail {
    /// Reads what is recorded of some resources, at most so many bytes.
    pub(crate) fn read(sources: &TrailSources<'_>, resources: &[&[String]], mut left: u64) -> Self {
        let mut trail = Self { window: sources.window, ..Self::default() };
        let begin = sources.now.saturating_sub(sources.window);
        let mut files: Vec<(i64, &PathBuf)> =
            sources.files.iter().filter_map(|file| Some((age(file)?, file))).collect();
        files.retain(|(modified, _)| *modified >= begin);
        files.sort_unstable_by(|a, b| b.cmp(a));
        let all = files.len();
        for (number, (_, file)) in files.into_iter().enumerate() {
            if number >= FILES || left == 0 {
                trail.warnings.push(format!("of {all} files of CloudTrail the newest {number} are read"));
                break;
            }
            let shown = printable_path(file);
            match content(file, left.min(LARGEST_FILE)) {
                Ok(bytes) => {
                    left = left.saturating_sub(bytes.len() as u64);
                    trail.take(&bytes, &shown, sources, resources);
                }
                Err(why) => trail.warnings.push(format!("{shown}: {why}")),
            }
        }
        if let Some((called, bytes)) = &sources.printed {
            trail.take(bytes, called, sources, resources);
        }
        trail.events.sort_by(|a, b| (a.seconds, &a.id).cmp(&(b.seconds, &b.id)));
        trail.events.dedup_by(|a, b| a.id == b.id);
        trail
    }

    /// Takes the events of one document that name one of the resources.
    fn take(&mut self, bytes: &[u8], from: &str, sources: &TrailSources<'_>, resources: &[&[String]]) {
        let Ok(delivered) = serde_json::from_slice::<Delivered<'_>>(bytes) else {
            self.warnings.push(format!("{from} is no file of CloudTrail's records"));
            return;
        };
        let looked_up = |raw: &&RawValue| serde_json::from_str::<LookedUp>(raw.get()).ok().map(|it| it.event);
        let records = delivered.records.iter().flatten().map(|raw| Some(raw.get().to_owned()));
        let records = records.chain(delivered.events.iter().flatten().map(looked_up));
        let mut odd = 0;
        for record in records {
            match record.ok_or(OddRecord).and_then(|text| event_of(&text, from, sources, resources)) {
                Ok(event) => self.events.extend(event),
                Err(OddRecord) => odd += 1,
            }
        }
        if delivered.records.is_none() && delivered.events.is_none() {
            self.warnings.push(format!("{from} is no file of CloudTrail's records"));
        }
        if odd > 0 {
            self.warnings.push(format!(
                "{odd} records of {from} are none that CloudTrail writes, and count for nothing"
            ));
        }
    }

    /// The identity that wrote a resource last.
    ///
    /// # Errors
    /// Says why that is unknown.
    pub(crate) fn claim(&self, ids: &[String]) -> Result<Who, String> {
        let its: Vec<&TrailEvent> =
            self.events.iter().filter(|event| ids.iter().any(|id| event.resources.contains(id))).collect();
        let window = lasting(self.window);
        let Some(last) = its.last() else {
            return Err(format!("no record of CloudTrail in the last {window} names it"));
        };
        // What an expected identity wrote last, it wrote over what others did before.
        let others: Vec<&&TrailEvent> = its.iter().rev().take_while(|event| !event.is_expected).collect();
        let identities: BTreeSet<&str> = others.iter().map(|event| event.identity.as_str()).collect();
        if identities.len() > 1 {
            return Err(format!(
                "records of CloudTrail in the last {window} name {} identities",
                identities.len()
            ));
        }
        let from = last.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
        let meant = if last.is_expected { "; an expected identity, so not by hand" } else { "" };
        Ok(Who {
            file: String::new(),
            rung: Rung::CloudTrail,
            name: Some(last.identity.clone()),
            words: format!("{} with {}{from}{meant}", last.identity, last.name),
            source: Some(format!("CloudTrail event {} of {} in {}", last.id, last.time, last.source)),
        })
    }
}

/// A record that CloudTrail does not write.
struct OddRecord;

/// The event of a record; `None` where it does not count.
fn event_of(
    text: &str,
    from: &str,
    sources: &TrailSources<'_>,
    resources: &[&[String]],
) -> Result<Option<TrailEvent>, OddRecord> {
    let record: Record = serde_json::from_str(text).map_err(|_| OddRecord)?;
    let moment = dates::moment(&record.event_time).filter(|_| record.event_time.len() > 10);
    let seconds = moment.ok_or(OddRecord)?.unix;
    let (identity, name) = record.user_identity.names().ok_or(OddRecord)?;
    let service = record.event_source.strip_suffix(".amazonaws.com").ok_or(OddRecord)?;
    let told = [&record.event_time, &record.event_name, &record.event_id].into_iter();
    if !told.chain(&record.address).all(|text| is_plain(text)) || !is_plain(service) {
        return Err(OddRecord);
    }
    let is_in_time =
        (sources.now.saturating_sub(sources.window)..=sources.now.saturating_add(AHEAD)).contains(&seconds);
    if record.read_only == Some(true) || record.error_code.is_some() || !is_in_time {
        return Ok(None);
    }
    let mut named = BTreeSet::new();
    for part in [&record.request_parameters, &record.response_elements, &record.resources] {
        texts(part, &mut |text| {
            let known = resources.iter().any(|ids| Resource(ids).named_by(service, text));
            if known {
                named.insert(text.to_owned());
            }
        });
    }
    let event = TrailEvent {
        seconds,
        is_expected: any_match(sources.expected, identity.as_bytes()),
        identity: name,
        time: record.event_time,
        name: format!("{service}:{}", record.event_name),
        address: record.address,
        id: record.event_id,
        source: from.to_owned(),
        resources: named,
    };
    Ok((!event.resources.is_empty()).then_some(event))
}

/// Every text in a value.
fn texts(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(all) => all.iter().for_each(|it| texts(it, each)),
        Value::Object(fields) => fields.values().for_each(|it| texts(it, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn age(path: &Path) -> Option<i64> {
    path.metadata().ok().map(|meta| meta.mtime())
}

/// The content of a file, unpacked, where nobody else may have written it.
fn content(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let system = |error: io::Error| in_words(&error);
    let open = File::open(path).map_err(system)?;
    let meta = open.metadata().map_err(system)?;
    let own = rustix::process::geteuid().as_raw();
    if !meta.is_file() || meta.uid() != 0 && meta.uid() != own || meta.mode() & 0o022 != 0 {
        return Err("it may be written by others, and counts for nothing".to_owned());
    }
    let is_packed = path.extension().is_some_and(|it| it == "gz");
    let from: Box<dyn Read> = if is_packed { Box::new(MultiGzDecoder::new(open)) } else { Box::new(open) };
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(system)?;
    if bytes.len() as u64 > most {
        return Err(format!("it holds more than {} MiB, and is not read", most >> 20));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const GROUP: &str = "sg-0a1b2c3d4e5f60718";
    const NOW: i64 = 1_769_700_000; // 2026-01-29T15:20:00Z

    fn ids(all: &[&str]) -> Vec<String> {
        all.iter().map(|id| (*id).to_owned()).collect()
    }

    /// A record in the public format, of version 1.08.
    fn record(id: &str, time: &str, arn: &str, more: &Value) -> Value {
        let mut record = json!({
            "eventVersion": "1.08",
            "userIdentity": {"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "arn": arn, "accountId": "111122223333"},
            "eventTime": time,
            "eventSource": "ec2.amazonaws.com",
            "eventName": "AuthorizeSecurityGroupIngress",
            "awsRegion": "eu-central-1",
            "sourceIPAddress": "203.0.113.7",
            "userAgent": "console.amazonaws.com",
            "requestParameters": {"groupId": GROUP, "ipPermissions": {"items": [{"fromPort": 22, "cidrIp": "s3cr3t"}]}},
            "responseElements": {"_return": true},
            "readOnly": false,
            "eventID": id,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": "111122223333",
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    }

    const ALICE: &str = "arn:aws:iam::111122223333:user/alice";
    const DEPLOY: &str = "arn:aws:sts::111122223333:assumed-role/deploy-role/ci";

    fn read(document: &Value, resource: &[String]) -> Trail {
        let expected = [Glob::new("arn:aws:sts::111122223333:assumed-role/deploy-role/*").unwrap()];
        let sources = TrailSources {
            files: Vec::new(),
            printed: Some(("a command".to_owned(), serde_json::to_vec(document).unwrap())),
            expected: &expected,
            window: 7 * 86_400,
            now: NOW,
        };
        Trail::read(&sources, &[resource], 1 << 20)
    }

    fn claim(records: &[Value], resource: &[&str]) -> Result<Who, String> {
        let resource = ids(resource);
        read(&json!({ "Records": records }), &resource).claim(&resource)
    }

    #[test]
    fn the_identity_is_named_with_event_address_and_source() {
        let who = claim(&[record("e1", "2026-01-29T14:00:00Z", ALICE, &json!({}))], &[GROUP]).unwrap();
        assert_eq!((who.rung, who.name.as_deref()), (Rung::CloudTrail, Some("alice")));
        assert_eq!(who.words, "alice with ec2:AuthorizeSecurityGroupIngress from 203.0.113.7");
        assert_eq!(who.source.as_deref(), Some("CloudTrail event e1 of 2026-01-29T14:00:00Z in a command"));
        assert!(!format!("{who:?}").contains("s3cr3t"));
        // As `aws cloudtrail lookup-events` prints it.
        let text = record("e1", "2026-01-29T14:00:00Z", ALICE, &json!({})).to_string();
        let looked_up =
            json!({"Events": [{"EventId": "e1", "Username": "mallory", "CloudTrailEvent": text}]});
        assert_eq!(read(&looked_up, &ids(&[GROUP])).claim(&ids(&[GROUP])).unwrap(), who);
    }

    #[test]
    fn reads_failures_and_other_resources_count_for_nothing() {
        let at = "2026-01-29T14:00:00Z";
        for more in [
            json!({"readOnly": true}),
            json!({"errorCode": "Client.UnauthorizedOperation"}),
            json!({"requestParameters": {"groupId": "sg-0ffffffffffffffff"}}),
            json!({"requestParameters": {"groupId": format!("{GROUP} and more")}}),
            json!({"eventTime": "2026-01-01T00:00:00Z"}),
            json!({"eventTime": "2026-02-01T00:00:00Z"}),
        ] {
            let why = claim(&[record("e1", at, ALICE, &more)], &[GROUP]).unwrap_err();
            assert_eq!(why, "no record of CloudTrail in the last 7 days names it", "{more}");
        }
    }

    #[test]
    fn a_name_is_one_of_its_own_service_alone() {
        let bucket = ["releases", "arn:aws:s3:::releases"];
        let of = |service: &str| {
            json!({"eventSource": format!("{service}.amazonaws.com"), "eventName": "Put",
                   "requestParameters": {"name": "releases"}})
        };
        let at = "2026-01-29T14:00:00Z";
        assert!(claim(&[record("e1", at, ALICE, &of("s3"))], &bucket).is_ok());
        assert!(claim(&[record("e1", at, ALICE, &of("iam"))], &bucket).is_err());
        assert!(claim(&[record("e1", at, ALICE, &of("s3"))], &["releases"]).is_err());
        let resources = json!({"eventSource": "kms.amazonaws.com", "requestParameters": null,
                               "resources": [{"ARN": "arn:aws:s3:::releases", "accountId": "111122223333"}]});
        assert!(claim(&[record("e1", at, ALICE, &resources)], &bucket).is_ok());
    }

    #[test]
    fn several_hands_are_unknown_and_an_expected_one_is_not_by_hand() {
        let of = |id: &str, minute: u32, arn: &str| {
            record(id, &format!("2026-01-29T14:{minute:02}:00Z"), arn, &json!({}))
        };
        let bob = "arn:aws:sts::111122223333:assumed-role/Admin/bob";
        let two = claim(&[of("e1", 1, ALICE), of("e2", 2, bob)], &[GROUP]).unwrap_err();
        assert_eq!(two, "records of CloudTrail in the last 7 days name 2 identities");
        // The order of a file is not that of its events, and one event may be delivered twice.
        let after = [of("e3", 3, bob), of("e1", 1, ALICE), of("e2", 2, DEPLOY), of("e3", 3, bob)];
        assert_eq!(claim(&after, &[GROUP]).unwrap().name.as_deref(), Some("Admin/bob"));
        let meant = claim(&[of("e1", 1, ALICE), of("e2", 2, DEPLOY)], &[GROUP]).unwrap();
        assert_eq!(meant.name.as_deref(), Some("deploy-role/ci"));
        assert!(meant.words.ends_with("; an expected identity, so not by hand"), "{}", meant.words);
    }

    #[test]
    fn odd_records_are_left_out_with_a_warning() {
        let good = record("e1", "2026-01-29T14:00:00Z", ALICE, &json!({}));
        let odd = [
            json!({}),
            json!("text"),
            json!(null),
            record("e2", "yesterday", ALICE, &json!({})),
            record("e3", "2026-01-29", ALICE, &json!({})),
            record("e4", "2026-01-29T14:30:00Z", "arn:aws:iam::1:user/x\u{1b}[31m", &json!({})),
            record("e5", "2026-01-29T14:30:00Z", "no-arn", &json!({})),
            record("e6", "2026-01-29T14:30:00Z", ALICE, &json!({"sourceIPAddress": "a\nb"})),
            record("e7", "2026-01-29T14:30:00Z", ALICE, &json!({"eventSource": "ec2.example.com"})),
            record("e8", "2026-01-29T14:30:00Z", ALICE, &json!({"eventName": "x".repeat(257)})),
        ];
        let all: Vec<Value> = odd.iter().cloned().chain([good]).collect();
        let trail = read(&json!({ "Records": all }), &ids(&[GROUP]));
        assert_eq!(trail.claim(&ids(&[GROUP])).unwrap().source.unwrap().split(' ').nth(2), Some("e1"));
        let why = format!(
            "{} records of a command are none that CloudTrail writes, and count for nothing",
            odd.len()
        );
        assert_eq!(trail.warnings, [why]);
        for document in [json!({}), json!([]), json!({"Records": 1}), json!("x")] {
            let trail = read(&document, &ids(&[GROUP]));
            assert_eq!(trail.warnings, ["a command is no file of CloudTrail's records"], "{document}");
        }
    }

    #[test]
    fn files_are_read_packed_or_not_and_none_that_others_may_write() {
        use std::io::Write as _;
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let document =
            json!({"Records": [record("e1", "2026-01-29T14:00:00Z", ALICE, &json!({}))]}).to_string();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(document.as_bytes()).unwrap();
        let bomb = {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packed.write_all(&vec![b' '; 3 << 20]).unwrap();
            packed.finish().unwrap()
        };
        let files = [
            write("1.json", document.as_bytes()),
            write("2.json.gz", &packed.finish().unwrap()),
            write("3.json", document.replace("e1", "e2").as_bytes()),
            write("4.json.gz", &bomb),
            write("5.json.gz", b"not packed"),
        ];
        std::fs::set_permissions(&files[2], std::fs::Permissions::from_mode(0o666)).unwrap();
        let group = ids(&[GROUP]);
        let of = |files: &[PathBuf]| {
            let sources = TrailSources {
                files: files.to_vec(),
                printed: None,
                expected: &[],
                window: i64::MAX / 2,
                now: NOW,
            };
            Trail::read(&sources, &[&group], 1 << 20)
        };
        for file in &files[..2] {
            let trail = of(std::slice::from_ref(file));
            assert!(trail.claim(&group).is_ok() && trail.warnings.is_empty(), "{:?}", trail.warnings);
        }
        for (file, why) in
            [(&files[2], "may be written by others"), (&files[3], "more than 1 MiB"), (&files[4], "")]
        {
            let trail = of(std::slice::from_ref(file));
            assert!(trail.claim(&group).is_err() && trail.warnings.len() == 1, "{:?}", trail.warnings);
            assert!(trail.warnings[0].contains(why), "{:?}", trail.warnings);
        }
    }
}
