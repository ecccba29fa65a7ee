//! Creates fields from the labels that Compose, Swarm and Kubernetes put on containers.

use std::collections::BTreeMap;

use gelf_core::FieldName;

/// The maximum length of a value in bytes: 256. A name in these programs has at most 253 bytes.
const MAX_BYTES: usize = 256;

/// The labels, and the names of their fields.
static FIELDS: [(&str, FieldName<'static>); 8] = [
    ("com.docker.compose.project", FieldName::from_static("compose_project")),
    ("com.docker.compose.service", FieldName::from_static("compose_service")),
    ("com.docker.swarm.node.id", FieldName::from_static("swarm_node")),
    ("com.docker.swarm.service.name", FieldName::from_static("swarm_service")),
    ("com.docker.swarm.task.name", FieldName::from_static("swarm_task")),
    ("io.kubernetes.container.name", FieldName::from_static("kubernetes_container")),
    ("io.kubernetes.pod.name", FieldName::from_static("kubernetes_pod")),
    ("io.kubernetes.pod.namespace", FieldName::from_static("kubernetes_namespace")),
];

/// Returns whether a field of this module has the name.
pub(super) fn has(name: &str) -> bool {
    FIELDS.iter().any(|(_, field)| field.as_str() == name)
}

/// Returns the fields of the labels. A label gives no field if it is missing, or if its value is blank, is too
/// long, or contains control characters.
pub(super) fn fields(
    labels: &BTreeMap<String, String>,
) -> impl Iterator<Item = (FieldName<'static>, String)> {
    let is_name = |value: &&String| {
        !value.trim().is_empty() && value.len() <= MAX_BYTES && !value.contains(char::is_control)
    };
    FIELDS.iter().filter_map(move |(label, field)| {
        labels.get(*label).filter(is_name).map(|value| (field.clone(), value.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields_of(labels: &[(&str, &str)]) -> Vec<String> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        fields(&labels).map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn labels_of_compose_swarm_and_kubernetes_become_fields() {
        let compose = [
            ("com.docker.compose.container-number", "1"),
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", "web"),
        ];
        assert_eq!(fields_of(&compose), ["compose_project=shop", "compose_service=web"]);
        let swarm = [
            ("com.docker.swarm.node.id", "n1d"),
            ("com.docker.swarm.service.id", "x"),
            ("com.docker.swarm.service.name", "shop_web"),
            ("com.docker.swarm.task", ""),
            ("com.docker.swarm.task.name", "shop_web.1.t1d"),
        ];
        let expected = ["swarm_node=n1d", "swarm_service=shop_web", "swarm_task=shop_web.1.t1d"];
        assert_eq!(fields_of(&swarm), expected);
        let kubernetes = [
            ("io.kubernetes.container.name", "app"),
            ("io.kubernetes.pod.name", "web-5d4"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.uid", "u"),
        ];
        let expected = ["kubernetes_container=app", "kubernetes_pod=web-5d4", "kubernetes_namespace=shop"];
        assert_eq!(fields_of(&kubernetes), expected);
    }

    #[test]
    fn a_label_whose_value_is_no_name_is_left_out_and_the_other_labels_stay() {
        for odd in ["", " ", "a\nb", "a\u{1b}[31m", &"x".repeat(257)] {
            let labels = [("com.docker.compose.project", odd), ("com.docker.compose.service", "web")];
            assert_eq!(fields_of(&labels), ["compose_service=web"], "{odd:?}");
        }
    }
}
