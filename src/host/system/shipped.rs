//! Where things of a machine come from: the package that brought a file, whether that file is as it was shipped, and when
//! a package came. Databases and logs of dpkg and apk are read; neither is started.

use std::collections::BTreeSet;

use super::{Facts, Request, Source, Sources, SystemFacts, fact, lines, source};
use crate::model::{Reason, escaped};

/// Asks where files and a package come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShippedQuery {
    /// Absolute paths of files.
    pub paths: Vec<Vec<u8>>,
    /// The name of a package.
    pub package: Option<String>,
}

/// Fact of a file: the packages that bring it.
pub const PACKAGE: &str = "package";
/// Fact of a file whose packages recorded a digest: `true` or `false`.
pub const AS_SHIPPED: &str = "as_shipped";
/// Fact of a file that is there and can be read.
pub const READABLE: &str = "readable";
/// Fact of a file that a package put aside for its own.
pub const DIVERTED: &str = "diverted";
/// Fact of a file that users may edit.
pub const CONFIGURATION: &str = "configuration";
/// Fact of a package: what was done to it last, and when.
pub const HISTORY: &str = "history";
/// Fact of a package: who asked for that.
pub const ASKED_BY: &str = "asked_by";

const INFO: &str = "/var/lib/dpkg/info";
const LOGS: [(&str, &str); 2] = [("log", "/dpkg.log"), ("older-log", "/dpkg.log.1")];
/// Directories that are links into `/usr` by now, while packages still list the old paths, or the other way round.
const MERGED: [&[u8]; 6] = [b"/bin/", b"/sbin/", b"/lib/", b"/lib32/", b"/lib64/", b"/libx32/"];

pub(super) fn requests(query: &ShippedQuery) -> Vec<Request> {
    let mut all = Vec::new();
    let paths: Vec<&Vec<u8>> = query.paths.iter().filter(|path| is_plain(path)).collect();
    if !paths.is_empty() {
        let names = || paths.iter().flat_map(|path| names_of(path));
        let search = |name, suffix, texts| Request::Search { name, dir: INFO, suffix, texts };
        all.push(Request::File { name: "dpkg", path: "/var/lib/dpkg/status", lines: "^[A-Z]|^ /|^$" });
        all.push(search("lists", ".list", names().collect()));
        all.push(search("md5sums", ".md5sums", names().map(|name| [b"  ", &name[1..]].concat()).collect()));
        all.push(Request::File { name: "diversions", path: "/var/lib/dpkg/diversions", lines: "" });
        all.push(Request::File { name: "ucf", path: "/var/lib/ucf/registry", lines: "" });
        all.push(Request::File { name: "ucf-md5sums", path: "/var/lib/ucf/hashfile", lines: "" });
        all.push(Request::File { name: "apk", path: "/lib/apk/db/installed", lines: "^[PFRZ]:|^$" });
        all.extend(
            paths
                .iter()
                .enumerate()
                .map(|(at, path)| Request::Sums { name: sums(at), path: (*path).clone() }),
        );
    }
    if let Some(package) = query.package.as_ref().filter(|name| is_plain(name.as_bytes())) {
        let texts = || vec![format!(" {package}:").into_bytes()];
        let log = |(name, suffix)| Request::Search { name, dir: "/var/log", suffix, texts: texts() };
        all.extend(LOGS.map(log));
        let lines =
            "^(Start-Date|Requested-By|Install|Upgrade|Downgrade|Remove|Purge|Reinstall|End-Date):|^$";
        all.push(Request::File { name: "apt", path: "/var/log/apt/history.log", lines });
    }
    all
}

/// Whether a text fits in a line of a database.
fn is_plain(text: &[u8]) -> bool {
    !text.is_empty() && !text.iter().any(u8::is_ascii_control)
}

fn sums(at: usize) -> String {
    format!("sums {at}")
}

