//! GELF's conformance suite: vectors, and what runs them.
//!
//! A [`Vector`] is some bytes, or a message to be sent, and what a strict and a lenient implementation of GELF make of
//! it. They stand as JSON in `vectors/`, which has its own README, and are of use to any language. A [`Subject`] is an
//! implementation; [`Builtin`] is the one of this repository.
//!
//! In `tests/` there are also peers as they are installed: `wireshark_dissector`, where tshark reads what the UDP sender
//! puts on the wire, and `docker_gelf_driver`, where a Docker Engine's own log driver sends to our receivers. A test
//! whose peer is not there passes, and says on stderr that it was skipped; `GELF_TESTS_REQUIRE=engine,tshark` makes it
//! fail instead.

mod builtin;
mod judge;
mod recipe;
mod subject;
mod vector;

pub use builtin::Builtin;
pub use judge::{Difference, judge};
pub use recipe::{Made, Recipe, RecipeError};
pub use subject::{Answer, Mode, Request, Subject};
pub use vector::{
    ChunkRequest, Expected, FieldValue, Input, Limits, LoadError, MessageText, SendRequest, Step, Topic,
    Vector, load,
};
