//! The judge of host keys: which are believed, as OpenSSH believes them, and where a new one is recorded.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::Certificate;
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};

use super::Trust;
use super::certificate::fault;
use super::known_hosts::{Entry, Marker, entries, path_for_people};
use super::policy::{HostKeyAlgorithm, Policy, is_same_type};
use super::revoked::revoked_by;
use super::shown::{Asked, Shown, beside, compare, fingerprint, kind};

/// What is thought of a server's key.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// It is the host's.
    Trusted,
    /// Nothing is known of the host.
    Unknown(Box<Unknown>),
    /// It must not be believed, whatever the user says; the text is for them.
    Refused(String),
}

/// A key of a host of which nothing is known.
#[derive(Debug, Clone)]
pub struct Unknown {
    /// The host as it was asked for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name that was looked for in its place.
    pub alias: Option<String>,
    /// The key, to be recorded.
    pub key: PublicKey,
    /// The key's type for people: `ED25519`.
    pub key_type: &'static str,
    /// The key's fingerprint: `SHA256:…`.
    pub fingerprint: String,
    /// Why the certificate that came with the key does not count.
    pub certificate: Option<String>,
    /// Where the key would be recorded.
    pub record_in: Option<PathBuf>,
}

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
    pub(super) fn meets(&self, names: &[String]) -> bool {
        let mut own = self.certificates.iter().map(Algorithm::to_certificate_type);
        own.any(|name| names.contains(&name)) || self.keys.iter().any(|key| names.contains(&key.to_string()))
    }
}

/// What the files say of a host.
#[derive(Default)]
struct Known {
    /// Under the name that is looked for.
    entries: Vec<Entry>,
    /// Under the bare name, where the other one has the port: it counts when that knows nothing.
    bare: Vec<Entry>,
}

