//! Reads requests and answers from the bytes of a connection.

use bytes::BytesMut;

use super::body::{BodyReader, Framing};
use super::head::{Head, Searched, is_token};
use super::{Fault, body};

/// Framing of a body.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum BodyCoding {
    /// There is no body, or the body ends with the connection.
    None,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`, with this many chunks.
    Chunked(usize),
}

/// A received request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Method, such as `POST`.
    pub method: String,
    /// Target, such as `/gelf`.
    pub target: String,
    /// Version, such as `HTTP/1.1`.
    pub version: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The bytes before the body.
    pub head: Vec<u8>,
    /// Framing of the body.
    pub coding: BodyCoding,
    /// The body, without chunk framing, still compressed.
    pub body: Vec<u8>,
    /// Violations of RFC 9112 that do not prevent parsing.
    pub faults: Vec<Fault>,
}

impl Request {
    /// Returns the values of all headers with this name, ignoring case.
    pub fn headers<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        Head::values(&self.headers, name)
    }

    /// Returns whether the client wants to reuse the connection.
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(self.version == "HTTP/1.0", &self.headers)
    }
}

fn keeps_alive(is_http_10: bool, headers: &[(String, String)]) -> bool {
    let has = |word| Head::has_word(headers, "connection", word);
    !has("close") && (!is_http_10 || has("keep-alive"))
}

/// A received answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Status, such as 202.
    pub status: u16,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Framing of the body.
    pub coding: BodyCoding,
    /// The body.
    pub body: Vec<u8>,
    /// True if the connection can be used for another request.
    pub keeps_alive: bool,
}

/// A request or an answer whose body may be incomplete. `line` is the content of its first line.
#[derive(Debug)]
struct Pending<T> {
    line: T,
    head: Head,
    coding: BodyCoding,
    body: BodyReader,
}

/// Reads requests or answers.
#[derive(Debug)]
struct Reader<T> {
    buffer: BytesMut,
    searched: Searched,
    max_body_bytes: usize,
    pending: Option<Pending<T>>,
    has_failed: bool,
}

/// An interpreted head: the content of its first line, and the framing of the body.
type Start<T> = (T, BodyCoding, Framing);

impl<T> Reader<T> {
    fn new(max_body_bytes: usize) -> Self {
        let (buffer, searched) = (BytesMut::new(), Searched::default());
        Self { buffer, searched, max_body_bytes, pending: None, has_failed: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        if !self.has_failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Returns the next complete request or answer, or the fault that ends the connection. `start` interprets
    /// a head, and returns `None` if the request or answer is to be skipped. `is_end` tells whether the
    /// connection has ended.
    fn next(
        &mut self,
        is_end: bool,
        start: impl FnMut(&mut Head) -> Result<Option<Start<T>>, Fault>,
    ) -> Option<Result<Pending<T>, Fault>> {
        if self.has_failed {
            return None;
        }
        let read = self.read(is_end, start);
        if read.is_err() {
            self.has_failed = true;
            self.buffer = BytesMut::new();
            self.pending = None;
        }
        read.transpose()
    }

    fn read(
        &mut self,
        is_end: bool,
        mut start: impl FnMut(&mut Head) -> Result<Option<Start<T>>, Fault>,
    ) -> Result<Option<Pending<T>>, Fault> {
        while self.pending.is_none() {
            // A TLS client waits for an answer and sends no line end, so TLS is recognised by its first
            // bytes.
            if let [0x16, 0x03, 0..=4, ..] = self.buffer[..] {
                return Err(Fault::new(400, "this is TLS, and the port is plain", &self.buffer));
            }
            let Some(mut head) = Head::take(&mut self.buffer, &mut self.searched)? else { return Ok(None) };
            let Some((line, coding, framing)) = start(&mut head)? else { continue };
            let body = BodyReader::new(framing, self.max_body_bytes)?;
            self.pending = Some(Pending { line, head, coding, body });
        }
        let Some(pending) = &mut self.pending else { return Ok(None) };
        let is_whole = pending.body.take(&mut self.buffer)?;
        if let BodyCoding::Chunked(chunks) = &mut pending.coding {
            *chunks = pending.body.chunks;
        }
        let ends_here = is_end && pending.body.framing == Framing::UntilClose;
        Ok(if is_whole || ends_here { self.pending.take() } else { None })
    }
}

/// Reads requests.
#[derive(Debug)]
pub struct RequestReader {
    /// The content of a first line is the method, the target and the version.
    reader: Reader<[String; 3]>,
    /// True if the client waits for `100 Continue`.
    wants_continue: bool,
}

impl RequestReader {
    /// Creates a reader with a maximum body size.
    pub fn new(max_body_bytes: usize) -> Self {
        Self { reader: Reader::new(max_body_bytes), wants_continue: false }
    }

    /// Adds received bytes. Call [`next`](Self::next) until it returns `None` before adding more, so that the
    /// buffer stays bounded.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// Returns the next complete request, or the fault that ends the connection.
    #[allow(clippy::should_implement_trait, reason = "None is not final")]
    pub fn next(&mut self) -> Option<Result<Request, Fault>> {
        let wants_continue = &mut self.wants_continue;
        let next = self.reader.next(false, |head| {
            let line = request_line(head)?;
            let (coding, framing) = framing(head)?.unwrap_or((BodyCoding::None, Framing::Length(0)));
            *wants_continue = Head::has_word(&head.headers, "expect", "100-continue");
            Ok(Some((line, coding, framing)))
        })?;
        self.wants_continue = false;
        let request = |Pending { line, head, coding, body }: Pending<[String; 3]>| {
            let [method, target, version] = line;
            let Head { raw: head, headers, faults, .. } = head;
            Request { method, target, version, headers, head, coding, body: body.body, faults }
        };
        Some(next.map(request))
    }

    /// Returns whether the client waits for `100 Continue` before it sends the body. Returns `true` at most
    /// once for each request.
    pub fn wants_continue(&mut self) -> bool {
        std::mem::take(&mut self.wants_continue)
    }

    /// Returns the received head of an incomplete request, and the received length of its body. Returns
    /// `None` if no request has begun, and after a fault. At the end of the connection, an incomplete request
    /// is a truncated one.
    pub fn unfinished(&self) -> Option<(Vec<u8>, usize)> {
        match &self.reader.pending {
            Some(pending) => Some((pending.head.raw.clone(), pending.body.body.len())),
            None if self.reader.buffer.is_empty() => None,
            None => Some((self.reader.buffer.to_vec(), 0)),
        }
    }
}

/// Checks the request line and the `Host` header. Returns method, target and version.
fn request_line(head: &mut Head) -> Result<[String; 3], Fault> {
    let wrong = |text: &str| Err(Fault::new(400, text, head.first.as_bytes()));
    let words: Vec<&str> = head.first.split(' ').collect();
    let [method, target, version] = words[..] else {
        return wrong("a request line without three words");
    };
    let line = [method, target, version].map(str::to_owned);
    if method.is_empty() || !method.bytes().all(is_token) {
        return wrong("an invalid method");
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("an invalid target");
    }
    match version {
        "HTTP/1.0" => {}
        "HTTP/1.1" => {
            let hosts = Head::values(&head.headers, "host").count();
            if hosts != 1 {
                let text = format!("{hosts} Host headers");
                head.faults.push(Fault::new(400, text, &head.raw));
            }
        }
        _ => return wrong("a version other than HTTP/1.1 and HTTP/1.0"),
    }
    Ok(line)
}

/// Returns the framing of the body, or `None` if no header defines it.
fn framing(head: &Head) -> Result<Option<(BodyCoding, Framing)>, Fault> {
    let wrong = |text: &str, value: &str| Err(Fault::new(400, text, value.as_bytes()));
    let mut codings = Head::values(&head.headers, "transfer-encoding");
    let mut lengths = Head::values(&head.headers, "content-length").flat_map(|value| value.split(','));
    let length = lengths.next().map(str::trim);
    if let Some(other) = lengths.map(str::trim).find(|other| Some(*other) != length) {
        return wrong("conflicting values of Content-Length", other);
    }
    if let Some(coding) = codings.next() {
        if !coding.eq_ignore_ascii_case("chunked") || codings.next().is_some() {
            return wrong("a Transfer-Encoding other than chunked", coding);
        }
        if let Some(length) = length {
            return wrong("Content-Length with a chunked body", length);
        }
        return Ok(Some((BodyCoding::Chunked(0), Framing::Chunked(body::Chunked::Size))));
    }
    let Some(length) = length else { return Ok(None) };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong("an invalid Content-Length", length);
    }
    // A length that does not fit `usize` exceeds every limit.
    Ok(Some((BodyCoding::Length, Framing::Length(length.parse().unwrap_or(usize::MAX)))))
}

/// Reads answers.
#[derive(Debug)]
pub struct ResponseReader {
    /// The content of a first line is the status, and whether the version is HTTP/1.0.
    reader: Reader<(u16, bool)>,
    /// True if the next answers are for `HEAD`.
    to_head: bool,
}

impl ResponseReader {
    /// Creates a reader with a maximum body size.
    pub fn new(max_body_bytes: usize) -> Self {
        Self { reader: Reader::new(max_body_bytes), to_head: false }
    }

    /// Sets whether the next answers are for `HEAD`, and therefore have no body. The setting stays until the
    /// next call.
    pub fn answers_head(&mut self, to_head: bool) {
        self.to_head = to_head;
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// Returns the next complete answer, or the fault that ends the connection. Answers with status 100 to
    /// 199 are skipped.
    #[allow(clippy::should_implement_trait, reason = "None is not final")]
    pub fn next(&mut self) -> Option<Result<Response, Fault>> {
        self.read(false)
    }

    /// Tells the reader that the connection has ended. Returns the current answer if the end of the
    /// connection completes it, because its body has neither `Content-Length` nor chunks.
    pub fn end(&mut self) -> Option<Response> {
        self.read(true)?.ok()
    }

    fn read(&mut self, is_end: bool) -> Option<Result<Response, Fault>> {
        let to_head = self.to_head;
        let next = self.reader.next(is_end, |head| {
            let line @ (status, _) = status(head)?;
            let (coding, framing) = match status {
                100..200 => return Ok(None),
                204 | 304 => (BodyCoding::None, Framing::Length(0)),
                _ if to_head => (BodyCoding::None, Framing::Length(0)),
                _ => framing(head)?.unwrap_or((BodyCoding::None, Framing::UntilClose)),
            };
            Ok(Some((line, coding, framing)))
        })?;
        let response =
            |Pending { line: (status, is_http_10), head, coding, body }: Pending<(u16, bool)>| Response {
                status,
                coding,
                keeps_alive: body.framing != Framing::UntilClose && keeps_alive(is_http_10, &head.headers),
                headers: head.headers,
                body: body.body,
            };
        Some(next.map(response))
    }
}

/// Returns the status of an answer, and whether its version is HTTP/1.0.
fn status(head: &Head) -> Result<(u16, bool), Fault> {
    let wrong = || Fault::new(400, "an invalid answer", head.first.as_bytes());
    let (version, rest) = head.first.split_once(' ').ok_or_else(wrong)?;
    let digits = rest.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let rest_is_reason = rest.get(3..).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(status) if matches!(version, "HTTP/1.1" | "HTTP/1.0") && rest_is_reason && status >= 100 => {
            Ok((status, version == "HTTP/1.0"))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::MAX_HEAD_BYTES;
    use crate::numbers::Numbers;

    const MAX: usize = 1000;

    /// Reads `bytes` in pieces of `piece` bytes. Returns all requests, and the fault that ended the reading,
    /// if any.
    fn read(bytes: &[u8], piece: usize) -> (Vec<Request>, Option<Fault>) {
        let mut reader = RequestReader::new(MAX);
        let mut requests = Vec::new();
        for part in bytes.chunks(piece) {
            reader.push(part);
            while let Some(next) = reader.next() {
                match next {
                    Ok(request) => requests.push(request),
                    Err(fault) => {
                        assert!(reader.next().is_none(), "a fault is final");
                        return (requests, Some(fault));
                    }
                }
            }
        }
        (requests, None)
    }

    fn one(bytes: &[u8]) -> Request {
        let (mut requests, fault) = read(bytes, usize::MAX);
        assert_eq!((requests.len(), fault), (1, None));
        requests.remove(0)
    }

    fn fault(bytes: &[u8]) -> (u16, String) {
        let (requests, fault) = read(bytes, usize::MAX);
        assert_eq!(requests, []);
        let fault = fault.unwrap();
        (fault.status, fault.text)
    }

    #[test]
    fn requests_are_read_from_pieces_of_any_size() {
        let bytes = b"\r\nPOST /gelf HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}POST /gelf HTTP/1.1\r\nHost:a\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\n{\"\r\n01\r\n}\r\n0\r\nTrailer: t\r\n\r\nGET / HTTP/1.0\r\n\r\n";
        let (whole, fault) = read(bytes, usize::MAX);
        assert_eq!(fault, None);
        for piece in [1, 2, 3, 7, 50] {
            assert_eq!(read(bytes, piece), (whole.clone(), None), "pieces of {piece}");
        }
        let bodies: Vec<_> = whole.iter().map(|request| (request.coding, request.body.as_slice())).collect();
        assert_eq!(
            bodies,
            [
                (BodyCoding::Length, b"{}".as_slice()),
                (BodyCoding::Chunked(2), b"{\"}"),
                (BodyCoding::None, b"")
            ]
        );
        assert!(whole.iter().all(|request| request.faults.is_empty()), "{whole:?}");
        assert_eq!(whole[0].head, b"POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(whole[1].headers("HOST").collect::<Vec<_>>(), ["a"]);
        let alive: Vec<_> = whole.iter().map(Request::keeps_alive).collect();
        assert_eq!(alive, [true, true, false]);
    }

    #[test]
    fn mutated_requests_are_read_the_same_in_any_pieces() {
        let seeds: [&[u8]; 3] = [
            b"POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /gelf HTTP/1.1\r\nHost:a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{\"\r\n01\r\n}\r\n0\r\nTrailer: t\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nA: b\r\n\tc\r\n\r\n",
        ];
        let mut numbers = Numbers::new(1, 0);
        let (mut read_some, mut failed) = (0, 0);
        for _ in 0..5000 {
            let mut bytes = [numbers.pick(&seeds), numbers.pick(&seeds)].concat();
            for _ in 0..numbers.below(4) {
                let at = numbers.below(bytes.len());
                match numbers.below(3) {
                    0 => bytes[at] = numbers.next() as u8,
                    1 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, numbers.pick(b"\r\n :;0")),
                }
            }
            let whole = read(&bytes, usize::MAX);
            read_some += usize::from(!whole.0.is_empty());
            failed += usize::from(whole.1.is_some());
            let piece = numbers.between(1, 20);
            let (requests, fault) = read(&bytes, piece);
            assert_eq!(requests, whole.0, "{:?}", String::from_utf8_lossy(&bytes));
            assert_eq!(fault.map(|fault| fault.text), whole.1.map(|fault| fault.text));
        }
        assert!(read_some > 1000 && failed > 500, "{read_some} {failed}");
    }

    #[test]
    fn violations_that_leave_a_request_readable_are_listed() {
        let request = one(b"POST /gelf HTTP/1.1\nAccept : 2\r\n x\r\n\r\n");
        assert_eq!(request.faults.len(), 4, "{:?}", request.faults);
    }

    #[test]
    fn unreadable_requests_are_faults_with_a_status() {
        let with = |headers: &str, body: &str| {
            fault(format!("POST /gelf HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}").as_bytes())
        };
        let said = |status, text: &str| (status, text.to_owned());
        assert_eq!(fault(b"{\"version\":\"1.1\"}\n\n"), said(400, "a request line without three words"));
        assert_eq!(fault(b"POST /gelf HTTP/2\r\n\r\n").0, 400);
        assert_eq!(fault(b"P/ST /gelf HTTP/1.1\r\n\r\n"), said(400, "an invalid method"));
        assert_eq!(fault(b"POST /g\x01 HTTP/1.1\r\n\r\n"), said(400, "an invalid target"));
        assert_eq!(
            with("Content-Length: 1\r\nContent-Length: 2", ""),
            said(400, "conflicting values of Content-Length")
        );
        assert_eq!(with("Content-Length: -1", ""), said(400, "an invalid Content-Length"));
        assert_eq!(
            with("Content-Length: 1\r\nTransfer-Encoding: chunked", ""),
            said(400, "Content-Length with a chunked body")
        );
        assert_eq!(with("Transfer-Encoding: gzip, chunked", "").0, 400);
        assert_eq!(with("no colon", ""), said(400, "a header without a colon"));
        assert_eq!(with("(: a", ""), said(400, "an invalid header name"));
        let chunked = |body: &str| with("Transfer-Encoding: chunked", body);
        assert_eq!(chunked("+1\r\n"), said(400, "an invalid chunk size"));
        assert_eq!(chunked("1\r\nab\r\n"), said(400, "a chunk longer than its size"));
        assert_eq!(chunked("ffffffffffffffff\r\n").0, 413);
        assert_eq!(chunked("fffffffffffffffff\r\n").0, 400);
    }

    #[test]
    fn buffers_are_bounded() {
        let length = |len: &str| format!("POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        assert_eq!(fault(length("1001").as_bytes()).0, 413);
        assert_eq!(fault(length("99999999999999999999999").as_bytes()).0, 413);
        assert_eq!(read(length("1000").as_bytes(), 1), (vec![], None));
        let chunk = format!("3e8\r\n{}\r\n1\r\n", "a".repeat(1000));
        let head = "POST /gelf HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(fault(format!("{head}{chunk}").as_bytes()).0, 413);
        assert_eq!(fault("a".repeat(MAX_HEAD_BYTES + 1).as_bytes()).0, 431);
        assert_eq!(fault(format!("POST /gelf HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(257)).as_bytes()).0, 431);
        assert_eq!(fault(format!("{head}{}", "1".repeat(5000)).as_bytes()).0, 400);
        assert_eq!(fault(format!("{head}0\r\n{}", "a: b\r\n".repeat(20_000)).as_bytes()).0, 431);
        let mut reader = RequestReader::new(MAX);
        reader.push(&[b'\n'; 100_000]);
        assert!(reader.next().is_none());
        assert_eq!(reader.reader.buffer.len(), 0, "empty lines before a request are not kept");
    }

    #[test]
    fn expect_100_continue_is_reported_once() {
        let mut reader = RequestReader::new(MAX);
        reader.push(b"POST /gelf HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert!(reader.next().is_none());
        assert!(reader.wants_continue());
        assert!(!reader.wants_continue());
        assert_eq!(reader.unfinished().unwrap().1, 0);
        reader.push(b"{}");
        assert_eq!(reader.next().unwrap().unwrap().body, b"{}");
        assert_eq!(reader.unfinished(), None);
    }

    #[test]
    fn answers_are_read_in_turn() {
        let mut reader = ResponseReader::new(MAX);
        reader.push(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nHTTP/1.1 404\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n");
        let first = reader.next().unwrap().unwrap();
        assert_eq!((first.status, first.body.len(), first.keeps_alive), (202, 0, true));
        let second = reader.next().unwrap().unwrap();
        assert_eq!(
            (second.status, second.body.as_slice(), second.keeps_alive),
            (404, b"a".as_slice(), false)
        );
        assert!(reader.next().is_none());
        reader.answers_head(true);
        reader.push(b"HTTP/1.1 405 No\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(reader.next().unwrap().unwrap().status, 405);
        reader.answers_head(false);
        reader.push(b"HTTP/1.1 200 OK\r\n\r\nhello");
        assert!(reader.next().is_none());
        let last = reader.end().unwrap();
        assert_eq!((last.body.as_slice(), last.keeps_alive), (b"hello".as_slice(), false));
        reader.push(b"SSH-2.0\r\n\r\n");
        assert_eq!(reader.next().unwrap().unwrap_err().text, "an invalid answer");
    }

    #[test]
    fn a_truncated_answer_is_no_answer() {
        let mut reader = ResponseReader::new(MAX);
        reader.push(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nab");
        assert!(reader.next().is_none());
        assert_eq!(reader.end(), None);
    }
}
