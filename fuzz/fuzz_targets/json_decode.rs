//! Runs `gelf_fuzz::json_decode` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::json_decode(data));