impl Trust {
    /// The host-key algorithms to offer to a host, in the order of `ssh`: what is on record for its name goes first,
    /// and certificates do where an authority is known, unless the best of all is on record or `ssh_config` has a list of its
    /// own. What follows a plain
    /// key and is a certificate stands in another offer, for a server that has nothing of those before. SHA-1 is never
    /// offered.
    #[must_use]
    pub fn offers(&self, host: &str, port: u16) -> Vec<Offer> {
        // What cannot be read is told when the key is judged.
        let known = entries(&self.files, &self.asked(host, port).name()).unwrap_or_default();
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

    /// Judges what a server presented, as `ssh` does.
    ///
    /// A revoked key, or a certificate of a revoked authority, is refused before all else. A key whose fingerprint is
    /// listed is believed; the list adds to the files and takes nothing from them. It names host keys and never
    /// authorities: a certificate counts there by the key inside it. Where no authority known for the host vouches
    /// for a certificate, the plain key inside it is judged. A host that is known by another key, of whatever type,
    /// is refused; one that is not known with its port is looked for without it.
    #[must_use]
    pub fn judge(&self, host: &str, port: u16, offered: &PublicKeyOrCertificate) -> Judgement {
        self.judge_at(host, port, None, offered)
    }

    /// The same of a server whose IP address is known: with `CheckHostIP` a key must be that of the address, too, where
    /// the files have one for it.
    #[must_use]
    pub fn judge_at(
        &self,
        host: &str,
        port: u16,
        address: Option<IpAddr>,
        offered: &PublicKeyOrCertificate,
    ) -> Judgement {
        let asked = self.asked(host, port);
        if let Some(why) = self.revoked.as_deref().and_then(|file| revoked_by(file, offered)) {
            return Judgement::Refused(format!("{asked} {why}"));
        }
        let shown = Shown::new(asked, offered);
        let judged = self.known(asked).and_then(|known| {
            let judgement = self.weigh(&known, &shown);
            let is_trusted = matches!(judgement, Judgement::Trusted);
            let other = if is_trusted { self.other_at(address, &known, &shown)? } else { None };
            Ok(other.map_or(judgement, Judgement::Refused))
        });
        judged.unwrap_or_else(|text| Judgement::Refused(format!("{asked} cannot be judged: {text}")))
    }

    /// Records a new key at the end of the file for new keys, which is made where it is missing: the file.
    ///
    /// # Errors
    /// When no file is meant for it or that cannot be written, and for a name that would mean other hosts too.
    pub fn record(&self, host: &str, port: u16, key: &PublicKey) -> Result<PathBuf, String> {
        let asked = self.asked(host, port);
        let Some(file) = &self.record_in else {
            let print = fingerprint(key.key_data());
            return Err(format!(
                "there is no file to record the host key of {asked} in; put host_keys = [\"{print}\"] into the target"
            ));
        };
        let name = asked.name();
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || ",*?".contains(c);
        if name.is_empty() || name.contains(is_bad) || name.starts_with(['!', '|', '#', '@']) {
            let print = fingerprint(key.key_data());
            let file = path_for_people(file);
            return Err(format!(
                "{asked} cannot stand in a line of {file}; put host_keys = [\"{print}\"] into the target"
            ));
        }
        let failed = |error: String| {
            let file = path_for_people(file);
            format!("the host key of {asked} cannot be recorded in {file}: {error}; make the file writable")
        };
        let key = PublicKey::from(key.key_data().clone()).to_openssh().map_err(|e| failed(e.to_string()))?;
        append(file, &format!("{name} {}\n", key.trim_end())).map_err(|e| failed(e.to_string()))?;
        Ok(file.clone())
    }

    fn asked<'a>(&'a self, host: &'a str, port: u16) -> Asked<'a> {
        Asked { host, port, alias: self.alias.as_deref() }
    }

    fn known(&self, asked: Asked<'_>) -> Result<Known, String> {
        let bare = if asked.has_port() { entries(&self.files, &asked.bare())? } else { Vec::new() };
        Ok(Known { entries: entries(&self.files, &asked.name())?, bare })
    }

    /// What is said when the files have another key for the IP address of a server, or revoke the one it shows.
    fn other_at(
        &self,
        address: Option<IpAddr>,
        known: &Known,
        shown: &Shown<'_>,
    ) -> Result<Option<String>, String> {
        let Some(address) = address.filter(|address| self.policy.check_ip && !address.is_loopback()) else {
            return Ok(None);
        };
        let address = address.to_string();
        let asked = Asked { host: &address, port: shown.asked.port, alias: None };
        if asked.name() == shown.asked.name() {
            return Ok(None);
        }
        let by_address = self.known(asked)?;
        let entries = [&by_address.entries, &by_address.bare];
        if let Some(text) = entries.iter().find_map(|entries| shown.revoked(entries)) {
            return Ok(Some(text));
        }
        let certificate = shown.certificate.map(|certificate| self.vouched(known, shown, certificate));
        let is_listed = self.fingerprints.contains(&shown.fingerprint());
        let of_address = entries.into_iter().find(|entries| with(entries, Marker::HostKey).next().is_some());
        let Some(entries) = of_address.filter(|_| !is_listed && certificate != Some(Ok(()))) else {
            return Ok(None);
        };
        let other = other_key(entries, shown).filter(|_| !holds(entries, shown));
        Ok(other.map(|entry| shown.changed_at(&address, entry)))
    }

    fn weigh(&self, known: &Known, shown: &Shown<'_>) -> Judgement {
        if let Some(text) = shown.fault(&self.policy).or_else(|| shown.revoked(&known.entries)) {
            return Judgement::Refused(text);
        }
        let vouched = shown.certificate.map(|certificate| self.vouched(known, shown, certificate));
        let certificate = vouched.clone().and_then(Result::err);
        let is_listed = self.fingerprints.contains(&shown.fingerprint());
        if !is_listed {
            if vouched == Some(Ok(())) || holds(&known.entries, shown) {
                return Judgement::Trusted;
            }
            if let Some(entry) = other_key(&known.entries, shown) {
                return Judgement::Refused(shown.changed(entry, certificate.as_deref()));
            }
        }
        if let Some(text) = shown.revoked(&known.bare) {
            return Judgement::Refused(text);
        }
        if is_listed || holds(&known.bare, shown) {
            return Judgement::Trusted;
        }
        Judgement::Unknown(Box::new(self.unknown(shown, certificate)))
    }

    /// Whether an authority that is known for the host vouches for it; an error says why not.
    fn vouched(&self, known: &Known, shown: &Shown<'_>, certificate: &Certificate) -> Result<(), String> {
        let authority = certificate.signature_key();
        let holds = |entries: &[Entry]| with(entries, Marker::Authority).any(|entry| entry.key == *authority);
        if !holds(&known.entries) && (!holds(&known.bare) || shown.revoked(&known.bare).is_some()) {
            return Err(format!("its authority {} is not known for this host", fingerprint(authority)));
        }
        fault(certificate, &shown.asked.bare(), self.now, &self.policy).map_or(Ok(()), Err)
    }

    fn unknown(&self, shown: &Shown<'_>, certificate: Option<String>) -> Unknown {
        Unknown {
            host: shown.asked.host.to_owned(),
            port: shown.asked.port,
            alias: self.alias.clone(),
            key: shown.key.clone(),
            key_type: kind(&shown.key.algorithm()),
            fingerprint: shown.fingerprint(),
            certificate,
            record_in: self.record_in.clone(),
        }
    }
}

impl Unknown {
    /// What is said where nobody can be asked.
    #[must_use]
    pub fn refusal(&self) -> String {
        let record = match &self.record_in {
            Some(file) => {
                let file = path_for_people(file);
                format!("run again with --accept-new-host-key, which records it in {file}, or ")
            }
            None => String::new(),
        };
        format!(
            "{} showed the {} key {}{}, and no known_hosts file knows that host: {}; if it is the same, {record}put \
            host_keys = [\"{}\"] into the target",
            self.asked(),
            self.key_type,
            self.fingerprint,
            beside(self.certificate.as_deref()),
            compare(&self.key),
            self.fingerprint,
        )
    }

