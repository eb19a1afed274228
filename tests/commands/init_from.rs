//! `driftlock init --from`: the older agent's configuration becomes one of driftlock.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use driftlock::config::{Config, Schedule};

use crate::support::Project;
use crate::support::sshd::Server;
use crate::support::terminal::on_a_terminal;

const SECRET: &str = "s3cr3t-0f-a-shop";

/// A project with a `config.yaml` of two deployments, of which one is fetched from `server`.
fn older(server: &Server) -> Project {
    let project = Project::empty();
    let yaml = format!(
        "infrastructure_deployments:\n- name: Shop network\n  tags: {{team: shop}}\n  git:\n    repo_url: \
         ssh://git@127.0.0.1:{}/srv/network.git\n    branch: release\n    ssh_key: {}\n  source_root: /live\n  env_vars:\n    \
         AWS_PROFILE: shop\n    TF_VAR_token: {SECRET}\n  enabled: false\n  drift_check_interval: 45\n- name: buckets\n  git: \
         {{repo_url: /srv/buckets.git}}\nserver: {{host: localhost, port: 5000}}\n",
        server.port,
        server.key().display()
    );
    project.file("config.yaml", &yaml);
    project
}

fn written(project: &Project) -> Config {
    Config::parse(&project.read("audit/driftlock.toml")).unwrap()
}

#[test]
fn needs_mounts_the_configuration_is_turned_and_nobody_is_asked_where_nobody_is() {
    let server = Server::start(|_| {});
    let project = older(&server);
    let ran = project.run(&["init", "--from", "config.yaml"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let warnings = ran.err();
    assert!(
        warnings.contains(&server.fingerprint("ed25519")) && warnings.contains("nobody has accepted"),
        "{warnings}"
    );
    assert!(warnings.contains("Shop-network"), "{warnings}");
    let config = written(&project);
    assert_eq!(config.serve.unwrap().listen.to_string(), "127.0.0.1:5000");
    let [network, buckets] = config.deployments.try_into().unwrap();
    assert_eq!((network.name.as_str(), network.enabled, buckets.enabled), ("Shop-network", false, true));
    assert!(matches!(network.schedule, Schedule::Every(interval) if interval.as_secs() == 45 * 60));
    let git = network.git.clone().unwrap();
    assert_eq!(
        (git.branch.as_str(), git.ssh_key.as_deref(), git.host_keys.len()),
        ("release", Some(&*server.key()), 0)
    );
    assert_eq!(config.targets["Shop-network"].terraform.as_ref().unwrap().dir, Path::new("live"));
    // The secret lies in one file, which nobody else reads and git ignores.
    let variables = network.terraform_variables(&project.root()).unwrap();
    assert!(variables.iter().any(|pair| pair == ("TF_VAR_token", SECRET)));
    let file = project.root().join(network.env_file.as_ref().unwrap());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(project.read("audit/state/.gitignore"), "*\n");
    for text in [project.read("audit/driftlock.toml"), ran.out(), warnings] {
        assert!(!text.contains(SECRET), "{text}");
    }
    // It is not written over, and what is no such file is refused.
    assert_eq!(project.run(&["init", "--from", "config.yaml"]).code(), 1);
    assert_eq!(project.run(&["init", "--force", "--from", "audit/driftlock.toml"]).code(), 1);
    project.file("config.yaml", "servers: {}\n");
    let ran = project.run(&["init", "--force", "--from", "config.yaml"]);
    assert!(ran.code() == 1 && ran.err().contains("did you mean `server`?"), "{}", ran.err());
    assert_eq!(written(&project).deployments.len(), 2);
}

#[test]
fn needs_mounts_the_fingerprint_of_a_git_server_is_asked_for() {
    let server = Server::start(|_| {});
    let fingerprint = server.fingerprint("ed25519");
    for (answer, expected) in [("yes\n", 1), ("no\n", 0), (&*format!("{fingerprint}\n"), 1)] {
        let project = older(&server);
        let ran = on_a_terminal(&project, "init --from config.yaml", answer);
        assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
        assert!(ran.out().contains(&fingerprint), "{}", ran.out());
        let git = written(&project).deployments[0].git.clone().unwrap();
        assert_eq!(git.host_keys.len(), expected, "{answer}");
        assert!(git.host_keys.iter().all(|key| *key == fingerprint));
    }
}
