//! Installed packages, from the files of dpkg and apk, or as rpm lists them.

use super::{Facts, Request, Source, Sources, SystemFacts, fact, lines, program, source};
use crate::model::Reason;

/// The name of what rpm lists.
pub(in crate::host) const RPM: &str = "rpm";
/// The reason where a database holds a zero byte: what follows it might be passed over.
const ZERO: &str = "it holds a zero byte, which no such file has";
/// Words of dpkg for a package that is not installed.
const NOT_THERE: [&[u8]; 2] = [b"not-installed", b"config-files"];
/// What counts of the lines of dpkg's database: the fields that are read, the ends of paragraphs, and what is no field.
const DPKG_LINES: &str = concat!(
    "^([Pp][Aa][Cc][Kk][Aa][Gg][Ee]|[Ss][Tt][Aa][Tt][Uu][Ss]|[Vv][Ee][Rr][Ss][Ii][Oo][Nn]|",
    "[Aa][Rr][Cc][Hh][Ii][Tt][Ee][Cc][Tt][Uu][Rr][Ee])[[:blank:]]*:|^$|^[^[:blank:]:]+[[:blank:]]*$|^[^[:blank:]:]+[[:blank:]]+[^[:blank:]:]|^:"
);
/// The same of apk's.
const APK_LINES: &str = "^[PVA]:|^$|^[^:]*$|^[^:][^:]|^:";
/// The form in which rpm lists packages: the epoch stands before the version, as dpkg has it.
const RPM_FORM: &str = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\n";

pub(super) fn requests() -> Vec<Request> {
    vec![
        Request::File { name: "dpkg", path: "/var/lib/dpkg/status", lines: DPKG_LINES },
        Request::List { name: "dpkg-updates", path: "/var/lib/dpkg/updates" },
        Request::File { name: "apk", path: "/lib/apk/db/installed", lines: APK_LINES },
        program(RPM, &["rpm", "-qa", "--qf", RPM_FORM]),
    ]
}

/// The packages of the first package manager that this machine has, by `name:architecture`.
pub(super) fn read(sources: &Sources) -> Result<SystemFacts, Reason> {
    let file = |name: &str, path: &str| match source(sources, name) {
        Ok(Some(text)) if text.contains(&0) => Err(Reason::from(ZERO).behind(path)),
        other => other.map_err(|why| why.behind(path)),
    };
    let (manager, packages) = if let Some(text) = file("dpkg", "/var/lib/dpkg/status")? {
        if let Some(updates) = file("dpkg-updates", "/var/lib/dpkg/updates")? {
            settled(updates)?;
        }
        ("dpkg", of_dpkg(text)?)
    } else if let Some(text) = file("apk", "/lib/apk/db/installed")? {
        ("apk", of_apk(text)?)
    } else {
        match sources.get(RPM) {
            Some(Source::Text(text)) => (RPM, of_rpm(text)?),
            Some(Source::Refused(why)) => {
                return Err(
                    format!("rpm -qa: {why}; see what it says there, and run rpmdb --rebuilddb").into()
                );
            }
            _ => {
                return Err(
                    "none of dpkg, apk and rpm is there; set enabled = false in [packages] for this machine"
                        .into(),
                );
            }
        }
    };
    if packages.is_empty() {
        return Err(format!(
            "the database of {manager} names no package: it is damaged, or of another machine"
        )
        .into());
    }
    let mut all = SystemFacts::new();
    for package in packages {
        let key = format!("{}:{}", package["name"], package["arch"]).into_bytes();
        match all.get_mut(&key) {
            // rpm keeps several versions of a kernel.
            Some(Ok(known)) => {
                let mut versions: Vec<&str> =
                    known["version"].split(' ').chain([&*package["version"]]).collect();
                versions.sort_unstable();
                let joined = versions.join(" ");
                known.insert("version".to_owned(), joined);
            }
            _ => drop(all.insert(key, Ok(package))),
        }
    }
    Ok(all)
}

/// dpkg writes what it is doing beside its status, in files that are named by numbers.
fn settled(updates: &[u8]) -> Result<(), Reason> {
    let is_open = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_digit);
    if lines(updates).any(is_open) {
        return Err("dpkg is at work, or was interrupted: wait for it, or run dpkg --configure -a".into());
    }
    Ok(())
}

fn package(name: &[u8], version: &[u8], arch: &[u8], state: Option<String>) -> Facts {
    let mut facts: Facts = [("name", name), ("version", version), ("arch", arch)]
        .map(|(key, value)| (key.to_owned(), fact(value)))
        .into();
    facts.extend(state.map(|state| ("state".to_owned(), state)));
    facts
}