/// The path, and its other name where `/usr` is merged.
fn names_of(path: &[u8]) -> Vec<Vec<u8>> {
    let merged = MERGED.iter().find(|dir| path.starts_with(dir)).map(|_| [b"/usr", path].concat());
    let bare =
        path.strip_prefix(b"/usr".as_slice()).filter(|rest| MERGED.iter().any(|dir| rest.starts_with(dir)));
    [Some(path.to_vec()), merged, bare.map(<[u8]>::to_vec)].into_iter().flatten().collect()
}

/// Files by their paths, and the package by its name.
pub(super) fn read(query: &ShippedQuery, sources: &Sources) -> SystemFacts {
    let mut all = SystemFacts::new();
    let paths = query.paths.iter().filter(|path| is_plain(path));
    for (at, path) in paths.enumerate() {
        let its = match (sources.get("dpkg"), sources.get("apk")) {
            (Some(Source::Text(status)), _) => of_dpkg(path, status, &sums(at), sources),
            (_, Some(Source::Text(database))) => Ok(of_apk(path, database, &sums(at), sources)),
            (Some(Source::Refused(why)), _) => Err(Reason::from(format!("/var/lib/dpkg/status: {why}"))),
            (_, Some(Source::Refused(why))) => Err(Reason::from(format!("/lib/apk/db/installed: {why}"))),
            _ => Err("neither dpkg nor apk is there; with rpm, ask rpm -qf and rpm -Vf there".into()),
        };
        let is_readable = matches!(sources.get(&sums(at)), Some(Source::Text(_)));
        let its = its.map(|mut facts| {
            facts.extend(is_readable.then(|| (READABLE.to_owned(), "true".to_owned())));
            facts
        });
        all.insert(path.clone(), its);
    }
    if let Some(package) = &query.package {
        all.insert(package.clone().into_bytes(), Ok(history(package, sources)));
    }
    all
}

/// The digest of a file as it is now, in hex.
fn digest_now(name: &str, kind: &str, sources: &Sources) -> Option<String> {
    let text = source(sources, name).ok().flatten()?;
    let line = lines(text).find_map(|line| line.strip_prefix(kind.as_bytes())?.strip_prefix(b" "))?;
    Some(fact(line.trim_ascii())).filter(|hex| !hex.is_empty())
}

fn owned(packages: &BTreeSet<String>, shipped: Option<&str>, now: Option<&str>) -> Facts {
    let mut facts = Facts::new();
    if !packages.is_empty() {
        let names: Vec<&str> = packages.iter().map(String::as_str).collect();
        facts.insert(PACKAGE.to_owned(), names.join(", "));
    }
    if let Some((shipped, now)) = shipped.zip(now) {
        facts.insert(AS_SHIPPED.to_owned(), shipped.eq_ignore_ascii_case(now).to_string());
    }
    facts
}

/// Names of the packages in whose files of that kind a line is `wanted`, each with what stands before it in the line.
fn found<'a>(text: &'a [u8], suffix: &str, wanted: &[u8]) -> Vec<(String, &'a [u8])> {
    let mark = format!("{suffix}:").into_bytes();
    let in_line = |line: &'a [u8]| {
        let rest = line.strip_prefix(INFO.as_bytes())?.strip_prefix(b"/")?;
        let at = rest.windows(mark.len()).position(|window| window == mark)?;
        let before = rest[at + mark.len()..].strip_suffix(wanted)?;
        Some((fact(&rest[..at]), before))
    };
    lines(text).filter_map(in_line).collect()
}

