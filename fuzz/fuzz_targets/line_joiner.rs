//! Runs `gelf_fuzz::line_joiner` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::line_joiner(data));
