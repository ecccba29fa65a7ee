//! Makes and keeps the constant part of the messages of each callsite. A callsite is a place in the program
//! that logs an event or creates a span.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use gelf_tokio::gelf_core::{FieldName, FieldSet, FieldSetBuilder, Level};
use tracing::Metadata;
use tracing::callsite::Identifier;

use crate::message::Origin;
use crate::names;

/// The constant part of the messages of a callsite.
#[derive(Debug)]
pub(crate) struct Callsite {
    /// The names of the fields, by the indices of the fields. Fields beyond the maximum number have no name
    /// here.
    pub(crate) names: Vec<FieldName<'static>>,
    /// The index of the field `message`.
    pub(crate) message: Option<usize>,
    /// The host, the fields of the program, and the origin.
    pub(crate) constants: FieldSet,
}

/// The callsites of the program that have logged an event or created a span. Their number is limited, since
/// each callsite is a place in the source code.
#[derive(Debug)]
pub(crate) struct Callsites {
    /// The host and the fields of the program.
    constants: FieldSetBuilder,
    known: RwLock<HashMap<Identifier, Arc<Callsite>>>,
}

impl Callsites {
    pub(crate) fn new(constants: FieldSetBuilder) -> Self {
        Self { constants, known: RwLock::default() }
    }

    pub(crate) fn get(&self, metadata: &'static Metadata<'static>) -> Arc<Callsite> {
        // No code panics while the lock is held.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(callsite) = known.get(&metadata.callsite()) {
            return Arc::clone(callsite);
        }
        drop(known);
        let fields = metadata.fields();
        let callsite = Arc::new(Callsite {
            names: names::of_callsite(fields.iter().map(|field| field.name())),
            message: fields.field("message").map(|field| field.index()),
            constants: Origin::of(metadata).add_to(self.constants.clone()).build(),
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(metadata.callsite()).or_insert(callsite))
    }
}

/// Returns the syslog level. Syslog has no level below debug, so `trace` becomes debug as well.
pub(crate) fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Informational,
        _ => Level::Debug,
    }
}
