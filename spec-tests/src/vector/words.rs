//! Checks that the words in a vector are known: its rule, and the names of errors, deviations and events.

use super::{Mode, Vector};
use crate::rules::rules_of;

/// Heading of the table of names in `vectors/README.md`.
const NAMES: &str = "### Names of errors and deviations";

/// The names of events.
const EVENTS: [&str; 6] = ["Duplicate", "Conflict", "Expired", "Evicted", "EmptyFrame", "TrailingDropped"];

/// The members that a name such as `Missing host` can end with. `legacy` stands for the members of GELF 1.0.
const MEMBERS: [&str; 7] =
    ["version", "host", "short_message", "full_message", "timestamp", "level", "legacy"];

/// Returns the names of errors and deviations in the table, such as `JsonSyntax` and `Missing M`. The letter
/// `M` stands for a member.
fn names() -> impl Iterator<Item = &'static str> {
    let table = include_str!("../../vectors/README.md").split(NAMES).nth(1).unwrap_or_default();
    let table = table.split("\n#").next().unwrap_or_default();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    cells.flat_map(|cell| cell.split(',').map(|name| name.trim().trim_matches('`')))
}

fn is_name(name: &str) -> bool {
    let of_member = |prefix: &str| {
        name.strip_prefix(prefix)
            .and_then(|member| member.strip_prefix(' '))
            .is_some_and(|member| MEMBERS.contains(&member))
    };
    names().any(|known| known.strip_suffix(" M").map_or(known == name, of_member))
}

/// Returns an error text that names the first unknown word of a vector.
pub(super) fn fault(vector: &Vector) -> Option<String> {
    if rules_of(&vector.rule).is_empty() {
        return Some(format!("unknown rule {:?}", vector.rule));
    }
    for mode in [Mode::Strict, Mode::Lenient] {
        let expected = vector.expected(mode);
        let mut all = expected.errors.iter().chain(&expected.deviations).chain(&vector.about);
        if let Some(name) = all.find(|name| !is_name(name)) {
            return Some(format!("unknown error or deviation {name:?}"));
        }
        if let Some(name) = expected.events.iter().find(|name| !EVENTS.contains(&name.as_str())) {
            return Some(format!("unknown event {name:?}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn readme_and_schema_have_the_same_names() {
        let schema: Value = serde_json::from_str(include_str!("../../vectors/vector.schema.json")).unwrap();
        let words = |list: &Value| -> BTreeSet<String> {
            list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let definitions = &schema["$defs"];
        let (of_members, others): (Vec<_>, Vec<_>) = names().partition(|name| name.ends_with(" M"));
        assert_eq!(of_members, ["Missing M", "Blank M", "WrongType M"]);
        assert_eq!(
            words(&definitions["name"]["anyOf"][1]["enum"]),
            others.into_iter().map(str::to_owned).collect()
        );
        let pattern = definitions["name"]["anyOf"][0]["pattern"].as_str().unwrap();
        assert_eq!(pattern, format!("^(Missing|Blank|WrongType) ({})$", MEMBERS.join("|")));
        let events = &definitions["expected"]["properties"]["events"]["items"]["enum"];
        assert_eq!(words(events), EVENTS.map(str::to_owned).into());
    }
}
