//! PostgreSQL servers: which modules Odoo has installed in their databases, by one statement in a read-only transaction.

mod error;
mod here;
mod psql;
mod url;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use super::docker::{Contact, EngineApi, Stream};
use crate::control::waits;

pub use error::{DatabaseError, Fault};
pub(super) use here::observe;
pub use url::{Listener, PostgresUrl, UrlFileError};

/// The databases of a server that are read at most.
const MOST_DATABASES: usize = 100;
/// The modules of a database that are read at most: Odoo itself has some 700.
const MOST_MODULES: usize = 20_000;
/// The size of a server's answers about one database, in bytes.
const MOST_BYTES: u64 = 16 << 20;
/// The time for all databases of one server.
const WHOLE: Duration = waits::DATABASES.most;
/// The time for one database: connecting, logging in, and the answer.
const ONE: Duration = waits::DATABASE.most;
/// The limits that the server itself holds a statement to, and its wait for a lock, in milliseconds.
const STATEMENT_MS: u32 = 5_000;
const LOCK_MS: u32 = 2_000;

/// Asks a server for the installed modules of databases.
#[derive(Debug, Clone)]
pub struct DatabaseQuery {
    /// The server.
    pub server: DatabaseServer,
    /// The one database to read; `None` is every one that has Odoo's table.
    pub database: Option<String>,
}

/// A PostgreSQL server.
#[derive(Debug, Clone)]
pub enum DatabaseServer {
    /// One in a container of this name, which has `psql`.
    Container(String),
    /// One at an address.
    Url(Box<PostgresUrl>),
}

impl DatabaseServer {
    /// Its name in messages, which holds no secret.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Container(name) => format!("container {name}"),
            Self::Url(url) => url.listener().to_string(),
        }
    }
}

/// The databases of one server, or why it could not be asked.
pub type DatabaseAnswer = Result<DatabasesSeen, DatabaseError>;

/// What a server's databases hold.
#[derive(Debug, Clone, Default)]
pub struct DatabasesSeen {
    /// The server's name in messages.
    pub server: String,
    /// The modules of each database by its name, or why they could not be read.
    pub databases: BTreeMap<String, Result<Vec<InstalledModule>, DatabaseError>>,
    /// The number of databases without Odoo's table.
    pub without_table: u64,
}

/// A row of `ir_module_module` that is neither `uninstalled` nor `uninstallable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModule {
    /// The technical name.
    pub name: String,
    /// The state: `installed`, `to upgrade`, …
    pub state: String,
    /// The column `latest_version`, which despite its name is the version that is installed.
    pub version: Option<String>,
}

/// Names the databases that may be Odoo's.
fn listing() -> String {
    format!(
        "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate \
         ORDER BY datname LIMIT {}",
        MOST_DATABASES + 1
    )
}

/// Names the modules of a database that are not left uninstalled.
fn modules() -> String {
    format!(
        "SELECT pg_catalog.left(name::text, 255), pg_catalog.left(state::text, 64), \
         pg_catalog.left(latest_version::text, 64) FROM public.ir_module_module \
         WHERE state IS DISTINCT FROM 'uninstalled' AND state IS DISTINCT FROM 'uninstallable' \
         ORDER BY 1 LIMIT {}",
        MOST_MODULES + 1
    )
}

/// Rows of texts, a value each column.
type Rows = Vec<Vec<Option<String>>>;

/// The ways to servers from a host.
pub(super) trait Ways {
    /// A stream to where a server listens.
    async fn dial(&self, listener: &Listener) -> Result<Stream, Fault>;

    /// The engine of the host's containers.
    async fn engine(&self) -> Result<(EngineApi, Contact<'_>), Fault>;
}

/// A conversation with one server.
trait Server {
    /// The database that is asked for the others.
    fn first(&self) -> &str;

    /// The rows of a statement in each of some databases, in their order.
    async fn rows(&self, databases: &[String], statement: &str) -> Result<Vec<Result<Rows, Fault>>, Fault>;
}

/// Reads the databases of one server.
pub(super) async fn answer(query: &DatabaseQuery, ways: &impl Ways) -> DatabaseAnswer {
    let server = query.server.shown();
    let at = |fault| DatabaseError::new(&server, None, fault);
    let asked = async {
        match &query.server {
            DatabaseServer::Container(name) => read(&psql::Psql { container: name, ways }, query).await,
            DatabaseServer::Url(url) => read(&wire::Wire { url, ways }, query).await,
        }
    };
    let answered = tokio::time::timeout(WHOLE, asked).await;
    answered.unwrap_or(Err(Fault::Silent(WHOLE.as_secs()))).map_err(at)
}

async fn read(server: &impl Server, query: &DatabaseQuery) -> Result<DatabasesSeen, Fault> {
    let names = match &query.database {
        Some(name) => vec![name.clone()],
        None => listed(server).await?,
    };
    let mut seen = DatabasesSeen { server: query.server.shown(), ..DatabasesSeen::default() };
    let answers = server.rows(&names, &modules()).await?;
    let count = names.len();
    for (name, rows) in names.into_iter().zip(answers) {
        match rows.and_then(installed) {
            Err(Fault::NoTable) if query.database.is_none() => seen.without_table += 1,
            modules => {
                let modules = modules.map_err(|fault| DatabaseError::new(&seen.server, Some(&name), fault));
                seen.databases.insert(name, modules);
            }
        }
    }
    if seen.databases.is_empty() { Err(Fault::NoDatabase(count)) } else { Ok(seen) }
}

/// The names of the databases that may be Odoo's.
async fn listed(server: &impl Server) -> Result<Vec<String>, Fault> {
    let mut answers = server.rows(&[server.first().to_owned()], &listing()).await?;
    let rows = answers.pop().unwrap_or(Err(Fault::NotUnderstood))?;
    if rows.len() > MOST_DATABASES {
        return Err(Fault::ManyDatabases(MOST_DATABASES));
    }
    let name = |row: Vec<Option<String>>| row.into_iter().next().flatten().ok_or(Fault::NotUnderstood);
    rows.into_iter().map(name).collect()
}

fn installed(rows: Rows) -> Result<Vec<InstalledModule>, Fault> {
    if rows.len() > MOST_MODULES {
        return Err(Fault::ManyModules(MOST_MODULES));
    }
    let module = |row: Vec<Option<String>>| {
        let [Some(name), state, version] = <[_; 3]>::try_from(row).ok()? else { return None };
        Some(InstalledModule { name, state: state.unwrap_or_default(), version })
    };
    rows.into_iter().map(|row| module(row).ok_or(Fault::NotUnderstood)).collect()
}
