//! Why the engine of a server could not be used, in one line that says what to do next.

use super::facts::{Facts, SOCKET, Socket};
use super::stdio::Said;
use crate::host::docker::ClientRefusal;
use crate::model::escaped;

/// The reason why a socket could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unopened {
    /// The server forwards to no socket at all.
    Forbidden,
    /// The server cannot or will not; OpenSSH does not say which.
    Failed,
}

/// The reason why a client did not lead to the engine; `otherwise`, where it said nothing about it.
pub(super) fn refusal(said: &Said, otherwise: &str) -> ClientRefusal {
    match said {
        Said { began: false, code: None, .. } => {
            ClientRefusal::Said("the server ran no command for it: does its login shell run sh?".to_owned())
        }
        Said { began: false, code: Some(code), .. } => {
            ClientRefusal::Said(format!("its login shell ran no sh (exit code {code})"))
        }
        Said { stderr, code: None, .. } if stderr.is_empty() => ClientRefusal::Said(otherwise.to_owned()),
        Said { stderr, code, .. } => ClientRefusal::of(*code, stderr),
    }
}

/// The places that were tried, if the server has no engine at all.
pub(super) fn missing(refusal: &ClientRefusal, facts: Option<&Facts>) -> Option<String> {
    facts.filter(|facts| facts.sockets.is_empty())?;
    match refusal {
        ClientRefusal::NoClient => Some(format!(
            "no Docker engine on the server: there is no socket at {SOCKET} and no docker client"
        )),
        ClientRefusal::NotRunning(text) if text.contains("unix://") => {
            Some(format!("no Docker engine on the server: there is no socket ({text})"))
        }
        _ => None,
    }
}

/// Says why the engine could not be used, and what helps.
pub(super) fn in_one_line(
    refusal: ClientRefusal,
    unopened: Option<Unopened>,
    facts: Option<&Facts>,
) -> String {
    match refusal {
        ClientRefusal::NoClient => without_client(unopened, facts),
        ClientRefusal::NoPermission => {
            let whose = facts.and_then(no_permission);
            whose.unwrap_or_else(|| "this user may not use the engine: set docker = \"sudo\"".to_owned())
        }
        ClientRefusal::NoSudo => "there is no sudo on the server: set docker = \"auto\"".to_owned(),
        ClientRefusal::Password => {
            "sudo does not let this user run docker without a password: allow docker ps and \
                              docker inspect in sudoers with NOPASSWD"
                .to_owned()
        }
        ClientRefusal::NotRunning(text) => {
            format!("the engine of the server does not answer its client: is it running? ({text})")
        }
        ClientRefusal::Said(text) => format!("docker cannot be used on the server: {text}"),
    }
}

/// The reason where no client can say why the socket cannot be used.
fn without_client(unopened: Option<Unopened>, facts: Option<&Facts>) -> String {
    let usable = facts.and_then(|facts| facts.sockets.iter().find(|socket| socket.is_usable));
    let why = match (usable, unopened) {
        (Some(_), Some(Unopened::Forbidden)) => "the server forwards to no socket",
        (Some(_), Some(Unopened::Failed)) => "the server does not forward to it, or nothing listens there",
        (None, Some(_)) => return facts.and_then(no_permission).unwrap_or_else(no_client),
        (_, None) => return no_client(),
    };
    let path = usable.map(|socket| escaped(socket.path.as_bytes())).unwrap_or_default();
    format!(
        "{path} of the server cannot be used: {why}, and there is no docker client; set \
         AllowStreamLocalForwarding yes in sshd_config, or install the client"
    )
}

fn no_client() -> String {
    "no docker client is found on the server: install one, or put it on the PATH of logins without a terminal"
        .to_owned()
}

/// The group that may use the first socket which this user may not.
fn no_permission(facts: &Facts) -> Option<String> {
    let Socket { path, group, .. } = facts.sockets.iter().find(|socket| !socket.is_usable)?;
    let [user, path, group] = [&facts.user, path, group].map(|text| escaped(text.as_bytes()));
    Some(format!(
        "no permission to use {path} of the server: user {user} is not in the socket's group {group}; join that \
         group, or set docker = \"sudo\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(is_usable: bool) -> Facts {
        let socket = Socket { path: SOCKET.to_owned(), is_usable, group: "docker".to_owned() };
        Facts { user: "odoo".to_owned(), sockets: vec![socket] }
    }

    #[test]
    fn without_any_socket_and_client_there_is_no_engine() {
        let none = Facts::default();
        assert!(missing(&ClientRefusal::NoClient, Some(&none)).is_some());
        assert!(missing(&ClientRefusal::NotRunning("at unix:///x".to_owned()), Some(&none)).is_some());
        for refusal in [
            ClientRefusal::NotRunning("at tcp://x".to_owned()),
            ClientRefusal::NoPermission,
            ClientRefusal::Password,
        ] {
            assert_eq!(missing(&refusal, Some(&none)), None, "{refusal:?}");
        }
        assert_eq!(missing(&ClientRefusal::NoClient, None), None, "nothing is known");
        assert_eq!(missing(&ClientRefusal::NoClient, Some(&facts(false))), None);
    }

    #[test]
    fn a_socket_without_a_client_is_told_by_what_stands_in_its_way() {
        let told = |unopened, facts: &Facts| in_one_line(ClientRefusal::NoClient, unopened, Some(facts));
        assert!(told(Some(Unopened::Failed), &facts(true)).contains("or nothing listens there"));
        assert!(told(Some(Unopened::Forbidden), &facts(true)).contains("forwards to no socket"));
        assert!(told(Some(Unopened::Failed), &facts(false)).contains("user odoo is not in"));
        assert!(told(None, &facts(true)).contains("no docker client is found"));
    }

    #[test]
    fn no_permission_says_whose_the_socket_is_where_that_is_known() {
        let told = |facts: Option<&Facts>| in_one_line(ClientRefusal::NoPermission, None, facts);
        assert!(told(Some(&facts(false))).contains("group docker"));
        assert!(told(Some(&facts(true))).contains("docker = \"sudo\"") && told(None).contains("sudo"));
    }
}
