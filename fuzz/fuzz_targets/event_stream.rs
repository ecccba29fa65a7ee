//! libFuzzer's entry point of `gelf_fuzz::event_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelf_fuzz::event_stream(data));
