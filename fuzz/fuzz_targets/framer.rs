//! libFuzzer's way into `gelf_fuzz::framer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::framer(data));