    /// The question for a terminal, in the words of `ssh`.
    #[must_use]
    pub fn question(&self) -> String {
        format!(
            "The authenticity of host '{}' can't be established.\n{} key fingerprint is {}{}.",
            self.asked(),
            self.key_type,
            self.fingerprint,
            beside(self.certificate.as_deref()),
        )
    }

    fn asked(&self) -> Asked<'_> {
        Asked { host: &self.host, port: self.port, alias: self.alias.as_deref() }
    }
}

/// Algorithms that can be used, in the order in which `ssh` offers them.
fn in_order(policy: &Policy, known: &[Entry]) -> Vec<HostKeyAlgorithm> {
    // Of several keys of one type `ssh` looks at the first, and it may be revoked.
    let on_record = |algorithm: &HostKeyAlgorithm| {
        let of_type = |entry: &&Entry| is_same_type(&entry.key.algorithm(), &algorithm.plain);
        let first = with(known, Marker::HostKey).find(of_type);
        let revokes = |entry: &Entry, key: &Entry| !entry.is_void_for_ssh && entry.key == key.key;
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

fn with(entries: &[Entry], marker: Marker) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.marker == marker)
}

/// Whether the key itself is on record.
fn holds(entries: &[Entry], shown: &Shown<'_>) -> bool {
    with(entries, Marker::HostKey).any(|entry| entry.key == *shown.key.key_data())
}

/// The key that the host is known by instead, one of the same type before others.
fn other_key<'a>(entries: &'a [Entry], shown: &Shown<'_>) -> Option<&'a Entry> {
    let is_alike = |entry: &&Entry| is_same_type(&entry.key.algorithm(), &shown.key.algorithm());
    with(entries, Marker::HostKey).find(is_alike).or_else(|| with(entries, Marker::HostKey).next())
}

