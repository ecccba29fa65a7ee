//! Creates fields from the labels that the agent of Amazon ECS puts on each container of a task.
//!
//! The fields `ecs_cluster`, `ecs_task_arn` and `ecs_task_definition` have the same names as in FireLens. The
//! other fields, which FireLens lacks, have similar names. The ECS container agent sets the labels since its
//! version 1.16.

use std::collections::BTreeMap;

use gelf_core::{FieldName, Value};

pub(super) const NAMES: [&str; 7] = [
    "ecs_cluster",
    "ecs_container_name",
    "ecs_task_arn",
    "ecs_task_definition",
    "ecs_task_family",
    "ecs_task_id",
    "ecs_task_revision",
];

/// Returns the fields of the labels. A label that is missing, or whose value ECS would not write, gives no
/// field.
pub(super) fn fields(labels: &BTreeMap<String, String>) -> Vec<(FieldName<'static>, Value<'static>)> {
    const CLUSTER: FieldName<'static> = FieldName::from_static("ecs_cluster");
    const TASK_ARN: FieldName<'static> = FieldName::from_static("ecs_task_arn");
    const TASK_ID: FieldName<'static> = FieldName::from_static("ecs_task_id");
    const TASK_DEFINITION: FieldName<'static> = FieldName::from_static("ecs_task_definition");
    const TASK_FAMILY: FieldName<'static> = FieldName::from_static("ecs_task_family");
    const TASK_REVISION: FieldName<'static> = FieldName::from_static("ecs_task_revision");
    const CONTAINER_NAME: FieldName<'static> = FieldName::from_static("ecs_container_name");

    let label = |name: &str| labels.get(&format!("com.amazonaws.ecs.{name}")).map(String::as_str);
    let cluster = label("cluster").filter(|text| is_name(text) || arn_resource(text, "cluster").is_some());
    let task_arn = label("task-arn").filter(|text| arn_resource(text, "task").is_some());
    let task_id = task_arn.and_then(|arn| arn_resource(arn, "task"));
    let family = label("task-definition-family").filter(|text| is_name(text));
    let revision = label("task-definition-version").and_then(revision);
    let definition = family.zip(revision).map(|(family, revision)| format!("{family}:{revision}"));
    let container = label("container-name").filter(|text| is_name(text));

    let text = |text: &str| Value::from(text.to_owned());
    [
        (CLUSTER, cluster.map(text)),
        (TASK_ARN, task_arn.map(text)),
        (TASK_ID, task_id.map(text)),
        (TASK_DEFINITION, definition.map(Value::from)),
        (TASK_FAMILY, family.map(text)),
        (TASK_REVISION, revision.map(Value::from)),
        (CONTAINER_NAME, container.map(text)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// Returns whether ECS allows the text as the name of a cluster, family or container: "up to 255 letters
/// (uppercase and lowercase), numbers, underscores, and hyphens".
fn is_name(text: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=255).contains(&text.len()) && text.bytes().all(is_name_byte)
}

/// Returns NAME of a text `arn:PARTITION:ecs:REGION:ACCOUNT:KIND/[CLUSTER/]NAME`. Returns `None` if the text
/// has another beginning, if NAME is not a valid name, or if the text is too long or has spaces, control
/// characters or characters outside ASCII.
fn arn_resource<'a>(arn: &'a str, kind: &str) -> Option<&'a str> {
    let mut parts = arn.splitn(6, ':');
    if parts.next()? != "arn" || parts.nth(1)? != "ecs" {
        return None;
    }
    let resource = parts.nth(2)?.strip_prefix(kind)?.strip_prefix('/')?;
    let name = resource.rsplit('/').next()?;
    (arn.len() <= 2048 && arn.bytes().all(|byte| byte.is_ascii_graphic()) && is_name(name)).then_some(name)
}

/// Parses the revision of a task definition: a number from 1 on, without leading zeros.
fn revision(text: &str) -> Option<u32> {
    text.parse().ok().filter(|revision: &u32| *revision > 0 && revision.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:task/production/0f9de17a6465404e8b1b2356dc13c2f8";

    fn fields_of(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        let labels =
            labels.iter().map(|(name, value)| (format!("com.amazonaws.ecs.{name}"), (*value).into()));
        fields(&labels.collect())
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_string()))
            .collect()
    }

    fn fields_of_label(label: &str, value: &str) -> Vec<(String, String)> {
        fields_of(&[(label, value)])
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_labels_of_a_task_become_typed_fields() {
        let labels = BTreeMap::from(
            [
                ("cluster", "production"),
                ("container-name", "app"),
                ("task-arn", ARN),
                ("task-definition-family", "production-backend-app"),
                ("task-definition-version", "12"),
            ]
            .map(|(name, value)| (format!("com.amazonaws.ecs.{name}"), value.to_owned())),
        );
        let found = fields(&labels);
        let mut names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, NAMES);
        let value = |name: &str| &found.iter().find(|(known, _)| known.as_str() == name).unwrap().1;
        assert_eq!(value("ecs_cluster").as_str(), Some("production"));
        assert_eq!(value("ecs_task_arn").as_str(), Some(ARN));
        assert_eq!(value("ecs_task_id").as_str(), Some("0f9de17a6465404e8b1b2356dc13c2f8"));
        assert_eq!(value("ecs_task_definition").as_str(), Some("production-backend-app:12"));
        assert_eq!(value("ecs_task_family").as_str(), Some("production-backend-app"));
        assert_eq!(value("ecs_task_revision").as_i64(), Some(12));
        assert_eq!(value("ecs_container_name").as_str(), Some("app"));
    }

    #[test]
    fn a_label_that_ecs_would_not_write_is_left_out_and_the_other_labels_stay() {
        assert_eq!(fields_of(&[]), []);
        for odd in ["", " ", "a b", "a\nb", "ä", "a/b", &"x".repeat(256)] {
            let with_odd = [("cluster", odd), ("task-definition-family", odd), ("container-name", odd)];
            assert_eq!(fields_of(&with_odd), [], "{odd:?}");
            let good = ("container-name", "app");
            assert_eq!(fields_of(&[("cluster", odd), good]), pairs(&[("ecs_container_name", "app")]));
        }
        for odd in ["", "0", "012", "-1", "1.0", "4294967296", "twelve"] {
            let labels = [("task-definition-family", "web"), ("task-definition-version", odd)];
            assert_eq!(fields_of(&labels), pairs(&[("ecs_task_family", "web")]), "{odd:?}");
        }
        for odd in [
            "",
            "0f9de17a6465404e8b1b2356dc13c2f8",
            "arn:aws:ecs:eu-west-1:123456789012:task/",
            "arn:aws:ecs:eu-west-1:123456789012:service/a/b",
            "arn:aws:iam:eu-west-1:123456789012:task/a/b",
            "arn:aws:ecs:eu-west-1:123456789012",
            "arn:aws:ecs:eu-west-1:1234 56789012:task/a/b",
        ] {
            assert_eq!(fields_of_label("task-arn", odd), [], "{odd:?}");
        }
    }

    #[test]
    fn arns_of_the_old_generation_and_of_clusters_are_parsed() {
        let old = "arn:aws-cn:ecs:cn-north-1:123456789012:task/c5cba4eb-5dad-405e-96db-71ef8eefe6a8";
        assert_eq!(fields_of_label("task-arn", old)[1].1, "c5cba4eb-5dad-405e-96db-71ef8eefe6a8");
        let cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/production";
        assert_eq!(fields_of_label("cluster", cluster), pairs(&[("ecs_cluster", cluster)]));
    }
}
