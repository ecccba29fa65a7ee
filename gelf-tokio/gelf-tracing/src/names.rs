//! Makes the names of fields.

use gelf_tokio::gelf_core::FieldName;

/// The maximum number of fields of one event or span. It is also the maximum for one message, not counting
/// the fields of the program and the fields that the layer itself sets.
pub(crate) const MAX_FIELDS: usize = 128;

/// The names that fields of events and spans cannot have, in alphabetical order. The layer sets some of these
/// fields. Receivers use the other names for members of the message or for fields that they set. Graylog
/// would drop a field with such a name or, if the name is `level`, take it for the level of the message. Logstash
/// would overwrite the member.
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
/// `_2`, `_3`, ... that makes it free. A name without room for the suffix is cut off in front of it.
pub(crate) fn free<'a>(name: FieldName<'a>, is_taken: impl Fn(&str) -> bool) -> FieldName<'a> {
    let is_taken = |name: &str| is_reserved(name) || is_taken(name);
    if !is_taken(name.as_str()) {
        return name;
    }
    let mut number = 2;
    loop {
        let suffix = format!("_{number}");
        // A sanitized name is ASCII, so it can be cut off at any byte.
        let beginning = name.as_str().get(..FieldName::MAX_BYTES - suffix.len()).unwrap_or(name.as_str());
        let numbered = FieldName::sanitize(format!("{beginning}{suffix}"));
        if !is_taken(numbered.as_str()) {
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

    #[test]
    fn names_of_the_maximum_length_are_cut_in_front_of_their_numbers() {
        for len in FieldName::MAX_BYTES - 2..=FieldName::MAX_BYTES {
            let given: &'static str = "n".repeat(len).leak();
            let names = of_callsite([given; 12].into_iter());
            assert_eq!(names[0].as_str(), given);
            for (index, name) in names.iter().enumerate().skip(1) {
                let suffix = format!("_{}", index + 1);
                let expected = "n".repeat(len.min(FieldName::MAX_BYTES - suffix.len())) + &suffix;
                assert_eq!(name.as_str(), expected);
            }
        }
    }
}
