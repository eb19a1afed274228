//! The command of `ssh_config` that knows host keys (`KnownHostsCommand`): run as `ssh` runs it, without a shell.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use data_encoding::BASE64;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::{HashAlg, PublicKeyOrCertificate};

use crate::atomic::LARGEST_TEXT;
use crate::control::child::{self, ChildError};
use crate::control::waits;
use crate::host::ssh::tokens::{TokenError, words};

/// The time for one answer.
const PATIENCE: Duration = waits::KNOWN_HOSTS_COMMAND.most;

/// A command that writes lines like those of a `known_hosts` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHostsCommand {
    /// Its words, before anything was put in the place of tokens.
    words: Vec<String>,
    /// What stands for a letter behind a percent sign, whatever is asked.
    tokens: BTreeMap<char, String>,
}

/// What a command is asked for, in the words of `ssh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Which types of keys are known, before there is a connection.
    Order,
    /// The keys of the host by its name.
    HostName,
    /// The keys of the host by its IP address.
    Address,
}

/// The reason why a command tells nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("{0}")]
    Child(#[from] ChildError),
    #[error("it ended with {0}")]
    Status(std::process::ExitStatus),
}

impl KnownHostsCommand {
    /// Reads a command line.
    ///
    /// # Errors
    /// When it cannot be split into words, or names its program by no whole path.
    pub(crate) fn read(line: &str, tokens: BTreeMap<char, String>) -> Result<Self, TokenError> {
        let words = words(line)?;
        if !words.first().is_some_and(|program| program.starts_with('/')) {
            return Err(TokenError::NoWholePath);
        }
        Ok(Self { words, tokens })
    }

    /// The lines about `name`; `offered` is the key that was presented, if one was.
    pub(super) fn lines(
        &self,
        reason: Reason,
        name: &str,
        offered: Option<&PublicKeyOrCertificate>,
    ) -> Result<Vec<u8>, CommandError> {
        let none = || "NONE".to_owned();
        let mut tokens = self.tokens.clone();
        let reason = match reason {
            Reason::Order => "ORDER",
            Reason::HostName => "HOSTNAME",
            Reason::Address => "ADDRESS",
        };
        tokens.insert('I', reason.to_owned());
        tokens.insert('H', name.to_owned());
        tokens.insert('t', offered.map_or_else(none, kind));
        tokens.insert('K', offered.and_then(base64).unwrap_or_else(none));
        tokens.insert(
            'f',
            offered.map_or_else(none, |key| key.public_key().fingerprint(HashAlg::Sha256).to_string()),
        );
        let words = self.words.iter().map(|word| crate::host::ssh::tokens::expanded(word, &tokens));
        let words: Vec<String> = words.collect::<Result<_, _>>()?;
        let (program, arguments) = words.split_first().ok_or(TokenError::NoWholePath)?;
        let printed = child::printed(Command::new(program).args(arguments), PATIENCE, LARGEST_TEXT)?;
        if !printed.status.success() {
            return Err(CommandError::Status(printed.status));
        }
        Ok(printed.stdout)
    }
}

/// The type of a key or a certificate, as `ssh` calls it.
fn kind(offered: &PublicKeyOrCertificate) -> String {
    match offered.certificate() {
        Some(certificate) => certificate.algorithm().to_certificate_type(),
        None => offered.public_key().algorithm().to_string(),
    }
}

/// The bytes of a key or a certificate.
fn base64(offered: &PublicKeyOrCertificate) -> Option<String> {
    let bytes = if let Some(certificate) = offered.certificate() {
        certificate.to_bytes().ok()?
    } else {
        let mut bytes = Vec::new();
        offered.public_key().key_data().encode(&mut bytes).ok()?;
        bytes
    };
    Some(BASE64.encode(&bytes))
}
