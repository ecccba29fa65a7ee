//! Runs `gelf_fuzz::log_terminal` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::log_terminal(data));
