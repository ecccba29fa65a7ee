//! libFuzzer's way into `gelf_fuzz::inflate_capped`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::inflate_capped(data));
