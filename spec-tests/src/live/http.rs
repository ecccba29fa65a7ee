//! Sends requests to a running receiver and reads its answers.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::{ResponseReader, is_time_out};
use crate::inspect::GRAYLOG_BODY_BYTES;
use crate::observed::{Answered, ObservedAnswer};
use crate::recipe::Content;
use crate::vector::{Afterwards, Authorization, HttpExchange, HttpRequest};

/// Address and setup of an HTTP receiver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveHttp {
    /// Address.
    pub address: SocketAddr,
    /// Value of the `Host` header.
    pub host: String,
    /// Path, by default `/gelf`.
    pub path: String,
    /// True if the receiver accepts several messages in a body, by default false.
    pub bulk: bool,
    /// Name and value of the header that the receiver requires, by default none.
    pub header: Option<(String, String)>,
    /// Maximum size of an inflated body in bytes, or `None` if unknown, which is the default. A vector that
    /// tests the limit of a body is sent only if it tests exactly this limit.
    pub max_body: Option<usize>,
    /// Maximum size in bytes of each message in a bulk body, if known.
    pub max_message: Option<usize>,
}

impl LiveHttp {
    /// Creates the setup of a receiver that has Graylog's path and accepts one message in a body.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: PATH.to_owned(),
            bulk: false,
            header: None,
            max_body: None,
            max_message: None,
        }
    }

    /// Creates a setup as [`new`](Self::new) does, for a URL `http://HOST:PORT/gelf`. The default port
    /// is 80, and the default path is `/gelf`.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid or its host cannot be resolved.
    pub fn at(url: &str) -> Result<Self, String> {
        let rest =
            url.strip_prefix("http://").ok_or_else(|| format!("'{url}' does not start with http://"))?;
        let (host, path) = rest.find('/').map_or((rest, PATH), |at| rest.split_at(at));
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#']) {
            return Err(format!("'{path}' is not a valid path"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = with_port.to_socket_addrs().map_err(|error| format!("'{host}': {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("no address for '{host}'"))?;
        Ok(Self { host: host.to_owned(), path: path.to_owned(), ..Self::new(address) })
    }

    /// Returns several setups of the receiver at this address. Together, the setups cover all HTTP vectors.
    pub fn setups(address: SocketAddr) -> Vec<Self> {
        let plain = Self { max_body: Some(GRAYLOG_BODY_BYTES), ..Self::new(address) };
        let header = Some(("X-Gelf-Token".to_owned(), "s3cret".to_owned()));
        let bulk = Self { bulk: true, ..plain.clone() };
        let short = Self { max_message: Some(1024), ..bulk.clone() };
        vec![plain.clone(), Self { header, ..plain }, bulk, short]
    }

    /// Returns the reason why a vector cannot be sent to this receiver, or `None` if it can be sent.
    pub(super) fn refuses(&self, exchange: &HttpExchange) -> Option<String> {
        let is_raw = exchange.requests.iter().any(|request| request.raw.is_some());
        if exchange.bulk.is_some_and(|bulk| bulk != self.bulk) {
            let not = if self.bulk { "" } else { "not " };
            Some(format!("the receiver is {not}set up for several messages in a body"))
        } else if exchange.header && self.header.is_none() {
            Some("the receiver requires no header".to_owned())
        } else if exchange.max_body.is_some() && exchange.max_body != self.max_body {
            Some(self.max_body.map_or_else(
                || "the receiver's limit of a body is unknown".to_owned(),
                |most| format!("the receiver accepts bodies of up to {most} bytes"),
            ))
        } else if exchange.max_message.is_some() && exchange.max_message != self.max_message {
            Some("the receiver has another limit for the size of a message in a bulk body".to_owned())
        } else if is_raw && (self.path != PATH || self.header.is_some()) {
            Some(
                "the raw bytes are for the path /gelf, without the header that the receiver requires"
                    .to_owned(),
            )
        } else {
            None
        }
    }

    /// Returns the bytes of a `POST` request with this body.
    pub(super) fn post(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = self.head("POST", PATH, "HTTP/1.1", Authorization::Right);
        let _ = write!(bytes, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        [bytes.as_bytes(), body].concat()
    }

    fn head(&self, method: &str, target: &str, version: &str, authorization: Authorization) -> String {
        let target = target
            .strip_prefix(PATH)
            .map_or_else(|| target.to_owned(), |rest| format!("{}{rest}", self.path));
        let mut head = format!("{method} {target} {version}\r\nHost: {}\r\n", self.host);
        if let Some((name, value)) = &self.header {
            let _ = match authorization {
                Authorization::Right => write!(head, "{name}: {value}\r\n"),
                Authorization::Wrong => write!(head, "{name}: not {value}\r\n"),
                Authorization::Missing => Ok(()),
            };
        }
        head
    }

    /// Returns the bytes of a vector's request, in the parts in which they are sent.
    fn parts(&self, request: &HttpRequest) -> Vec<Vec<u8>> {
        if let Some(raw) = &request.raw {
            return vec![raw.to_vec()];
        }
        let mut head = self.head(&request.method, &request.target, &request.version, request.authorization);
        for (name, value) in &request.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let all = |parts: &[Content]| -> Vec<Vec<u8>> { parts.iter().map(|part| part.to_vec()).collect() };
        let (framing, mut bodies) = if let Some(body) = &request.body {
            (format!("Content-Length: {}\r\n", body.len()), vec![body.to_vec()])
        } else if let Some(parts) = &request.parts {
            let parts = all(parts);
            let len: usize = parts.iter().map(Vec::len).sum();
            (format!("Content-Length: {len}\r\n"), parts)
        } else if let Some(chunks) = &request.chunks {
            let mut framed = Vec::new();
            for chunk in all(chunks) {
                framed.push([format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat());
            }
            framed.push(b"0\r\n\r\n".to_vec());
            ("Transfer-Encoding: chunked\r\n".to_owned(), framed)
        } else {
            (String::new(), Vec::new())
        };
        let has_type = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !bodies.is_empty() && !has_type {
            head.push_str("Content-Type: application/json\r\n");
        }
        let head = format!("{head}{framing}\r\n").into_bytes();
        match &mut bodies[..] {
            // Head and body are sent in one write, as most senders do.
            [body] => vec![[head, std::mem::take(body)].concat()],
            _ => {
                bodies.insert(0, head);
                bodies
            }
        }
    }
}

/// Path of GELF requests in the vectors.
const PATH: &str = "/gelf";

/// Pause between the parts of a request.
const PAUSE: Duration = Duration::from_millis(2);

/// Maximum length of an answer's body, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Maximum time for a receiver to close a connection that it should close.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// Time after which a connection counts as open. It applies to a connection that the receiver is allowed to keep
/// open.
const OPEN_WAIT: Duration = Duration::from_millis(10);

/// A connection to the receiver.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: ResponseReader,
    /// Number of answers received on this connection.
    answered: usize,
}

/// Sends the requests of a vector. Each request is sent after the answer to the previous request.
///
/// # Errors
/// Returns an error if the receiver accepts no connection.
pub(super) fn exchange(
    http: &LiveHttp,
    exchange: &HttpExchange,
    timeout: Duration,
) -> Result<Answered, String> {
    let mut connection: Option<Connection> = None;
    let mut answered = Answered { answers: Vec::new(), connections: 0, after: Afterwards::Closed };
    for request in &exchange.requests {
        let parts = http.parts(request);
        let answer = loop {
            let mut open = match connection.take() {
                Some(open) => open,
                None => {
                    answered.connections += 1;
                    Connection::open(http.address, timeout)?
                }
            };
            let answer = open.ask(&parts, request, timeout);
            // If the receiver has closed the connection after an earlier answer, the request is sent again on
            // a new connection.
            let is_stale = matches!(answer, (ObservedAnswer::Closed, _)) && open.answered > 0;
            if is_stale {
                continue;
            }
            let (answer, keeps_alive) = answer;
            // The connection is tested after the last request, and after an answer with which the receiver
            // should close the connection.
            let wait = if keeps_alive { OPEN_WAIT } else { CLOSE_WAIT };
            let is_last = answered.answers.len() + 1 == exchange.requests.len();
            let is_open = matches!(answer, ObservedAnswer::Status(..))
                && if is_last || !keeps_alive { open.stays_open(wait) } else { true };
            answered.after = if is_open { Afterwards::Open } else { Afterwards::Closed };
            connection = (is_open && keeps_alive).then_some(open);
            break answer;
        };
        answered.answers.push(answer);
    }
    Ok(answered)
}

/// Posts a body and waits for the answer, which is ignored. Returns the connection, which the caller keeps
/// open until the message is observed.
pub(super) fn post(http: &LiveHttp, body: &[u8], timeout: Duration) -> Result<TcpStream, String> {
    let mut open = Connection::open(http.address, timeout)?;
    open.stream.write_all(&http.post(body)).map_err(|error| error.to_string())?;
    let _ = open.answer(timeout);
    Ok(open.stream)
}

impl Connection {
    fn open(address: SocketAddr, timeout: Duration) -> Result<Self, String> {
        let stream = super::connect(address, timeout)?;
        Ok(Self { stream, reader: ResponseReader::new(MAX_ANSWER_BYTES), answered: 0 })
    }

    /// Sends a request. Returns the answer, and whether both sides keep the connection open.
    fn ask(&mut self, parts: &[Vec<u8>], request: &HttpRequest, timeout: Duration) -> (ObservedAnswer, bool) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                sleep(PAUSE);
            }
            // A receiver is allowed to answer and to close the connection before it has read the whole
            // request.
            if self.stream.write_all(part).and_then(|()| self.stream.flush()).is_err() {
                break;
            }
        }
        if request.end {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        self.reader.answers_head(request.method == "HEAD");
        let asked_to_close = request.version == "HTTP/1.0"
            || request.headers.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
            });
        let (answer, keeps_alive) = self.answer(timeout);
        (answer, keeps_alive && !asked_to_close && !request.end)
    }

    fn answer(&mut self, timeout: Duration) -> (ObservedAnswer, bool) {
        let until = Instant::now() + timeout;
        let mut buffer = [0; 4096];
        loop {
            match self.reader.next() {
                Some(Ok(response)) => {
                    self.answered += 1;
                    return (
                        ObservedAnswer::Status(response.status, response.body.len()),
                        response.keeps_alive,
                    );
                }
                Some(Err(fault)) => return (ObservedAnswer::Malformed(fault.to_string()), false),
                None => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return (ObservedAnswer::Timeout(timeout), false);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return (self.ended(), false),
                Ok(len) => self.reader.push(buffer.split_at(len).0),
                Err(error) if is_time_out(&error) => {}
                Err(_) => return (self.ended(), false),
            }
        }
    }

    /// Returns the result of a connection that has ended. The end completes an answer that declares no length.
    /// Without such an answer, the result is [`ObservedAnswer::Closed`].
    fn ended(&mut self) -> ObservedAnswer {
        match self.reader.end() {
            Some(response) => ObservedAnswer::Status(response.status, response.body.len()),
            None => ObservedAnswer::Closed,
        }
    }

    /// Returns whether the connection is still open after this time.
    fn stays_open(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut buffer = [0; 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return true;
            }
            match self.stream.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if is_time_out(&error) => {}
                Ok(0) | Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{Input, Vector, embedded_http};

    fn address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    fn vectors() -> Vec<Vector> {
        embedded_http().unwrap().into_iter().flat_map(|topic| topic.vectors).collect()
    }

    fn exchange_of(vector: &Vector) -> &HttpExchange {
        let Some(Input::Http(exchange)) = vector.input() else { panic!("{} has requests", vector.id) };
        exchange
    }

    fn sent(http: &LiveHttp, id: &str) -> Vec<String> {
        let all = vectors();
        let vector = all.iter().find(|vector| vector.id == id).unwrap();
        let parts = http.parts(&exchange_of(vector).requests[0]);
        parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    #[test]
    fn a_url_names_host_port_and_path() {
        let http = LiveHttp::at("http://127.0.0.1:12201/gelf").unwrap();
        assert_eq!((http.host.as_str(), http.path.as_str()), ("127.0.0.1:12201", "/gelf"));
        let http = LiveHttp::at("http://127.0.0.1").unwrap();
        assert_eq!((http.address.port(), http.path.as_str()), (80, "/gelf"));
        assert_eq!(LiveHttp::at("http://[::1]:8080/a/b").unwrap().path, "/a/b");
        for wrong in ["https://127.0.0.1/gelf", "127.0.0.1:1", "http://127.0.0.1/a?b", "http://:x/"] {
            assert!(LiveHttp::at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_is_sent_as_the_vector_defines() {
        let plain = LiveHttp::new(address());
        let message = r#"{"version":"1.1","host":"h","short_message":"m"}"#;
        let head = "POST /gelf HTTP/1.1\r\nHost: 127.0.0.1:9\r\n";
        let json = "Content-Type: application/json\r\n";
        assert_eq!(sent(&plain, "H01"), [format!("{head}{json}Content-Length: 48\r\n\r\n{message}")]);
        assert_eq!(
            sent(&plain, "H23"),
            [
                format!("{head}{json}Transfer-Encoding: chunked\r\n\r\n"),
                format!("30\r\n{message}\r\n"),
                "0\r\n\r\n".to_owned()
            ]
        );
        assert_eq!(sent(&plain, "H23-parts").len(), 4);
        assert_eq!(sent(&plain, "H07"), ["GET /gelf HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n"]);
        assert_eq!(sent(&plain, "H26")[0], format!("{message}\n\r\n\r\n"));
        let header = Some(("A".to_owned(), "b".to_owned()));
        let other = LiveHttp { path: "/in".to_owned(), header, ..plain };
        assert!(
            sent(&other, "H05-query")[0]
                .starts_with("POST /in?a=b HTTP/1.1\r\nHost: 127.0.0.1:9\r\nA: b\r\n")
        );
        assert!(sent(&other, "H05")[0].starts_with("POST /wrong HTTP/1.1\r\n"));
        assert!(sent(&other, "H08-wrong")[0].contains("\r\nA: not b\r\n"));
        assert!(!sent(&other, "H08")[0].contains("\r\nA: "));
    }

    #[test]
    fn vectors_for_other_setups_are_not_sent() {
        let plain = LiveHttp::new(address());
        let all = vectors();
        let refused = |http: &LiveHttp, id: &str| {
            http.refuses(exchange_of(all.iter().find(|vector| vector.id == id).unwrap())).unwrap_or_default()
        };
        assert_eq!(refused(&plain, "H01"), "");
        assert_eq!(refused(&plain, "H15"), "the receiver is not set up for several messages in a body");
        assert_eq!(refused(&plain, "H08"), "the receiver requires no header");
        assert_eq!(refused(&plain, "H13"), "the receiver's limit of a body is unknown");
        let bulk = LiveHttp { bulk: true, max_body: Some(100), path: "/in".to_owned(), ..plain };
        assert_eq!(refused(&bulk, "H14"), "the receiver is set up for several messages in a body");
        assert_eq!(refused(&bulk, "H13-bomb"), "the receiver accepts bodies of up to 100 bytes");
        assert_eq!(
            refused(&bulk, "H19"),
            "the receiver has another limit for the size of a message in a bulk body"
        );
        assert!(refused(&bulk, "H26").contains("for the path /gelf"));
    }
}
