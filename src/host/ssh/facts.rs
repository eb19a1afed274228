//! What a server tells of its engine's sockets, asked only when the engine could not be used.

/// One line each: the user, and the sockets that there are.
pub(super) fn script(mark: &str) -> String {
    format!(
        "LC_ALL=C; export LC_ALL
echo {mark}; echo {mark} >&2
run=${{XDG_RUNTIME_DIR:-/run/user/$(id -u)}}
echo \"user $(id -un 2>/dev/null || id -u)\"
for socket in {SOCKET} \"$run/docker.sock\" \"$HOME/.docker/run/docker.sock\" \\
    \"$run/podman/podman.sock\" /run/podman/podman.sock
do
  if [ -S \"$socket\" ]; then
    usable=no; [ -w \"$socket\" ] && usable=yes
    set -- $(ls -dL -l \"$socket\"); echo \"socket $usable $4 $socket\"
  fi
done
echo end
"
    )
}

/// The default socket of an engine.
pub(super) const SOCKET: &str = "/var/run/docker.sock";

/// The user and the sockets of a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The user who is logged in.
    pub(super) user: String,
    /// The sockets that there are, in the order in which they are tried.
    pub(super) sockets: Vec<Socket>,
}

/// A socket that an engine may listen at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Its path.
    pub(super) path: String,
    /// Whether this user may use it.
    pub(super) is_usable: bool,
    /// Its group.
    pub(super) group: String,
}

impl Facts {
    /// Reads what the script said; `None` where that is not all of it.
    pub(super) fn read(output: &[u8]) -> Option<Self> {
        let mut facts = Self::default();
        let text = String::from_utf8_lossy(output);
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("user", user)) => user.clone_into(&mut facts.user),
                Some(("socket", rest)) => facts.sockets.extend(Socket::read(rest)),
                _ => {}
            }
        }
        text.lines().last().filter(|line| *line == "end")?;
        Some(facts)
    }
}

impl Socket {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (usable, group, path) = (words.next()?, words.next()?, words.next()?);
        Some(Self { path: path.to_owned(), is_usable: usable == "yes", group: group.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_tells_is_read_to_its_end() {
        let facts = Facts::read(b"user odoo\nsocket no docker /var/run/docker.sock\nend\n").unwrap();
        assert_eq!((facts.user.as_str(), facts.sockets.len()), ("odoo", 1));
        assert!(!facts.sockets[0].is_usable && facts.sockets[0].group == "docker");
        assert_eq!(Facts::read(b"user odoo\n"), None);
    }
}
