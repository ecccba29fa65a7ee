use super::*;
use crate::compare;
use crate::observed::ObservedMessage;
use crate::vector::{Expected, Input, MessageText, Mode, Vector, embedded};

/// The messages and the names of faults that the reader finds.
type Found = (Vec<MessageText>, Vec<String>);

/// Compares the messages and faults that `found` returns for each vector without limits with the expected result in
/// lenient mode. Returns the differences. `found` returns `None` for a vector to leave out.
fn differences_of(found: impl Fn(&Vector) -> Option<Found>) -> Vec<String> {
    let mut differences = Vec::new();
    let topics = embedded().unwrap();
    for vector in
        topics.iter().flat_map(|topic| &topic.vectors).filter(|vector| vector.limits == Default::default())
    {
        let Some((messages, mut names)) = found(vector) else { continue };
        let Expected { messages: expected, errors, deviations, .. } = vector.expected(Mode::Lenient);
        let mut known: Vec<String> = errors.iter().chain(deviations).cloned().collect();
        names.sort();
        known.sort();
        let seen: Vec<_> = messages.iter().map(|message| ObservedMessage::of(message).unwrap()).collect();
        let mut different: Vec<String> =
            compare::messages(expected, &seen).iter().map(ToString::to_string).collect();
        // A value of the wrong type may be converted in several ways, so only the names are compared.
        if known.iter().any(|name| name.starts_with("WrongType")) {
            different.clear();
        }
        if names != known {
            different.push(format!("{names:?} instead of {known:?}"));
        }
        differences.extend(different.iter().map(|different| format!("{}: {different}", vector.id)));
    }
    differences
}

fn read(payload: &[u8]) -> Found {
    let names = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.name).collect();
    match message(payload) {
        Ok(read) => (vec![read.message], names(read.faults)),
        Err(fault) => (Vec::new(), names(vec![fault])),
    }
}

#[test]
fn payloads_are_read_as_the_vectors_say() {
    let differences = differences_of(|vector| match vector.input() {
        Some(Input::Payload(payload)) => Some(read(payload)),
        _ => None,
    });
    assert_eq!(differences, [""; 0], "{}", differences.join("\n"));
}

#[test]
fn single_datagrams_are_read_as_the_vectors_say() {
    let differences = differences_of(|vector| match vector.input() {
        Some(Input::Datagrams([step])) => {
            let datagram = step.datagram.as_ref()?;
            // A fault without a name stands for a chunk of an incomplete message: nothing is delivered or
            // reported.
            let whole = match datagram {
                datagram if datagram.is_empty() => Err(Fault::new("EmptyDatagram", 0)),
                datagram if is_chunk(datagram) => Chunk::read(datagram).and_then(|chunk| {
                    if chunk.count == 1 { Ok(chunk.payload) } else { Err(Fault::new("", 0)) }
                }),
                datagram => Ok(&datagram[..]),
            };
            Some(match whole.and_then(payload) {
                Ok((payload, names)) => {
                    let (messages, mut more) = read(&payload);
                    more.extend(names.into_iter().map(str::to_owned));
                    (messages, more)
                }
                Err(fault) if fault.name.is_empty() => (Vec::new(), Vec::new()),
                Err(fault) => (Vec::new(), vec![fault.name]),
            })
        }
        _ => None,
    });
    assert_eq!(differences, [""; 0], "{}", differences.join("\n"));
}