/// The values of the wanted fields of a paragraph.
type Paragraph<'a, const N: usize> = [Option<&'a [u8]>; N];

/// The paragraphs of a text, each as the values of the fields `wanted`. Names are read as the package manager reads them: else one
/// would see packages that are passed over here.
///
/// # Errors
/// The line that is no field, or the second field of its name in a paragraph.
fn paragraphs<'a, const N: usize>(
    text: &'a [u8],
    wanted: [&'static [u8]; N],
    is_same: fn(&[u8], &[u8]) -> bool,
) -> Result<Vec<Paragraph<'a, N>>, &'a [u8]> {
    let mut all = Vec::new();
    let mut open = [None; N];
    for line in lines(text).chain([&b""[..]]) {
        if line.is_empty() {
            if open.iter().any(Option::is_some) {
                all.push(std::mem::replace(&mut open, [None; N]));
            }
            continue;
        }
        if matches!(line[0], b' ' | b'\t') {
            continue;
        }
        let colon = line.iter().position(|&b| b == b':').ok_or(line)?;
        let name = line[..colon].trim_ascii_end();
        if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
            return Err(line);
        }
        let its = open.iter_mut().zip(wanted).find(|(_, wanted)| is_same(name, wanted));
        if let Some((value, _)) = its
            && value.replace(line[colon + 1..].trim_ascii()).is_some()
        {
            return Err(line);
        }
    }
    Ok(all)
}

/// What a line of a database, that the package manager would not read, says of it.
fn damaged_at(path: &str, line: &[u8], command: &str) -> Reason {
    let line: String = fact(line).chars().take(80).collect();
    format!("{path}: \"{line}\" does not belong there: run {command} there").into()
}

/// The status file of dpkg (`dpkg-query(1)`, `deb-control(5)`): the field `Status` holds what is wanted, whether it must be
/// installed anew, and the state.
fn of_dpkg(text: &[u8]) -> Result<Vec<Facts>, Reason> {
    let damaged = |name: &[u8], what: &str| {
        Reason::from(format!(
            "/var/lib/dpkg/status: package {} has no {what}: run dpkg --audit there",
            fact(name)
        ))
    };
    let mut packages = Vec::new();
    let fields: [&[u8]; 4] = [b"Package", b"Status", b"Version", b"Architecture"];
    let all = paragraphs(text, fields, <[u8]>::eq_ignore_ascii_case);
    for [name, status, version, arch] in
        all.map_err(|line| damaged_at("/var/lib/dpkg/status", line, "dpkg --audit"))?
    {
        let name = name.ok_or_else(|| damaged(b"?", "name"))?;
        let words: Vec<&[u8]> = status.unwrap_or_default().split(|&b| b == b' ').collect();
        let [want, flag, state] = words[..] else { return Err(damaged(name, "status")) };
        if NOT_THERE.contains(&state) {
            continue;
        }
        let version = version.filter(|it| !it.is_empty()).ok_or_else(|| damaged(name, "version"))?;
        let arch = arch.filter(|it| !it.is_empty()).ok_or_else(|| damaged(name, "architecture"))?;
        let usual: [(&[u8], &[u8]); 3] = [(want, b"install"), (flag, b"ok"), (state, b"installed")];
        let odd: Vec<String> =
            usual.iter().filter(|(is, usual)| is != usual).map(|(is, _)| fact(is)).collect();
        packages.push(package(name, version, arch, (!odd.is_empty()).then(|| odd.join(","))));
    }
    Ok(packages)
}

fn of_apk(text: &[u8]) -> Result<Vec<Facts>, Reason> {
    let whole = |[name, version, arch]: [Option<&[u8]>; 3]| Some(package(name?, version?, arch?, None));
    let all = paragraphs(text, [b"P", b"V", b"A"], |name, wanted| name == wanted)
        .map_err(|line| damaged_at("/lib/apk/db/installed", line, "apk fix"))?;
    let packages: Option<Vec<Facts>> = all.into_iter().map(whole).collect();
    packages.ok_or_else(|| {
        "/lib/apk/db/installed: a package has no name, version or architecture: run apk fix there".into()
    })
}

