//! Judges HTTP requests, and checks whether refused messages are sent again.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::HttpSetup;
use super::event::{HttpEvent, HttpEventKind};
use super::graylog;
use super::http_tally::HttpTally;
use super::judged::Judged;
use super::tally::encoding_word;
use crate::http::{Fault, Request, excerpt};
use crate::inspect::{self, HttpInspection, Inspection, Violation};
use crate::receivers::{Delivery, Transport};

/// Maximum number of refused messages that are remembered. Retries of other messages are not recognised.
const MAX_REMEMBERED: usize = 65_536;

/// Minimum time that a sender has for a retry before a missing retry is a violation.
const MIN_RETRY_TIME: Duration = Duration::from_secs(1);

/// Maximum number of senders whose connections are counted.
const MAX_SENDERS: usize = 4096;

/// State of the judgement of requests.
#[derive(Debug)]
pub(super) struct Requests {
    bulk: bool,
    /// Status of the answer to the first delivery of a message. If this status is not from 200 to 299, a
    /// request with only repeated messages is answered with 202.
    status: u16,
    as_graylog: bool,
    /// The refused messages, by the hash of their [bytes](bytes_of).
    refused: HashMap<u64, Refused>,
    /// Number of connections that the sender ended after a single accepted request, by sender.
    short_connections: HashMap<IpAddr, u64>,
    pub(super) tally: HttpTally,
    /// Number of messages that were not judged, because their body had too many messages.
    pub(super) not_judged: u64,
    /// Number of incomplete requests on connections that this program closed, for example at the end of the
    /// run.
    pub(super) left: u64,
}

/// A message that was refused.
#[derive(Debug)]
struct Refused {
    /// Time of the last refusal.
    at: Instant,
    source: SocketAddr,
    /// True after a retry, unless the retry was refused and has to be sent again.
    is_settled: bool,
    excerpt: String,
}

impl Requests {
    /// Creates the state for a receiver with this setup.
    pub(super) fn new(HttpSetup { bulk, status, as_graylog }: HttpSetup) -> Self {
        Self {
            bulk,
            status,
            as_graylog,
            refused: HashMap::new(),
            short_connections: HashMap::new(),
            tally: HttpTally::new(status),
            not_judged: 0,
            left: 0,
        }
    }

    /// Handles an event. Returns the judged messages.
    pub(super) fn handle(&mut self, at: Instant, event: HttpEvent) -> Vec<Judged> {
        let HttpEvent { source, kind, .. } = event;
        match kind {
            HttpEventKind::Opened => Vec::new(),
            HttpEventKind::Request { request, number, answer } => {
                let (status, judged) = self.request(at, source, &request, number);
                self.tally.answered(status);
                // Sending fails if the connection no longer waits for the status.
                let _ = answer.send(status);
                judged
            }
            HttpEventKind::Fault(fault) => vec![self.fault(source, &fault)],
            HttpEventKind::Closed { requests, by_sender, status, unfinished } => {
                self.closed(source, requests, by_sender, status, unfinished).into_iter().collect()
            }
        }
    }

    /// Returns the status of the answer and the judged messages.
    fn request(
        &mut self,
        at: Instant,
        source: SocketAddr,
        request: &Request,
        number: u64,
    ) -> (u16, Vec<Judged>) {
        let mut inspection = inspect::request(request, self.bulk);
        if !self.bulk && number > 1 && is_unterminated(&inspection) {
            let text =
                "no line feed at the end; Graylog 5 to 7.0 in bulk mode joins the bodies of a connection";
            let joined = Violation::odd("R29", "UnterminatedBody", text).at(excerpt_of(&inspection));
            inspection.violations.push(joined);
        }
        self.tally.received(request, number, &inspection);
        if request.method == "OPTIONS" {
            // A preflight request of a browser is not a message.
            return (200, Vec::new());
        }
        self.not_judged += inspection.not_judged as u64;
        let refusal = graylog::refusal(request, &inspection).filter(|_| self.as_graylog);
        if let Some(status) = refusal {
            return (status, judge(source, request, inspection));
        }
        if self.tally.accepts() {
            return (self.status, judge(source, request, inspection));
        }
        let retried = self.take_retried(at, source, &mut inspection.messages, &request.body);
        let mut judged = Vec::new();
        let is_new = retried.is_empty() || !inspection.messages.is_empty();
        if is_new {
            judged = judge(source, request, inspection);
        }
        if let Some(first) = retried.first().filter(|_| self.tally.is_final()) {
            let text = format!("retried, although the answer was {}", self.status);
            let again =
                Violation::broken("R42", "RetriedInVain", text).at(excerpt(bytes_of(first, &request.body)));
            judged.push(violation(source, again, false));
        }
        (if is_new { self.status } else { 202 }, judged)
    }

