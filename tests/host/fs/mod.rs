//! Files as they stand on a host.

mod bytecode;
mod content;
mod file_names;
mod modules;
mod published_modules;
mod special_files;
