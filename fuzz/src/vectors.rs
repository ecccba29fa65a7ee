//! Provides vectors of the conformance suite as inputs of the targets.

use std::path::Path;

use gelf_spec_tests::{Input, load};

/// The maximum length of an input in bytes. Longer inputs are left out, since they slow down the fuzzer.
const MAX_BYTES: usize = 8 * 1024;

/// Returns the inputs, each with the name of its target, the id of its vector, and its bytes.
pub fn vector_inputs() -> Vec<(&'static str, String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec-tests/vectors");
    let topics = load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut inputs = Vec::new();
    for vector in topics.iter().flat_map(|topic| &topic.vectors) {
        let mut add = |target, bytes: Vec<u8>| {
            if bytes.len() <= MAX_BYTES {
                inputs.push((target, vector.id.clone(), bytes));
            }
        };
        match vector.input() {
            Some(Input::Payload(recipe)) => add("json_decode", recipe.to_vec()),
            Some(Input::Datagrams(steps)) => {
                let datagrams: Vec<_> = steps
                    .iter()
                    .filter_map(|step| step.datagram.as_ref())
                    .map(|recipe| recipe.to_vec())
                    .collect();
                if let [datagram] = datagrams.as_slice() {
                    add("inflate_capped", datagram.clone());
                    add("datagram_decode", datagram.clone());
                } else if datagrams.iter().all(|datagram| datagram.len() <= 255) {
                    let with_length =
                        |datagram: &Vec<u8>| [&[datagram.len() as u8], datagram.as_slice()].concat();
                    add("datagram_decode", datagrams.iter().flat_map(with_length).collect());
                }
            }
            Some(Input::Stream(pieces)) => {
                let mut stream = vec![0, 1, 7, 64, 255];
                stream.extend(pieces.iter().flat_map(|recipe| recipe.to_vec()));
                add("framer", stream);
            }
            _ => {}
        }
    }
    inputs
}
