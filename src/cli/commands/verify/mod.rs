//! `driftlock verify`: who has signed the baseline, and whether that counts.

mod reports;

use crate::audit::signed_files::signed_message;
use clap::Args;

use crate::cli::Session;
use crate::cli::args::trust::TrustArgs;
use crate::cli::terminal::output;
use crate::error::Failure;
use crate::model::{counted, escaped};

/// Say who signed the baseline, and whether that counts
///
/// Exit code 0: somebody who may has signed what is there; 1: not so, with the reason.
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock verify                                        by the allowed signers of audit/driftlock.toml
  driftlock verify --allowed-signers ~/allowed_signers    by these, whatever the repository says
  driftlock verify --baseline git:v1.4                    the lock files of a tag
  driftlock verify --reports                              the reports of past checks
  driftlock verify --print | ssh-keygen -Y verify -f audit/allowed_signers -I you@example.com \\
      -n driftlock -s audit/locks/SIGNATURE               the same without driftlock's word")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    trust: TrustArgs,
    /// Look at the lock files in DIR, or as committed in git:REVISION
    #[arg(long, value_name = "DIR|git:REVISION")]
    baseline: Option<String>,
    /// It must be the signature of this signer
    #[arg(long, value_name = "NAME")]
    signer: Option<String>,
    /// Print what the signature must be over; verify nothing
    #[arg(long, conflicts_with = "baseline")]
    print: bool,
    /// Look at the reports in audit/runtime instead: whether each is signed, and none was altered or removed
    #[arg(long, conflicts_with_all = ["baseline", "print"])]
    reports: bool,
    /// With --reports: runs that are older may be missing [default: retention_days of audit/driftlock.toml, else 30]
    #[arg(long, value_name = "N", requires = "reports")]
    days: Option<u32>,
}

pub(crate) fn run(session: &Session, args: &VerifyArgs) -> Result<u8, Failure> {
    let project = session.project()?;
    if args.print {
        output::print(&signed_message(&project)?.text)?;
        return Ok(0);
    }
    let Some(mut trusting) = args.trust.resolve(&project)? else {
        let failure = Failure::new("nothing says who may sign");
        return Err(failure.hint(
            "name a file with --allowed-signers, or in audit/driftlock.toml as allowed_signers of [trust]",
        ));
    };
    trusting.principal.clone_from(&args.signer);
    if args.reports {
        return reports::verify(&project, &trusting, args.days);
    }
    let source =
        args.baseline.as_deref().map_or_else(|| Ok(project.source()), |text| project.source_named(text))?;
    let looked = trusting.look(&project, &source, None);
    let signer = looked.by.map_err(|why| Failure::new(escaped(why.to_string().as_bytes())))?;
    let who = escaped(signer.principals.as_bytes());
    let files = counted(looked.files, "file");
    let from = escaped(source.name().as_bytes());
    output::print(format!("Signed: {from}, {files}, by {who} with {}\n", signer.key).as_bytes())?;
    Ok(0)
}
