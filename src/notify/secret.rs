//! Addresses of webhooks and tokens, which nothing may show.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;

use crate::model::Address;

/// A token. It has no way to be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for who sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The address of a webhook: who knows it may write there, so nothing of it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    url: Address,
    /// Whether what is sent is encrypted.
    pub is_https: bool,
    /// The host in it.
    host: String,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Webhook {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none that can be sent to; the words do not repeat it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is no URL")?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("is no URL that begins with https:// or http://"),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or("is a URL without a host")?;
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        Ok(Self { url: Address::new(text), is_https, host })
    }

    /// The address as it was given, for who sends.
    pub(super) fn url(&self) -> &str {
        self.url.reveal()
    }

    /// The address of another page of the same server, as that server gives it: its scheme and port are this one's.
    ///
    /// # Errors
    /// When it is none, or one of another host; the words do not repeat it.
    pub(super) fn page(&self, next: &str) -> Result<Self, &'static str> {
        let uri: Uri = next.parse().map_err(|_| "is no URL")?;
        let host = uri.host().map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase());
        if host.is_some_and(|host| host != self.host) {
            return Err(
                "is one of another host, which is not asked: a token goes to the configured host alone",
            );
        }
        let path = uri.path_and_query().ok_or("is a URL without a path")?;
        let own = self.url();
        let scheme = own.find("://").map_or(0, |at| at + "://".len());
        let end = own[scheme..].find(['/', '?', '#']).map_or(own.len(), |at| scheme + at);
        Self::parse(&format!("{}{path}", &own[..end]))
    }

    /// Whether a list as in the variable `NO_PROXY` holds its host, as curl reads such a list: a name with all below it, an address,
    /// a range of addresses, or `*` alone.
    #[must_use]
    pub fn is_among(&self, list: &str) -> bool {
        let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        list == "*"
            || match self.host.parse() {
                Ok(address) => entries.any(|entry| is_in_range(address, entry)),
                Err(_) => entries.any(|entry| is_at_or_below(&self.host, entry)),
            }
    }
}

/// Whether a name is `entry` or ends in a dot and it. One dot on each side of an entry means nothing, and one behind a host neither.
fn is_at_or_below(host: &str, entry: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = entry.strip_suffix('.').unwrap_or(entry);
    let name = name.strip_prefix('.').unwrap_or(name).to_ascii_lowercase();
    host == name || host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether an address is `entry` or in its range, `10.0.0.0/8`. As for curl, `/0` is no range of all addresses.
fn is_in_range(address: IpAddr, entry: &str) -> bool {
    let (base, bits) = match entry.split_once('/') {
        Some((base, bits)) => match bits.parse::<u32>() {
            Ok(bits) => (base, bits),
            Err(_) => return false,
        },
        None => (entry, 0),
    };
    let (address, base, width) = match (address, base.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(base))) => {
            (address.to_bits().into(), base.to_bits().into(), 32u32)
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(base))) => (address.to_bits(), base.to_bits(), 128),
        _ => return false,
    };
    let differing: u128 = address ^ base;
    match bits {
        0 => differing == 0,
        _ => width.checked_sub(bits).is_some_and(|rest| differing.checked_shr(rest).unwrap_or(0) == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_sent_to_is_an_address() {
        for good in
            ["https://hooks.example.com/x?y=z", "http://127.0.0.1:80/", "http://[::1]:8080/", "HTTPS://A"]
        {
            assert!(Webhook::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "hooks.example.com/x", "ftp://a/", "file:///etc/passwd", "https://", "https:///x", "a b"]
        {
            assert!(Webhook::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let address = Webhook::parse("https://hooks.example.com/s3cr3t").unwrap();
        let shown = format!("{address:?} {:?}", Secret::new("s3cr3t".to_owned()));
        assert!(!shown.contains("s3cr3t") && !shown.contains("example"), "{shown}");
    }

    #[test]
    fn another_page_is_one_of_the_same_host() {
        let address = Webhook::parse("https://cmdb.example.com:8443/api/?limit=2").unwrap();
        for next in ["http://CMDB.example.com/api/?limit=2&offset=2", "/api/?limit=2&offset=2"] {
            let page = address.page(next).unwrap();
            assert_eq!(page.url(), "https://cmdb.example.com:8443/api/?limit=2&offset=2");
        }
        for next in ["https://other.example.com/api/", "https://cmdb.example.com.evil/", "", "a b"] {
            assert!(address.page(next).is_err(), "{next}");
        }
    }

    #[test]
    fn hosts_without_a_proxy_are_listed_as_for_curl() {
        let address = Webhook::parse("https://hooks.example.com/x").unwrap();
        for list in
            ["*", "hooks.example.com", "a, example.com", ".example.com", "example.com.", "EXAMPLE.com"]
        {
            assert!(address.is_among(list), "{list}");
        }
        let local = Webhook::parse("http://[::1]/x").unwrap();
        assert!(local.is_among("::3/126") && !local.is_among("::3/127"));
        for list in ["", "ample.com", "example.org", "ooks.example.com", ",", "a,*", "*.example.com"] {
            assert!(!address.is_among(list), "{list}");
        }
    }
}
