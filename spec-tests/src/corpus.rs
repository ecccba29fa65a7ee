//! A reproducible corpus of messages like those of containers, for measurements.

use gelf_core::encode;

use crate::builtin::message_of;
use crate::numbers::Numbers;
use crate::vector::{FieldValue, MessageText};

const PATHS: [&str; 5] = ["/api/v1/orders", "/api/v1/users", "/health", "/static/app.js", "/cart/items"];
const CLASSES: [&str; 4] = ["OrderService", "PaymentGateway", "UserRepository", "HttpDispatcher"];

/// Returns `count` messages: 60 % access lines of about 200 bytes, 30 % JSON logs of about 400 bytes, 10 %
/// stack traces of about 3 kB. Each has eight additional fields, about 500 bytes.
pub(crate) fn messages(count: usize) -> Vec<MessageText> {
    let mut numbers = Numbers::new(20_261_122, 0);
    (0..count)
        .map(|at| {
            let text = match numbers.below(10) {
                0..6 => access_line(&mut numbers),
                6..9 => json_line(&mut numbers),
                _ => stack_trace(&mut numbers),
            };
            let container = numbers.below(8);
            MessageText {
                host: Some(format!("ip-10-0-{container}-17.eu-west-1.compute.internal")),
                short_message: text,
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
/// Returns the name of a member that gelf-core cannot represent.
pub(crate) fn payload(text: &MessageText) -> Result<Vec<u8>, &'static str> {
    let mut payload = bytes::BytesMut::new();
    encode(&message_of(text)?, &mut payload);
    Ok(payload.to_vec())
}

fn fields(container: usize) -> Vec<(String, FieldValue)> {
    // A separate stream of numbers, so that a container has the same fields in all of its messages.
    let mut numbers = Numbers::new(20_261_122, 1 + container as u64);
    let id = hex(&mut numbers, 64);
    let fields = [
        ("container_id", id.clone()),
        ("container_name", format!("ecs-production-backend-{container}-app-{}", hex(&mut numbers, 20))),
        ("image_id", format!("sha256:{}", hex(&mut numbers, 64))),
        ("image_name", format!("registry.internal:5000/backend/service-{container}:2.{container}.1")),
        (
            "command",
            "/usr/bin/java -Xmx512m -Dspring.profiles.active=production -jar /app/service.jar".to_owned(),
        ),
        ("created", "2026-11-20T08:15:30.123456789Z".to_owned()),
        ("tag", id.chars().take(12).collect()),
        ("source_stream", "stdout".to_owned()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), FieldValue::Text(value))).collect()
}

fn hex(numbers: &mut Numbers, digits: usize) -> String {
    (0..digits).map(|_| numbers.pick(&['0', '3', '5', '7', '9', 'a', 'b', 'c', 'd', 'f'])).collect()
}

fn access_line(numbers: &mut Numbers) -> String {
    format!(
        "10.0.{}.{} - - [22/Nov/2026:22:44:{:02} +0000] \"GET {}/{} HTTP/1.1\" {} {} \"https://shop.example/\" \"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0\" 0.{:03}",
        numbers.below(256),
        numbers.below(256),
        numbers.below(60),
        numbers.pick(&PATHS),
        numbers.below(100_000),
        numbers.pick(&["200", "200", "304", "404", "500"]),
        numbers.below(50_000),
        numbers.below(1000)
    )
}

fn json_line(numbers: &mut Numbers) -> String {
    format!(
        "{{\"timestamp\":\"2026-11-22T22:44:{:02}.{:03}Z\",\"level\":\"info\",\"logger\":\"com.example.shop.{}\",\"thread\":\"http-nio-8080-exec-{}\",\"trace_id\":\"{}\",\"message\":\"order {} of customer {} accepted, waiting for the payment to be confirmed\",\"path\":\"{}\",\"amount\":{}}}",
        numbers.below(60),
        numbers.below(1000),
        numbers.pick(&CLASSES),
        numbers.below(32),
        hex(numbers, 32),
        numbers.below(1_000_000),
        numbers.below(100_000),
        numbers.pick(&PATHS),
        numbers.below(10_000)
    )
}

fn stack_trace(numbers: &mut Numbers) -> String {
    let mut trace = "java.lang.IllegalStateException: payment refused: \"insufficient funds\"".to_owned();
    for _ in 0..numbers.between(30, 60) {
        let class = numbers.pick(&CLASSES);
        trace.push_str(&format!(
            "\n\tat com.example.shop.{class}.handle({class}.java:{})",
            numbers.below(900)
        ));
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_core::Decoder;

    #[test]
    fn the_corpus_is_reproducible_and_valid() {
        let corpus = messages(200);
        assert_eq!(corpus, messages(200));
        let bytes: usize = corpus
            .iter()
            .map(|message| {
                let payload = payload(message).unwrap();
                assert!(Decoder::strict().decode(&payload).is_ok());
                payload.len()
            })
            .sum();
        assert!((700..2000).contains(&(bytes / corpus.len())), "{}", bytes / corpus.len());
    }
}
