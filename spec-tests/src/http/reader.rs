//! Requests and answers, out of what comes on a connection.

use bytes::BytesMut;

use super::body::{BodyReader, Framing};
use super::head::{Head, Searched, is_token};
use super::{Fault, body};

/// How the length of a body is told.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum BodyCoding {
    /// Not at all: there is none, or it ends with the connection.
    None,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`, in so many chunks.
    Chunked(usize),
}

/// A request as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// `POST`
    pub method: String,
    /// `/gelf`, or whatever stands between method and version.
    pub target: String,
    /// `HTTP/1.1`
    pub version: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The bytes before the body.
    pub head: Vec<u8>,
    /// How the body is framed.
    pub coding: BodyCoding,
    /// The body, without its chunks, and as compressed as it came.
    pub body: Vec<u8>,
    /// What breaks RFC 9112 and can be read all the same.
    pub faults: Vec<Fault>,
}

impl Request {
    /// The values of the headers of this name, in any case.
    pub fn headers<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        Head::values(&self.headers, name)
    }

    /// Whether the sender means to go on using the connection.
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(&self.version, &self.headers)
    }
}

fn keeps_alive(version: &str, headers: &[(String, String)]) -> bool {
    let has = |word| Head::has_word(headers, "connection", word);
    !has("close") && (version != "HTTP/1.0" || has("keep-alive"))
}

/// An answer as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// `202`
    pub status: u16,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// How the body is framed.
    pub coding: BodyCoding,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the connection may be used for another request.
    pub keeps_alive: bool,
}

/// The head that was read, and what is still to come of the body.
#[derive(Debug)]
struct Pending {
    head: Head,
    coding: BodyCoding,
    body: BodyReader,
}

/// Reads requests.
#[derive(Debug)]
pub struct RequestReader {
    buffer: BytesMut,
    searched: Searched,
    max_body_bytes: usize,
    pending: Option<Pending>,
    wants_continue: bool,
    has_failed: bool,
}

impl RequestReader {
    /// A reader that takes bodies of up to so many bytes.
    pub fn new(max_body_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: Searched::default(),
            max_body_bytes,
            pending: None,
            wants_continue: false,
            has_failed: false,
        }
    }

    /// Takes what came. [`next`](Self::next) is to be called until it gives nothing, before more is taken: so no more is
    /// held than a piece and a request.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.has_failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole request, or why there will be no more.
    #[allow(clippy::should_implement_trait, reason = "nothing today may be something after a push")]
    pub fn next(&mut self) -> Option<Result<Request, Fault>> {
        if self.has_failed {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.has_failed = true;
            self.buffer = BytesMut::new();
            self.pending = None;
        }
        read.transpose()
    }

    fn read(&mut self) -> Result<Option<Request>, Fault> {
        if self.pending.is_none() {
            let Some(mut head) = Head::take(&mut self.buffer, &mut self.searched)? else { return Ok(None) };
            check_request(&mut head)?;
            let (coding, framing) = framing(&head)?.unwrap_or((BodyCoding::None, Framing::Length(0)));
            let body = BodyReader::new(framing, self.max_body_bytes)?;
            self.wants_continue = Head::has_word(&head.headers, "expect", "100-continue");
            self.pending = Some(Pending { head, coding, body });
        }
        let Some(mut pending) = self.pending.take() else { return Ok(None) };
        if !pending.body.take(&mut self.buffer)? {
            self.pending = Some(pending);
            return Ok(None);
        }
        self.wants_continue = false;
        let Pending { head, coding, body } = pending;
        let mut words = head.first.split(' ').map(str::to_owned);
        Ok(Some(Request {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            version: words.next().unwrap_or_default(),
            headers: head.headers,
            head: head.raw,
            coding: with_chunks(coding, &body),
            body: body.body,
            faults: head.faults,
        }))
    }

    /// Whether the sender waits for a `100 Continue` before it sends the body. True once for each request.
    pub fn wants_continue(&mut self) -> bool {
        std::mem::take(&mut self.wants_continue)
    }

    /// Of a request that is not yet whole: the beginning, and how many bytes of its body came. At the end of a connection
    /// it was cut off.
    pub fn unfinished(&self) -> Option<(Vec<u8>, usize)> {
        match &self.pending {
            Some(pending) => Some((pending.head.raw.clone(), pending.body.body.len())),
            None if self.buffer.is_empty() => None,
            None => Some((self.buffer.to_vec(), 0)),
        }
    }
}

fn with_chunks(coding: BodyCoding, body: &BodyReader) -> BodyCoding {
    match coding {
        BodyCoding::Chunked(_) => BodyCoding::Chunked(body.chunks),
        other => other,
    }
}

/// The first line, and `Host`.
fn check_request(head: &mut Head) -> Result<(), Fault> {
    let wrong = |text: &str| Err(Fault::new(400, text, head.first.as_bytes()));
    let words: Vec<&str> = head.first.split(' ').collect();
    let [method, target, version] = words[..] else {
        return wrong("a request line that is not three words");
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return wrong("a method that is none");
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("a target that is none");
    }
    match version {
        "HTTP/1.0" => {}
        "HTTP/1.1" => {
            let hosts = Head::values(&head.headers, "host").count();
            if hosts != 1 {
                let text = format!("{hosts} headers of the name Host");
                head.faults.push(Fault::new(400, text, &head.raw));
            }
        }
        _ => return wrong("a version that is neither HTTP/1.1 nor HTTP/1.0"),
    }
    Ok(())
}

/// How the body is framed, if the headers say it.
fn framing(head: &Head) -> Result<Option<(BodyCoding, Framing)>, Fault> {
    let wrong = |text: &str, value: &str| Err(Fault::new(400, text, value.as_bytes()));
    let mut codings = Head::values(&head.headers, "transfer-encoding");
    let mut lengths = Head::values(&head.headers, "content-length").flat_map(|value| value.split(','));
    let length = lengths.next().map(str::trim);
    if let Some(other) = lengths.map(str::trim).find(|other| Some(*other) != length) {
        return wrong("two values of Content-Length", other);
    }
    if let Some(coding) = codings.next() {
        if !coding.eq_ignore_ascii_case("chunked") || codings.next().is_some() {
            return wrong("a Transfer-Encoding other than chunked", coding);
        }
        if let Some(length) = length {
            return wrong("a Content-Length beside chunks", length);
        }
        return Ok(Some((BodyCoding::Chunked(0), Framing::Chunked(body::Chunked::Size))));
    }
    let Some(length) = length else { return Ok(None) };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong("a Content-Length that is no number", length);
    }
    // What is beyond this machine's numbers is beyond its room.
    Ok(Some((BodyCoding::Length, Framing::Length(length.parse().unwrap_or(usize::MAX)))))
}

/// Reads answers.
#[derive(Debug)]
pub struct ResponseReader {
    buffer: BytesMut,
    searched: Searched,
    max_body_bytes: usize,
    to_head: bool,
    pending: Option<(Pending, u16)>,
    has_failed: bool,
}

impl ResponseReader {
    /// A reader that takes bodies of up to so many bytes.
    pub fn new(max_body_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: Searched::default(),
            max_body_bytes,
            to_head: false,
            pending: None,
            has_failed: false,
        }
    }

    /// Whether the next answer is one to `HEAD`, which has no body whatever its headers say.
    pub fn answers_head(&mut self, to_head: bool) {
        self.to_head = to_head;
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.has_failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole answer, or why there will be no more. Those of 100 to 199 are passed over.
    #[allow(clippy::should_implement_trait, reason = "nothing today may be something after a push")]
    pub fn next(&mut self) -> Option<Result<Response, Fault>> {
        if self.has_failed {
            return None;
        }
        let read = self.read(false);
        self.has_failed = read.is_err();
        read.transpose()
    }

    /// The connection ended: the answer that ends with it, if there is one.
    pub fn end(&mut self) -> Option<Response> {
        self.read(true).ok().flatten()
    }

    fn read(&mut self, is_end: bool) -> Result<Option<Response>, Fault> {
        while self.pending.is_none() {
            let Some(head) = Head::take(&mut self.buffer, &mut self.searched)? else { return Ok(None) };
            let status = status(&head)?;
            if (100..200).contains(&status) {
                continue;
            }
            let none = (BodyCoding::None, Framing::Length(0));
            let (coding, framing) = if self.to_head || matches!(status, 204 | 304) {
                none
            } else {
                framing(&head)?.unwrap_or((BodyCoding::None, Framing::UntilClose))
            };
            let body = BodyReader::new(framing, self.max_body_bytes)?;
            self.pending = Some((Pending { head, coding, body }, status));
        }
        let Some((mut pending, status)) = self.pending.take() else { return Ok(None) };
        let is_whole = pending.body.take(&mut self.buffer)?;
        let ends_here = is_end && pending.body.framing == Framing::UntilClose;
        if !is_whole && !ends_here {
            self.pending = Some((pending, status));
            return Ok(None);
        }
        let Pending { head, coding, body } = pending;
        let version = head.first.split(' ').next().unwrap_or_default();
        Ok(Some(Response {
            status,
            coding: with_chunks(coding, &body),
            keeps_alive: body.framing != Framing::UntilClose && keeps_alive(version, &head.headers),
            headers: head.headers,
            body: body.body,
        }))
    }
}

fn status(head: &Head) -> Result<u16, Fault> {
    let wrong = || Fault::new(400, "an answer that is none", head.first.as_bytes());
    let (version, rest) = head.first.split_once(' ').ok_or_else(wrong)?;
    let digits = rest.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let rest_is_reason = rest.get(3..).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(status) if matches!(version, "HTTP/1.1" | "HTTP/1.0") && rest_is_reason && status >= 100 => {
            Ok(status)
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

    /// All requests of some bytes, in pieces of a size; and the fault at the end, if there is one.
    fn read(bytes: &[u8], piece: usize) -> (Vec<Request>, Option<Fault>) {
        let mut reader = RequestReader::new(MAX);
        let mut requests = Vec::new();
        for part in bytes.chunks(piece) {
            reader.push(part);
            while let Some(next) = reader.next() {
                match next {
                    Ok(request) => requests.push(request),
                    Err(fault) => {
                        assert!(reader.next().is_none(), "nothing comes after a fault");
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
    fn a_request_is_read_however_it_is_cut() {
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
    fn whatever_comes_is_read_the_same_however_it_is_cut() {
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
    fn what_breaks_the_rules_and_can_be_read_is_told() {
        let request = one(b"POST /gelf HTTP/1.1\nAccept : 2\r\n x\r\n\r\n");
        assert_eq!(request.faults.len(), 4, "{:?}", request.faults);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_with_its_status() {
        let with = |headers: &str, body: &str| {
            fault(format!("POST /gelf HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}").as_bytes())
        };
        let said = |status, text: &str| (status, text.to_owned());
        assert_eq!(fault(b"{\"version\":\"1.1\"}\n\n"), said(400, "a request line that is not three words"));
        assert_eq!(fault(b"POST /gelf HTTP/2\r\n\r\n").0, 400);
        assert_eq!(fault(b"P/ST /gelf HTTP/1.1\r\n\r\n"), said(400, "a method that is none"));
        assert_eq!(fault(b"POST /g\x01 HTTP/1.1\r\n\r\n"), said(400, "a target that is none"));
        assert_eq!(
            with("Content-Length: 1\r\nContent-Length: 2", ""),
            said(400, "two values of Content-Length")
        );
        assert_eq!(with("Content-Length: -1", ""), said(400, "a Content-Length that is no number"));
        assert_eq!(
            with("Content-Length: 1\r\nTransfer-Encoding: chunked", ""),
            said(400, "a Content-Length beside chunks")
        );
        assert_eq!(with("Transfer-Encoding: gzip, chunked", "").0, 400);
        assert_eq!(with("no colon", ""), said(400, "a header without a colon"));
        assert_eq!(with("(: a", ""), said(400, "a name of a header that is none"));
        let chunked = |body: &str| with("Transfer-Encoding: chunked", body);
        assert_eq!(chunked("+1\r\n"), said(400, "a size of a chunk that is none"));
        assert_eq!(chunked("1\r\nab\r\n"), said(400, "a chunk that is longer than its size"));
        assert_eq!(chunked("ffffffffffffffff\r\n").0, 413);
        assert_eq!(chunked("fffffffffffffffff\r\n").0, 400);
    }

    #[test]
    fn what_is_held_is_bounded() {
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
        assert_eq!(reader.buffer.len(), 0, "empty lines before a request are not kept");
    }

    #[test]
    fn a_sender_that_waits_is_seen_to_wait_once() {
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
    fn answers_are_read_one_after_another() {
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
        assert_eq!(reader.next().unwrap().unwrap_err().text, "an answer that is none");
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let mut reader = ResponseReader::new(MAX);
        reader.push(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nab");
        assert!(reader.next().is_none());
        assert_eq!(reader.end(), None);
    }
}
