//! Where the Docker engine of this machine listens, found as the docker client finds it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::control::Environment;
use crate::host::docker::Engine;
use crate::model::{Address, Digest};

/// Finds the engine: `DOCKER_HOST`, then the docker context, then the sockets that engines have by default.
pub(crate) fn find(environment: &Environment) -> Engine {
    if let Some(host) = environment.non_empty("DOCKER_HOST") {
        return at(&host.to_string_lossy(), tls_directory(environment), environment);
    }
    let docker = environment
        .non_empty("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(home(environment)?.join(".docker")));
    docker
        .and_then(|directory| of_context(&directory, environment))
        .unwrap_or_else(|| of_sockets(environment))
}

fn home(environment: &Environment) -> Option<PathBuf> {
    environment.non_empty("HOME").map(PathBuf::from)
}

/// The directory of certificates, when TLS is asked for.
fn tls_directory(environment: &Environment) -> Option<PathBuf> {
    environment.non_empty("DOCKER_TLS_VERIFY")?;
    environment
        .non_empty("DOCKER_CERT_PATH")
        .map(PathBuf::from)
        .or_else(|| Some(home(environment)?.join(".docker")))
}

/// The engine at an address in Docker's notation. What the docker client leaves out of it is left out here: a user, and
/// a password.
fn at(host: &str, tls: Option<PathBuf>, environment: &Environment) -> Engine {
    if let Some(path) = host.strip_prefix("unix://") {
        if path.is_empty() {
            return of_sockets(environment);
        }
        return Engine::Unix(PathBuf::from(path));
    }
    let address = ["tcp://", "http://", "https://"].iter().find_map(|scheme| host.strip_prefix(scheme));
    let bare = host.split_once(':').filter(|(name, port)| is_host(name) && is_port(port)).map(|_| host);
    let Some(address) = address.or(bare) else {
        return Engine::Unsupported(format!(
            "{} is no address of an engine that can be reached from here: unix:// and tcp:// can",
            Address::new(host)
        ));
    };
    let address = address.rsplit_once('@').map_or(address, |(_, place)| place);
    let address = Address::new(with_port(address, if tls.is_some() { "2376" } else { "2375" }));
    match tls {
        Some(directory) => Engine::Tls(address, directory),
        None => Engine::Tcp(address),
    }
}

fn is_host(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// An address with what the docker client puts in the place of a host and a port that are not there.
fn with_port(address: &str, port: &str) -> String {
    let (place, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let host = if place.is_empty() || place.starts_with(':') { "127.0.0.1" } else { "" };
    let port = if has_port { String::new() } else { format!(":{port}") };
    format!("{host}{place}{port}{path}")
}

#[derive(Deserialize, Default)]
struct ClientConfig {
    #[serde(default, rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints")]
    endpoints: std::collections::BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, rename = "Host")]
    host: Option<String>,
}

/// The engine of the current docker context; `None` for the default one.
fn of_context(docker: &Path, environment: &Environment) -> Option<Engine> {
    let name = environment
        .non_empty("DOCKER_CONTEXT")
        .map(|name| name.to_string_lossy().into_owned())
        .or_else(|| {
            let text = read_file_within(&docker.join("config.json"), LARGEST_TEXT).ok()?;
            serde_json::from_slice::<ClientConfig>(&text).ok()?.current_context
        });
    let name = name.filter(|name| !name.is_empty() && name != "default")?;
    let directory = Digest::of(name.as_bytes()).to_string();
    let meta = docker.join("contexts/meta").join(&directory).join("meta.json");
    let meta = read_file_within(&meta, LARGEST_TEXT);
    let meta: Option<ContextMeta> = meta.ok().and_then(|text| serde_json::from_slice(&text).ok());
    let host = meta.and_then(|meta| meta.endpoints.get("docker").and_then(|endpoint| endpoint.host.clone()));
    let tls = docker.join("contexts/tls").join(&directory).join("docker");
    Some(match host {
        Some(host) => at(&host, tls.is_dir().then_some(tls), environment),
        None => Engine::Unsupported(format!(
            "the docker context \"{}\" cannot be read: docker context ls",
            Address::new(name)
        )),
    })
}

/// The first default socket that this user may use, else the first that is there.
fn of_sockets(environment: &Environment) -> Engine {
    let runtime = environment.non_empty("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates: Vec<PathBuf> = [
        Some(PathBuf::from("/var/run/docker.sock")),
        runtime.as_ref().map(|dir| dir.join("docker.sock")),
        home(environment).map(|home| home.join(".docker/run/docker.sock")),
        runtime.as_ref().map(|dir| dir.join("podman/podman.sock")),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ]
    .into_iter()
    .flatten()
    .filter(|path| path.symlink_metadata().is_ok())
    .collect();
    let usable = |path: &&PathBuf| rustix::fs::access(path.as_path(), rustix::fs::Access::WRITE_OK).is_ok();
    match candidates.iter().find(usable).or_else(|| candidates.first()) {
        Some(path) => Engine::Unix(path.clone()),
        None => {
            Engine::None("no Docker engine here: DOCKER_HOST is not set, and no socket is there".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, tls: Option<PathBuf>) -> Engine {
        super::at(host, tls, &Environment::of_process())
    }

    #[test]
    fn addresses_are_those_of_the_docker_client() {
        for (text, expected) in [
            ("tcp://127.0.0.1:2375", "127.0.0.1:2375"),
            ("tcp://erp", "erp:2375"),
            ("tcp://:2375", "127.0.0.1:2375"),
            ("127.0.0.1:2375", "127.0.0.1:2375"),
            ("http://erp:80/x", "erp:80/x"),
            ("tcp://[::1]", "[::1]:2375"),
            ("tcp://[::1]:1", "[::1]:1"),
            ("tcp://bob:s3cr3t@erp:1", "erp:1"),
            ("tcp://bob:s3/cr3t@erp", "erp:2375"),
        ] {
            assert_eq!(at(text, None), Engine::Tcp(Address::new(expected)), "{text}");
        }
        assert_eq!(at("tcp://erp", Some("/c".into())), Engine::Tls(Address::new("erp:2376"), "/c".into()));
        for text in ["ssh://bob:s3cr3t@erp", "bob:s3cr3t@erp", "tcp:/bob:s3cr3t@erp", "s3cr3t:"] {
            assert!(matches!(at(text, None), Engine::Unsupported(_)), "{text}");
        }
        let Engine::Unsupported(why) = at("ssh://bob:s3cr3t@erp", None) else { panic!() };
        assert!(why.starts_with("ssh://…@erp is no address"), "{why}");
    }
}