fn of_dpkg(path: &[u8], status: &[u8], sums: &str, sources: &Sources) -> Result<Facts, Reason> {
    let search = |name: &str| source(sources, name).map_err(|why| why.behind(INFO));
    let (lists, md5sums) = (search("lists")?.unwrap_or_default(), search("md5sums")?.unwrap_or_default());
    let diversions = source(sources, "diversions").ok().flatten().unwrap_or_default();
    let diversions: Vec<&[u8]> = lines(diversions).collect();
    let (diversions, _) = diversions.as_chunks::<3>();
    let now = digest_now(sums, "md5", sources);
    for name in names_of(path) {
        let packages = found(lists, ".list", &name).into_iter().filter(|(_, before)| before.is_empty());
        let mut packages: BTreeSet<String> = packages.map(|(package, _)| package).collect();
        if let Some([_, _, by]) = diversions.iter().find(|[from, ..]| *from == name) {
            packages.retain(|package| package.as_bytes() == *by);
        }
        if packages.is_empty() {
            continue;
        }
        let shipped = found(md5sums, ".md5sums", &[b"  ", &name[1..]].concat());
        let shipped = shipped.into_iter().find(|(package, _)| packages.contains(package));
        if let Some(digest) = conffile(status, &name) {
            let mut facts = owned(&packages, Some(&digest), now.as_deref());
            facts.insert(CONFIGURATION.to_owned(), "true".to_owned());
            return Ok(facts);
        }
        return Ok(owned(&packages, shipped.map(|(_, digest)| fact(digest)).as_deref(), now.as_deref()));
    }
    if let Some([from, _, by]) = diversions.iter().find(|[_, to, _]| *to == path) {
        let who = if *by == b":" { "an administrator".to_owned() } else { fact(by) };
        return Ok(Facts::from([(DIVERTED.to_owned(), format!("{} by {who}", escaped(from)))]));
    }
    Ok(of_ucf(path, now.as_deref(), sources))
}

/// The digest that a package recorded for a configuration file: `Conffiles` of `deb-control(5)`.
fn conffile(status: &[u8], path: &[u8]) -> Option<String> {
    let in_line = |line: &[u8]| {
        let rest = line.strip_prefix(b" ")?.strip_prefix(path)?.strip_prefix(b" ")?;
        let digest = rest.split(|&b| b == b' ').next()?;
        (digest.len() == 32).then(|| fact(digest))
    };
    lines(status).find_map(in_line)
}

/// Configuration files that scripts of packages hand to `ucf(1)`: no list names them.
fn of_ucf(path: &[u8], now: Option<&str>, sources: &Sources) -> Facts {
    let text = |name: &str| source(sources, name).ok().flatten().unwrap_or_default();
    let its = |line: &[u8]| {
        let package = line.strip_suffix(path)?;
        let package = package.strip_suffix(b" ").or_else(|| package.strip_suffix(b"\t"))?;
        Some(fact(package.trim_ascii()))
    };
    let packages: BTreeSet<String> = lines(text("ucf")).filter_map(its).collect();
    let digest =
        lines(text("ucf-md5sums")).find_map(|line| line.strip_suffix(path)?.strip_suffix(b"  ").map(fact));
    let mut facts = owned(&packages, digest.as_deref(), now);
    if !packages.is_empty() {
        facts.insert(CONFIGURATION.to_owned(), "true".to_owned());
    }
    facts
}

/// The installed database of apk: packages, directories, files, and digests of those in base64 behind `Q1`.
fn of_apk(path: &[u8], database: &[u8], sums: &str, sources: &Sources) -> Facts {
    let (mut package, mut dir, mut is_it) = (Vec::new(), Vec::new(), false);
    let (mut packages, mut shipped) = (BTreeSet::new(), None);
    for line in lines(database) {
        let Some((field, value)) = line.split_first_chunk::<2>() else {
            is_it = false;
            continue;
        };
        match field {
            b"P:" => package = value.to_vec(),
            b"F:" => dir = value.to_vec(),
            b"R:" => {
                is_it = names_of(path).contains(&[b"/", dir.as_slice(), b"/", value].concat());
                packages.extend(is_it.then(|| fact(&package)));
            }
            b"Z:" if is_it => shipped = value.strip_prefix(b"Q1").and_then(hex_of_base64),
            _ => {}
        }
    }
    owned(&packages, shipped.as_deref(), digest_now(sums, "sha1", sources).as_deref())
}

