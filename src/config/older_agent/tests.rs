//! Tests of the older agent's configuration.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::{GitWay, ServeFile};

const WHOLE: &str = "\
infrastructure_deployments:
  - name: Network of the shop
    tags: {team: shop, cost: 7}
    git:
      repo_url: ssh://git@git.example.com:2222/shop/network.git
      branch: release
      ssh_key: /home/agent/.ssh/id_ed25519
    source_root: /live/network
    env_vars:
      AWS_PROFILE: shop
      TF_VAR_token: s3cr3t-of-shop
      TF_LOG: DEBUG
    enabled: no
    drift_check_interval: 45  # minutes
    notifications: [slack]
  - name: buckets
    git:
      repo_url: https://git.example.com/shop/buckets.git
      ssh_key: /unused
    drift_check_interval: 60

notification_methods:
  slack: {url: https://hooks.example.com/s3cr3t-hook}
secrets: {a: s3cr3t-a}
server:
  port: 8080
  host: 0.0.0.0
  domain: \"Drift.example.com\"
";

fn error(text: &str) -> String {
    read("config.yaml", text).unwrap_err().to_string()
}

#[test]
fn every_key_of_the_older_agent_becomes_what_it_is_here() {
    let (config, warnings) = read("config.yaml", WHOLE).unwrap();
    let serve = config.serve.unwrap();
    assert_eq!(
        (serve.listen.to_string().as_str(), serve.hosts.join(" ").as_str()),
        ("0.0.0.0:8080", "drift.example.com localhost")
    );
    let [network, buckets] = config.deployments.try_into().unwrap();
    assert_eq!((network.name.as_str(), network.enabled), ("Network-of-the-shop", false));
    assert_eq!(network.schedule, Schedule::Every(Duration::from_secs(45 * 60)));
    assert_eq!(network.targets.as_deref(), Some(&["Network-of-the-shop".to_owned()][..]));
    assert_eq!(network.tags["name"], "Network of the shop");
    assert_eq!((network.tags["team"].as_str(), network.tags["cost"].as_str()), ("shop", "7"));
    let git = network.git.unwrap();
    assert_eq!(git.way, GitWay::Ssh { host: "git.example.com".to_owned(), port: 2222 });
    assert_eq!((git.branch.as_str(), git.ssh_key), ("release", Some("/home/agent/.ssh/id_ed25519".into())));
    let names: Vec<&str> = network.variables.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["AWS_PROFILE", "TF_VAR_token"]);
    let terraform = config.targets["Network-of-the-shop"].terraform.as_ref().unwrap();
    assert_eq!(terraform.dir, Path::new("live/network"));
    assert!(terraform.env.iter().any(|glob| glob.matches(b"TF_VAR_token")));
    assert!(!terraform.env.iter().any(|glob| glob.matches(b"AWS_REGION")));
    assert!(
        buckets.enabled
            && buckets.git.as_ref().is_some_and(|git| git.branch == "main" && git.ssh_key.is_none())
    );
    assert_eq!(config.targets["buckets"].terraform.as_ref().unwrap().dir, Path::new("."));
    let all = warnings.join("\n");
    for part in [
        "driftlock init --from",
        "notification_methods",
        "secrets",
        "Network-of-the-shop",
        "TF_LOG",
        "git.ssh_key",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("s3cr3t"), "{all}");
    assert!(!format!("{:?}", network.variables).contains("s3cr3t"));
}

#[test]
fn nothing_is_an_agent_without_deployments() {
    let (config, _) = read("config.yaml", "").unwrap();
    assert_eq!((config.serve, config.deployments.len()), (Some(ServeConfig::default()), 0));
    let (config, _) = read("config.yaml", "server: {host: localhost, port: 5000}\n").unwrap();
    assert_eq!(config.serve.unwrap().listen.to_string(), "127.0.0.1:5000");
}

#[test]
fn what_makes_no_sense_is_named_and_no_value_is_repeated() {
    let one = |rest: &str| {
        format!("infrastructure_deployments:\n- name: a\n  git: {{repo_url: /srv/x}}\n  {rest}\n")
    };
    for (text, expected) in [
        ("a: [".to_owned(), "config.yaml: it is not valid YAML"),
        ("server: {prot: 1}".to_owned(), "unknown field `prot`"),
        ("servers:\n  port: 1\n".to_owned(), "config.yaml:1: unknown field `servers`"),
        (one("drift_check_intervall: 3"), "config.yaml:4: unknown field `drift_check_intervall`"),
        (
            one("drift_check_interval: soon"),
            "infrastructure_deployments[0].drift_check_interval: it is a number of minutes",
        ),
        (one("drift_check_interval: 0"), "number of minutes"),
        (one("enabled: perhaps"), "it is true or false"),
        (one("source_root: ../x"), "leads out of the repository"),
        (one("env_vars: [hunter2]"), "env_vars: it is a mapping"),
        ("infrastructure_deployments: {}\n".to_owned(), "it is a list"),
        ("infrastructure_deployments:\n- name: a\n".to_owned(), "[0].git: it is missing"),
        ("infrastructure_deployments:\n- git: {repo_url: /x}\n".to_owned(), "[0].name: it is missing"),
        (
            "infrastructure_deployments:\n- name: a\n  git: {repo_url: \"https://u:hunter2@h/x\"}\n"
                .to_owned(),
            "config.yaml: infrastructure_deployments[0].git.url",
        ),
        ("server: {port: 70000}".to_owned(), "server.port"),
        ("server: {host: example.com}".to_owned(), "server.host"),
        ("server: {domain: 'https://x'}".to_owned(), "server.domain"),
    ] {
        let error = error(&text);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
    }
    assert!(error(&one("drift_check_intervall: 3")).contains("did you mean `drift_check_interval`?"));
}

#[test]
fn names_are_those_of_directories_and_none_comes_twice() {
    let mut names = BTreeSet::new();
    let short: Vec<String> = ["A b", "a-b", "A/../b", "local", "日本", "..", "x"]
        .iter()
        .map(|name| short_name(name, &mut names))
        .collect();
    assert_eq!(short, ["A-b", "a-b-2", "A-..-b", "deployment-local", "deployment", "deployment-2", "x"]);
    assert!(short.iter().all(|name| is_target_name(name)));
}

#[test]
fn the_file_is_read_where_nobody_else_can_have_written_it() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        ServeFile::load(&path).map_err(|error| error.to_string())
    };
    let older = put("config.yaml", WHOLE, 0o600).unwrap();
    assert!(older.is_of_older_agent && older.config.deployments.len() == 2 && older.config.digest.is_some());
    let own =
        put("agent.toml", "[serve]\njobs = 2\n[[deployments]]\nname = \"a\"\ntargets = [\"local\"]\n", 0o644)
            .unwrap();
    assert!(!own.is_of_older_agent && own.warnings.is_empty());
    assert_eq!(own.config.serve.unwrap().jobs.get(), 2);
    assert!(
        put("agent.toml", "[serve]\njob = 2\n", 0o644)
            .unwrap_err()
            .contains("agent.toml:2: unknown field `job`")
    );
    assert!(
        put("agent.toml", "[[deployments]]\nname = \"a\"\ntargets = [\"b\"]\n", 0o644)
            .unwrap_err()
            .contains("agent.toml: deployments.a.targets")
    );
    assert!(put("config.yaml", WHOLE, 0o666).unwrap_err().contains("others may write"));
}
