//! Adds the members of a struct to a message as additional fields.
//!
//! Run the example with `cargo run -p gelf-core --example serde_fields --features serde`.

use gelf_core::{Encoder, Level, Message, bytes::BytesMut};
use serde::Serialize;

#[derive(Serialize)]
struct Request {
    method: &'static str,
    path: String,
    status: u16,
    cached: bool,
    user: Option<User>,
    tags: Vec<&'static str>,
}

#[derive(Serialize)]
struct User {
    id: u64,
    name: String,
}

fn main() {
    let request = Request {
        method: "GET",
        path: "/orders/4711".to_owned(),
        status: 502,
        cached: false,
        user: Some(User { id: 7, name: "Zoë".to_owned() }),
        tags: vec!["edge", "retry"],
    };
    let message = Message::new("web-1", "upstream failed").with_level(Level::Error).with_serialized(&request);

    let mut payload = BytesMut::new();
    for encoder in [Encoder::new(), Encoder::new().with_json_booleans()] {
        payload.clear();
        encoder.encode(&message, &mut payload);
        println!("{}", String::from_utf8_lossy(&payload));
    }
}
