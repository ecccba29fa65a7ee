//! Runs `gelf_fuzz::inflate_capped` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::inflate_capped(data));