fn of_rpm(text: &[u8]) -> Result<Vec<Facts>, Reason> {
    let row = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|&b| b == b'\t').collect();
        let [name, version, arch] = fields[..] else { return None };
        // Keys of signers are no packages, and are listed as such.
        Some(package(name, version, if arch == b"(none)" { b"none" } else { arch }, None))
    };
    let packages: Option<Vec<Facts>> = lines(text).filter(|line| !line.is_empty()).map(row).collect();
    packages.ok_or_else(|| "rpm -qa: a line is not name, version and architecture".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[(&str, &str)]) -> Sources {
        let mut all: Sources =
            requests().into_iter().map(|it| (crate::host::system::tests::name(&it), Source::Gone)).collect();
        for (name, text) in texts {
            all.insert((*name).to_owned(), Source::Text(text.as_bytes().to_vec()));
        }
        all
    }

    fn told(texts: &[(&str, &str)]) -> Result<Vec<String>, Reason> {
        let all = read(&sources(texts))?;
        let words = |facts: &Facts| {
            let state = facts.get("state").map(|state| format!(" {state}")).unwrap_or_default();
            format!("{} {} {}{state}", facts["name"], facts["version"], facts["arch"])
        };
        Ok(all.values().map(|facts| words(facts.as_ref().unwrap())).collect())
    }

    const DPKG: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\nDescription: x\n Package: no\n\n\
        Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
        Package: libc6\nStatus: hold ok installed\nArchitecture: i386\nVersion: 1:2.36\n\n\
        Package: half\nStatus: install reinstreq half-installed\nArchitecture: all\nVersion: 3\n";

    #[test]
    fn states_holds_epochs_and_architectures_of_dpkg() {
        let expected = ["bash 5.2-1 amd64", "half 3 all reinstreq,half-installed", "libc6 1:2.36 i386 hold"];
        assert_eq!(told(&[("dpkg", DPKG)]).unwrap(), expected);
        assert_eq!(told(&[("dpkg", DPKG), ("dpkg-updates", "tmp.i\n")]).unwrap().len(), 3);
        // As dpkg reads it.
        let odd = DPKG.replace("Package: bash", "package : bash").replace("Version: 5", "VERSION\t: 5");
        assert_eq!(told(&[("dpkg", &odd)]).unwrap(), expected);
    }

    #[test]
    fn apk_and_rpm_are_read_where_there_is_no_dpkg() {
        let apk = "C:Q1x=\np:so:x=1\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld-musl\n\nP:zlib\nV:1.3-r2\nA:x86_64\n\n";
        assert_eq!(told(&[("apk", apk)]).unwrap(), ["musl 1.2.5-r0 x86_64", "zlib 1.3-r2 x86_64"]);
        let rpm = "bash\t5.1-2.el9\tx86_64\nkernel\t1:5.14-2\tx86_64\nkernel\t1:5.14-1\tx86_64\ngpg-pubkey\t1-2\t(none)\n";
        let expected = ["bash 5.1-2.el9 x86_64", "gpg-pubkey 1-2 none", "kernel 1:5.14-1 1:5.14-2 x86_64"];
        assert_eq!(told(&[("rpm", rpm)]).unwrap(), expected);
    }

    #[test]
    fn what_is_damaged_at_work_or_not_there_is_an_error_that_says_what_to_do() {
        let why = |texts: &[(&str, &str)]| told(texts).unwrap_err().to_string();
        assert!(why(&[]).contains("none of dpkg, apk and rpm"));
        assert!(why(&[("dpkg", DPKG), ("dpkg-updates", "0001\n")]).contains("dpkg --configure -a"));
        assert!(why(&[("dpkg", &DPKG[..DPKG.len() - 12])]).contains("half has no version"));
        assert!(why(&[("dpkg", "")]).contains("names no package"));
        assert!(why(&[("apk", "P:musl\nA:x86_64\n")]).contains("apk fix"));
        assert!(why(&[("rpm", "bash\t1\n")]).contains("rpm -qa"));
        let bash = DPKG.split("\n\n").next().unwrap();
        for more in [
            "\n@@garbage\n",
            "\nversion: 6\n",
            "\n\nStatus\n",
            "\nPackage: evil\n",
            "\n: x\n",
            "\nHome page: x\n",
        ] {
            assert!(why(&[("dpkg", &format!("{bash}{more}"))]).contains("dpkg --audit"), "{more}");
        }
        for more in ["P:evil\n", "garbage\n"] {
            let text = format!("P:musl\nV:1\nA:x86_64\n{more}");
            assert!(why(&[("apk", &text)]).contains("apk fix"), "{more}");
        }
        for name in ["dpkg", "apk"] {
            assert!(why(&[(name, "P:a\0\nP:b\n")]).contains("zero byte"), "{name}");
        }
        let mut refused = sources(&[]);
        refused.insert("dpkg".to_owned(), Source::Refused("permission denied".to_owned()));
        assert_eq!(read(&refused).unwrap_err().text(), "/var/lib/dpkg/status: permission denied");
    }
}
