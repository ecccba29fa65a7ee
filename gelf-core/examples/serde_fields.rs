//! Additional fields from a struct: `cargo run -p gelf-core --example serde_fields --features serde`.

use gelf_core::{Booleans, Encoder, Level, Message, bytes::BytesMut};
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
    for booleans in [Booleans::Strings, Booleans::Json] {
        payload.clear();
        Encoder::new().with_booleans(booleans).encode(&message, &mut payload);
        println!("{}", String::from_utf8_lossy(&payload));
    }
}
