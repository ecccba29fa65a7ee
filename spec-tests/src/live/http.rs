//! Requests to a receiver that runs, and what it answers.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::ResponseReader;
use crate::observed::{Answered, SeenAnswer};
use crate::recipe::Recipe;
use crate::vector::{Afterwards, Authorization, HttpExchange, HttpRequest};

/// Where a receiver takes requests, and how it is set up.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LiveHttp {
    /// Its address.
    pub address: SocketAddr,
    /// What stands in `Host`.
    pub host: String,
    /// Its path: `/gelf`.
    pub path: String,
    /// Whether it takes several messages of a body: it does not.
    pub bulk: bool,
    /// The header that it demands, as name and value: none.
    pub header: Option<(String, String)>,
    /// How many bytes it takes of a body, once inflated: 65,536, as Graylog does it.
    pub max_body: usize,
    /// How many bytes it takes of a message that is one of several, if that is known.
    pub max_message: Option<usize>,
}

impl LiveHttp {
    /// One that is set up as Graylog's input is.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: PATH.to_owned(),
            bulk: false,
            header: None,
            max_body: crate::inspect::GRAYLOG_BODY_BYTES,
            max_message: None,
        }
    }

    /// The same, by its URL: `http://HOST:PORT/gelf`. The port is 80 and the path `/gelf`, where they are missing.
    ///
    /// # Errors
    /// What is wrong with the URL, or that nothing has this name.
    pub fn at(url: &str) -> Result<Self, String> {
        let rest =
            url.strip_prefix("http://").ok_or_else(|| format!("'{url}' does not begin with http://"))?;
        let (host, path) = rest.find('/').map_or((rest, PATH), |at| rest.split_at(at));
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#']) {
            return Err(format!("'{path}' is no path"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = with_port.to_socket_addrs().map_err(|error| format!("'{host}': {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("no address is called '{host}'"))?;
        Ok(Self { host: host.to_owned(), path: path.to_owned(), ..Self::new(address) })
    }

    /// The setups that all vectors of HTTP together need, for receivers that can be set up: each vector is asked of one
    /// of them at least.
    pub fn setups(address: SocketAddr) -> Vec<Self> {
        let plain = Self::new(address);
        let header = Some(("X-Gelf-Token".to_owned(), "s3cret".to_owned()));
        let bulk = Self { bulk: true, ..plain.clone() };
        let short = Self { max_message: Some(1024), ..bulk.clone() };
        vec![plain.clone(), Self { header, ..plain }, bulk, short]
    }

    /// Why a vector cannot be asked.
    pub(super) fn refuses(&self, exchange: &HttpExchange) -> Option<String> {
        let is_raw = exchange.requests.iter().any(|request| request.raw.is_some());
        if exchange.bulk.is_some_and(|bulk| bulk != self.bulk) {
            let not = if self.bulk { "" } else { "not " };
            Some(format!("the receiver is {not}set up for several messages in a body"))
        } else if exchange.header && self.header.is_none() {
            Some("the receiver demands no header".to_owned())
        } else if exchange.max_body.is_some_and(|most| most != self.max_body) {
            Some(format!("the receiver takes bodies of up to {} bytes", self.max_body))
        } else if exchange.max_message.is_some() && exchange.max_message != self.max_message {
            Some("the receiver has another limit for each of several messages".to_owned())
        } else if is_raw && (self.path != PATH || self.header.is_some()) {
            Some("its bytes are for the path /gelf, and have no header of the receiver's".to_owned())
        } else {
            None
        }
    }

    /// A request with this body, as the suite itself sends it.
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

    /// The bytes of a request, in the parts in which they are sent.
    fn parts(&self, request: &HttpRequest) -> Result<Vec<Vec<u8>>, String> {
        let bytes = |recipe: &Recipe| recipe.bytes().map_err(|error| error.to_string());
        if let Some(raw) = &request.raw {
            return Ok(vec![bytes(raw)?]);
        }
        let mut head = self.head(&request.method, &request.target, &request.version, request.authorization);
        for (name, value) in &request.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let all = |recipes: &[Recipe]| recipes.iter().map(bytes).collect::<Result<Vec<_>, String>>();
        let (framing, mut bodies) = if let Some(body) = &request.body {
            let body = bytes(body)?;
            (format!("Content-Length: {}\r\n", body.len()), vec![body])
        } else if let Some(parts) = &request.parts {
            let parts = all(parts)?;
            let len: usize = parts.iter().map(Vec::len).sum();
            (format!("Content-Length: {len}\r\n"), parts)
        } else if let Some(chunks) = &request.chunks {
            let mut framed = Vec::new();
            for chunk in all(chunks)? {
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
            // Head and body at once, as most senders do it.
            [body] => Ok(vec![[head, std::mem::take(body)].concat()]),
            _ => {
                bodies.insert(0, head);
                Ok(bodies)
            }
        }
    }
}

/// GELF's own path, which the vectors have.
const PATH: &str = "/gelf";

/// How long a pause there is between the parts of a body.
const PAUSE: Duration = Duration::from_millis(2);

/// How much of an answer's body is read.
const ANSWER_BYTES: usize = 1 << 20;

/// How long it is waited for a receiver to close a connection that it should close.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// How long it is looked whether it closes one that it may keep.
const OPEN_WAIT: Duration = Duration::from_millis(10);

/// A connection to the receiver.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: ResponseReader,
    /// Requests that were answered on it.
    answered: usize,
}

/// Sends all requests of a vector, each when the one before is answered.
///
/// # Errors
/// That the receiver takes no connections, or that a recipe is wrong.
pub(super) fn exchange(
    http: &LiveHttp,
    exchange: &HttpExchange,
    timeout: Duration,
) -> Result<Answered, String> {
    let mut connection: Option<Connection> = None;
    let mut answered = Answered { answers: Vec::new(), connections: 0, after: Afterwards::Closed };
    for request in &exchange.requests {
        let parts = http.parts(request)?;
        let answer = loop {
            let mut open = match connection.take() {
                Some(open) => open,
                None => {
                    answered.connections += 1;
                    Connection::open(http.address, timeout)?
                }
            };
            let answer = open.ask(&parts, request, timeout);
            // One that the receiver had closed meanwhile: once more.
            let is_stale = matches!(answer, (SeenAnswer::Closed, _)) && open.answered > 0;
            if is_stale {
                continue;
            }
            let (answer, keeps_alive) = answer;
            let wait = if keeps_alive { OPEN_WAIT } else { CLOSE_WAIT };
            let is_last = answered.answers.len() + 1 == exchange.requests.len();
            let is_open = matches!(answer, SeenAnswer::Status(..))
                && if is_last || !keeps_alive { open.stays_open(wait) } else { true };
            answered.after = if is_open { Afterwards::Open } else { Afterwards::Closed };
            connection = (is_open && keeps_alive).then_some(open);
            break answer;
        };
        answered.answers.push(answer);
    }
    Ok(answered)
}

/// Posts a body, and waits for the answer as long as the receiver may take for it; the connection, to be kept as long as
/// it is waited for what comes of it.
pub(super) fn post(http: &LiveHttp, body: &[u8], timeout: Duration) -> Result<TcpStream, String> {
    let mut open = Connection::open(http.address, timeout)?;
    open.stream.write_all(&http.post(body)).map_err(|error| error.to_string())?;
    let _ = open.answer(timeout);
    Ok(open.stream)
}

impl Connection {
    fn open(address: SocketAddr, timeout: Duration) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&address, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        };
        let stream = connect().map_err(|error: std::io::Error| format!("{address}: {error}"))?;
        Ok(Self { stream, reader: ResponseReader::new(ANSWER_BYTES), answered: 0 })
    }

    /// Sends a request; what comes back, and whether the connection may be used again.
    fn ask(&mut self, parts: &[Vec<u8>], request: &HttpRequest, timeout: Duration) -> (SeenAnswer, bool) {
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                sleep(PAUSE);
            }
            // A receiver may answer, and close, before it has read all.
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

    fn answer(&mut self, timeout: Duration) -> (SeenAnswer, bool) {
        let until = Instant::now() + timeout;
        let mut buffer = [0; 4096];
        loop {
            match self.reader.next() {
                Some(Ok(response)) => {
                    self.answered += 1;
                    return (SeenAnswer::Status(response.status, response.body.len()), response.keeps_alive);
                }
                Some(Err(fault)) => return (SeenAnswer::Malformed(fault.to_string()), false),
                None => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return (SeenAnswer::Silence(timeout), false);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return (self.ended(), false),
                Ok(len) => self.reader.push(buffer.get(..len).unwrap_or_default()),
                Err(error) if is_time_out(&error) => {}
                Err(_) => return (self.ended(), false),
            }
        }
    }

    /// The connection ended: perhaps that is how the answer ends.
    fn ended(&mut self) -> SeenAnswer {
        match self.reader.end() {
            Some(response) => SeenAnswer::Status(response.status, response.body.len()),
            None => SeenAnswer::Closed,
        }
    }

    /// Whether it is still open after so long.
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

fn is_time_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
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
        let parts = http.parts(&exchange_of(vector).requests[0]).unwrap();
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
    fn a_request_is_sent_as_the_vector_says() {
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
    fn each_vector_is_asked_of_one_of_the_setups() {
        let setups = LiveHttp::setups(address());
        for vector in vectors() {
            let asked = setups.iter().filter(|setup| setup.refuses(exchange_of(&vector)).is_none()).count();
            assert!(asked > 0, "{}", vector.id);
        }
    }

    #[test]
    fn what_the_receiver_is_not_set_up_for_is_not_asked() {
        let plain = LiveHttp::new(address());
        let all = vectors();
        let refused = |http: &LiveHttp, id: &str| {
            http.refuses(exchange_of(all.iter().find(|vector| vector.id == id).unwrap())).unwrap_or_default()
        };
        assert_eq!(refused(&plain, "H01"), "");
        assert_eq!(refused(&plain, "H15"), "the receiver is not set up for several messages in a body");
        assert_eq!(refused(&plain, "H08"), "the receiver demands no header");
        let bulk = LiveHttp { bulk: true, max_body: 100, path: "/in".to_owned(), ..plain };
        assert_eq!(refused(&bulk, "H14"), "the receiver is set up for several messages in a body");
        assert_eq!(refused(&bulk, "H13-bomb"), "the receiver takes bodies of up to 100 bytes");
        assert_eq!(refused(&bulk, "H19"), "the receiver has another limit for each of several messages");
        assert!(refused(&bulk, "H26").contains("for the path /gelf"));
    }
}
