//! GELF's conformance suite: vectors, and what runs them.
//!
//! A [`Vector`] is some bytes, or a message to be sent, and what a strict and a lenient implementation of GELF make of
//! it. They stand as JSON in `vectors/`, which has its own README, and are of use to any language. A [`Subject`] is an
//! implementation: [`Builtin`] is the one of this repository, a [`Process`] any program that speaks the protocol of
//! `PROTOCOL.md`. [`run`] puts all vectors to a subject and [judges](judge) what it makes of them; [`inspect`] holds what
//! a sender sends against the rules. [`Live`] is a receiver that runs, asked by the network; the vectors of HTTP
//! ([`embedded_http`]) are for such alone. The program `gelf-conformance` has all that on the command line.
//!
//! In `tests/` there are also peers as they are installed: `wireshark_dissector`, where tshark reads what the UDP sender
//! puts on the wire, and `docker_gelf_driver`, where a Docker Engine's own log driver sends to our receivers. A test
//! whose peer is not there passes, and says on stderr that it was skipped; `GELF_TESTS_REQUIRE=engine,tshark` makes it
//! fail instead.

mod builtin;
mod compare;
mod corpus;
mod describe;
mod expectations;
mod hostile;
pub mod http;
pub mod inspect;
mod judge;
mod live;
mod names;
mod numbers;
mod observed;
mod process;
mod protocol;
mod receivers;
mod recipe;
pub mod report;
mod run;
mod serve;
mod subject;
mod throughput;
mod vector;

pub use builtin::Builtin;
pub use describe::{describe_expected, describe_input};
pub use expectations::{Expectation, Expectations, ExpectationsError};
pub use hostile::{Finding, HostileOptions, HostileResults, StartSubject, fuzz};
pub use judge::{Difference, Habits, Verdict, Weight, judge};
pub use live::{Live, LiveHttp, LiveOptions, Observe};
pub use observed::{Answered, Observed, Seen, SeenAnswer, SeenMessage, Sent};
pub use process::Process;
pub use receivers::{Delivery, Effect, Receiver, ReceiverRule, Transport, receivers};
pub use recipe::{Made, Recipe, RecipeError};
pub use run::{Outcome, Results, Selection, run};
pub use serve::serve;
pub use subject::{Answer, Description, Mode, Reply, Request, Subject};
pub use throughput::{Measured, Way, measure};
pub use vector::{
    Afterwards, Authorization, ChunkRequest, Expected, FieldValue, HttpAnswer, HttpExchange, HttpRequest,
    Input, Limits, LoadError, MessageText, SendRequest, Statuses, Step, Topic, Vector, embedded,
    embedded_http, load, load_http, rules,
};
