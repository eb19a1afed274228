//! The version of the program that wrote a state, where that lies in a file here: no plan tells it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::command::Caller;

/// What of a state is read here.
#[derive(Deserialize)]
struct Written {
    terraform_version: Option<String>,
}

/// What an initialisation has noted of the backend.
#[derive(Deserialize)]
struct Noted {
    backend: Option<Backend>,
    cloud: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Backend {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: LocalConfig,
}

#[derive(Deserialize, Default)]
struct LocalConfig {
    path: Option<PathBuf>,
    workspace_dir: Option<PathBuf>,
}

/// The version that wrote the state of an environment; `None` where the state lies elsewhere, or there is none.
pub(super) fn of_local(caller: &Caller<'_>) -> Option<String> {
    let data = caller.data_dir.clone().unwrap_or_else(|| caller.dir.join(".terraform"));
    let config = match std::fs::read(data.join("terraform.tfstate")) {
        Ok(bytes) => {
            let noted: Noted = serde_json::from_slice(&bytes).ok()?;
            match (noted.backend, noted.cloud) {
                (Some(backend), None) if backend.kind == "local" => backend.config,
                (None, None) => LocalConfig::default(),
                _ => return None,
            }
        }
        Err(_) => LocalConfig::default(),
    };
    let workspace = caller.config.workspace.as_deref().filter(|name| *name != "default");
    let path = match workspace {
        None => config.path.unwrap_or_else(|| "terraform.tfstate".into()),
        Some(name) => {
            let base = config.workspace_dir.unwrap_or_else(|| "terraform.tfstate.d".into());
            base.join(name).join("terraform.tfstate")
        }
    };
    written_by(&caller.dir.join(path))
}

fn written_by(state: &Path) -> Option<String> {
    let file = std::fs::File::open(state).ok()?;
    let written: Written = serde_json::from_reader(std::io::BufReader::new(file)).ok()?;
    written.terraform_version
}

/// Whether one version is of a newer minor release than another: patches of one release write the same.
pub(super) fn is_newer(written: &str, program: &str) -> bool {
    let release = |version: &str| {
        let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    release(written).zip(release(program)).is_some_and(|(written, program)| written > program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        for (written, program) in [("1.12.0", "1.11.4"), ("1.100.0", "1.20.9"), ("2.0.0-rc1", "1.99.9")] {
            assert!(is_newer(written, program) && !is_newer(program, written), "{written} {program}");
        }
        for (written, program) in
            [("1.11.9", "1.11.4"), ("", "1.11.4"), ("x.y", "1.0.0"), ("1.11.4", "1.11.4-beta1")]
        {
            assert!(!is_newer(written, program), "{written} {program}");
        }
    }
}