/// Base64 (RFC 4648) as hex.
fn hex_of_base64(text: &[u8]) -> Option<String> {
    let bytes = data_encoding::BASE64.decode(text).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the logs of dpkg and apt say was done last to a package.
fn history(package: &str, sources: &Sources) -> Facts {
    let mut facts = Facts::new();
    let last = LOGS.iter().find_map(|(name, _)| last_action(package, source(sources, name).ok().flatten()?));
    let Some((moment, told)) = last else { return facts };
    if let Some(Source::Text(apt)) = sources.get("apt") {
        facts.extend(asked_by(package, &moment, apt).map(|who| (ASKED_BY.to_owned(), who)));
    }
    facts.insert(HISTORY.to_owned(), format!("{moment}: {told}"));
    facts
}

/// The last line of a log of dpkg that says what was done to a package: the moment, and the action with its versions.
fn last_action(package: &str, log: &[u8]) -> Option<(String, String)> {
    let action = |line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        let text = line.split_once(".log:").or_else(|| line.split_once(".log.1:"))?.1;
        let words: Vec<&str> = text.split(' ').collect();
        let [day, time, action, name, old, new] = words[..] else { return None };
        if name.split(':').next() != Some(package) {
            return None;
        }
        let told = match (action, old) {
            ("install", "<none>") => format!("installed {new}"),
            ("install" | "upgrade", _) => format!("{old} → {new}"),
            ("remove" | "purge", _) => format!("{old} removed"),
            _ => return None,
        };
        Some((escaped(format!("{day} {time}").as_bytes()), escaped(told.as_bytes())))
    };
    lines(log).filter_map(action).last()
}

