//! The documents: what they show is what happens.

mod blocks;
mod categories;
