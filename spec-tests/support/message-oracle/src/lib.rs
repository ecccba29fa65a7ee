//! Numbered messages for tests, and an oracle that finds lost, duplicated, reordered and altered messages.
//!
//! [`Messages`] generates texts. Each text has a stream, a number in the stream, and a payload that is
//! derived from a seed, the stream and the number. Each text can therefore be checked by itself:
//! [`Message::parse`] refuses any changed text. The [`Oracle`] takes the expected numbers and the arrived
//! texts, in order, and returns a [`Report`] with exact counts. The oracle stores each number, up to a limit.
//! Messages beyond the limit are counted and make the report incomplete.
//!
//! ```
//! use message_oracle::{Messages, Oracle};
//!
//! let messages = Messages::new(7).lengths(20..=60);
//! let mut oracle = Oracle::new(7);
//! oracle.expect(0, 0..5);
//! // Number 1 is lost, 3 overtakes 2, and 4 is repeated.
//! for number in [0, 3, 2, 4, 4] {
//!     oracle.arrived(&messages.text(0, number));
//! }
//! let report = oracle.report();
//! assert_eq!((report.delivered, report.lost), (4, 1));
//! assert_eq!((report.reordered, report.duplicated, report.altered), (1, 1, 0));
//! assert!(!report.is_complete());
//! ```

#![forbid(unsafe_code)]

mod message;
mod oracle;
mod report;

pub use message::{Message, Messages, SHORTEST};
pub use oracle::Oracle;
pub use report::Report;
