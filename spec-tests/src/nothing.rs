//! A subject that does nothing. Its score is the baseline for the scores of other subjects.

use crate::observed::Observed;
use crate::subject::{Description, Reply, Request, Subject};

/// A subject that delivers no message and sends nothing.
#[derive(Clone, Debug)]
pub struct Nothing(Description);

impl Default for Nothing {
    fn default() -> Self {
        let can = ["payload", "datagrams", "stream", "send", "chunk", "clock", "limits"];
        let notes = "Delivers no message and sends nothing. A score without a difference from this one means nothing.";
        Self(Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sends: ["udp", "tcp"].map(str::to_owned).into(),
            ..Description::new("nothing", "Rust", &can, notes)
        })
    }
}

impl Subject for Nothing {
    fn description(&self) -> &Description {
        &self.0
    }

    fn ask(&mut self, _: Request<'_>) -> Result<Reply, String> {
        Ok(Reply::Observed(Observed::default()))
    }
}
