//! The subject protocol of the GELF conformance suite (`spec-tests/PROTOCOL.md`), for adapters in Rust. An
//! adapter includes this module by its path.
//!
//! An adapter calls [`serve`] with its answer to `hello` and with a function that answers `send`:
//!
//! ```ignore
//! fn send(request: &Value) -> Answer {
//!     capture_udp(|address| library::Sender::new(address)?.send(&request["message"]))
//! }
//! ```
#![allow(dead_code, reason = "an adapter uses a part of the module")]

use std::fmt::Display;
use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Size of a chunk header in bytes.
pub const CHUNK_HEADER: u64 = 12;

/// Maximum wait for a further datagram. The library has already sent all datagrams, but a slow kernel can
/// deliver them with a delay.
const LAST_DATAGRAM: Duration = Duration::from_millis(30);

/// Answer to a request. The error value is an answer, too. It has the reason why nothing was sent.
pub type Answer = Result<Value, Value>;

/// Answers requests until the input ends. `lock` is the text of the lock file, which has the version of the
/// crate `name`. `hello` has the members of the answer to `hello` other than the name, the version, the
/// language and the abilities. `send` answers a `send` request.
pub fn serve(lock: &str, name: &str, mut hello: Value, send: impl Fn(&Value) -> Answer) -> io::Result<()> {
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
            Some("send") => send(&request).unwrap_or_else(|refusal| refusal),
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

/// Returns the answer to a request that the crate does not support, for this reason.
pub fn unsupported(why: &str) -> Value {
    json!({"unsupported": why})
}

/// Returns the answer for an error with which the crate refuses to send.
pub fn refused(error: impl Display) -> Value {
    json!({"error": {"text": error.to_string()}})
}

/// Returns the answer `unsupported` as an error if the compression of the request is not in `supported`.
pub fn check_compression(request: &Value, supported: &[&str]) -> Result<(), Value> {
    let asked = request["compression"].as_str().unwrap_or("none");
    if supported.contains(&asked) { Ok(()) } else { Err(unsupported(&format!("compression {asked}"))) }
}

/// Returns a member of the message as an integer, or `None` if the member is missing. For a value that is not
/// an integer of this type, returns the answer `unsupported` as an error.
pub fn integer<N: TryFrom<i64>>(message: &Value, name: &str) -> Result<Option<N>, Value> {
    let Some(value) = message.get(name) else { return Ok(None) };
    let integer = value.as_i64().and_then(|value| N::try_from(value).ok());
    integer.map(Some).ok_or_else(|| unsupported(&format!("{name} {value}")))
}

/// Returns the names and values of the message's additional fields.
pub fn fields(message: &Value) -> impl Iterator<Item = (&str, &Value)> {
    message["fields"].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Captures the bytes that the crate sends over the transport of the request, by [`capture_udp`] or
/// [`capture_tcp`].
pub fn capture(request: &Value, send: impl FnOnce(SocketAddr) -> Result<(), Value>) -> Answer {
    if request["transport"] == "tcp" { capture_tcp(send) } else { capture_udp(send) }
}

/// Returns the answer with these datagrams.
pub fn datagrams<D: AsRef<[u8]>>(sent: impl IntoIterator<Item = D>) -> Value {
    let sent: Vec<String> = sent.into_iter().map(|datagram| hexadecimal(datagram.as_ref())).collect();
    json!({"datagrams": sent})
}

/// Calls `send` with the address of a UDP socket. Returns the answer with the received datagrams.
pub fn capture_udp(send: impl FnOnce(SocketAddr) -> Result<(), Value>) -> Answer {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on the loopback");
    send(socket.local_addr().expect("an address"))?;
    socket.set_read_timeout(Some(LAST_DATAGRAM)).expect("a time-out");
    let mut buffer = [0; 1 << 16];
    let mut received = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        received.push(buffer[..length].to_vec());
    }
    Ok(datagrams(received))
}

/// Calls `send` with the address of a TCP listener. Returns the answer with the bytes of the first
/// connection. `send` has to close this connection.
pub fn capture_tcp(send: impl FnOnce(SocketAddr) -> Result<(), Value>) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback");
    let address = listener.local_addr().expect("an address");
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let (mut connection, _) = listener.accept()?;
        connection.read_to_end(&mut bytes).map(|_| bytes)
    });
    send(address)?;
    let bytes = reader.join().expect("the reader").map_err(refused)?;
    Ok(json!({"stream": hexadecimal(&bytes)}))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
