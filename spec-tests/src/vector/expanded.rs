//! Writes expanded vector files, for programs that cannot interpret recipes other than text and hexadecimal.

use serde::Serialize;

use super::{SCHEMA, Topic, Vector};

/// Version of the vectors, read from `vectors/VERSION`. `vectors/CHANGELOG.md` lists the changes.
pub const VERSION: &str = include_str!("../../vectors/VERSION").trim_ascii_end();

/// License of the vectors, an SPDX expression.
const LICENSE: &str = env!("CARGO_PKG_LICENSE");

/// Returns the text of a vector file in which payloads, datagrams and other bytes are hexadecimal instead of
/// other recipes. Each vector has one line, and states its demand.
///
/// # Errors
/// Returns the reason if a vector cannot be written as JSON.
pub fn expanded(topic: &Topic) -> Result<String, String> {
    let lines: Result<Vec<String>, String> = topic
        .vectors
        .iter()
        .map(|vector| json(&Vector { stated_demand: Some(vector.demand()), ..vector.clone() }))
        .collect();
    let (version, license, name) = (json(VERSION)?, json(LICENSE)?, json(&topic.topic)?);
    let head =
        format!("\"schema\": {SCHEMA},\n\"version\": {version},\n\"license\": {license},\n\"topic\": {name}");
    Ok(format!("{{\n{head},\n\"vectors\": [\n{}\n]\n}}\n", lines?.join(",\n")))
}

/// Returns an error text if the stated demand contradicts the expected results.
pub(super) fn fault(vector: &Vector) -> Option<String> {
    let (stated, found) = (vector.stated_demand?, vector.demand());
    let word = |demand| json(&demand).unwrap_or_default();
    (stated != found)
        .then(|| format!("the demand is {}, its expected results say {}", word(stated), word(found)))
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{embedded, embedded_http, read};
    use super::*;

    fn loaded(text: &str) -> Result<Vec<Topic>, String> {
        read([(PathBuf::from("expanded.json"), text.as_bytes().to_vec())])
    }

    #[test]
    fn expanded_files_load_to_the_same_vectors() {
        for topic in [embedded().unwrap(), embedded_http().unwrap()].concat() {
            let text = expanded(&topic).unwrap();
            for recipe in ["join", "repeat", "cut", "gzip", "zlib"] {
                assert!(!text.contains(&format!("{{\"{recipe}\":")), "{}: {recipe}", topic.topic);
            }
            let [mut again] = loaded(&text).unwrap().try_into().unwrap();
            for vector in &mut again.vectors {
                assert_eq!(vector.stated_demand.take(), Some(vector.demand()), "{}", vector.id);
            }
            assert_eq!((&again.topic, again.vectors.len()), (&topic.topic, topic.vectors.len()));
            for (vector, original) in again.vectors.iter().zip(&topic.vectors) {
                assert!(vector == original, "{}", vector.id);
            }
        }
    }

    #[test]
    fn a_stated_demand_that_contradicts_the_expected_results_is_refused() {
        let vector = r#"{"id":"X","title":"t","rule":"R1","demand":"take","payload":"","strict":{}}"#;
        let error = loaded(&format!(r#"{{"schema":1,"topic":"t","vectors":[{vector}]}}"#)).unwrap_err();
        assert!(error.ends_with("the demand is \"take\", its expected results say \"refuse\""), "{error}");
    }
}
