//! The judge of host keys: whether a key that a server presented is trusted, as OpenSSH trusts it.

use std::net::IpAddr;

use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::Certificate;

use super::Trust;
use super::certificate::{HostCertificateFault, check};
use super::command::Reason;
use super::host_name::HostName;
use super::known_hosts::{HostKeyLine, KnownHosts, KnownHostsError, Marker, with};
use super::presented::{PresentedKey, fingerprint, kind};
use super::revoked::revoked_by;
use super::unknown::Unknown;
use crate::host::ssh::policy::is_same_type;

/// The verdict on a server's key.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// It is the host's.
    Trusted,
    /// No file names the host.
    Unknown(Box<Unknown>),
    /// It must not be trusted, whatever the user says; the text is for them.
    Refused(String),
}

/// Lines of the files about one host.
#[derive(Default)]
struct HostRecords {
    /// Under the name that is looked for.
    named: Vec<HostKeyLine>,
    /// Under the bare name, where the other one has the port: these count when that has none.
    bare: Vec<HostKeyLine>,
}

impl HostRecords {
    fn find(known_hosts: &KnownHosts, host: HostName<'_>) -> Result<Self, KnownHostsError> {
        let bare = if host.has_port() { known_hosts.entries(&host.bare())? } else { Vec::new() };
        Ok(Self { named: known_hosts.entries(&host.name())?, bare })
    }
}

impl Trust {
    /// Judges the key that a server presented, as `ssh` does.
    ///
    /// A revoked key, or a certificate of a revoked authority, is refused before all else. A key whose fingerprint is
    /// listed is trusted; the list adds to the files and takes nothing from them. It names host keys and never
    /// authorities: a certificate counts there by the key inside it. Where no authority known for the host certifies
    /// a key, the plain key is judged. A host that is known by another key, of whatever type, is refused; one that is
    /// not known with its port is looked for without it.
    #[must_use]
    pub fn judge(&self, host: &str, port: u16, offered: &PublicKeyOrCertificate) -> Judgement {
        self.judge_with(&KnownHosts::read(&self.files), host, port, None, offered)
    }

    /// Judges by files that were read before. With `CheckHostIP` the key of a server must be that of its IP address,
    /// too, where that is known and the files have a key for it.
    pub(in crate::host::ssh) fn judge_with(
        &self,
        known_hosts: &KnownHosts,
        host: &str,
        port: u16,
        address: Option<IpAddr>,
        offered: &PublicKeyOrCertificate,
    ) -> Judgement {
        let host = self.host_name(host, port);
        if let Some(why) = self.revoked.as_deref().and_then(|file| revoked_by(file, offered)) {
            return Judgement::Refused(format!("{host} {why}"));
        }
        let key = PresentedKey::new(host, offered);
        let asked = self.command.as_ref().map(|command| {
            let by_name = known_hosts.clone().and_of(command, Reason::HostName, &host.name(), Some(offered));
            match self.other_name(address, host) {
                Some(name) => by_name.and_of(command, Reason::Address, &name, Some(offered)),
                None => by_name,
            }
        });
        let known_hosts = asked.as_ref().unwrap_or(known_hosts);
        let judged = HostRecords::find(known_hosts, host).and_then(|records| {
            let judgement = self.evaluate(&records, &key);
            if matches!(judgement, Judgement::Refused(_)) {
                return Ok(judgement);
            }
            let conflict = self.conflict_at(known_hosts, address, &records, &key)?;
            Ok(conflict.map_or(judgement, Judgement::Refused))
        });
        judged.unwrap_or_else(|error| Judgement::Refused(format!("{host} cannot be judged: {error}")))
    }

    /// The name of a host's IP address, where its key must be that of it, too.
    fn other_name(&self, address: Option<IpAddr>, host: HostName<'_>) -> Option<String> {
        let address = address.filter(|address| self.policy.check_ip && !address.is_loopback())?.to_string();
        let name = HostName { host: &address, port: host.port, alias: None }.name();
        (name != host.name()).then_some(name)
    }

