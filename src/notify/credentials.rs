//! Secrets of the configuration: read from the variables and files that it names, and never shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::atomic::{LARGEST_TEXT, read_file_within};
use rustls::pki_types::CertificateDer;

use crate::config::{Channel, Email, Kept, MailTls};
use crate::control::Environment;
use crate::error::Failure;
use crate::model::printable_path;
use crate::model::{Address, in_words, is_address};
use crate::notify::{Client, Mailer, Network, Program, Secret, Way, Webhook};
use crate::project::Project;

/// The way that a channel means, once its secrets are read.
///
/// # Errors
/// Says in words that hold no secret which of them is missing or cannot be used.
pub(crate) fn way(project: &Project, channel: &Channel) -> Result<Way, Failure> {
    match channel {
        Channel::Slack { url } => Ok(Way::Slack(client(project, url, None)?)),
        Channel::Webhook { url, token } => Ok(Way::Webhook(client(project, url, token.as_ref())?)),
        Channel::Command { argv } => Ok(Way::Command(Program::new(argv, &project.root))),
        Channel::Email(email) => Ok(Way::Email(mailer(project, email)?)),
    }
}

fn mailer(project: &Project, email: &Email) -> Result<Mailer, Failure> {
    let password = email.login.as_ref().map(|(_, kept)| password(project, kept)).transpose()?;
    let authorities = match email.tls {
        MailTls::None => Vec::new(),
        MailTls::StartTls | MailTls::Implicit => authorities(&project.control.environment)?,
    };
    Mailer::new(email.clone(), password, authorities)
}

/// A failure of what the configuration names, in words that hold no secret.
fn bad(message: String) -> Failure {
    Failure::new(message).of_project()
}

fn client(project: &Project, url: &Kept, token: Option<&Kept>) -> Result<Client, Failure> {
    let address = address(project, url)?;
    let token = token.map(|kept| self::token(project, kept)).transpose()?;
    let network = network(&address, &project.control.environment)?;
    Client::new(address, token, &network)
}

/// A client that reads from an address, with the token of a file that its owner alone may read: a token, or the words of the
/// header `Authorization`, such as `Token 0123`.
///
/// # Errors
/// As [`way`].
pub(crate) fn reader(project: &Project, url: &str, token_file: Option<&Path>) -> Result<Client, Failure> {
    let address = Webhook::parse(url).map_err(|why| bad(format!("the url {why}")))?;
    let secret = |path: &Path| {
        let kept = Kept::File(path.to_owned());
        if let Some(why) = open_to_others(project, &kept) {
            return Err(bad(why));
        }
        let text = text(project, &kept)?;
        let words: Vec<&str> = text.split(' ').collect();
        let is_header = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
        if words.len() <= 2 && words.iter().all(is_header) {
            return Ok(Secret::new(text));
        }
        Err(bad(format!("what {} holds is neither a token nor a scheme and a token", called(&kept))))
    };
    let token = token_file.map(secret).transpose()?;
    let network = network(&address, &project.control.environment)?;
    Ok(Client::new(address, token, &network)?.called_by("server"))
}

/// The address that is kept somewhere.
pub(crate) fn address(project: &Project, kept: &Kept) -> Result<Webhook, Failure> {
    Webhook::parse(&text(project, kept)?).map_err(|why| bad(format!("what {} holds {why}", called(kept))))
}

/// The token that is kept somewhere.
pub(crate) fn token(project: &Project, kept: &Kept) -> Result<Secret, Failure> {
    let text = text(project, kept)?;
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err(bad(format!(
        "what {} holds is no token: it has spaces or letters that no header can hold",
        called(kept)
    )))
}

/// The password that is kept somewhere.
pub(crate) fn password(project: &Project, kept: &Kept) -> Result<Secret, Failure> {
    text(project, kept).map(Secret::new)
}

/// Where a secret is kept, in words.
pub(crate) fn called(kept: &Kept) -> String {
    match kept {
        Kept::Variable(name) => format!("the variable {name}"),
        Kept::File(path) => format!("the file {}", shown(path)),
    }
}

/// The path of a secret's file; somebody may have put the secret itself in its place.
fn shown(path: &Path) -> String {
    let text = printable_path(path);
    if is_address(&text) { Address::new(text).to_string() } else { text }
}

/// What can be said against the rights of a secret's file: that others may read it.
pub(crate) fn open_to_others(project: &Project, kept: &Kept) -> Option<String> {
    let Kept::File(path) = kept else { return None };
    let mode = project.configured_path(path).metadata().ok()?.permissions().mode();
    let shown = shown(path);
    (mode & 0o077 != 0).then(|| format!("others may read {shown}; try: chmod 600 {shown}"))
}

fn text(project: &Project, kept: &Kept) -> Result<String, Failure> {
    let who = called(kept);
    let bytes = match kept {
        Kept::Variable(name) => {
            let value = project.control.environment.variable(name);
            value.ok_or_else(|| bad(format!("{who} is not set")))?.as_encoded_bytes().to_vec()
        }
        Kept::File(path) => {
            let place = project.configured_path(path);
            let read = read_file_within(&place, LARGEST_TEXT);
            read.map_err(|error| bad(format!("{who}: {}", in_words(&error))))?
        }
    };
    let text = String::from_utf8(bytes).map_err(|_| bad(format!("what {who} holds is no text")))?;
    let text = text.trim();
    match text.lines().count() {
        0 => Err(bad(format!("{who} is empty"))),
        1 => Ok(text.to_owned()),
        _ => Err(bad(format!("{who} holds more than one line"))),
    }
}

/// What of this machine a connection to `address` depends on.
fn network(address: &Webhook, environment: &Environment) -> Result<Network, Failure> {
    let mut network = Network { proxy: proxy(address, environment).map(Address::new), ..Network::default() };
    if address.is_https {
        network.authorities = authorities(environment)?;
    }
    Ok(network)
}

/// The certificates of the authorities that this machine believes, or those of `SSL_CERT_FILE`.
fn authorities(environment: &Environment) -> Result<Vec<CertificateDer<'static>>, Failure> {
    if let Some(file) = set(environment, &["SSL_CERT_FILE"])
        && rustls_native_certs::load_certs_from_paths(Some(file.as_ref()), None).certs.is_empty()
    {
        let file = printable_path(file.as_ref());
        return Err(bad(format!("no certificate could be read from {file}, which SSL_CERT_FILE names")));
    }
    Ok(rustls_native_certs::load_native_certs().certs)
}

/// The proxy before an address, as curl takes it from the environment.
fn proxy(address: &Webhook, environment: &Environment) -> Option<String> {
    if set(environment, &["no_proxy", "NO_PROXY"]).is_some_and(|list| address.is_among(&list)) {
        return None;
    }
    // As in curl, HTTP_PROXY does not count: a web server that starts programs sets it to what a stranger sent.
    let own: &[&str] = if address.is_https { &["https_proxy", "HTTPS_PROXY"] } else { &["http_proxy"] };
    set(environment, own).or_else(|| set(environment, &["all_proxy", "ALL_PROXY"]))
}

/// The first of these variables that holds anything.
fn set(environment: &Environment, names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| environment.text(name));
    values.map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
}
