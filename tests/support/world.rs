//! The environment of what tests start: nothing of whoever runs them takes part.

use std::process::Command;

/// Beginnings of names of variables that change what driftlock, git, ssh or an engine's client does.
const FOREIGN: [&str; 11] =
    ["CI", "CLICOLOR", "COLUMNS", "DRIFTLOCK_", "GIT", "LANG", "LC_", "LINES", "NO_COLOR", "SSH_", "XDG_"];

/// Variables of the engine's client beside its address.
const CLIENT: [&str; 5] =
    ["DOCKER_API_VERSION", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY"];

fn is_foreign(name: &str) -> bool {
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    is_proxy || CLIENT.contains(&name) || FOREIGN.iter().any(|beginning| name.starts_with(beginning))
}

/// A command that a test starts.
pub(crate) trait Alone {
    /// Sets or removes a variable.
    fn variable(&mut self, name: &str, value: Option<&str>);

    /// Takes away what is of whoever runs the tests: their home, configuration, locale, zone, agents, proxies and CI.
    /// What a test wants of it, it sets afterwards.
    fn alone(&mut self) -> &mut Self {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in names.filter(|name| is_foreign(name)) {
            self.variable(&name, None);
        }
        let fixed = [
            ("DOCKER_CONFIG", "/nonexistent"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ];
        for (name, value) in fixed {
            self.variable(name, Some(value));
        }
        self
    }
}

impl Alone for Command {
    fn variable(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.env(name, value),
            None => self.env_remove(name),
        };
    }
}

impl Alone for assert_cmd::Command {
    fn variable(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.env(name, value),
            None => self.env_remove(name),
        };
    }
}

/// The binary, alone.
pub(crate) fn driftlock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftlock"));
    command.alone();
    command
}