    /// The refusal of a key where the files have another one for the server's IP address, or revoke it there. Lines
    /// without the port count where the host itself is known without it.
    fn conflict_at(
        &self,
        known_hosts: &KnownHosts,
        address: Option<IpAddr>,
        records: &HostRecords,
        key: &PresentedKey<'_>,
    ) -> Result<Option<String>, KnownHostsError> {
        let Some(address) = address.filter(|_| self.other_name(address, key.host).is_some()) else {
            return Ok(None);
        };
        let address = address.to_string();
        let host = HostName { host: &address, port: key.host.port, alias: None };
        let HostRecords { named, bare } = HostRecords::find(known_hosts, host)?;
        if let Some(text) = [&named, &bare].into_iter().find_map(|entries| key.revocation(entries)) {
            return Ok(Some(text));
        }
        let is_certified =
            key.certificate.is_some_and(|certificate| certified(self, records, key, certificate).is_ok());
        if is_certified || self.fingerprints.contains(&key.fingerprint()) {
            return Ok(None);
        }
        let is_known_bare =
            with(&records.named, Marker::HostKey).next().is_none() && holds(&records.bare, key);
        let counting = [Some(&named), Some(&bare).filter(|_| is_known_bare)];
        let other = counting
            .into_iter()
            .flatten()
            .find_map(|entries| other_key(entries, key).filter(|_| !holds(entries, key)));
        Ok(other.map(|entry| key.changed_at(&address, entry)))
    }

    fn evaluate(&self, records: &HostRecords, key: &PresentedKey<'_>) -> Judgement {
        if let Some(text) = key.fault(&self.policy).or_else(|| key.revocation(&records.named)) {
            return Judgement::Refused(text);
        }
        let certified = key.certificate.map(|certificate| certified(self, records, key, certificate));
        let is_certified = matches!(certified, Some(Ok(())));
        let fault = certified.and_then(Result::err).map(|fault| fault.to_string());
        let is_listed = self.fingerprints.contains(&key.fingerprint());
        if !is_listed {
            if is_certified || holds(&records.named, key) {
                return Judgement::Trusted;
            }
            if let Some(entry) = other_key(&records.named, key) {
                return Judgement::Refused(key.changed(entry, fault.as_deref()));
            }
        }
        if let Some(text) = key.revocation(&records.bare) {
            return Judgement::Refused(text);
        }
        if is_listed || holds(&records.bare, key) {
            return Judgement::Trusted;
        }
        Judgement::Unknown(Box::new(Unknown {
            host: key.host.host.to_owned(),
            port: key.host.port,
            alias: self.alias.clone(),
            key: key.key.clone(),
            key_type: kind(&key.key.algorithm()),
            fingerprint: key.fingerprint(),
            certificate: fault,
            record_in: self.record_in.clone(),
        }))
    }
}

/// Checks that an authority which is known for the host certifies the key.
fn certified(
    trust: &Trust,
    records: &HostRecords,
    key: &PresentedKey<'_>,
    certificate: &Certificate,
) -> Result<(), HostCertificateFault> {
    let authority = certificate.signature_key();
    let holds =
        |entries: &[HostKeyLine]| with(entries, Marker::Authority).any(|entry| entry.key == *authority);
    if !holds(&records.named) && (!holds(&records.bare) || key.revocation(&records.bare).is_some()) {
        return Err(HostCertificateFault::Authority(fingerprint(authority)));
    }
    check(certificate, &key.host.bare(), trust.now, &trust.policy)
}

/// Whether the key itself is on record.
fn holds(entries: &[HostKeyLine], key: &PresentedKey<'_>) -> bool {
    with(entries, Marker::HostKey).any(|entry| entry.key == *key.key.key_data())
}

/// The key that the host is known by instead, one of the same type before others.
fn other_key<'a>(entries: &'a [HostKeyLine], key: &PresentedKey<'_>) -> Option<&'a HostKeyLine> {
    let is_alike = |entry: &&HostKeyLine| is_same_type(&entry.key.algorithm(), &key.key.algorithm());
    with(entries, Marker::HostKey).find(is_alike).or_else(|| with(entries, Marker::HostKey).next())
}

#[cfg(test)]
mod tests {
    use russh::keys::PublicKey;

    use super::*;
    use crate::host::ssh::host_key::samples::{ONE, TWO, key, known, line, offered, rsa};
    use crate::host::ssh::policy::Policy;

