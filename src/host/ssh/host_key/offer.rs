//! Host-key algorithms to offer to a server, in the order in which `ssh` offers them.

use russh::keys::Algorithm;

use super::Trust;
use super::command::Reason;
use super::known_hosts::{HostKeyLine, KnownHosts, Marker, with};
use crate::host::ssh::policy::{HostKeyAlgorithm, Policy, is_same_type};

/// Host-key algorithms to offer at once, best first. The library offers certificates before keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// In certificates.
    pub certificates: Vec<Algorithm>,
    /// As plain keys.
    pub keys: Vec<Algorithm>,
}

impl Offer {
    /// Whether a server has any of it, by the names of what it has.
    pub(in crate::host::ssh) fn meets(&self, names: &[String]) -> bool {
        let mut own = self.certificates.iter().map(Algorithm::to_certificate_type);
        own.any(|name| names.contains(&name)) || self.keys.iter().any(|key| names.contains(&key.to_string()))
    }
}

impl Trust {
    /// The host-key algorithms to offer to a host, in the order of `ssh`: those on record for its name go first, and
    /// certificates do where an authority is known, unless the best of all is on record or `ssh_config` has a list of
    /// its own. A certificate that follows a plain key stands in another offer, for a server that has nothing of those
    /// before. SHA-1 is never offered.
    #[must_use]
    pub fn offers(&self, host: &str, port: u16) -> Vec<Offer> {
        self.offers_with(&KnownHosts::read(&self.files), host, port)
    }

    /// The same by files that were read before.
    pub(in crate::host::ssh) fn offers_with(
        &self,
        known_hosts: &KnownHosts,
        host: &str,
        port: u16,
    ) -> Vec<Offer> {
        // Files that cannot be read are reported when the key is judged.
        let name = self.host_name(host, port).name();
        let known = match &self.command {
            None => known_hosts.entries(&name),
            Some(command) => known_hosts.clone().and_of(command, Reason::Order, host, None).entries(&name),
        };
        let known = known.unwrap_or_default();
        let mut offers = vec![Offer::default()];
        for algorithm in in_order(&self.policy, &known) {
            let has_keys = offers.last().is_some_and(|offer| !offer.keys.is_empty());
            if algorithm.is_certificate && has_keys {
                offers.push(Offer::default());
            }
            if let Some(offer) = offers.last_mut() {
                if algorithm.is_certificate { &mut offer.certificates } else { &mut offer.keys }
                    .push(algorithm.plain);
            }
        }
        offers
    }
}

/// Algorithms that can be used, in the order in which `ssh` offers them.
fn in_order(policy: &Policy, known: &[HostKeyLine]) -> Vec<HostKeyAlgorithm> {
    // Of several keys of one type `ssh` looks at the first, and it may be revoked.
    let on_record = |algorithm: &HostKeyAlgorithm| {
        let of_type = |entry: &&HostKeyLine| is_same_type(&entry.key.algorithm(), &algorithm.plain);
        let first = with(known, Marker::HostKey).find(of_type);
        let revokes = |entry: &HostKeyLine, key: &HostKeyLine| !entry.is_void_for_ssh && entry.key == key.key;
        first.is_some_and(|first| !with(known, Marker::Revoked).any(|entry| revokes(entry, first)))
    };
    let mut ordered = policy.host_key_algorithms();
    if policy.goes_by_record() && !ordered.first().is_some_and(on_record) {
        let has_authority = with(known, Marker::Authority).next().is_some();
        ordered.sort_by_key(|each| !(each.is_certificate && has_authority || on_record(each)));
    }
    ordered.retain(HostKeyAlgorithm::is_usable);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ssh::host_key::samples::{key, known, line, offered, rsa};

    #[test]
    fn all_is_offered_in_the_order_of_ssh() {
        let all = Policy::default().host_keys;
        assert_eq!(offered(&known(&[]).1, 22), all);
        let (_dir, trust) = known(&[line("web", &rsa(128)), line("web", &key(1))]);
        assert_eq!(offered(&trust, 22), all, "the best of all is on record");
        let (_dir, trust) = known(&[line("@cert-authority web", &key(1))]);
        assert_eq!(offered(&trust, 22), all);
        let (_dir, trust) = known(&[line("web", &rsa(128))]);
        assert_eq!(trust.offers("web", 22).len(), 2);
        assert_eq!(offered(&trust, 22)[..3], [&all[4..6], &all[10..11]].concat());
        assert_eq!(offered(&trust, 2222), all, "a name without its port orders nothing, as for ssh");
        let (_dir, trust) = known(&[line("web", &rsa(128)), line("@revoked web", &rsa(128))]);
        assert_eq!(offered(&trust, 22), all, "nor does a key that is revoked");
    }
}
