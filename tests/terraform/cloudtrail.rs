//! Which identity changed a resource beside its code, by records of CloudTrail in their public format.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use chrono::{Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{environment, finding};
use crate::support::{Project, Ran};

const DRIFTED: &str = include_str!("plans/terraform-1.11.4-aws-5.100.0-drifted.json");
const GROUP: &str = "sg-d69270cdda339b338";

/// A record, so many minutes old.
fn record(id: &str, minutes: i64, (arn, event): (&str, &str), more: &Value) -> Value {
    let time = (Utc::now() - Duration::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut record = json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "arn": arn, "accountId": "111122223333"},
        "eventTime": time,
        "eventSource": "ec2.amazonaws.com",
        "eventName": event,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7",
        "requestParameters": {"groupId": GROUP, "note": "s3cr3tParameter"},
        "responseElements": {"_return": true},
        "readOnly": false,
        "eventID": id,
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

const ALICE: (&str, &str) = ("arn:aws:iam::111122223333:user/alice", "AuthorizeSecurityGroupIngress");
const DEPLOY: (&str, &str) = ("arn:aws:sts::111122223333:assumed-role/deploy-role/ci", "SetQueueAttributes");

/// A project whose host knows records in files and from a command.
fn recorded(delivered: &[Value], looked_up: &[Value]) -> Project {
    let project = environment("", "");
    let dir = project.path("trail");
    fs::create_dir_all(dir.join("2026/01/29")).unwrap();
    let file = dir.join("2026/01/29/111122223333_CloudTrail_us-east-1_20260129T1440Z_example.json.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(json!({ "Records": delivered }).to_string().as_bytes()).unwrap();
    fs::write(&file, packed.finish().unwrap()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let entry = |record: &Value| json!({"EventId": record["eventID"], "Username": "nobody", "CloudTrailEvent": record.to_string()});
    let events: Vec<Value> = looked_up.iter().map(entry).collect();
    project.file("looked-up.json", &json!({ "Events": events }).to_string());
    let toml = project.read("audit/driftlock.toml");
    let table = format!(
        "[who.cloudtrail]\nfiles = [\"{}/**/*.json.gz\"]\ncommand = \"trail\"\n\
         expected_identities = [\"arn:aws:sts::111122223333:assumed-role/deploy-role/*\"]\n\
         [commands.trail]\nrun = [\"cat\", \"{}\"]\n",
        dir.display(),
        project.path("looked-up.json").display()
    );
    project.file("audit/driftlock.toml", &(toml + &table));
    project
}

fn check(project: &Project, format: &[&str]) -> Ran {
    let args = [&["check", "--env", "prod", "--plan", "-"], format].concat();
    Ran(project.driftlock(&args).write_stdin(DRIFTED).output().unwrap())
}

#[test]
fn a_resource_is_joined_with_the_identity_that_wrote_it() {
    let queue = json!({"eventSource": "sqs.amazonaws.com", "requestParameters": {"queueUrl": "http://127.0.0.1:5077/000000000000/jobs"},
                       "resources": [{"ARN": "arn:aws:sqs:us-east-1:000000000000:jobs", "accountId": "000000000000"}]});
    let gone = json!({"eventSource": "sqs.amazonaws.com", "eventName": "DeleteQueue", "requestParameters": null,
                      "resources": [{"ARN": "arn:aws:sqs:us-east-1:000000000000:gone"}]});
    let read = json!({"readOnly": true, "eventName": "DescribeSecurityGroups"});
    let bob = ("arn:aws:sts::111122223333:assumed-role/Admin/bob", "DeleteQueue");
    let project = recorded(
        &[
            record("e1", 50, ALICE, &json!({})),
            record("e2", 40, bob, &read),
            record("e3", 30, ALICE, &queue),
            record("e4", 20, DEPLOY, &queue),
            json!({"eventName": "forged"}),
        ],
        &[record("e5", 10, bob, &gone)],
    );
    let ran = check(&project, &["--format", "json"]);
    let report = ran.report();
    assert_eq!(
        ran.err(),
        format!(
            "warning: who.cloudtrail: 1 records of {} are none that CloudTrail writes, and count for nothing\n",
            project
                .path("trail/2026/01/29/111122223333_CloudTrail_us-east-1_20260129T1440Z_example.json.gz")
                .display()
        )
    );
    let who = |address: &str| finding(&report, address)["who"].clone();
    let group = &who("aws_security_group.web")[0];
    assert_eq!((group["rung"].as_str(), group["name"].as_str()), (Some("cloudtrail record"), Some("alice")));
    assert_eq!(group["words"], "alice with ec2:AuthorizeSecurityGroupIngress from 203.0.113.7");
    assert!(group["source"].as_str().unwrap().starts_with("CloudTrail event e1 of 20"), "{group}");
    assert!(group["file"].is_null(), "{group}");
    let jobs = &who("aws_sqs_queue.jobs")[0];
    assert_eq!(jobs["name"], "deploy-role/ci");
    assert!(jobs["words"].as_str().unwrap().ends_with("; an expected identity, so not by hand"), "{jobs}");
    let gone = &who("aws_sqs_queue.gone")[0];
    assert_eq!(gone["words"], "Admin/bob with sqs:DeleteQueue from 203.0.113.7");
    assert!(gone["source"].as_str().unwrap().ends_with(" in [commands.trail]"), "{gone}");
    let other = &who("aws_security_group.inline")[0];
    assert_eq!((other["rung"].as_str(), &other["name"]), (Some("unknown"), &Value::Null));
    assert!(who("aws_vpc.main").is_null(), "nobody changed what only the code wants");
    let text = check(&project, &["--details"]).out();
    assert!(
        text.contains("changed by alice with ec2:AuthorizeSecurityGroupIngress from 203.0.113.7 (CloudTrail"),
        "{text}"
    );
    assert!(!(text + &report.to_string()).contains("s3cr3tParameter"));
}

#[test]
fn where_no_records_are_named_nothing_is_said() {
    let report = check(&environment("", ""), &["--format", "json"]).report();
    assert!(finding(&report, "aws_security_group.web")["who"].is_null());
    let project = recorded(&[], &[]);
    project.file("looked-up.json", "no records");
    let ran = check(&project, &["--format", "json"]);
    assert_eq!(ran.err(), "warning: who.cloudtrail: [commands.trail] is no file of CloudTrail's records\n");
    assert_eq!(finding(&ran.report(), "aws_security_group.web")["who"][0]["rung"], "unknown");
}
