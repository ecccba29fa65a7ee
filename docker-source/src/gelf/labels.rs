//! Makes fields from a container's labels `gelf_NAME`, as Logspout's GELF modules do.

use gelf_core::FieldName;

use super::names::is_reserved;
use crate::container::Container;
use crate::one_line::one_line;

/// The maximum number of labels that become fields: 64. With 10,000 labels, each line of a container would
/// make a message of a megabyte.
const MAX_LABELS: usize = 64;

/// The maximum total size of the names and values of the labels that become fields: 32 KiB.
const MAX_LABEL_BYTES: usize = 32 * 1024;

/// Returns the fields of the labels. `is_taken` returns whether a name is reserved in addition to the names
/// of this crate.
pub(super) fn fields(
    container: &Container,
    is_taken: impl Fn(&str) -> bool,
) -> Vec<(FieldName<'static>, &str)> {
    let is_reserved = |name: &str| is_reserved(name) || is_taken(name);
    let mut fields: Vec<(FieldName<'static>, &str)> = Vec::new();
    let mut bytes = 0;
    for (label, value) in container.labels() {
        let Some(name) = field_name(label) else { continue };
        bytes += name.len() + value.len();
        if fields.len() == MAX_LABELS || bytes > MAX_LABEL_BYTES {
            // A label's name may have many kilobytes.
            let label: String = label.chars().take(64).collect();
            tracing::warn!(
                container = container.name(),
                label = %one_line(label.as_bytes()),
                "dropping this and further gelf_ labels: more than {MAX_LABELS}, or more than {MAX_LABEL_BYTES} bytes"
            );
            break;
        }
        let name = if is_reserved(name) { format!("label_{name}") } else { name.to_owned() };
        let name = FieldName::sanitize(name).into_owned();
        let is_given = |name: &FieldName<'_>| fields.iter().any(|(other, _)| other == name);
        let mut free = name.clone();
        for number in 2..=MAX_LABELS + 1 {
            if !is_given(&free) && !is_reserved(free.as_str()) {
                break;
            }
            free = FieldName::sanitize(format!("{name}_{number}")).into_owned();
        }
        fields.push((free, value));
    }
    fields
}

/// Returns the name behind the prefix `gelf_`, which may be in any case.
fn field_name(label: &str) -> Option<&str> {
    let (prefix, name) = label.split_at_checked("gelf_".len())?;
    (prefix.eq_ignore_ascii_case("gelf_") && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gelf::tests::container;

    fn labelled(labels: &[(&str, &str)], taken: &[&str]) -> Vec<(String, String)> {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).into())).collect();
        let container = container(&serde_json::json!({"Config": {"Labels": labels}}));
        fields(&container, |name| taken.contains(&name))
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_owned()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn gelf_labels_become_fields_in_any_case_and_others_do_not() {
        let labels =
            [("gelf_service", "pay"), ("GELF_Team", "blue"), ("gelf_", "x"), ("gelfx", "x"), ("a", "x")];
        assert_eq!(labelled(&labels, &[]), pairs(&[("Team", "blue"), ("service", "pay")]));
    }

    #[test]
    fn a_label_cannot_replace_a_field_of_this_crate_of_logstash_or_of_ecs() {
        let labels = [
            ("gelf_type", "ecs"),
            ("gelf_container_id", "forged"),
            ("gelf_ecs_cluster", "forged"),
            ("gelf_@timestamp", "0"),
        ];
        let expected = [
            ("label__timestamp", "0"),
            ("label_container_id", "forged"),
            ("label_ecs_cluster", "forged"),
            ("label_type", "ecs"),
        ];
        assert_eq!(labelled(&labels, &[]), pairs(&expected));
        assert_eq!(labelled(&[("gelf_id", "7")], &[]), pairs(&[("id_", "7")]));
        assert_eq!(labelled(&[("gelf__type", "x")], &[]), pairs(&[("type_2", "x")]));
    }

    #[test]
    fn a_label_cannot_replace_a_constant_field() {
        let labels = [("gelf_cluster", "forged"), ("gelf_team", "blue")];
        assert_eq!(labelled(&labels, &["cluster"]), pairs(&[("label_cluster", "forged"), ("team", "blue")]));
    }

    #[test]
    fn labels_with_the_same_name_are_numbered() {
        assert_eq!(
            labelled(&[("gelf_a/b", "1"), ("gelf_a b", "2"), ("gelf_a_b", "3")], &[]),
            pairs(&[("a_b", "2"), ("a_b_2", "1"), ("a_b_3", "3")])
        );
    }

    #[test]
    fn labels_are_bounded_in_number_and_bytes() {
        let many: Vec<(String, String)> =
            (0..100).map(|at| (format!("gelf_l{at:03}"), "v".to_owned())).collect();
        let many: Vec<(&str, &str)> =
            many.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        assert_eq!(labelled(&many, &[]).len(), MAX_LABELS);
        let long = "x".repeat(20_000);
        assert_eq!(labelled(&[("gelf_a", &long), ("gelf_b", &long)], &[]).len(), 1);
    }
}
