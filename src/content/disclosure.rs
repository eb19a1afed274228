//! How much of a file may be shown, by what it is to the project and by its name. What is not listed here is not shown.

use super::accounts::List;

/// What a file is to the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRole {
    /// A compose file.
    Compose,
    /// A file of an addon module.
    Module,
    /// Any other file that is locked.
    Configuration,
}

/// How much of a file may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disclosure {
    /// The keys of a compose file, and the values of harmless ones.
    Compose,
    /// Names of keys, in a file of this syntax.
    Keys(Syntax),
    /// Accounts or groups in words, whatever is asked for.
    Accounts(List),
    /// Its lines.
    Lines,
    /// How many lines differ.
    Count,
    /// The same, whatever is asked for.
    Never,
}

/// How a file of settings is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// YAML, and JSON as a part of it.
    Yaml,
    /// TOML.
    Toml,
    /// `KEY=VALUE`, one a line.
    Environment,
    /// `key = value` in sections.
    Ini,
    /// `Keyword value`, as in `sshd_config`.
    Keywords,
}

/// Ends of the names of source files.
const CODE: [&str; 12] = ["py", "xml", "js", "mjs", "css", "scss", "html", "htm", "po", "pot", "rst", "md"];
/// Directories of a module whose files are records, which may hold passwords.
const RECORDS: [&str; 2] = ["data", "demo"];

impl Disclosure {
    /// How much may be shown of the file at `path`.
    pub(super) fn for_file(role: FileRole, path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        if let Some(disclosure) = of_system(path) {
            return disclosure;
        }
        let (stem, end) = name.rsplit_once('.').unwrap_or((&name, ""));
        match (role, end) {
            (FileRole::Compose, _) => Self::Compose,
            (FileRole::Module, end) if CODE.contains(&end) && is_code(path, stem) => Self::Lines,
            (_, "yml" | "yaml" | "json") => Self::Keys(Syntax::Yaml),
            (_, "toml") => Self::Keys(Syntax::Toml),
            (_, "conf" | "ini" | "cfg" | "cnf" | "service" | "timer") => Self::Keys(Syntax::Ini),
            (_, "env") => Self::Keys(Syntax::Environment),
            _ if stem == ".env" || name.starts_with(".env.") => Self::Keys(Syntax::Environment),
            _ if matches!(&*name, "sshd_config" | "ssh_config") => Self::Keys(Syntax::Keywords),
            _ => Self::Count,
        }
    }
}

/// How much is shown of the system's lists of accounts, groups and passwords, and of the copies that are made of them.
fn of_system(path: &str) -> Option<Disclosure> {
    match path {
        "/etc/passwd" => Some(Disclosure::Accounts(List::Accounts)),
        "/etc/group" => Some(Disclosure::Accounts(List::Groups)),
        "/etc/passwd-" | "/etc/group-" => Some(Disclosure::Never),
        _ if path.starts_with("/etc/shadow") || path.starts_with("/etc/gshadow") => Some(Disclosure::Never),
        _ => None,
    }
}

/// Whether a file with the end of a source file is one: not a record of a database, not hidden, with one end alone.
fn is_code(path: &str, stem: &str) -> bool {
    !path.split('/').any(|name| RECORDS.contains(&name)) && !stem.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_counted_alone() {
        for (role, path, disclosure) in [
            (FileRole::Compose, "infra/compose.json", Disclosure::Compose),
            (FileRole::Module, "shop/models/order.PY", Disclosure::Lines),
            (FileRole::Module, "shop/views/order.xml", Disclosure::Lines),
            (FileRole::Module, "shop/data/mail.xml", Disclosure::Count),
            (FileRole::Module, "shop/demo/users.xml", Disclosure::Count),
            (FileRole::Module, "shop/security/res.users.csv", Disclosure::Count),
            (FileRole::Module, "shop/.env.py", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Module, "shop/keys.pem.md", Disclosure::Count),
            (FileRole::Module, "shop/data/keys.yml", Disclosure::Keys(Syntax::Yaml)),
            (FileRole::Module, "shop/tests/id_rsa", Disclosure::Count),
            (FileRole::Configuration, "settings.py", Disclosure::Count),
            (FileRole::Configuration, "infra/.env", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Configuration, "infra/.env.prod", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Configuration, "infra/db.env", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Configuration, "/etc/ssh/sshd_config", Disclosure::Keys(Syntax::Keywords)),
            (FileRole::Configuration, "/etc/passwd", Disclosure::Accounts(List::Accounts)),
            (FileRole::Configuration, "/etc/group", Disclosure::Accounts(List::Groups)),
            (FileRole::Configuration, "/etc/shadow", Disclosure::Never),
            (FileRole::Configuration, "etc/passwd", Disclosure::Count),
            (FileRole::Configuration, "odoo.conf", Disclosure::Keys(Syntax::Ini)),
            (FileRole::Configuration, "pyproject.toml", Disclosure::Keys(Syntax::Toml)),
            (FileRole::Configuration, ".pgpass", Disclosure::Count),
            (FileRole::Configuration, "users.htpasswd", Disclosure::Count),
            (FileRole::Configuration, "", Disclosure::Count),
        ] {
            assert_eq!(Disclosure::for_file(role, path), disclosure, "{path}");
        }
    }
}
