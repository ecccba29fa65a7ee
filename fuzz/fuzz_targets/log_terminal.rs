//! libFuzzer's entry point of `gelf_fuzz::log_terminal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::log_terminal(data));
