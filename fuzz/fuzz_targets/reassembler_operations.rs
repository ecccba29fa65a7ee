//! libFuzzer's way into `gelf_fuzz::reassembler_operations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::reassembler_operations(data));
