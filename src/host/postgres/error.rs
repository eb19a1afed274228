//! Why a database could not be read, for people: which one, what happened, what helps; nothing that may be secret.

use std::io;

use super::url::UrlFileError;
use super::{LOCK_MS, STATEMENT_MS};
use crate::host::docker::short;
use crate::model::{escaped, in_words};

/// A database, or a whole server, that could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct DatabaseError {
    /// The database and the server, as a terminal may show them.
    place: String,
    /// The reason.
    fault: Fault,
}

impl DatabaseError {
    /// Why `database` of `server` could not be read; without one, why the server could not be asked.
    #[must_use]
    pub fn new(server: &str, database: Option<&str>, fault: Fault) -> Self {
        let database = database.map(|name| format!("{} in ", escaped(name.as_bytes()))).unwrap_or_default();
        Self { place: format!("{database}{}", escaped(server.as_bytes())), fault }
    }
}

/// The reason, with what to do next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// The file with the address is of no use.
    #[error("{0}")]
    UrlFile(#[from] UrlFileError),
    /// The host as a whole was not looked at.
    #[error("{0}")]
    NotLooked(String),
    /// The engine has no such container.
    #[error(
        "there is no such container: correct container in [[odoo]], or say with targets where the database runs"
    )]
    NoContainer,
    /// The container does not run.
    #[error("it does not run: docker start it")]
    NotRunning,
    /// The engine could not be asked.
    #[error("{0}")]
    Engine(String),
    /// The engine may be asked by two commands alone.
    #[error(
        "with docker = \"cli\" nothing is run in containers: set docker = \"auto\" or \"sudo\" for the target, or name a url_file"
    )]
    ByCommands,
    /// The container has no client.
    #[error("psql could not be run in it ({0}): name the container that runs PostgreSQL, or a url_file")]
    NoPsql(String),
    /// Nobody answers at the address.
    #[error("it cannot be reached ({0}): is PostgreSQL running, and does it listen there?")]
    Unreached(String),
    /// The SSH server forwards nothing to it.
    #[error("{0}")]
    Forward(&'static str),
    /// The connection could not be made or broke off.
    #[error("{0}")]
    Connection(String),
    /// The server answered with an error.
    #[error("{message}{}", remedy(.code))]
    Server {
        /// The SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
        code: String,
        /// The server's words, as a terminal may show them.
        message: String,
    },
    /// The database has no table of modules.
    #[error("it has no table ir_module_module: it is no database of Odoo; correct database in [[odoo]]")]
    NoTable,
    /// None of so many databases has it.
    #[error(
        "none of its {0} databases has the table ir_module_module: correct container or url_file in [[odoo]]"
    )]
    NoDatabase(usize),
    /// There are more databases than are read.
    #[error(
        "it has more than {0} databases, which is the most that are read: name each that counts with database = \"NAME\" in an [[odoo]] of its own"
    )]
    ManyDatabases(usize),
    /// There are more modules than Odoo can have.
    #[error("it has more than {0} modules, which is the most that are read")]
    ManyModules(usize),
    /// The answer is of another shape.
    #[error("its answer is not that of PostgreSQL")]
    NotUnderstood,
    /// There was no answer in so many seconds.
    #[error("no answer within {0} s: is it overloaded, or does a firewall drop the packets?")]
    Silent(u64),
}

impl Fault {
    /// The fault of an error that the server answered.
    pub(super) fn of_server(code: &str, message: &str) -> Self {
        match code {
            "42P01" => Self::NoTable,
            _ => Self::Server { code: code.to_owned(), message: short(message) },
        }
    }

    /// The fault of a connection that was not made.
    pub(in crate::host) fn of_dial(error: &io::Error) -> Self {
        Self::Unreached(in_words(error))
    }
}

/// What helps against an error of the server, by its SQLSTATE.
fn remedy(code: &str) -> String {
    match code {
        "28P01" => "; correct the password in url_file".to_owned(),
        "28000" => "; let the user in with a line in pg_hba.conf".to_owned(),
        "3D000" => "; correct database in [[odoo]]".to_owned(),
        "42501" => "; let the user read: GRANT CONNECT ON DATABASE …, GRANT SELECT ON ir_module_module TO …"
            .to_owned(),
        "57014" => format!(
            "; the statement may take {} s: check again when the server has less to do",
            STATEMENT_MS / 1000
        ),
        "55P03" => format!(
            "; something holds the table for more than {} s: check again when the upgrade is over",
            LOCK_MS / 1000
        ),
        "53300" => "; raise max_connections, or check when fewer are connected".to_owned(),
        "57P01" | "57P02" | "57P03" => "; it is starting or stopping: check again when it runs".to_owned(),
        _ => String::new(),
    }
}
