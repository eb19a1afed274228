//! `driftlock sign`: stand for the baseline, with an SSH key.

use std::path::PathBuf;

use clap::Args;

use super::output::{self, say};
use super::project::Project;
use super::prompt::at_terminal;
use super::signals::Interrupt;
use super::trusting::{Trusting, own_place};
use super::{Failure, Global, prune, signature, signing_key};
use crate::audit::lock_file_names;
use crate::baseline::{Replacement, SIGNATURE, Whole, replace};
use crate::config::{self, Config};
use crate::model::escaped;
use crate::trust::{NAMESPACE, Signature, encode_armor, list};

/// Sign the baseline with an SSH key
///
/// Writes audit/locks/SIGNATURE over the digests of all lock files and of audit/driftlock.toml. What is signed is shown
/// by --print; ssh-keygen -Y sign -n driftlock over that text makes such a signature, too, and ssh-keygen -Y verify
/// accepts this one. Whether it counts is for driftlock verify to say.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock sign                            with the key of audit/driftlock.toml, else one of the agent
  driftlock sign --key ~/.ssh/id_ed25519    with this key
  driftlock sign --key ~/.ssh/id_ed25519.pub
                                            with this key, held by the agent or beside it
  driftlock sign --print                    what would be signed")]
pub(super) struct SignArgs {
    /// A private key; or the public one of a key that the agent holds; or agent, for the one that may sign
    #[arg(long, value_name = "FILE|agent")]
    key: Option<PathBuf>,
    /// Print what is signed; sign nothing
    #[arg(long)]
    print: bool,
}

/// What is to be signed.
pub(super) struct Message {
    /// The list.
    pub(super) text: Vec<u8>,
    /// How many files it names.
    pub(super) files: usize,
}

/// What the signature of the project's own baseline is over, as it lies there now.
pub(super) fn message(project: &Project) -> Result<Message, Failure> {
    let whole = Whole::read(&project.source(), &lock_file_names(), config::PATH)
        .map_err(|error| Failure::new(escaped(error.to_string().as_bytes())))?;
    if whole.files.is_empty() {
        let failure = Failure::new("there is no lock file, so there is nothing to sign");
        return Err(failure.hint("make the baseline first with: driftlock export --accept"));
    }
    let listed = signature::listed(&whole, Config::load(&project.root)?.digest);
    Ok(Message { text: list(&listed), files: listed.len() })
}

pub(super) fn run(global: &Global, args: &SignArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = Project::find(global)?;
    let message = message(&project)?;
    if args.print {
        output::print(&message.text)?;
        return Ok(0);
    }
    let trusting = Trusting::configured(&project);
    let signers =
        trusting.as_ref().map(|trusting| trusting.signers().unwrap_or_default()).unwrap_or_default();
    let keys = (args.key.as_deref(), project.config.trust.key.as_deref());
    let key = signing_key::find(&project, keys, &signers, at_terminal().as_ref())?;
    let signature = key.sign(&message.text, NAMESPACE).map_err(|error| Failure::new(error.to_string()))?;
    let bytes = encode_armor(&signature).map_err(|error| Failure::new(error.to_string()))?;
    let made = Signature::read(&bytes).ok().filter(|made| made.is_of(&message.text, NAMESPACE));
    let made =
        made.ok_or_else(|| Failure::new(format!("{}: what it signed is not a true signature", key.place())))?;
    put(&project, &message, bytes.clone(), interrupt)?;
    let name = made.key_name();
    let files = output::counted(message.files, "file");
    output::print(format!("Signed: {}, {files}, with {name} ({})\n", own_place(), key.place()).as_bytes())?;
    if let Some(trusting) = trusting
        && let Err(why) = trusting.judge_bytes(&bytes, &own_place(), &message.text, NAMESPACE)
    {
        say(&format!("warning: this signature will not count: {}", escaped(why.to_string().as_bytes())));
    }
    Ok(0)
}

/// Puts the signature beside the lock files, provided that they are still those that were signed.
fn put(project: &Project, message: &Message, bytes: Vec<u8>, interrupt: &Interrupt) -> Result<(), Failure> {
    let _turn = prune::turn(project, "sign", interrupt)?;
    let unmoved = || self::message(project).is_ok_and(|now| now.text == message.text);
    let changes = [(SIGNATURE.to_owned(), bytes)].into();
    let what = Replacement { changes: &changes, unmoved: &unmoved, is_signed: &|_| true };
    replace(&project.locks_dir(), &what)?;
    log::info!(files = message.files; "signed the baseline");
    Ok(())
}
