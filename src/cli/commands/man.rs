//! `driftlock man`: manual pages, one a command.

use crate::model::printable_path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::definition;
use crate::cli::terminal::output;
use crate::error::Failure;

/// Write manual pages into a directory
#[derive(Args)]
#[command(after_help = "\
Examples:
  driftlock man /usr/local/share/man/man1
  driftlock man target/man && man target/man/driftlock-check.1")]
pub(crate) struct ManArgs {
    /// The directory; it is made if it is not there
    dir: PathBuf,
}

pub(crate) fn run(args: &ManArgs) -> Result<u8, Failure> {
    let refused = |error: std::io::Error| Failure::at(&args.dir, &error);
    std::fs::create_dir_all(&args.dir).map_err(refused)?;
    clap_mangen::generate_to(definition(), &args.dir).map_err(refused)?;
    output::print(format!("Manual pages: {}\n", printable_path(&args.dir)).as_bytes())?;
    Ok(0)
}
