//! `[[odoo]]`: databases of Odoo, whose installed modules are held against those on disk.

use std::path::PathBuf;

use serde::Deserialize;

use super::places::Places;
use super::{ConfigError, senseless};

/// The word for every database.
const EVERY: &str = "*";

/// One `[[odoo]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OdooDatabases {
    /// Their server.
    pub server: OdooServer,
    /// The databases; `None` is that of the address, or every one where it names none.
    pub database: Option<WhichDatabases>,
    /// The targets that they are looked at from, `local` for the project's own tree; `None` is each place.
    pub targets: Option<Vec<String>>,
}

/// The databases of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichDatabases {
    /// Every one that has Odoo's table.
    Every,
    /// One by its name.
    Named(String),
}

/// The server of Odoo's databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OdooServer {
    /// A container with `psql`, by its name.
    Container(String),
    /// A file with an address, relative to the root.
    UrlFile(PathBuf),
}

impl OdooDatabases {
    /// Whether they are looked at from the place that is called `name`, this machine being `local`.
    #[must_use]
    pub fn are_of(&self, name: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.iter().any(|target| target == name))
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    container: Option<String>,
    url_file: Option<PathBuf>,
    database: Option<String>,
    targets: Option<Vec<String>>,
}

impl Raw {
    /// Makes sure that it has sense beside the places there are.
    pub(super) fn checked(self, places: Places<'_>) -> Result<OdooDatabases, ConfigError> {
        let server = match (self.container, self.url_file) {
            (Some(name), None) if is_container_name(&name) => OdooServer::Container(name),
            (Some(name), None) => {
                let reason = format!("\"{name}\" is no name of a container");
                return Err(senseless("odoo.container", &reason));
            }
            (None, Some(file)) if !file.as_os_str().is_empty() => OdooServer::UrlFile(file),
            (None, Some(_)) => return Err(senseless("odoo.url_file", "\"\" is no file")),
            _ => {
                let reason = "each [[odoo]] names either container, which runs PostgreSQL, or url_file, \
                              a file with postgres://USER:PASSWORD@HOST/DATABASE";
                return Err(senseless("odoo", reason));
            }
        };
        if self.database.as_ref().is_some_and(|name| name.is_empty() || name.contains('\0')) {
            return Err(senseless("odoo.database", "a database has a name; \"*\" is every one"));
        }
        let targets = self.targets.map(|names| places.named(&names)).transpose();
        let targets = targets.map_err(|reason| senseless("odoo.targets", &reason))?;
        let database = self.database.map(|name| match name.as_str() {
            EVERY => WhichDatabases::Every,
            _ => WhichDatabases::Named(name),
        });
        Ok(OdooDatabases { server, database, targets })
    }
}

/// Whether an engine may give a container this name.
fn is_container_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::WhichDatabases;

    #[test]
    fn each_names_one_server_and_places_that_there_are() {
        let text = "[targets.a]\nhost = \"x\"\n[[odoo]]\ncontainer = \"odoo18-db\"\ndatabase = \"*\"\n\
                    [[odoo]]\nurl_file = \"audit/db.url\"\ndatabase = \"prod\"\ntargets = [\"a\", \"local\"]\n";
        let [first, second] = Config::parse(text).unwrap().odoo.try_into().unwrap();
        assert_eq!((first.database, first.targets), (Some(WhichDatabases::Every), None));
        assert_eq!(second.database, Some(WhichDatabases::Named("prod".to_owned())));
        assert!(second.are_of("local"));
        assert!(!second.are_of("b"));
        for (text, why) in [
            ("", "either container"),
            ("container = \"a\"\nurl_file = \"b\"", "either container"),
            ("container = \"a/../b\"", "no name of a container"),
            ("url_file = \"\"", "is no file"),
            ("container = \"a\"\ndatabase = \"\"", "a database has a name"),
            ("container = \"a\"\ntargets = [\"b\"]", "is no target"),
            ("contaner = \"a\"", "did you mean `container`?"),
        ] {
            let error = Config::parse(&format!("[[odoo]]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
