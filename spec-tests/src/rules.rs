//! The rules of GELF, and the decisions where GELF leaves a choice. They are read from the tables in
//! `vectors/README.md` and `vectors/DECISIONS.md`.

/// A rule of GELF.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Name, such as `R1`.
    pub name: &'static str,
    /// Text of the rule.
    pub text: &'static str,
    /// Origin of the rule: a section of the specification, another standard, the code of a receiver, the majority
    /// of the implementations, or this suite.
    pub source: &'static str,
    /// True if the specification of GELF 1.1 contains the rule.
    pub is_specified: bool,
}

/// Returns the rules in numerical order.
pub fn rules() -> Vec<Rule> {
    let rows = rows(include_str!("../vectors/README.md")).filter_map(|[name, text, source]| {
        let (name, is_specified) = match name.strip_suffix('*') {
            Some(name) => (name, false),
            None => (name, true),
        };
        let number = name.strip_prefix('R')?;
        let is_rule = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_rule.then_some(Rule { name, text, source, is_specified })
    });
    rows.collect()
}

/// Returns the rules that a vector tests. `rule` is the value of the vector's member `rule`: a name, or a
/// range such as `R2-R4`.
pub fn rules_of(rule: &str) -> Vec<Rule> {
    let (first, last) = rule.split_once('-').unwrap_or((rule, rule));
    let rules = rules();
    let index = |name| rules.iter().position(|rule| rule.name == name);
    match (index(first), index(last)) {
        (Some(first), Some(last)) => rules.get(first..=last).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    }
}

/// A decision where the specification leaves a choice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// The ids of the vectors, separated by commas. An entry with a trailing `*` stands for all ids that begin with
    /// the text before the `*`.
    vectors: &'static str,
    /// Text of the decision.
    pub text: &'static str,
    /// Reason for the decision.
    pub reason: &'static str,
}

impl Decision {
    /// Returns the patterns of the decision's vectors.
    pub fn patterns(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.vectors.split(',').map(str::trim)
    }
}

/// Returns all decisions.
pub fn decisions() -> Vec<Decision> {
    let rows = rows(include_str!("../vectors/DECISIONS.md")).skip(2);
    rows.map(|[vectors, text, reason]| Decision { vectors, text, reason }).collect()
}

/// Returns the decision about the vector with this id.
pub fn decision(id: &str) -> Option<Decision> {
    decisions().into_iter().find(|decision| decision.patterns().any(|pattern| matches(pattern, id)))
}

/// Returns whether an id is the pattern, or begins with the text before the trailing `*` of the pattern.
pub(crate) fn matches(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning),
        None => id == pattern,
    }
}

/// Returns the rows of all tables with three columns in a Markdown text, including the heading of each table
/// and the line below it.
fn rows(text: &'static str) -> impl Iterator<Item = [&'static str; 3]> {
    text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
        let row = [cells.next()?, cells.next()?, cells.next()?];
        cells.next().is_none().then_some(row)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::vector::{Topic, Vector, embedded, embedded_http};

    fn vectors() -> Vec<Vector> {
        let topics = [embedded().unwrap(), embedded_http().unwrap()].concat();
        topics.into_iter().flat_map(|Topic { vectors, .. }| vectors).collect()
    }

    #[test]
    fn each_vector_tests_rules_of_the_table_and_each_rule_has_a_source() {
        assert_eq!(rules_of("R2-R4").iter().map(|rule| rule.name).collect::<Vec<_>>(), ["R2", "R3", "R4"]);
        let rules = rules();
        assert_eq!(rules.len(), 39);
        assert!(rules.iter().all(|rule| !rule.source.is_empty() && !rule.text.is_empty()), "{rules:?}");
        for rule in rules {
            assert_eq!(rule.is_specified, rule.source.starts_with("specification"), "{rule:?}");
        }
        for vector in vectors() {
            assert!(!rules_of(&vector.rule).is_empty(), "{} is about {}", vector.id, vector.rule);
        }
    }

    #[test]
    fn exactly_the_vectors_that_are_a_choice_have_a_decision_with_a_reason() {
        let all = vectors();
        let decisions = decisions();
        for decision in &decisions {
            for pattern in decision.patterns() {
                assert!(all.iter().any(|vector| matches(pattern, &vector.id)), "{pattern} matches no vector");
            }
            assert!(!decision.text.is_empty() && !decision.reason.is_empty(), "{decision:?}");
        }
        let ids = |of: &dyn Fn(&&Vector) -> bool| -> BTreeSet<String> {
            all.iter().filter(of).map(|vector| vector.id.clone()).collect()
        };
        assert_eq!(ids(&|vector| vector.choice), ids(&|vector| decision(&vector.id).is_some()));
        for vector in all.iter().filter(|vector| vector.choice) {
            let about =
                |decision: &&Decision| decision.patterns().any(|pattern| matches(pattern, &vector.id));
            assert_eq!(decisions.iter().filter(about).count(), 1, "{}", vector.id);
        }
    }
}