    /// Splits the messages of a request. Those that were refused before are removed from `messages` and returned.
    /// The new messages stay in `messages`, and are remembered as refused. If there are new messages, the whole
    /// request is refused. If the status demands retries, the returned messages must then be retried again.
    fn take_retried(
        &mut self,
        at: Instant,
        source: SocketAddr,
        messages: &mut Vec<Inspection>,
        body: &[u8],
    ) -> Vec<Inspection> {
        let hash_of = |message: &Inspection| hash(bytes_of(message, body));
        let (retried, new): (Vec<_>, Vec<_>) =
            messages.drain(..).partition(|message| self.refused.contains_key(&hash_of(message)));
        let settles = new.is_empty() || !self.tally.is_to_be_retried();
        for message in &retried {
            let Some(refused) = self.refused.get_mut(&hash_of(message)) else { continue };
            match refused {
                Refused { is_settled: true, .. } => {}
                _ if settles => {
                    refused.is_settled = true;
                    self.tally.repeated(at.duration_since(refused.at));
                }
                _ => refused.at = at,
            }
        }
        for message in &new {
            let hash = hash_of(message);
            // Equal messages in one body count once.
            if self.refused.contains_key(&hash) {
                continue;
            }
            self.tally.refused += 1;
            if self.refused.len() < MAX_REMEMBERED {
                let excerpt = excerpt(bytes_of(message, body));
                self.refused.insert(hash, Refused { at, source, is_settled: false, excerpt });
            }
        }
        *messages = new;
        retried
    }

    fn fault(&mut self, source: SocketAddr, fault: &Fault) -> Judged {
        self.tally.answered(fault.status);
        violation(source, inspect::request_fault(fault), true)
    }

    /// Handles the end of a connection. Returns its violation, if any.
    fn closed(
        &mut self,
        source: SocketAddr,
        requests: u64,
        by_sender: bool,
        status: Option<u16>,
        unfinished: Option<(Vec<u8>, usize)>,
    ) -> Option<Judged> {
        if let Some((head, body_bytes)) = unfinished {
            if !by_sender {
                self.left += 1;
                return None;
            }
            let text = format!(
                "the connection ended after {} bytes of the head and {body_bytes} of the body",
                head.len()
            );
            let cut = Violation::broken("R28", "IncompleteRequest", text).at(excerpt(&head));
            return Some(violation(source, cut, true));
        }
        // After a refusal, closing the connection is no violation.
        let is_refused = status.is_some_and(|status| !(200..300).contains(&status));
        if requests != 1 || !by_sender || is_refused || !self.tally.accepts() {
            return None;
        }
        if self.short_connections.len() >= MAX_SENDERS && !self.short_connections.contains_key(&source.ip()) {
            return None;
        }
        let short = self.short_connections.entry(source.ip()).or_default();
        *short += 1;
        // The first such connection is no violation, because a sender can have other reasons to end it.
        (*short > 1).then(|| {
            let text = format!("the sender ended {short} connections after one request each");
            violation(source, Violation::odd("R28", "NoKeepAlive", text), false)
        })
    }

    /// Returns a violation for each refused message that was not retried although it had to be. Messages that
    /// were refused just before the end of the run are only counted.
    pub(super) fn finish(&mut self, now: Instant) -> Vec<Judged> {
        if !self.tally.is_to_be_retried() {
            return Vec::new();
        }
        let mut missing: Vec<_> = self.refused.drain().map(|(_, refused)| refused).collect();
        missing.retain(|refused| !refused.is_settled);
        missing.sort_by_key(|refused| refused.at);
        let mut judged = Vec::new();
        for Refused { at, source, excerpt, .. } in missing {
            let since = now.duration_since(at);
            if since < MIN_RETRY_TIME {
                self.tally.too_late += 1;
                continue;
            }
            let text =
                format!("answered with {}, and not retried within {:.1} s", self.status, since.as_secs_f64());
            let lost = Violation::broken("R42", "NotRetried", text).at(excerpt);
            judged.push(violation(source, lost, false));
        }
        judged
    }
}

