//! PostgreSQL in a container, by its own `psql`: one script for all databases, run through the engine.

use super::{Fault, LOCK_MS, Rows, STATEMENT_MS, Server, Ways};
use crate::control::nonce;
use crate::host::docker::{ExecError, describe, execute, short};

/// A server in a container.
pub(super) struct Psql<'a, W> {
    pub(super) container: &'a str,
    pub(super) ways: &'a W,
}

/// Runs a statement in each database. Its arguments are a word that nothing else says, the statement, and the databases; each
/// goes to `psql` by the environment, where no name is taken for an option or an address. The user is the image's.
const SCRIPT: &str = r#"mark=$1; sql=$2; shift 2
PGUSER=${PGUSER:-${POSTGRES_USER:-postgres}}; PGPASSWORD=${PGPASSWORD:-${POSTGRES_PASSWORD:-}}
PGCONNECT_TIMEOUT=3; PGCLIENTENCODING=UTF8; PGAPPNAME=driftlock; LC_ALL=C
export PGUSER PGPASSWORD PGCONNECT_TIMEOUT PGCLIENTENCODING PGAPPNAME PGOPTIONS LC_ALL
unset PGSERVICE PGSERVICEFILE
for PGDATABASE do
  export PGDATABASE
  echo "$mark"; echo "$mark" >&2
  psql -X -w -q -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -c "COPY ($sql) TO STDOUT" </dev/null
  echo "$mark $?"
done"#;

impl<W: Ways> Server for Psql<'_, W> {
    fn first(&self) -> &'static str {
        "postgres"
    }

    async fn rows(&self, databases: &[String], statement: &str) -> Result<Vec<Result<Rows, Fault>>, Fault> {
        let (engine, contact) = self.ways.engine().await?;
        let mark = nonce();
        let words = ["sh", "-c", SCRIPT, "sh", &mark, statement];
        let words: Vec<&str> = words.into_iter().chain(databases.iter().map(String::as_str)).collect();
        let options = format!(
            "PGOPTIONS=-c default_transaction_read_only=on -c statement_timeout={STATEMENT_MS} -c lock_timeout={LOCK_MS}"
        );
        let ran =
            execute(&engine, self.container, &words, &[&options]).await.map_err(|error| match error {
                ExecError::NoContainer => Fault::NoContainer,
                ExecError::NotRunning => Fault::NotRunning,
                ExecError::Cut => Fault::NotUnderstood,
                ExecError::Call(error) => Fault::Engine(describe(&contact, &error)),
            })?;
        let outputs = between(&ran.stdout, &mark);
        let errors = between(&ran.stderr, &mark);
        if outputs.len() != databases.len() {
            let said = [&ran.stderr, &ran.stdout].map(|said| short(&String::from_utf8_lossy(said)));
            let said = said.into_iter().find(|said| !said.is_empty());
            return Err(Fault::NoPsql(said.unwrap_or_else(|| "no shell ran in it".to_owned())));
        }
        let each = outputs.into_iter().enumerate().map(|(at, output)| {
            let error = errors.get(at).map(|error| String::from_utf8_lossy(error)).unwrap_or_default();
            rows_of(output, &mark, &error)
        });
        Ok(each.collect())
    }
}

/// The parts of a text behind each line that is the mark.
fn between<'a>(text: &'a [u8], mark: &str) -> Vec<&'a [u8]> {
    let line = format!("{mark}\n").into_bytes();
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].windows(line.len()).position(|window| window == line) {
        starts.push(at + found);
        at += found + line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| &text[start + line.len()..end]).collect()
}

/// The rows of one database's output, which ends with the mark and the exit code.
fn rows_of(output: &[u8], mark: &str, error: &str) -> Result<Rows, Fault> {
    let text = std::str::from_utf8(output).map_err(|_| Fault::NotUnderstood)?;
    let (rows, code) = text.rsplit_once(mark).ok_or(Fault::NotUnderstood)?;
    match code.trim() {
        "0" => rows.lines().map(|line| line.split('\t').map(value).collect()).collect(),
        "126" | "127" => Err(Fault::NoPsql(short(error))),
        _ => Err(failed(error)),
    }
}

/// The value of a column of `COPY`, whose text format escapes with a backslash:
/// <https://www.postgresql.org/docs/current/sql-copy.html>.
fn value(text: &str) -> Result<Option<String>, Fault> {
    if text == "\\N" {
        return Ok(None);
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next().ok_or(Fault::NotUnderstood)? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                '\\' => '\\',
                _ => return Err(Fault::NotUnderstood),
            },
            letter => letter,
        });
    }
    Ok(Some(plain))
}

/// The fault by what `psql` said: its errors name a SQLSTATE between colons, those of connecting none.
fn failed(said: &str) -> Fault {
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_code =
        |word: &&str| word.len() == 5 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let code = line.split(": ").skip(1).map(str::trim).find(is_code);
    let fatal = line.rsplit_once("failed: ").map_or(line, |(_, why)| why);
    match code {
        Some(code) => {
            let message = line.split_once(code).map_or(line, |(_, why)| why.trim_start_matches([':', ' ']));
            Fault::of_server(code, message)
        }
        None => Fault::Unreached(short(fatal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_part_of_the_output_whatever_its_modules_are_called() {
        let text = "motd\nM\na\\tb\tinstalled\t\\N\nM 0\nM\nM 2\n";
        let parts = between(text.as_bytes(), "M");
        assert_eq!(parts.len(), 2);
        let rows = rows_of(parts[0], "M", "").unwrap();
        assert_eq!(rows, [[Some("a\tb".to_owned()), Some("installed".to_owned()), None]]);
        let missing = "ERROR:  42P01: relation \"public.ir_module_module\" does not exist\nLINE 1: COPY";
        assert!(matches!(rows_of(parts[1], "M", missing), Err(Fault::NoTable)));
    }

    #[test]
    fn what_psql_says_becomes_a_fault() {
        let refused = "psql: error: connection to server on socket \"/run/x\" failed: FATAL:  role \"x\" does not exist\n";
        assert!(failed(refused).to_string().contains("role \"x\" does not exist"), "{}", failed(refused));
        let code = "ERROR:  42501: permission denied for table ir_module_module";
        assert!(failed(code).to_string().starts_with("permission denied for table"), "{}", failed(code));
        assert!(failed(code).to_string().contains("GRANT SELECT"));
        assert_eq!(value("a\\\\b").unwrap(), Some("a\\b".to_owned()));
        assert!(value("a\\x41").is_err());
    }
}
