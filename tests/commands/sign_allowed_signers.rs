//! `allowed_signers` files: the judge is held to the verdict of `ssh-keygen -Y verify`, file by file.

use std::collections::BTreeMap;

use driftlock::trust::{Case, Clock, NAMESPACE, Refused, Signature, judge, parse};

use crate::support::keys::{Keys, Verify};

const MESSAGE: &[u8] = b"what is signed\n";

/// What is expected of a file, where that is not the verdict of `ssh-keygen`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// Both say the same, and it is this.
    Both(bool),
    /// `ssh-keygen` accepts what is refused here.
    Stricter,
}
use Expected::{Both, Stricter};

const YES: Expected = Both(true);
const NO: Expected = Both(false);

/// A file (`ALICE`, `BOB`, `RSA`, `EC`, `SMALL`, `CA` stand for keys), who is asked for, what signs, and when.
type Row = (&'static str, &'static str, &'static str, &'static str, Expected);

const NOON: &str = "20250601120000Z";

const ROWS: &[Row] = &[
    // Names.
    ("alice ALICE", "alice", "alice", NOON, YES),
    ("alice ALICE comment here", "alice", "alice", NOON, YES),
    ("alice ALICE", "bob", "alice", NOON, NO),
    ("alice ALICE", "alice", "bob", NOON, NO),
    ("alice ALICE", "Alice", "alice", NOON, NO),
    ("Alice ALICE", "Alice", "alice", NOON, YES),
    ("alice,bob ALICE", "bob", "alice", NOON, YES),
    ("*@example.com ALICE", "alice@example.com", "alice", NOON, YES),
    ("*@example.com ALICE", "alice@example.org", "alice", NOON, NO),
    ("a?ice ALICE", "alice", "alice", NOON, YES),
    ("a?ice ALICE", "alce", "alice", NOON, NO),
    ("*,!alice ALICE", "alice", "alice", NOON, NO),
    ("!alice,* ALICE", "alice", "alice", NOON, NO),
    ("*,!alice ALICE", "bob", "alice", NOON, YES),
    ("!alice ALICE", "bob", "alice", NOON, NO),
    ("* ALICE", "anybody at all", "alice", NOON, YES),
    ("\"alice smith\" ALICE", "alice smith", "alice", NOON, YES),
    ("\"alice smith,bob\" ALICE", "bob", "alice", NOON, YES),
    ("\"alice\" ALICE", "alice", "alice", NOON, YES),
    ("al[i]ce ALICE", "alice", "alice", NOON, NO),
    ("ällice ALICE", "ällice", "alice", NOON, YES),
    // Lines.
    ("", "alice", "alice", NOON, NO),
    ("\n\n# a comment\n   # another\n\talice\t \tALICE\t# comment", "alice", "alice", NOON, YES),
    ("alice ALICE\r\n", "alice", "alice", NOON, YES),
    ("\r\nalice ALICE\r\n\r\n", "alice", "alice", NOON, YES),
    ("  alice ALICE", "alice", "alice", NOON, YES),
    ("#alice ALICE", "alice", "alice", NOON, NO),
    ("alice BOB\nalice ALICE", "alice", "alice", NOON, YES),
    ("bob ALICE\nalice ALICE", "alice", "alice", NOON, YES),
    ("alice ALICE\nalice ALICE", "alice", "alice", NOON, YES),
    ("alice valid-before=\"20200101Z\" ALICE\nalice ALICE", "alice", "alice", NOON, YES),
    ("alice ALICE\nalice valid-before=\"20200101Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice cert-authority ALICE\nalice ALICE", "alice", "alice", NOON, YES),
    ("alice", "alice", "alice", NOON, NO),
    ("alice nonsense", "alice", "alice", NOON, NO),
    ("ALICE", "ssh-ed25519", "alice", NOON, NO),
    ("alice nonsense\nalice ALICE", "alice", "alice", NOON, Stricter),
    ("!bob ALICE\nalice ALICE", "alice", "alice", NOON, Stricter),
    ("bob,!b* ALICE\nalice ALICE", "alice", "alice", NOON, Stricter),
    ("alice ssh-ed25519 AAAA\nalice ALICE", "alice", "alice", NOON, Stricter),
    ("\"alice ALICE", "alice", "alice", NOON, NO),
    // Where nobody can say what a line means, nobody may sign: also where ssh-keygen does not come to look at it.
    ("alice ALICE\nalice nonsense", "alice", "alice", NOON, Stricter),
    ("bob nonsense\nalice ALICE", "alice", "alice", NOON, Stricter),
    ("al\"ice ALICE\nalice ALICE", "alice", "alice", NOON, Stricter),
    ("alice,,bob ALICE", "alice", "alice", NOON, Stricter),
    ("alice\u{1} ALICE\nalice ALICE", "alice", "alice", NOON, Stricter),
    // Namespaces.
    ("alice namespaces=\"driftlock\" ALICE", "alice", "alice", NOON, YES),
    ("alice namespaces=\"git\" ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"git,driftlock\" ALICE", "alice", "alice", NOON, YES),
    ("alice namespaces=\"drift*\" ALICE", "alice", "alice", NOON, YES),
    ("alice namespaces=\"*,!driftlock\" ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock-report\" ALICE", "alice", "alice", NOON, NO),
    ("alice NAMESPACES=\"driftlock\" ALICE", "alice", "alice", NOON, YES),
    ("alice namespaces=\"Driftlock\" ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"drift lock,driftlock\" ALICE", "alice", "alice", NOON, YES),
    ("alice namespaces=driftlock ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock\",namespaces=\"git\" ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"\" ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"a\\\"b,driftlock\" ALICE", "alice", "alice", NOON, YES),
    // Options.
    ("alice nonsense ALICE", "alice", "alice", NOON, NO),
    ("alice cert-authority ALICE", "alice", "alice", NOON, NO),
    ("alice cert-authorityx ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock\", ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock\"x ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock\" valid-after=\"20200101Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice namespaces=\"driftlock\",valid-after=\"20200101Z\" ALICE", "alice", "alice", NOON, YES),
    // Times.
    ("alice valid-after=\"20250601Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"20250602Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-before=\"20250601Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-before=\"20250602Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"202506011200Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"20250601120000Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"20250601120001Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-before=\"20250601120000Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-before=\"20250601115959Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-before=\"202506011200UTC\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-before=\"20250601120000z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"20250101Z\",valid-before=\"20260101Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice Valid-After=\"20250101Z\",VALID-BEFORE=\"20260101Z\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"20260101Z\",valid-before=\"20250101Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"20250101Z\",valid-before=\"20250101Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"20250101Z\",valid-after=\"20250101Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"2025\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"2025-01-01\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"20251301Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"20250132Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"202501012400Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"19700101Z\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"20250230Z\" ALICE", "alice", "alice", NOON, Stricter),
    ("alice valid-after=\"20250601115960Z\" ALICE", "alice", "alice", NOON, Stricter),
    // In the zone of the machine, which is two hours before UTC here.
    ("alice valid-before=\"202506011359\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-before=\"202506011401\" ALICE", "alice", "alice", NOON, YES),
    ("alice valid-after=\"20250601140001\" ALICE", "alice", "alice", NOON, NO),
    ("alice valid-after=\"20250601140000\" ALICE", "alice", "alice", NOON, YES),
    // Kinds of keys.
    ("alice RSA", "alice", "rsa", NOON, YES),
    ("alice EC", "alice", "ec", NOON, YES),
    ("alice RSA", "alice", "ec", NOON, NO),
    ("alice ALICE\nalice RSA\nalice EC", "alice", "ec", NOON, YES),
    // Authorities.
    ("alice cert-authority CA", "alice", "alice-cert.pub", NOON, YES),
    ("alice,bob cert-authority CA", "bob", "alice-cert.pub", NOON, YES),
    ("* cert-authority CA", "alice", "alice-cert.pub", NOON, YES),
    ("* cert-authority CA", "eve", "alice-cert.pub", NOON, NO),
    ("eve cert-authority CA", "alice", "alice-cert.pub", NOON, NO),
    ("alice cert-authority CA", "alice", "alice", NOON, NO),
    ("alice CA", "alice", "alice-cert.pub", NOON, NO),
    ("alice ALICE", "alice", "alice-cert.pub", NOON, NO),
    ("alice cert-authority BOB", "alice", "alice-cert.pub", NOON, NO),
    ("alice Cert-Authority CA", "alice", "alice-cert.pub", NOON, YES),
    ("alice cert-authority,namespaces=\"git\" CA", "alice", "alice-cert.pub", NOON, NO),
    ("alice cert-authority,valid-before=\"20250101Z\" CA", "alice", "alice-cert.pub", NOON, NO),
    ("alice namespaces=\"driftlock\",cert-authority CA", "alice", "alice-cert.pub", NOON, YES),
    ("alice cert-authority CA", "alice", "alice-cert.pub", "20241231235959Z", NO),
    ("alice cert-authority CA", "alice", "alice-cert.pub", "20250101000000Z", YES),
    ("alice cert-authority CA", "alice", "alice-cert.pub", "20251231235959Z", YES),
    ("alice cert-authority CA", "alice", "alice-cert.pub", "20260101000000Z", NO),
    ("alice cert-authority CA", "alice", "host-cert.pub", NOON, NO),
    ("alice cert-authority CA", "alice", "nobody-cert.pub", NOON, NO),
    ("* cert-authority CA", "alice", "nobody-cert.pub", NOON, NO),
    ("alice cert-authority CA", "alice", "limited-cert.pub", NOON, YES),
    ("alice cert-authority CA", "alice", "strange-cert.pub", NOON, Stricter),
    ("alice cert-authority RSA", "alice", "byrsa-cert.pub", NOON, YES),
    ("alice cert-authority RSA", "alice", "bysha1-cert.pub", NOON, Stricter),
    ("alice cert-authority,cert-authority CA", "alice", "alice-cert.pub", NOON, Stricter),
];

