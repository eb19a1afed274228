//! The `driftlock` binary: everything is in the library.
fn main() -> std::process::ExitCode {
    driftlock::cli::main()
}
