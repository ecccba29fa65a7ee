//! The GELF conformance suite: test vectors, and the runner for them.
//!
//! A [`Vector`] is an input for a receiver, or a request to a sender, with the expected results of a strict
//! and of a lenient implementation. The vectors are JSON files in `vectors/`. Programs in any language can use them,
//! and the README of that folder documents them.
//!
//! A [`Subject`] is an implementation under test. [`Builtin`] is gelf-core, [`Process`] is any program that
//! speaks the protocol of `PROTOCOL.md`, and [`Served`] asks a subject of this process over the same
//! protocol. [`Live`] is a running receiver, which is tested over the network. The HTTP vectors
//! ([`embedded_http`]) are only for such receivers.
//!
//! [`run`] runs the selected vectors on a subject and [judges](judge) the replies. [`inspect`] checks the bytes of a
//! sender against the rules. The program `gelf-conformance` offers all of this on the command line.
//!
//! Some tests in `tests/` need the log driver of a Docker Engine, the simulated Logstash of
//! `support/logstash`, or installed peers: the other implementations of GELF in `peers/`. If such a
//! requirement is missing, the test passes and prints that it was skipped. With
//! `GELF_TESTS_REQUIRE=engine,logstash,peers`, it fails instead.

mod accept;
mod brackets;
mod builtin;
mod compare;
mod corpus;
mod describe;
mod difference;
mod expectations;
mod hostile;
pub mod http;
pub mod inspect;
mod judge;
mod live;
mod names;
mod nothing;
mod numbers;
mod observed;
mod process;
mod program;
mod protocol;
mod reader;
mod receivers;
mod recipe;
pub mod report;
mod rules;
mod run;
pub mod sender;
mod serve;
mod smoke;
mod subject;
mod text;
mod throughput;
mod vector;

pub use accept::accept;
pub use builtin::{Builtin, text_of};
pub use describe::{describe_expected, describe_input};
pub use difference::{Difference, Weight};
pub use expectations::{Expectation, Expectations};
pub use hostile::{Finding, HostileOptions, HostileResults, StartSubject, fuzz};
pub use judge::{KnownViolations, Verdict, judge};
pub use live::{Live, LiveHttp, LiveOptions, Observe};
pub use nothing::Nothing;
pub use observed::{Answered, JsonText, Observed, ObservedAnswer, ObservedMessage, Sent};
pub use process::Process;
pub use receivers::{Delivery, Effect, Receiver, ReceiverRule, Transport, receivers};
pub use recipe::{Content, hex};
pub use rules::{Decision, Rule, decision, decisions, rules, rules_of};
pub use run::{Outcome, Results, Score, Selection, run, run_parallel};
pub use serve::{Served, serve};
pub use smoke::{Check, Mistake, check_subject};
pub use subject::{Answer, Description, Reply, Request, Subject};
pub use throughput::{Measured, Workload, measure};
pub use vector::{
    Afterwards, Authorization, ChunkRequest, Demand, Expected, FieldValue, HttpAnswer, HttpExchange,
    HttpRequest, Input, Limits, MessageText, Mode, SendRequest, Statuses, Step, Topic, VERSION, Vector,
    embedded, embedded_http, expanded, load, load_http,
};
