//! Crashes, locks, bad input, tampering, secrets: what must hold whatever happens.

mod bad_input;
mod corpus;
mod crash;
mod faults;
mod lock;
mod properties;
mod secrets;
mod system_calls;
mod tampering;
