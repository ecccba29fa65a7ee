//! Runs `gelf_fuzz::datagram_decode` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::datagram_decode(data));
