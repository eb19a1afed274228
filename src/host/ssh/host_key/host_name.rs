//! A host whose key is looked for: its name as `known_hosts` files have it.

use std::net::IpAddr;

use crate::model::escaped;

/// A host that is looked for.
#[derive(Clone, Copy)]
pub(super) struct HostName<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The name to look for in place of host and port.
    pub(super) alias: Option<&'a str>,
}

impl HostName<'_> {
    /// Whether lines for this host have its port.
    pub(super) fn has_port(&self) -> bool {
        self.alias.is_none() && self.port != 22
    }

    /// The name without the port: in lower case, and the usual spelling of an address.
    pub(super) fn bare(&self) -> String {
        match (self.alias, self.host.parse::<IpAddr>()) {
            (None, Ok(address)) => address.to_string(),
            (alias, _) => alias.unwrap_or(self.host).to_ascii_lowercase(),
        }
    }

    /// The name to look for.
    pub(super) fn name(&self) -> String {
        if self.has_port() { format!("[{}]:{}", self.bare(), self.port) } else { self.bare() }
    }
}

impl std::fmt::Display for HostName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} port {}", escaped(self.host.as_bytes()), self.port)?;
        match self.alias {
            Some(alias) => write!(f, " (known as {})", escaped(alias.as_bytes())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16, alias: Option<&str>) -> String {
        HostName { host, port, alias }.name()
    }

    #[test]
    fn hosts_have_one_name() {
        assert_eq!(name("Web.Example", 22, None), "web.example");
        assert_eq!(name("Web.Example", 2222, None), "[web.example]:2222");
        assert_eq!(name("0:0::0001", 2222, None), "[::1]:2222");
        assert_eq!(name("fe80::1%eth0", 22, None), "fe80::1%eth0");
        assert_eq!(name("web", 2222, Some("Box")), "box");
        assert_eq!(name("web", 2222, Some("::0001")), "::0001");
    }
}