/// Adds a line to a file without touching those before it.
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let before = if last == [b'\n'] { "" } else { "\n" };
    // At once, so that two who record at the same time do not mix their lines.
    file.write_all(format!("{before}{line}").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use russh::keys::ssh_key::Mpint;
    use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData, RsaPublicKey};

    use super::*;

    /// A key that is told from others by a number.
    fn key(number: u8) -> PublicKey {
        PublicKey::from(KeyData::Ed25519(Ed25519PublicKey([number; 32])))
    }

    /// The fingerprints of the first two.
    const ONE: &str = "SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA";
    const TWO: &str = "SHA256:baqJQcVDEweKmw1OiZxGooCG2MGxYtwsQQzzOstxmiA";

    fn rsa(bytes: u8) -> PublicKey {
        let modulus = Mpint::from_positive_bytes(&vec![0xff; bytes.into()]);
        let exponent = Mpint::from_positive_bytes(&[1, 0, 1]);
        PublicKey::from(KeyData::Rsa(RsaPublicKey::new(exponent, modulus).unwrap()))
    }

    /// A directory with a file that holds these lines.
    fn known(lines: &[String]) -> (tempfile::TempDir, Trust) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let trust = Trust { files: vec![file.clone()], record_in: Some(file), ..Trust::default() };
        (dir, trust)
    }

    fn line(start: &str, key: &PublicKey) -> String {
        format!("{start} {}", key.to_openssh().unwrap())
    }

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
        assert_eq!(trust.offers("web", 2222)[0].keys[0], Algorithm::Ed25519);
    }

    /// The names in the order in which they are offered, whatever the offers.
    fn offered(trust: &Trust, port: u16) -> Vec<String> {
        let names = |offer: &Offer| {
            let certificates = offer.certificates.iter().map(Algorithm::to_certificate_type);
            certificates.chain(offer.keys.iter().map(ToString::to_string)).collect::<Vec<_>>()
        };
        trust.offers("web", port).iter().flat_map(names).collect()
    }

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
        let judge = |trust: &Trust, address: &str| {
            trust.judge_at("web", 22, Some(address.parse().unwrap()), &key(1).into())
        };
        assert!(matches!(judge(&trust, "10.0.0.1"), Judgement::Trusted));
        assert!(matches!(judge(&strict, "10.0.0.2"), Judgement::Trusted));
        let judged = judge(&strict, "10.0.0.1");
        assert!(matches!(&judged, Judgement::Refused(why) if why.contains("CheckHostIP")), "{judged:?}");
        let (_dir, revoking) = known(&[line("web", &key(1)), line("@revoked 10.0.0.1", &key(1))]);
        let revoking = Trust { policy: strict.policy, ..revoking };
        assert!(matches!(judge(&revoking, "10.0.0.1"), Judgement::Refused(_)));
    }

    /// The text and the rights of a file after a key was recorded in it.
    fn recorded(trust: &Trust, host: &str, port: u16) -> (String, u32) {
        let file = trust.record(host, port, &key(1)).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        (std::fs::read_to_string(file).unwrap(), mode)
    }

    #[test]
    fn a_new_key_is_recorded_behind_what_is_there() {
        let (_dir, trust) = known(&["# mine\r".to_owned(), "no newline".to_owned()]);
        let file = trust.record_in.clone().unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let before = "# mine\r\nno newline\n".to_owned();
        let first = before + &line("[web]:2222", &key(1)) + "\n";
        assert_eq!(recorded(&trust, "WEB", 2222), (first.clone(), 0o644));
        assert!(matches!(judge(&trust, &key(1)), Judgement::Trusted));
        let second = first + &line("web", &key(1)) + "\n";
        assert_eq!(recorded(&trust, "web", 22), (second.clone(), 0o644));
        let trust = Trust { alias: Some("Box".to_owned()), ..trust };
        assert_eq!(recorded(&trust, "web", 2222).0, second + &line("box", &key(1)) + "\n");
    }

    #[test]
    fn a_missing_file_is_made_for_its_owner_alone() {
        let (dir, trust) = known(&[]);
        let file = dir.path().join("home/.ssh/known_hosts");
        let trust = Trust { record_in: Some(file.clone()), ..trust };
        assert_eq!(recorded(&trust, "::1", 2222), (line("[::1]:2222", &key(1)) + "\n", 0o600));
        let mode = std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn many_record_at_the_same_time() {
        let (_dir, trust) = known(&[]);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let trust = &trust;
                scope.spawn(move || {
                    for i in 0..50 {
                        trust.record(&format!("web{thread}-{i}"), 22, &key(1)).unwrap();
                    }
                });
            }
        });
        for host in (0..8).flat_map(|thread| (0..50).map(move |i| format!("web{thread}-{i}"))) {
            assert!(matches!(trust.judge(&host, 22, &key(1).into()), Judgement::Trusted), "{host}");
        }
    }

    #[test]
    fn what_cannot_be_recorded_says_so() {
        let (dir, trust) = known(&[]);
        for bad in ["*", "a,b", "a b", "we?b", "", "#a", "|1|x", "a\nb", "!a", "@revoked"] {
            let told = trust.record(bad, 22, &key(1)).unwrap_err();
            assert!(told.contains("cannot stand in a line of"), "{bad:?}: {told}");
        }
        let directory = Trust { record_in: Some(dir.path().to_owned()), ..trust.clone() };
        let told = directory.record("web", 22, &key(1)).unwrap_err();
        assert!(told.contains(&format!("cannot be recorded in {}", dir.path().display())), "{told}");
        let nowhere = Trust { record_in: None, ..trust };
        assert!(nowhere.record("web", 22, &key(1)).is_err());
    }

    #[test]
    fn a_comment_of_the_server_is_not_recorded() {
        let (_dir, trust) = known(&[]);
        let mut key = key(1);
        key.set_comment("x\n* ssh-ed25519 AAAA");
        let file = trust.record("web", 22, &key).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 1);
    }
}