/// Who asked apt for what was done to a package at a moment.
fn asked_by(package: &str, moment: &str, apt: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(apt);
    let runs = text.split("\n\n");
    let of_run = |run: &str| {
        let field = |name: &str| {
            let line = run.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let (start, end) = (field("Start-Date")?, field("End-Date")?);
        let is_then = start.as_str() <= moment && moment <= end.as_str();
        let names = run.contains(&format!(" {package}:"));
        (is_then && names).then(|| field("Requested-By")).flatten()
    };
    runs.filter_map(of_run).last().map(|who| escaped(who.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, texts: &[(&str, &str)]) -> Facts {
        let query = ShippedQuery { paths: vec![path.into()], package: None };
        let mut sources: Sources =
            requests(&query).iter().map(|it| (super::super::tests::name(it), Source::Gone)).collect();
        for (name, text) in texts {
            sources.insert((*name).to_owned(), Source::Text(text.as_bytes().to_vec()));
        }
        let mut its = read(&query, &sources).remove(path.as_bytes()).unwrap().unwrap_or_default();
        assert_eq!(its.remove(READABLE).is_some(), texts.iter().any(|(name, _)| *name == "sums 0"));
        its
    }

    fn facts(facts: &[(&str, &str)]) -> Facts {
        facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const INFO_LIST: &str = "/var/lib/dpkg/info/coreutils.list:/bin/ls\n/var/lib/dpkg/info/libc6:i386.list:/lib/x.so\n\
        /var/lib/dpkg/info/more.list:/opt/bin/ls\n";

    #[test]
    fn dpkg_says_whose_a_file_is_also_where_usr_is_merged() {
        let sums = format!("md5 {MD5}\nsha1 x\n");
        let shipped = format!("/var/lib/dpkg/info/coreutils.md5sums:{MD5}  bin/ls\n");
        let common = [("dpkg", ""), ("lists", INFO_LIST), ("sums 0", sums.as_str())];
        let with = |more: &[(&str, &str)], path: &str| told(path, &[&common[..], more].concat());
        let whole = facts(&[(PACKAGE, "coreutils"), (AS_SHIPPED, "true")]);
        assert_eq!(with(&[("md5sums", &shipped)], "/bin/ls"), whole);
        assert_eq!(with(&[("md5sums", &shipped)], "/usr/bin/ls"), whole);
        assert_eq!(with(&[], "/usr/bin/ls"), facts(&[(PACKAGE, "coreutils")]));
        assert_eq!(with(&[], "/lib/x.so"), facts(&[(PACKAGE, "libc6:i386")]));
        let other = shipped.replace(MD5, &"0".repeat(32));
        assert_eq!(with(&[("md5sums", &other)], "/bin/ls")[AS_SHIPPED], "false");
        assert_eq!(with(&[], "/usr/local/bin/ls"), Facts::new());
        // Put aside for another package's.
        let diversions = "/bin/ls\n/bin/ls.distrib\nbetter\n";
        assert_eq!(with(&[("diversions", diversions)], "/bin/ls"), Facts::new());
        assert_eq!(
            with(&[("diversions", diversions)], "/bin/ls.distrib"),
            facts(&[(DIVERTED, "/bin/ls by better")])
        );
    }

    #[test]
    fn configuration_is_told_by_the_status_file_and_by_ucf() {
        let sums = format!("md5 {MD5}\n");
        let status = format!("Package: ssh\nConffiles:\n /etc/a {MD5}\n /etc/a.d 1\nDescription: x\n");
        let lists = "/var/lib/dpkg/info/ssh.list:/etc/a\n";
        let its = told("/etc/a", &[("dpkg", &status), ("lists", lists), ("sums 0", &sums)]);
        assert_eq!(its, facts(&[(PACKAGE, "ssh"), (AS_SHIPPED, "true"), (CONFIGURATION, "true")]));
        let ucf = [("ucf", "sshd \t /etc/b\nx /etc/bb\n"), ("ucf-md5sums", "0123  /etc/b\n")];
        let its = told("/etc/b", &[&[("dpkg", status.as_str()), ("sums 0", &sums)], &ucf[..]].concat());
        assert_eq!(its, facts(&[(PACKAGE, "sshd"), (AS_SHIPPED, "false"), (CONFIGURATION, "true")]));
    }

    #[test]
    fn apk_says_whose_a_file_is() {
        let database = "P:busybox\nF:bin\nR:busybox\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nR:other\nF:etc\nR:securetty\n\nP:musl\nF:lib\nR:ld\n";
        let empty = "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709\n";
        let its = |path: &str| told(path, &[("apk", database), ("sums 0", empty)]);
        assert_eq!(its("/bin/busybox"), facts(&[(PACKAGE, "busybox"), (AS_SHIPPED, "true")]));
        assert_eq!(its("/etc/securetty"), facts(&[(PACKAGE, "busybox")]));
        assert_eq!(its("/lib/ld")[PACKAGE], "musl");
        assert_eq!(its("/bin/x"), Facts::new());
    }

    #[test]
    fn the_logs_say_when_a_package_came_and_who_asked_for_it() {
        let log = "/var/log/dpkg.log:2026-12-01 10:00:00 install a:amd64 <none> 1.0\n\
            /var/log/dpkg.log:2026-12-02 10:00:05 upgrade a:amd64 1.0 1.1\n\
            /var/log/dpkg.log:2026-12-02 10:00:06 status installed a:amd64 1.1\n\
            /var/log/dpkg.log:2026-12-03 10:00:05 upgrade b:amd64 1.0 a:x\n";
        let apt = "\nStart-Date: 2026-12-02  10:00:00\nRequested-By: anna (1000)\nUpgrade: a:amd64 (1.0, 1.1)\nEnd-Date: 2026-12-02  10:00:09\n\n\
            Start-Date: 2026-12-03  10:00:00\nRequested-By: bob (1001)\nUpgrade: b:amd64 (1.0, 1.1)\nEnd-Date: 2026-12-03  10:00:09\n";
        let text = |text: &str| Source::Text(text.as_bytes().to_vec());
        let sources = Sources::from([("log".to_owned(), text(log)), ("apt".to_owned(), text(apt))]);
        let its = history("a", &sources);
        assert_eq!(its, facts(&[(HISTORY, "2026-12-02 10:00:05: 1.0 → 1.1"), (ASKED_BY, "anna (1000)")]));
        assert_eq!(history("c", &sources), Facts::new());
    }
}
