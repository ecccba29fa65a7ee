//! Makes the names of fields.

use gelf_tokio::gelf_core::FieldName;

/// The maximum number of fields of one event or span. It is also the maximum for one message, not counting
/// the fields that the layer itself sets.
pub(crate) const MAX_FIELDS: usize = 128;

/// The names that fields of events and spans cannot have, in alphabetical order. The layer sets some of these
/// fields. Receivers use the other names for members of the message or for fields that they set. Graylog
/// would drop a field with such a name, and Logstash would overwrite the member.
const RESERVED: [&str; 25] = [
    "busy_ms",
    "duration_ms",
    "fields_left_out",
    "file",
    "full_message",
    "host",
    "idle_ms",
    "level",
    "line",
    "lost",
    "lost_total",
    "message",
    "module",
    "short_message",
    "source",
    "span",
    "span_id",
    "spans",
    "streams",
    "tags",
    "target",
    "thread",
    "timestamp",
    "trace_id",
    "version",
];

/// Returns whether a field of an event, a span or the whole program cannot have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}

/// Returns `name` if it is neither reserved nor taken. Otherwise, returns the name with the lowest suffix
/// `_2`, `_3`, ... that makes it free, [sanitized](FieldName::sanitize) again.
pub(crate) fn free<'a>(name: FieldName<'a>, is_taken: impl Fn(&str) -> bool) -> FieldName<'a> {
    let is_taken = |name: &str| is_reserved(name) || is_taken(name);
    if !is_taken(name.as_str()) {
        return name;
    }
    let mut number = 2;
    loop {
        let numbered = FieldName::sanitize(format!("{name}_{number}"));
        // If the name has the maximum length, `sanitize` cuts the suffix off. The field then keeps the taken
        // name, and replaces the other field.
        if !is_taken(numbered.as_str()) || numbered == name {
            return numbered;
        }
        number += 1;
    }
}

/// Returns the names of the fields of a callsite, in the order of their indices.
pub(crate) fn of_callsite(given: impl Iterator<Item = &'static str>) -> Vec<FieldName<'static>> {
    let mut names: Vec<FieldName<'static>> = Vec::new();
    for given in given.take(MAX_FIELDS) {
        let name = free(FieldName::sanitize(given), |name| names.iter().any(|known| known == name));
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_in_order_so_that_they_are_found() {
        assert!(RESERVED.is_sorted());
        assert!(RESERVED.iter().all(|name| is_reserved(name)));
    }

    #[test]
    fn no_two_fields_of_a_callsite_have_the_same_name() {
        let given = ["a/b", "a b", "a_b_2", "level", "level_2", "id", "twice", "twice"];
        let names = of_callsite(given.into_iter());
        let names: Vec<_> = names.iter().map(FieldName::as_str).collect();
        assert_eq!(names, ["a_b", "a_b_2", "a_b_2_2", "level_2", "level_2_2", "id_", "twice", "twice_2"]);
    }
}
