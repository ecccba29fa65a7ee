//! libFuzzer's way into `gelf_fuzz::round_trip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::round_trip(data));
