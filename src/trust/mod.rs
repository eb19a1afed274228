//! Who stands for a baseline or a report: what is signed, by whom, and whose signature counts.

mod armor;
mod certificate;
mod chain;
mod commit;
mod judge;
mod list;
mod point;
mod signers;

pub use armor::{ARMOR, Damaged, EncodeError, LONGEST, Signature, encode_armor, key_name, plain};
pub use chain::{Kept, Word, walk};
pub use commit::{COMMITS, SignedCommit};
pub use judge::{Case, Refused, SignatureCheck, Signer, judge};
pub use list::{Listed, list};
pub use point::{Civil, Clock, Point};
pub use signers::{AllowedSigner, BadLine, parse};

/// The namespace in which baselines are signed (`ssh-keygen -n`).
pub const NAMESPACE: &str = "driftlock";

/// The namespace in which reports are signed: a key that may sign reports need not be one that may sign baselines.
pub const REPORTS: &str = "driftlock-report";

/// What may not be done as a configuration says that nobody who may has signed.
pub const UNSIGNED_CONFIGURATION: &str = "audit/driftlock.toml is not signed by any of --allowed-signers";
