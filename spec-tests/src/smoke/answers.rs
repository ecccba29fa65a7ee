//! Checks the subject's answers to the requests of the smoke test.

use std::time::Duration;

use serde_json::Value;

use super::{Checked, Mistake, doubt, mistake};
use crate::inspect::{self, Severity};
use crate::observed::{JsonText, Observed, ObservedMessage, Sent};
use crate::subject::{Description, Reply};
use crate::text::shortened;

/// Returns the observed result of a request that the subject has to support.
pub(super) fn observed(reply: Reply) -> Result<Observed, Mistake> {
    match reply {
        Reply::Observed(seen) => Ok(seen),
        Reply::Crashed(words) => {
            mistake(format!("crashed: {words}"), "see whether the library or the adapter fails")
        }
        Reply::Unsupported(why) => mistake(
            format!("unsupported: {why}"),
            "leave out the ability in 'can', or support its simplest request",
        ),
        Reply::Named(_) | Reply::NoAnswer(_) => mistake("no answer", "answer each request"),
    }
}

/// Returns the reply to a request that the subject need not support, unless the subject has crashed.
pub(super) fn alive(reply: Reply) -> Result<Reply, Mistake> {
    match reply {
        Reply::Crashed(_) => observed(reply).map(Reply::Observed),
        other => Ok(other),
    }
}

/// Checks the answer to a request with one message.
pub(super) fn received(seen: &Observed, time: Duration) -> Checked {
    let message = match single(seen) {
        Ok(message) => message,
        Err(found) => {
            return mistake(found, "answer after the library has handled all steps, with what it delivered");
        }
    };
    let ObservedMessage { host, short_message, level, fields, .. } = message;
    let text = |value: &Option<JsonText>| value.as_ref().and_then(JsonText::text);
    if text(host).as_deref() != Some("h") || text(short_message).as_deref() != Some("m") {
        return mistake(
            "host or short_message differs from the input",
            "name the members as PROTOCOL.md does",
        );
    }
    if fields.contains_key("_user") {
        return mistake("the field _user", "remove the one leading underscore of names in 'fields'");
    }
    if !fields.contains_key("user") {
        return mistake("the additional field is missing", "put additional fields into the object 'fields'");
    }
    for (name, value) in [("level", level.as_ref()), ("n", fields.get("n"))] {
        if let Some(value) = value.filter(|value| value.text().is_some()) {
            return doubt(
                format!("{name} is the string {}", value.json()),
                "copy a number of the library as a JSON number",
            );
        }
    }
    Ok(format!("one message, {} ms", time.as_millis()))
}

/// Checks the answer to a request with one message, whose text has this length in bytes.
pub(super) fn long(seen: &Observed, len: usize, time: Duration) -> Checked {
    let found = match single(seen) {
        Ok(message) => {
            let text = message.short_message.as_ref().and_then(JsonText::text).unwrap_or_default();
            if text.len() == len {
                return Ok(format!("{len} bytes, {} ms", time.as_millis()));
            }
            format!("a short_message of {} bytes instead of {len}", text.len())
        }
        Err(found) => found,
    };
    doubt(found, "read lines of any length, and copy the whole text")
}

/// Returns the only message, or an error text if the number of messages is not one.
fn single(seen: &Observed) -> Result<&ObservedMessage, String> {
    let [message] = &seen.messages[..] else {
        let errors =
            if seen.errors.is_empty() { String::new() } else { format!(": {}", seen.errors.join("; ")) };
        return Err(format!("{} messages instead of one{errors}", seen.messages.len()));
    };
    Ok(message)
}

/// Checks the sent bytes, and returns their number.
pub(super) fn sent(seen: &Observed, compression: &str, of: &Description) -> Result<usize, Mistake> {
    let (bytes, member) = match &seen.sent {
        Some(Sent::Datagrams(datagrams)) => (datagrams.concat(), "datagrams"),
        Some(Sent::Stream(stream)) => (stream.clone(), "stream"),
        Some(Sent::Refused(text)) => {
            return doubt(format!("the simplest message is refused: {text}"), "look for the reason");
        }
        None => return mistake("no sent bytes", "answer with datagrams, stream, error or unsupported"),
    };
    if bytes.is_empty() {
        return mistake(
            format!("'{member}' is empty"),
            "wait until the library has sent: flush or close it before the capture ends",
        );
    }
    let Ok(Value::Object(message)) = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes))
    else {
        return match compression {
            // Some libraries send bytes that are no message, so the mistake may be in the library.
            "none" => doubt(
                format!("no JSON object: {}", shortened(&String::from_utf8_lossy(&bytes))),
                "if these are not the bytes of the wire, answer with those in hexadecimal, and nothing else",
            ),
            _ => Ok(bytes.len()),
        };
    };
    if !of.fixed.contains("host") && message.get("host").and_then(Value::as_str) != Some("h") {
        return doubt("the host is not that of the request", "set it, or list host in 'fixed'");
    }
    match ["_user", "user", "__user"].into_iter().find(|name| message.contains_key(*name)) {
        Some("_user") => Ok(bytes.len()),
        Some(name) => doubt(
            format!("the field user is sent as {name}"),
            "write the underscore where the library's users write it, and only there",
        ),
        None => doubt("the field user is not sent", "pass the members of 'fields' to the library"),
    }
}

/// Checks that the datagrams are valid, fit the requested size, and carry the payload, in chunks or as it is.
pub(super) fn chunks(seen: &Observed, payload: &[u8], size: u16) -> Checked {
    let Some(Sent::Datagrams(datagrams)) = &seen.sent else {
        return mistake("no datagrams", "answer with 'datagrams'");
    };
    let inspection = inspect::reassemble(datagrams, Some(usize::from(size)));
    if inspection.payload.as_deref() != Some(payload) {
        return doubt("the datagrams do not have the payload", "split the payload as it is, uncompressed");
    }
    match inspection.violations.iter().find(|violation| violation.severity == Severity::Broken) {
        Some(violation) => doubt(
            violation.to_string(),
            "answer with the datagrams of this payload alone, each of up to datagram_size bytes, header included",
        ),
        None => Ok(format!("{} datagrams of up to {size} bytes", datagrams.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::split;

    #[test]
    fn chunks_fit_the_requested_size() {
        let payload = [b"{".as_slice(), &[b'a'; 2998], b"}"].concat();
        let found = |datagrams: Vec<Vec<u8>>| {
            let seen = Observed { sent: Some(Sent::Datagrams(datagrams)), ..Observed::default() };
            chunks(&seen, &payload, 1420).map_err(|mistake| mistake.found)
        };
        assert_eq!(found(split(&payload, 1420).unwrap()).unwrap(), "3 datagrams of up to 1420 bytes");
        for wrong in [vec![payload.clone()], split(&payload, 1432).unwrap()] {
            let text = found(wrong).unwrap_err();
            assert!(text.contains("more than 1420"), "{text}");
        }
        let text = found(vec![b"{}".to_vec()]).unwrap_err();
        assert_eq!(text, "the datagrams do not have the payload");
    }
}
