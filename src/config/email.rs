//! `kind = "email"` in `[notify.NAME]`: the mail server, and who writes to whom.

use std::net::IpAddr;

use lettre::message::Mailbox;

use super::ConfigError;
use super::notify::{Email, Kept, Key, MailTls, Table, strings};

/// How many people one mail may go to.
const MOST_RECIPIENTS: usize = 50;

impl Table<'_> {
    /// The keys that mean something for mails alone.
    pub(super) fn mail_keys(&self) -> [Key<'_>; 8] {
        let raw = self.raw;
        [
            ("server", raw.server.as_ref()),
            ("port", raw.port.as_ref()),
            ("tls", raw.tls.as_ref()),
            ("from", raw.from.as_ref()),
            ("to", raw.to.as_ref()),
            ("user", raw.user.as_ref()),
            ("password_env", raw.password_env.as_ref()),
            ("password_file", raw.password_file.as_ref()),
        ]
    }

    /// The table of a mail, whose `kind` stands `at`. No reason repeats a value, which may be a secret by mistake.
    pub(super) fn email(&self, at: usize) -> Result<Email, ConfigError> {
        let [server, port, tls, from, to, user, variable, file] = self.mail_keys();
        let encryption = self.tls(tls)?;
        let form = "server is the name of a host, without a port: server = \"mail.example.com\"";
        let name = self.text(server)?.ok_or_else(|| self.wrong(at, form))?;
        let name = Some(name).filter(|name| is_host(name)).ok_or_else(|| self.at(server, form))?;
        if encryption == MailTls::None && !is_this_machine(name) {
            return Err(self
                .at(tls, "tls = \"none\" is for a server of this machine alone: localhost, 127.0.0.1, ::1"));
        }
        let sender = self.text(from)?.and_then(mailbox);
        let sender = sender.ok_or_else(|| {
            self.either(
                from,
                at,
                "from is the address that mails come from: from = \"driftlock@example.com\"",
            )
        })?;
        Ok(Email {
            server: name.trim_matches(['[', ']']).to_owned(),
            port: self.port(port)?.unwrap_or(encryption.usual_port()),
            tls: encryption,
            from: sender,
            to: self.recipients(to, at)?,
            login: self.login(user, self.kept(variable, file)?, at)?,
        })
    }

    fn tls(&self, key: Key<'_>) -> Result<MailTls, ConfigError> {
        match self.text(key)? {
            None | Some("starttls") => Ok(MailTls::StartTls),
            Some("implicit") => Ok(MailTls::Implicit),
            Some("none") => Ok(MailTls::None),
            Some(_) => Err(self.at(key, "tls is \"starttls\", \"implicit\" or \"none\"")),
        }
    }

    fn port(&self, key: Key<'_>) -> Result<Option<u16>, ConfigError> {
        let Some(value) = key.1 else { return Ok(None) };
        let port = value.get_ref().as_integer().and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port > 0);
        port.map(Some).ok_or_else(|| self.at(key, "port is a number from 1 to 65535"))
    }

    fn recipients(&self, key: Key<'_>, at: usize) -> Result<Vec<Mailbox>, ConfigError> {
        let form = "to is a list of addresses: to = [\"ops@example.com\"]";
        let texts = key.1.and_then(|value| strings(value.get_ref()));
        let all: Option<Vec<Mailbox>> = texts.and_then(|texts| texts.iter().map(|it| mailbox(it)).collect());
        let some = all.filter(|all| (1..=MOST_RECIPIENTS).contains(&all.len()));
        some.ok_or_else(|| self.either(key, at, form))
    }

    fn login(
        &self,
        user: Key<'_>,
        password: Option<Kept>,
        at: usize,
    ) -> Result<Option<(String, Kept)>, ConfigError> {
        match (self.text(user)?, password) {
            (None, None) => Ok(None),
            (Some(name), Some(password)) if !name.is_empty() && !name.contains(char::is_control) => {
                Ok(Some((name.to_owned(), password)))
            }
            (Some(_), Some(_)) => Err(self.at(user, "user is the name that the mail server knows")),
            (Some(_), None) => Err(self.at(
                user,
                "user without a password: write password_env = \"VARIABLE\" or password_file = \"PATH\"",
            )),
            (None, Some(_)) => Err(self.wrong(at, "a password without a user: write user = \"NAME\"")),
        }
    }

    fn at(&self, key: Key<'_>, reason: &str) -> ConfigError {
        self.either(key, 0, reason)
    }

    /// What is wrong with a key, or with its absence.
    fn either(&self, key: Key<'_>, at: usize, reason: &str) -> ConfigError {
        self.wrong(key.1.map_or(at, |value| value.span().start), reason)
    }
}

