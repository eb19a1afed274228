//! How much of a file may be shown, by what it is to the project and by its name. What is not listed here is not shown.

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
    /// Its lines.
    Lines,
    /// How many lines differ.
    Count,
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
const CODE: [&str; 13] =
    ["py", "xml", "js", "mjs", "css", "scss", "html", "htm", "csv", "po", "pot", "rst", "md"];

impl Disclosure {
    /// How much may be shown of the file at `path`.
    pub(super) fn for_file(role: FileRole, path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let (stem, end) = name.rsplit_once('.').unwrap_or((&name, ""));
        match (role, end) {
            (FileRole::Compose, _) => Self::Compose,
            (FileRole::Module, end) if CODE.contains(&end) => Self::Lines,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_counted_alone() {
        for (role, path, disclosure) in [
            (FileRole::Compose, "infra/compose.json", Disclosure::Compose),
            (FileRole::Module, "shop/models/order.PY", Disclosure::Lines),
            (FileRole::Module, "shop/data/keys.yml", Disclosure::Keys(Syntax::Yaml)),
            (FileRole::Module, "shop/tests/id_rsa", Disclosure::Count),
            (FileRole::Configuration, "settings.py", Disclosure::Count),
            (FileRole::Configuration, "infra/.env", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Configuration, "infra/.env.prod", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Configuration, "infra/db.env", Disclosure::Keys(Syntax::Environment)),
            (FileRole::Configuration, "/etc/ssh/sshd_config", Disclosure::Keys(Syntax::Keywords)),
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
