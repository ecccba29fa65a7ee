//! Numbered messages for tests, and what of them was lost, duplicated, reordered or altered on their way.
//!
//! [`Messages`] makes texts that say who they are, a stream and a number in it, with a payload that follows from these and a seed.
//! So a text can be checked by itself: whatever of it is changed, it is not [`Message::parse`]d any more. The [`Oracle`] is told what
//! was sent and fed with what arrived, in order, and gives a [`Report`] with exact counts. It keeps a bit or less for each number,
//! so that millions of messages take a megabyte at most.
//!
//! ```
//! use message_oracle::{Messages, Oracle};
//!
//! let messages = Messages::new(7).lengths(20..=60);
//! let mut oracle = Oracle::new(7);
//! oracle.expect(0, 0..5);
//! // Number 1 is lost, 3 overtakes 2, and 4 comes twice.
//! for number in [0, 3, 2, 4, 4] {
//!     oracle.arrived(&messages.text(0, number));
//! }
//! let report = oracle.report();
//! assert_eq!((report.delivered, report.lost, report.reordered, report.duplicated, report.altered), (4, 1, 1, 1, 0));
//! assert_eq!(report.first_lost[0].numbers, 1..=1);
//! assert!(!report.is_complete());
//! ```

#![forbid(unsafe_code)]

mod content;
mod message;
mod number_set;
mod oracle;
mod report;

pub use content::Content;
pub use message::{Message, Messages, SHORTEST};
pub use number_set::NumberSet;
pub use oracle::{Arrival, MAX_BLOCKS, MAX_STREAMS, Oracle};
pub use report::{FIRST_FEW, LONGEST_SAMPLE, Place, Report, Run};