    fn judge(trust: &Trust, key: &PublicKey) -> Judgement {
        trust.judge("web", 2222, &key.clone().into())
    }

    fn refusal(trust: &Trust, key: &PublicKey) -> String {
        match judge(trust, key) {
            Judgement::Refused(text) => text,
            Judgement::Unknown(unknown) => unknown.refusal(),
            Judgement::Trusted => panic!("it is trusted"),
        }
    }

    /// Replaces what differs from run to run.
    fn plain(text: &str, dir: &tempfile::TempDir) -> String {
        text.replace(&dir.path().display().to_string(), "/home/me/.ssh")
    }

    #[test]
    fn an_unknown_host_is_told_with_what_to_do() {
        let (dir, trust) = known(&[]);
        let expected = format!(
            "web port 2222 showed the ED25519 key {ONE}, and no known_hosts file knows that host: compare it with \
            what \"ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\" says on the server itself; if it is the same, \
            run again with --accept-new-host-key, which records it in /home/me/.ssh/known_hosts, or put \
            host_keys = [\"{ONE}\"] into the target"
        );
        assert_eq!(plain(&refusal(&trust, &key(1)), &dir), expected);
        let Judgement::Unknown(unknown) = judge(&trust, &key(1)) else { panic!() };
        let expected = format!(
            "The authenticity of host 'web port 2222' can't be established.\nED25519 key fingerprint is {ONE}."
        );
        assert_eq!(unknown.question(), expected);
        let unrecorded = Trust { record_in: None, ..trust };
        assert!(!refusal(&unrecorded, &key(1)).contains("--accept-new-host-key"));
    }

    #[test]
    fn a_changed_key_is_told_with_the_line_that_knows_another() {
        let lines = [line("web", &key(3)), line("[web]:2222", &rsa(128)), line("[web]:*", &key(2))];
        let (dir, trust) = known(&lines);
        let expected = format!(
            "web port 2222 showed the ED25519 key {ONE}, but /home/me/.ssh/known_hosts:3 has the ED25519 key {TWO}: \
            the server has a new key, or somebody stands in between; compare it with what \"ssh-keygen -lf \
            /etc/ssh/ssh_host_ed25519_key.pub\" says on the server itself; if it is the same, forget the old one: \
            ssh-keygen -R '[web]:2222' -f /home/me/.ssh/known_hosts, and run again with --accept-new-host-key"
        );
        assert_eq!(plain(&refusal(&trust, &key(1)), &dir), expected);
        assert!(refusal(&trust, &rsa(129)).contains("known_hosts:2"));
    }

    #[test]
    fn a_revoked_key_is_told_with_the_line_that_revokes_it() {
        let (dir, trust) = known(&[line("[web]:2222", &key(1)), line("@revoked *", &key(1))]);
        let expected = format!(
            "web port 2222 showed the ED25519 key {ONE}, which /home/me/.ssh/known_hosts:2 revokes: it may be stolen, \
            so do not connect; give the server a new one, or take that line out if it is a mistake"
        );
        assert_eq!(plain(&refusal(&trust, &key(1)), &dir), expected);
    }