/// An address of mail, in one line: nothing in it can begin another header or another command.
fn mailbox(text: &str) -> Option<Mailbox> {
    if text.contains(char::is_control) {
        return None;
    }
    text.parse().ok()
}

fn is_host(name: &str) -> bool {
    let bare = name.trim_matches(['[', ']']);
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    bare.parse::<IpAddr>().is_ok() || (!name.is_empty() && name.len() <= 253 && name.bytes().all(is_name))
}

fn is_this_machine(name: &str) -> bool {
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, Config};
    use super::*;

    fn read(table: &str) -> Result<Email, String> {
        let config = Config::parse(&format!("[notify.ops]\nkind = \"email\"\n{table}\n"));
        match config.map_err(|error| error.to_string())?.notify["ops"].channel.clone() {
            Channel::Email(email) => Ok(*email),
            other => panic!("{other:?}"),
        }
    }

    const ADDRESSES: &str = "from = \"a@example.com\"\nto = [\"b@example.com\"]\n";

    #[test]
    fn a_port_is_the_usual_one_of_its_encryption() {
        for (more, port) in
            [("", 587), ("tls = \"implicit\"", 465), ("tls = \"starttls\"\nport = 2525", 2525)]
        {
            let email = read(&format!("server = \"mail.example.com\"\n{ADDRESSES}{more}")).unwrap();
            assert_eq!((email.port, email.login), (port, None), "{more}");
        }
        let email = read(&format!("server = \"[::1]\"\ntls = \"none\"\n{ADDRESSES}")).unwrap();
        assert_eq!((email.server.as_str(), email.port), ("::1", 25));
        let login = "user = \"u\"\npassword_file = \"/run/secrets/mail\"\n";
        let email = read(&format!("server = \"mail.example.com\"\n{ADDRESSES}{login}")).unwrap();
        assert_eq!(email.login, Some(("u".to_owned(), Kept::File("/run/secrets/mail".into()))));
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_repeating_it() {
        let server = "server = \"mail.example.com\"\n";
        for (table, words) in [
            (ADDRESSES.to_owned(), "server is the name of a host"),
            (
                format!("server = \"smtp://u:s3cr3t@mail.example.com\"\n{ADDRESSES}"),
                "server is the name of a host",
            ),
            (format!("server = \"mail.example.com:587\"\n{ADDRESSES}"), "without a port"),
            (format!("{server}{ADDRESSES}tls = \"s3cr3t\""), "tls is \"starttls\""),
            (format!("{server}{ADDRESSES}tls = \"none\""), "of this machine alone"),
            (format!("{server}{ADDRESSES}port = 0"), "port is a number"),
            (format!("{server}{ADDRESSES}port = \"s3cr3t\""), "port is a number"),
            (format!("{server}to = [\"b@example.com\"]"), "from is the address"),
            (format!("{server}from = \"s3cr3t\"\nto = [\"b@example.com\"]"), "from is the address"),
            (
                format!("{server}from = \"a@example.com\\r\\nBcc: e@example.com\"\nto = [\"b@example.com\"]"),
                "from is the address",
            ),
            (format!("{server}from = \"a@example.com\""), "to is a list of addresses"),
            (format!("{server}from = \"a@example.com\"\nto = []"), "to is a list of addresses"),
            (
                format!("{server}from = \"a@example.com\"\nto = \"b@example.com\""),
                "to is a list of addresses",
            ),
            (
                format!("{server}from = \"a@example.com\"\nto = [\"b@example.com\\n.\\nQUIT\"]"),
                "to is a list of addresses",
            ),
            (format!("{server}{ADDRESSES}user = \"u\""), "write password_env"),
            (format!("{server}{ADDRESSES}password_env = \"P\""), "without a user"),
            (
                format!("{server}{ADDRESSES}user = \"u\"\npassword = \"s3cr3t\""),
                "password may not stand here",
            ),
            (
                format!("{server}{ADDRESSES}user = \"u\"\npassword_env = \"s3cr3t!\""),
                "the name of a variable",
            ),
            (format!("{server}{ADDRESSES}url_env = \"A\""), "url_env means nothing"),
        ] {
            let error = read(&table).unwrap_err();
            assert!(error.contains(words) && error.contains("notify.ops: "), "{table}\n{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let ticket = "[change_requests.itsm]\nkind = \"email\"\n";
        let error = Config::parse(ticket).unwrap_err().to_string();
        assert!(error.contains("change_requests.itsm: kind is \"webhook\" or \"command\""), "{error}");
    }
}
