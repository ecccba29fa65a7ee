//! Runs `gelf_fuzz::reassembler_operations` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::reassembler_operations(data));