    #[test]
    fn names_are_shown_without_what_a_terminal_obeys() {
        let (_dir, trust) = known(&[line("*", &key(1))]);
        let trust = Trust { alias: Some("a\u{1b}[2J".to_owned()), ..trust };
        let judged = trust.judge("w\u{7}eb", 22, &key(2).into());
        let Judgement::Refused(text) = judged else { panic!("{judged:?}") };
        assert!(text.starts_with("w\\x07eb port 22 (known as a\\x1b[2J) showed"), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }

    #[test]
    fn a_listed_fingerprint_is_believed_unless_it_is_revoked() {
        let listed = |trust: Trust, number| Trust {
            fingerprints: vec!["SHA256:x".to_owned(), fingerprint(key(number).key_data())],
            ..trust
        };
        let (_dir, trust) = known(&[line("[web]:2222", &key(2))]);
        let trust = listed(trust, 1);
        for number in [1, 2] {
            assert!(matches!(judge(&trust, &key(number)), Judgement::Trusted), "{number}");
        }
        assert!(matches!(judge(&trust, &key(3)), Judgement::Refused(_)));
        for name in ["*", "[web]:2222", "web"] {
            let (_dir, trust) = known(&[line(&format!("@revoked {name}"), &key(1))]);
            assert!(matches!(judge(&listed(trust, 1), &key(1)), Judgement::Refused(_)), "{name}");
        }
    }

    #[test]
    fn a_short_rsa_key_is_refused_even_when_it_is_listed() {
        let short = rsa(127);
        let trust = Trust { fingerprints: vec![fingerprint(short.key_data())], ..Trust::default() };
        assert!(refusal(&trust, &short).contains("1016 bits"));
        let enough = Trust { fingerprints: vec![fingerprint(rsa(128).key_data())], ..Trust::default() };
        assert!(matches!(judge(&enough, &rsa(128)), Judgement::Trusted));
    }

    #[test]
    fn a_file_that_cannot_be_read_refuses_every_host() {
        let (dir, mut trust) = known(&[line("[web]:2222", &key(1))]);
        trust.files.push(dir.path().join("missing"));
        assert!(matches!(judge(&trust, &key(1)), Judgement::Trusted));
        trust.files.push(dir.path().to_owned());
        let told = plain(&refusal(&trust, &key(1)), &dir);
        assert!(told.starts_with("web port 2222 cannot be judged: /home/me/.ssh cannot be read"), "{told}");
        assert_eq!(offered(&trust, 2222), Policy::default().host_keys);
    }

    #[test]
    fn what_the_policy_leaves_out_is_refused() {
        let host_keys = vec!["rsa-sha2-256".to_owned()];
        let policy = Policy { host_keys, rsa_bits: 2048, ..Policy::default() };
        let (_dir, trust) = known(&["1", "web"].map(|name| line(name, &key(1))));
        let trust = Trust { policy, ..trust };
        assert_eq!(offered(&trust, 22), ["rsa-sha2-256"]);
        assert!(refusal(&trust, &key(1)).contains("HostKeyAlgorithms"));
        let told = refusal(&trust, &rsa(128));
        assert!(told.contains("1024 bits of 2048 wanted (RequiredRSASize)"), "{told}");
    }

    #[test]
    fn a_key_must_be_that_of_the_address_where_that_is_asked_for() {
        let (_dir, trust) = known(&[line("web", &key(1)), line("10.0.0.1", &key(2))]);
        let policy = Policy { check_ip: true, ..Policy::default() };
        let strict = Trust { policy, ..trust.clone() };
        let judge_at = |trust: &Trust, host: &str, port: u16, address: &str| {
            let known_hosts = KnownHosts::read(&trust.files);
            trust.judge_with(&known_hosts, host, port, Some(address.parse().unwrap()), &key(1).into())
        };
        let judge = |trust: &Trust, address: &str| judge_at(trust, "web", 22, address);
        assert!(matches!(judge(&trust, "10.0.0.1"), Judgement::Trusted));
        assert!(matches!(judge(&strict, "10.0.0.2"), Judgement::Trusted));
        let judged = judge(&strict, "10.0.0.1");
        assert!(matches!(&judged, Judgement::Refused(why) if why.contains("CheckHostIP")), "{judged:?}");
        let judged = judge_at(&strict, "new", 22, "10.0.0.1");
        assert!(matches!(&judged, Judgement::Refused(why) if why.contains("CheckHostIP")), "{judged:?}");
        assert!(matches!(judge_at(&strict, "new", 22, "10.0.0.2"), Judgement::Unknown(_)));
        assert!(matches!(judge_at(&strict, "new", 2222, "10.0.0.1"), Judgement::Unknown(_)), "another port");
        assert!(
            matches!(judge_at(&strict, "web", 2222, "10.0.0.1"), Judgement::Refused(_)),
            "by the bare name"
        );
        let (_dir, revoking) = known(&[line("web", &key(1)), line("@revoked 10.0.0.1", &key(1))]);
        let revoking = Trust { policy: strict.policy, ..revoking };
        assert!(matches!(judge(&revoking, "10.0.0.1"), Judgement::Refused(_)));
    }
}