/// Judges each message of a request. The violations of the request itself count for the first message.
fn judge(source: SocketAddr, request: &Request, inspection: HttpInspection) -> Vec<Judged> {
    let HttpInspection { violations, messages, .. } = inspection;
    let compression = Some(encoding_word(&request.body));
    let is_message = !messages.is_empty();
    let messages = if is_message { messages } else { vec![Inspection::default()] };
    let mut of_request = violations.clone();
    messages
        .into_iter()
        .map(|mut message| {
            let delivery = Delivery::posted(&request.body, &violations, &message);
            message.violations.splice(0..0, std::mem::take(&mut of_request));
            Judged { source, delivery, parts: Vec::new(), inspection: message, compression, is_message }
        })
        .collect()
}

fn violation(source: SocketAddr, violation: Violation, is_message: bool) -> Judged {
    Judged::violation(source, Transport::Http, Vec::new(), violation, is_message)
}

/// Returns whether the inflated body is not empty and does not end with a line feed.
fn is_unterminated(inspection: &HttpInspection) -> bool {
    inspection.body_bytes.is_some_and(|bytes| bytes > 0) && !inspection.ends_with_line_feed
}

fn excerpt_of(inspection: &HttpInspection) -> String {
    excerpt(inspection.messages.first().map(|message| bytes_of(message, &[])).unwrap_or_default())
}

/// Returns the bytes by which a retry of a message is recognised: the payload, or the body if it cannot be
/// inflated.
fn bytes_of<'b>(message: &'b Inspection, body: &'b [u8]) -> &'b [u8] {
    message.payload.as_deref().unwrap_or(body)
}