fn keys() -> Keys {
    let keys = Keys::new();
    for name in ["alice", "bob", "ca", "host", "nobody", "limited", "strange", "byrsa", "bysha1"] {
        keys.make(name, "ed25519");
    }
    keys.make("rsa", "rsa -b 2048").make("ec", "ecdsa -b 384");
    let year = ["-V", "20250101000000Z:20260101000000Z"];
    let certify = |ca, name, options: &[&str]| keys.certify(ca, name, &[&year, options].concat());
    certify("ca", "alice", &["-n", "alice,bob"]);
    certify("ca", "host", &["-h", "-n", "alice"]);
    certify("ca", "nobody", &[]);
    certify(
        "ca",
        "limited",
        &["-n", "alice", "-O", "force-command=true", "-O", "source-address=192.0.2.0/24"],
    );
    certify("ca", "strange", &["-n", "alice", "-O", "critical:strange=yes"]);
    certify("rsa", "byrsa", &["-n", "alice", "-t", "rsa-sha2-256"]);
    certify("rsa", "bysha1", &["-n", "alice", "-t", "ssh-rsa"]);
    keys
}

fn filled(text: &str, keys: &Keys) -> String {
    let names = [("ALICE", "alice"), ("BOB", "bob"), ("RSA", "rsa"), ("EC", "ec"), ("CA", "ca")];
    // A word that stands for a key is one by itself.
    let word = |word: &str| {
        let end = word.trim_end_matches(['\r', '\n']);
        let key = names.iter().find(|(letters, _)| *letters == end).map(|(_, name)| keys.public(name));
        key.map_or_else(|| word.to_owned(), |key| key + &word[end.len()..])
    };
    let line = |line: &str| {
        let blank = |c| c == ' ' || c == '\t';
        line.split_inclusive(blank)
            .map(|part| {
                let end = part.trim_end_matches(blank);
                word(end) + &part[end.len()..]
            })
            .collect::<String>()
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The clock of the machine that both are asked on: at `time`, two hours before UTC.
fn clock(time: &str) -> Clock<'static> {
    let naive = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%d%H%M%SZ").unwrap();
    Clock { now: naive.and_utc().timestamp(), local: &|civil| Some(civil.as_utc() - 7200) }
}

fn ours(text: &str, who: &str, signature: &[u8], time: &str) -> Result<(), String> {
    let signers = parse(text.as_bytes()).map_err(|bad| bad.to_string())?;
    let signature = Signature::read(signature).map_err(|damaged| damaged.to_string())?;
    let case = Case { namespace: NAMESPACE, signers: &signers, clock: clock(time), principal: Some(who) };
    let named = judge(&signature, MESSAGE, &case).map(drop);
    let anybody = judge(&signature, MESSAGE, &Case { principal: None, ..case });
    assert!(named.is_err() || anybody.is_ok(), "{text}: {who} may sign, and nobody may");
    named.map_err(|why: Refused| why.to_string())
}

#[test]
fn the_verdicts_are_those_of_ssh_keygen() {
    let keys = keys();
    let mut wrong = Vec::new();
    let mut made: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (row, who, signer, time, expected) in ROWS {
        let text = filled(row, &keys);
        let signature = made.entry(signer).or_insert_with(|| keys.sign(signer, NAMESPACE, MESSAGE)).clone();
        let case = Verify {
            signers: text.as_bytes(),
            who,
            namespace: NAMESPACE,
            signature: &signature,
            message: MESSAGE,
            time: Some(time),
            zone: "EET-2",
        };
        let (theirs, ours) = (keys.verifies(&case), ours(&text, who, &signature, time));
        let found = match (ours.is_ok(), theirs) {
            (false, true) => Stricter,
            (ours, theirs) if ours == theirs => Both(ours),
            _ => panic!("{row:?} {who}: accepted here, refused by ssh-keygen"),
        };
        if found != *expected {
            wrong.push(format!("{row:?} {who} {signer} {time}: {found:?}, {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_signature_with_sha_1_does_not_count() {
    let keys = Keys::new();
    keys.make("rsa", "rsa -b 2048");
    let made = keys.sign("rsa", NAMESPACE, MESSAGE);
    let text = String::from_utf8(made).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    // The name of the way of signing stands behind its length; the shorter one shortens the whole signature.
    let at = blob.windows(12).rposition(|part| part == b"rsa-sha2-512").unwrap();
    let mut forged = blob[..at - 8].to_vec();
    let length = u32::from_be_bytes(blob[at - 8..at - 4].try_into().unwrap()) - 5;
    forged.extend(length.to_be_bytes());
    forged.extend(7_u32.to_be_bytes());
    forged.extend(b"ssh-rsa");
    forged.extend(&blob[at + 12..]);
    let armoured = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        data_encoding::BASE64.encode(&forged)
    );
    let why = Signature::read(armoured.as_bytes()).unwrap_err().to_string();
    assert!(why.contains("SHA-1"), "{why}");
}
