//! `driftlock sign`: stand for the baseline, with an SSH key.

use crate::audit::signed_files::Message;
use crate::audit::signed_files::signed_message;
use crate::store::after_run::lock_project;
use std::path::PathBuf;

use clap::Args;

use crate::audit::signed_files::own_place;
use crate::audit::signing_key;
use crate::audit::trust_policy::Trusting;
use crate::baseline::{Replacement, SIGNATURE, replace};
use crate::cli::Session;
use crate::cli::terminal::output;
use crate::cli::terminal::output::say;
use crate::cli::terminal::prompt::at_terminal;
use crate::cli::terminal::signals::Interrupt;
use crate::error::Failure;
use crate::model::{counted, escaped};
use crate::project::Project;
use crate::trust::{NAMESPACE, Signature, encode_armor};

/// Sign the baseline with an SSH key
///
/// Writes audit/locks/SIGNATURE over the digests of all lock files, of audit/driftlock.toml and of audit/policies.toml. What is signed is shown
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
pub(crate) struct SignArgs {
    /// A private key; or the public one of a key that the agent holds; or agent, for the one that may sign
    #[arg(long, value_name = "FILE|agent")]
    key: Option<PathBuf>,
    /// Print what is signed; sign nothing
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(session: &Session, args: &SignArgs, interrupt: &Interrupt) -> Result<u8, Failure> {
    let project = session.project()?;
    let message = signed_message(&project)?;
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
    let files = counted(message.files, "file");
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
    let _turn = lock_project(project, "sign", &interrupt.watch)?;
    let unmoved = || signed_message(project).is_ok_and(|now| now.text == message.text);
    let changes = [(SIGNATURE.to_owned(), bytes)].into();
    let what = Replacement { changes: &changes, unmoved: &unmoved, is_signed: &|_| true };
    replace(&project.locks_dir(), &what)?;
    log::info!(files = message.files; "signed the baseline");
    Ok(())
}