fn hash(bytes: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::http::RequestReader;

    const MESSAGE: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn source() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1000))
    }

    fn requests(bulk: bool, status: u16) -> Requests {
        Requests::new(HttpSetup { bulk, status, as_graylog: false })
    }

    fn event(kind: HttpEventKind) -> HttpEvent {
        HttpEvent { source: source(), bytes: 0, kind }
    }

    fn names(judged: &[Judged]) -> Vec<String> {
        let violations = judged.iter().flat_map(|judged| &judged.inspection.violations);
        violations.map(|violation| format!("{} {}", violation.rule, violation.name)).collect()
    }

    /// Posts a body. Returns the status and the judged messages.
    fn post(requests: &mut Requests, at: Instant, body: &str) -> (u16, Vec<Judged>) {
        post_as(requests, at, body, 1)
    }

    /// Posts a body as request `number` of its connection.
    fn post_as(requests: &mut Requests, at: Instant, body: &str, number: u64) -> (u16, Vec<Judged>) {
        let mut reader = RequestReader::new(1 << 20);
        let len = body.len();
        let head = "POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ";
        reader.push(format!("{head}{len}\r\n\r\n{body}").as_bytes());
        let request = Box::new(reader.next().unwrap().unwrap());
        let (answer, answered) = sync_channel(1);
        let judged = requests.handle(at, event(HttpEventKind::Request { request, number, answer }));
        (answered.recv().unwrap(), judged)
    }

    fn close(requests: &mut Requests, count: u64, by_sender: bool, status: u16) -> Vec<String> {
        let closed =
            HttpEventKind::Closed { requests: count, by_sender, status: Some(status), unfinished: None };
        names(&requests.handle(Instant::now(), event(closed)))
    }

    #[test]
    fn violations_of_a_request_count_once() {
        let mut requests = requests(true, 202);
        let (status, judged) = post(&mut requests, Instant::now(), &format!("{MESSAGE}\n{MESSAGE}"));
        assert_eq!(status, 202);
        assert_eq!(judged.iter().filter(|judged| judged.is_message).count(), 2);
        assert_eq!(names(&judged), ["R29 UnterminatedLine"]);
        let graylog = crate::receivers().unwrap().remove(0);
        let covers = |judged: &Judged| graylog.rules.iter().any(|rule| rule.covers(&judged.delivery));
        assert_eq!(judged.iter().map(covers).collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn messages_answered_with_503_must_be_retried() {
        let mut requests = requests(false, 503);
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(post(&mut requests, at(0), MESSAGE).0, 503);
        let other = MESSAGE.replace("\"m\"", "\"n\"");
        assert_eq!(post(&mut requests, at(0), &other).0, 503);
        let (status, judged) = post(&mut requests, at(2), MESSAGE);
        assert_eq!((status, judged.len()), (202, 0));
        let late = MESSAGE.replace("\"m\"", "\"late\"");
        post(&mut requests, at(9), &late);
        let missing = requests.finish(at(9) + Duration::from_millis(500));
        assert_eq!(names(&missing), ["R42 NotRetried"]);
        let violation = &missing[0].inspection.violations[0];
        assert_eq!(violation.text, "answered with 503, and not retried within 9.5 s");
        assert!(violation.excerpt.contains("\\\"n\\\""), "{}", violation.excerpt);
        assert!(!missing[0].is_message);
        assert_eq!((requests.tally.refused, requests.tally.too_late), (3, 1));
    }

    #[test]
    fn bodies_that_cannot_be_inflated_are_compared_by_their_bytes() {
        let mut requests = requests(false, 503);
        let now = Instant::now();
        assert_eq!(post(&mut requests, now, "x\u{9c}one").0, 503);
        assert_eq!(post(&mut requests, now, "x\u{9c}two").0, 503, "another body");
        assert_eq!(post(&mut requests, now, "x\u{9c}one").0, 202, "a retry");
        let missing = requests.finish(now + Duration::from_secs(60));
        assert_eq!(names(&missing), ["R42 NotRetried"]);
        assert!(missing[0].inspection.violations[0].excerpt.contains("two"));
    }

    #[test]
    fn messages_may_be_retried_in_other_bodies() {
        let mut requests = requests(true, 429);
        let now = Instant::now();
        let other = MESSAGE.replace("\"m\"", "\"n\"");
        assert_eq!(post(&mut requests, now, &format!("{MESSAGE}\n{other}\n")).0, 429);
        assert_eq!(post(&mut requests, now, &format!("{other}\n")).0, 202);
        assert_eq!(post(&mut requests, now, &format!("{MESSAGE}\n")).0, 202);
        assert_eq!(names(&requests.finish(now + Duration::from_secs(60))), [""; 0]);
    }

    #[test]
    fn a_message_that_is_retried_with_a_new_one_is_counted_once_and_retried_again() {
        let first = "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"m\",\"level\":8}";
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let refused_twice = |status| {
            let mut requests = requests(true, status);
            let (_, judged) = post(&mut requests, at(0), &format!("{first}\n"));
            assert_eq!((judged.len(), names(&judged)), (1, vec!["R7 LevelRange".to_owned()]));
            let (answered, judged) = post(&mut requests, at(10), &format!("{first}\n{MESSAGE}\n"));
            assert_eq!((answered, judged.iter().filter(|judged| judged.is_message).count()), (status, 1));
            (requests, names(&judged))
        };
        let (mut requests, violations) = refused_twice(503);
        assert_eq!(violations, [""; 0]);
        let (status, judged) = post(&mut requests, at(12), &format!("{first}\n{MESSAGE}\n"));
        assert_eq!((status, judged.len(), requests.tally.refused), (202, 0, 2));
        assert_eq!(names(&requests.finish(at(60))), [""; 0]);
        assert!(
            requests.tally.lines().iter().any(|(_, line)| {
                line == "of 2 messages answered with 503, 2 retried, after 2.0 to 2.0 s"
            })
        );

        // The sender gives up after the second refusal.
        let (mut requests, _) = refused_twice(503);
        let missing = requests.finish(at(20));
        assert_eq!(names(&missing), ["R42 NotRetried"; 2]);
        assert!(missing.iter().all(|lost| lost.inspection.violations[0].text.ends_with("within 10.0 s")));

        assert_eq!(refused_twice(400).1, ["R42 RetriedInVain"]);
    }

    #[test]
    fn the_status_decides_whether_messages_must_be_retried() {
        let now = Instant::now();
        let [lost, vain] = ["R42 NotRetried", "R42 RetriedInVain"].map(|name| vec![name.to_owned()]);
        for (statuses, once, twice) in [
            (&[301, 308, 401, 403, 404, 405, 407, 408, 429, 500, 503][..], &lost, &vec![]),
            (&[400, 413, 415, 422], &vec![], &vain),
            (&[402, 409, 451], &vec![], &vec![]),
        ] {
            for status in statuses {
                let mut requests = requests(false, *status);
                assert_eq!(post(&mut requests, now, MESSAGE).0, *status);
                let (again, judged) = post(&mut requests, now, MESSAGE);
                assert_eq!((again, &names(&judged)), (202, twice), "{status}");
                let mut requests = self::requests(false, *status);
                post(&mut requests, now, MESSAGE);
                assert_eq!(&names(&requests.finish(now + Duration::from_secs(60))), once, "{status}");
            }
        }
    }

    #[test]
    fn a_second_body_that_does_not_end_with_a_line_feed_is_odd() {
        let is_odd = |bulk, number, body: &str| {
            let (_, judged) = post_as(&mut requests(bulk, 202), Instant::now(), body, number);
            names(&judged).iter().any(|name| name == "R29 UnterminatedBody")
        };
        assert!(!is_odd(false, 1, MESSAGE), "the first body of a connection");
        // Only the end of the body matters, also if the body has several messages or an array.
        for body in [MESSAGE, &format!("{MESSAGE}\n{MESSAGE}"), &format!("[{MESSAGE},{MESSAGE}]"), "[]"] {
            assert!(is_odd(false, 2, body), "{body:?}");
            assert!(!is_odd(false, 2, &format!("{body}\n")), "{body:?}");
            assert!(!is_odd(true, 2, &format!("{body}\n")), "{body:?}");
        }
        assert!(!is_odd(false, 2, ""), "a body without bytes");
    }

    #[test]
    fn accepted_messages_may_be_repeated() {
        let mut requests = requests(false, 202);
        let now = Instant::now();
        for _ in 0..2 {
            let (status, judged) = post(&mut requests, now, MESSAGE);
            assert_eq!((status, judged.len(), names(&judged)), (202, 1, vec![]));
        }
        assert_eq!(requests.finish(now + Duration::from_secs(60)).len(), 0);
    }

    #[test]
    fn repeated_connections_with_one_request_each_are_odd() {
        let mut requests = requests(false, 202);
        assert_eq!(close(&mut requests, 1, true, 202), [""; 0]);
        assert_eq!(close(&mut requests, 2, true, 202), [""; 0]);
        assert_eq!(close(&mut requests, 1, false, 202), [""; 0]);
        assert_eq!(close(&mut requests, 1, true, 202), ["R28 NoKeepAlive"]);
        assert_eq!(close(&mut requests, 1, true, 404), [""; 0], "after a refusal");
    }

    #[test]
    fn a_truncated_request_is_reported() {
        let mut requests = requests(false, 202);
        let cut = |by_sender| {
            let unfinished = Some((b"POST /gelf HTTP/1.1\r\n".to_vec(), 3));
            event(HttpEventKind::Closed { requests: 0, by_sender, status: None, unfinished })
        };
        assert_eq!(names(&requests.handle(Instant::now(), cut(true))), ["R28 IncompleteRequest"]);
        assert_eq!(names(&requests.handle(Instant::now(), cut(false))), [""; 0]);
        assert_eq!(requests.left, 1);
    }

    #[test]
    fn remembered_messages_are_bounded() {
        let mut requests = requests(true, 503);
        let lines: String = (0..MAX_REMEMBERED + 10).map(|at| format!("{{\"a\":{at}}}\n")).collect();
        post(&mut requests, Instant::now(), &lines);
        assert_eq!(requests.refused.len(), MAX_REMEMBERED);
        assert_eq!(requests.tally.refused, MAX_REMEMBERED as u64 + 10);
    }
}
