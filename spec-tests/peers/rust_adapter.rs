//! Shared code of the adapters for Rust crates: a loop that answers requests, and a listener that reads the
//! bytes that a crate sends.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

/// Answers requests until the input ends. `hello` is the answer to the request `hello`, without the name and
/// the version of the crate. `lock` is the text of the lock file, which has the version.
pub fn serve(lock: &str, name: &str, mut hello: Value, send: impl Fn(&Value) -> Value) -> io::Result<()> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split(&entry).nth(1).and_then(|rest| rest.split('"').next());
    hello["name"] = json!(name);
    hello["version"] = json!(version);
    hello["language"] = json!("Rust");
    hello["can"] = json!(["send"]);
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let mut answer = match request["do"].as_str() {
            Some("hello") => hello.clone(),
            Some("send") => send(&request),
            _ => unsupported("it only sends"),
        };
        if let Some(id) = request.get("id") {
            answer["id"] = id.clone();
        }
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

/// Returns the answer to a request that the crate does not support.
pub fn unsupported(why: &str) -> Value {
    json!({"unsupported": why})
}

/// Listens for one connection, and reads it to its end.
pub fn listen() -> (SocketAddr, JoinHandle<io::Result<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback");
    let address = listener.local_addr().expect("an address");
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let (mut connection, _) = listener.accept()?;
        connection.read_to_end(&mut bytes).map(|_| bytes)
    });
    (address, reader)
}

/// Returns bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
