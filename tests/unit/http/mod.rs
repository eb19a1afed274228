//! A small site over real sockets: who gets in, what is refused, and what hostile clients cost.

mod guarding;
mod limits;
mod sessions;
mod sites;
mod streams;
