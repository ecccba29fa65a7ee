//! Generates a reproducible corpus of messages for measurements. The messages resemble container logs.

use gelf_core::Encoder;

use crate::builtin::message_of;
use crate::numbers::Numbers;
use crate::vector::{FieldValue, MessageText};

/// Templates of log lines. `#` stands for a number, and `@` for the name of a class.
const ACCESS_LINE: &str = "10.0.#.17 - - [22/Nov/2026:22:44:07 +0000] \"GET /api/v1/orders/# HTTP/1.1\" 200 \
    # \"https://shop.example/\" \"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0\" 0.#";
const JSON_LINE: &str = "{\"timestamp\":\"2026-11-22T22:44:07.#Z\",\"level\":\"info\",\
    \"logger\":\"com.example.shop.@\",\"thread\":\"http-nio-8080-exec-#\",\"trace_id\":\"4bf92f3577b34da6#\",\
    \"message\":\"order # of customer # accepted, waiting for the payment to be confirmed\",\
    \"path\":\"/api/v1/orders\",\"amount\":#}";
const STACK_TRACE: &str = "java.lang.IllegalStateException: payment refused: \"insufficient funds\"";
const STACK_FRAME: &str = "\n\tat com.example.shop.@.handle(@.java:#)";

const CLASSES: &str = "OrderService|PaymentGateway|UserRepository|HttpDispatcher";

/// Names and values of the fields of a container. `*` stands for an id of 64 digits, and `#` for a number.
const FIELDS: [(&str, &str); 8] = [
    ("container_id", "*"),
    ("container_name", "ecs-production-backend-#-app-9cd5aab0f0a1b2c3d4e5"),
    ("image_id", "sha256:*"),
    ("image_name", "registry.internal:5000/backend/service-#:2.#.1"),
    ("command", "/usr/bin/java -Xmx512m -Dspring.profiles.active=production -jar /app/service.jar"),
    ("created", "2026-11-20T08:15:30.123456789Z"),
    ("tag", "9cd5aab0f0a1"),
    ("source_stream", "stdout"),
];

/// Returns `count` messages: about 60 % access lines of about 180 bytes, 30 % JSON logs of about 300 bytes, 10 %
/// stack traces of about 3 kB. Each message has eight additional fields of about 500 bytes in total.
pub(crate) fn messages(count: usize) -> Vec<MessageText> {
    (0..count)
        .map(|at| {
            let (mut numbers, container) = (Numbers::new(20_261_122, at as u64), at % 8);
            let text = match numbers.below(10) {
                0..6 => ACCESS_LINE.to_owned(),
                6..9 => JSON_LINE.to_owned(),
                _ => STACK_TRACE.to_owned() + &STACK_FRAME.repeat(numbers.between(30, 60)),
            };
            MessageText {
                host: Some(format!("ip-10-0-{container}-17.eu-west-1.compute.internal")),
                short_message: filled(&text, &mut numbers),
                full_message: None,
                timestamp: Some(format!("{}.{:03}", 1_700_000_000 + at, numbers.below(1000))),
                level: Some(if numbers.once_in(10) { 3 } else { 6 }),
                fields: fields(container),
            }
        })
        .collect()
}

/// Encodes a message as its payload.
///
/// # Errors
/// Returns the name of the error if gelf-core cannot represent a member.
pub(crate) fn payload(text: &MessageText) -> Result<Vec<u8>, &'static str> {
    let mut payload = bytes::BytesMut::new();
    Encoder::new().encode(&message_of(text)?, &mut payload);
    Ok(payload.to_vec())
}

/// Returns the fields of a container's messages. All messages of a container have the same fields.
fn fields(container: usize) -> Vec<(String, FieldValue)> {
    let mut numbers = Numbers::new(container as u64, 0);
    let field =
        |(name, value): (&str, &str)| (name.to_owned(), FieldValue::Text(filled(value, &mut numbers)));
    FIELDS.map(field).into()
}

/// Replaces the placeholders of a text.
fn filled(text: &str, numbers: &mut Numbers) -> String {
    let mut filled = String::new();
    for character in text.chars() {
        match character {
            '#' => filled.push_str(&numbers.below(1000).to_string()),
            '@' => filled.push_str(numbers.word(CLASSES)),
            '*' => (0..4).for_each(|_| filled.push_str(&format!("{:016x}", numbers.next()))),
            other => filled.push(other),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_core::Decoder;

    #[test]
    fn the_corpus_is_reproducible_and_valid() {
        let corpus = messages(200);
        assert_eq!(corpus, messages(200));
        let payloads: Vec<_> = corpus.iter().map(|message| payload(message).unwrap()).collect();
        assert!(payloads.iter().all(|payload| Decoder::strict().decode(payload).is_ok()));
        let average = payloads.concat().len() / payloads.len();
        assert!((1000..1400).contains(&average), "{average}");
    }
}
