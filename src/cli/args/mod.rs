//! Arguments that several commands share.

pub(crate) mod checks;
pub(crate) mod formats;
pub(crate) mod repair;
pub(crate) mod subjects;
pub(crate) mod target;
pub(crate) mod trust;
