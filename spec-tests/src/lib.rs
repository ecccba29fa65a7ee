//! GELF as other programs speak it: what we send, read by them, and what they send, read by us.
//!
//! The peers are programs as they are installed, run by the tests in `tests/`, one file a peer:
//!
//! * `wireshark_dissector`: tshark reads what the UDP sender puts on the wire.
//! * `docker_gelf_driver`: a Docker Engine's own log driver `gelf` sends to our receivers.
//!
//! A test whose peer is not there passes, and says on stderr that it was skipped. `GELF_TESTS_REQUIRE=engine,tshark`
//! makes it fail instead.
