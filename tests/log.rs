//! What driftlock logs.
