//! Runs `gelf_fuzz::compressed` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::compressed(data));
