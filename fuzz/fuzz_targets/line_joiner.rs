//! libFuzzer's entry point of `gelf_fuzz::line_joiner`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::line_joiner(data));
