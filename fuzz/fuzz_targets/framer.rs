//! Runs `gelf_fuzz::framer` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::framer(data));
