//! Names that become one by sanitizing, kept apart.
//!
//! `a/b` and `a b` are both `a_b`; under one name, readers would keep one of the two values. The rule: the first keeps
//! the name, the next gets `_2` at its end, then `_3`, and numbers that make a name which is there already are left
//! out. A name that needed no sanitizing always stays as it is.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::field::{FieldName, numbered, sanitized};
use crate::field_set::FieldSet;
use crate::message::Message;

/// The name itself, or with the first number behind it under which nothing goes yet.
pub(crate) fn first_free<'a>(name: FieldName<'a>, is_taken: impl Fn(&str) -> bool) -> FieldName<'a> {
    if !is_taken(name.as_str()) {
        return name;
    }
    let numbered = (2u32..).map(|number| numbered(name.as_str(), number)).find(|name| !is_taken(name));
    // There are more numbers than names; and what is added to a name needs no sanitizing.
    numbered.map_or(name, FieldName::sanitize)
}

/// The names of the message's own fields as they go out, in order.
///
/// Needed only where one of them is foreign. It hashes each name once, for there may be a thousand, made to collide.
pub(crate) fn sent_names<'m>(message: &'m Message<'_>) -> Vec<Cow<'m, str>> {
    let set = message.field_set().into_iter().flat_map(FieldSet::fields).map(|(name, _)| name.as_str());
    let own = message.fields.iter().filter(|(name, _)| !name.is_foreign()).map(|(name, _)| name.as_str());
    let mut taken: HashSet<Cow<'_, str>> = set.chain(own).map(Cow::Borrowed).collect();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let sent = message.fields.iter().map(|(name, _)| {
        if !name.is_foreign() {
            return Cow::Borrowed(name.as_str());
        }
        let base = sanitized(name.as_str());
        let number = numbers.entry(base.clone()).or_insert(1);
        let mut sent = base.clone();
        // It ends, for there are fewer names than numbers.
        while !taken.insert(Cow::Owned(sent.clone())) {
            *number += 1;
            sent = numbered(&base, *number);
        }
        Cow::Owned(sent)
    });
    sent.collect()
}
