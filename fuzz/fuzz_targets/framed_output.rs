#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driftlock_fuzz::framed_output(bytes));
