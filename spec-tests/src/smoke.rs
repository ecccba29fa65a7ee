//! A smoke test of an adapter: a conversation that shows mistakes in the use of the protocol, with remedies.

mod answers;

use std::time::{Duration, Instant};

use crate::process::{HELLO_TIMEOUT, NoLine, Running};
use crate::protocol::{self, ONLY_MODE};
use crate::recipe::Content;
use crate::subject::{Description, Reply, Request};
use crate::text::shortened;
use crate::vector::{ChunkRequest, FieldValue, Input, Limits, MessageText, SendRequest, Step};

/// A mistake of an adapter, or of its library.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// True if the mistake may be in the library. Such a mistake does not fail the test of the adapter.
    pub is_doubtful: bool,
    /// The observed behaviour.
    pub found: String,
    /// The change of the adapter that corrects the mistake.
    pub remedy: String,
}

/// A part of the smoke test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// The part of the protocol, such as `hello` or `receive udp`.
    pub part: String,
    /// The observed behaviour, or the mistake.
    pub result: Result<String, Mistake>,
}

/// Length of the text in the long payload, in bytes. Some line readers have a limit of 64 KiB.
const LONG_BYTES: usize = 300_000;

/// Maximum wait for a line that is not the answer to a request.
const UNASKED: Duration = Duration::from_millis(100);

/// Tests an adapter. Starts a subject by a shell command line, asks for its description, and makes one or more
/// requests of each kind that the subject declares. `report` is called with the result of each part. Returns
/// false if a part has a mistake that is not doubtful.
///
/// # Errors
/// Returns an error if a request cannot be written as JSON, or if a subject that has ended cannot be started
/// again.
pub fn check_subject(
    command: &str,
    timeout: Duration,
    report: &mut dyn FnMut(Check),
) -> Result<bool, String> {
    let mut smoke = Smoke { command, timeout, report, running: None, is_good: true };
    if let Some(description) = smoke.hello()? {
        smoke.abilities(&description);
        smoke.receive(&description)?;
        smoke.send(&description)?;
        smoke.end()?;
    }
    Ok(smoke.is_good)
}

struct Smoke<'a> {
    command: &'a str,
    timeout: Duration,
    report: &'a mut dyn FnMut(Check),
    running: Option<Running>,
    is_good: bool,
}

type Checked = Result<String, Mistake>;

fn mistake<T>(found: impl Into<String>, remedy: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake { is_doubtful: false, found: found.into(), remedy: remedy.into() })
}

/// Returns a doubtful mistake, which may be in the library.
fn doubt<T>(found: impl Into<String>, remedy: impl Into<String>) -> Result<T, Mistake> {
    let remedy = format!("{}; if the library itself behaves like this, the adapter is right", remedy.into());
    Err(Mistake { is_doubtful: true, found: found.into(), remedy })
}

impl Smoke<'_> {
    fn tell(&mut self, part: &str, result: Checked) {
        self.is_good &= result.as_ref().map_or_else(|mistake| mistake.is_doubtful, |_| true);
        (self.report)(Check { part: part.to_owned(), result });
    }

    /// Starts the subject and returns its description.
    fn hello(&mut self) -> Result<Option<Description>, String> {
        let hello = protocol::hello()?;
        let started = Instant::now();
        let by_hand = || format!("run it by hand: echo '{hello}' | {}", self.command);
        let answer = match Running::start(self.command) {
            Err(error) => mistake(error.to_string(), by_hand()),
            Ok(mut running) => match running.exchange(&hello, HELLO_TIMEOUT.min(self.timeout * 4)) {
                Ok(line) => Ok((running, line)),
                Err(NoLine::Ended(words)) => {
                    mistake(format!("it ended without an answer: {words}"), by_hand())
                }
                Err(NoLine::TimedOut) => Err(self.silent(&hello)),
            },
        };
        let described = answer.and_then(|(running, line)| match protocol::description(&line) {
            Err(error) => mistake(
                error,
                "the section 'hello' of PROTOCOL.md has the members of the answer and their words",
            ),
            Ok(description) => match running.unasked(UNASKED) {
                Some(line) => mistake(
                    format!("a line that is no answer: {}", shortened(&line)),
                    "write only answers to standard output, and diagnostics to standard error",
                ),
                None => Ok((running, description)),
            },
        });
        match described {
            Ok((running, description)) => {
                let Description { name, version, language, .. } = &description;
                let found = format!("{name} {version} ({language}), {} ms", started.elapsed().as_millis());
                self.tell("hello", Ok(found));
                self.running = Some(running);
                Ok(Some(description))
            }
            Err(mistake) => {
                self.tell("hello", Err(mistake));
                Ok(None)
            }
        }
    }

    /// Returns the mistake of a subject that does not answer this line. Starts the subject again, to see
    /// whether it answers when its input ends.
    fn silent(&self, line: &str) -> Mistake {
        let at_end =
            Running::start(self.command).is_ok_and(|running| running.answers_at_end(line, self.timeout));
        let (found, remedy) = if at_end {
            (
                "it answers only when its input ends",
                "flush standard output after each line, and read line by line",
            )
        } else {
            ("no answer in time", "answer each request, or allow more time with --timeout")
        };
        Mistake { is_doubtful: false, found: found.to_owned(), remedy: remedy.to_owned() }
    }

    /// Checks that the declared words fit together.
    fn abilities(&mut self, of: &Description) {
        let receives = ["payload", "datagrams", "stream"].iter().any(|word| of.can(word));
        let result = if !receives && !of.can("send") && !of.can("chunk") {
            mistake("'can' has no request", "declare payload, datagrams, stream, send or chunk")
        } else if of.can("send") && of.sends.is_empty() {
            mistake("it can send, but 'sends' is empty", "list udp, tcp or both in 'sends'")
        } else if !of.can("send") && !of.sends.is_empty() {
            mistake("'sends' has a transport, but 'can' has no send", "declare send in 'can'")
        } else if of.can("clock") && !of.can("datagrams") {
            mistake("it has a clock, but receives no datagrams", "only datagrams have times; leave out clock")
        } else {
            let words = |words: &std::collections::BTreeSet<String>| {
                words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            };
            let sends =
                if of.sends.is_empty() { String::new() } else { format!("; sends {}", words(&of.sends)) };
            Ok(format!("{}{sends}", words(&of.can)))
        };
        self.tell("abilities", result);
    }

    /// Makes a request. If the subject does not run, starts it again first. Returns the reply and the time that
    /// it took, or the mistake.
    fn ask(
        &mut self,
        of: &Description,
        id: &str,
        input: Input<'_>,
    ) -> Result<Result<(Reply, Duration), Mistake>, String> {
        let request = Request { id, input, limits: Limits::default(), mode: ONLY_MODE };
        let line = match protocol::line(&request, of)? {
            Ok(line) => line,
            Err(why) => return Ok(Ok((Reply::Unsupported(why), Duration::ZERO))),
        };
        let mut running = match self.running.take() {
            Some(running) => running,
            None => {
                let mut running = Running::start(self.command).map_err(|error| error.to_string())?;
                let _ = running.exchange(&protocol::hello()?, HELLO_TIMEOUT);
                running
            }
        };
        let started = Instant::now();
        Ok(match running.exchange(&line, self.timeout) {
            Ok(answer) => match protocol::reply(id, &answer) {
                Ok(reply) => {
                    self.running = Some(running);
                    Ok((reply, started.elapsed()))
                }
                Err(error) if error.starts_with("answer to") => {
                    mistake(error, "copy the 'id' of the request, and answer each request with one line")
                }
                Err(error) => mistake(error, "protocol.schema.json has the members of the answer"),
            },
            Err(NoLine::Ended(words)) => mistake(
                format!("it ended: {words}"),
                "catch only errors that a caller of the library expects, and answer 'crashed' for others",
            ),
            Err(NoLine::TimedOut) => {
                let mut silent = self.silent(&line);
                silent.found = format!("no answer within {:?}", self.timeout);
                Err(silent)
            }
        })
    }

    fn receive(&mut self, of: &Description) -> Result<(), String> {
        let payload = payload("m");
        let stream = [Content::from([&payload, &b"\0"[..]].concat())];
        let datagram = [step(payload.clone())];
        for (ability, part, input) in [
            ("payload", "receive payload", Input::Payload(&payload)),
            ("datagrams", "receive udp", Input::Datagrams(&datagram)),
            ("stream", "receive tcp", Input::Stream(&stream)),
        ] {
            if of.can(ability) {
                let answer = self.ask(of, "check-receive", input)?;
                let result = answer.and_then(|(reply, time)| {
                    answers::observed(reply).and_then(|seen| answers::received(&seen, time))
                });
                self.tell(part, result);
            }
        }
        let long = self::payload(&"m".repeat(LONG_BYTES));
        let frame = [Content::from([&long, &b"\0"[..]].concat())];
        if let Some(input) = long_input(of, &long, &frame) {
            let answer = self.ask(of, "check-long", input)?;
            let result = answer.and_then(|(reply, time)| {
                answers::observed(reply).and_then(|seen| answers::long(&seen, LONG_BYTES, time))
            });
            self.tell("a long line", result);
        }
        if of.can("datagrams") {
            let half = |number: u8| {
                let middle = payload.len() / 2;
                let (first, last) = payload.split_at(middle);
                let head = [0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, 2];
                [step([&head[..], if number == 0 { first } else { last }].concat())]
            };
            let first = self.ask(of, "check-first-half", Input::Datagrams(&half(0)))?;
            let second = self.ask(of, "check-second-half", Input::Datagrams(&half(1)))?;
            let result = first.and_then(|(reply, _)| answers::alive(reply)).and(second);
            let result = result.and_then(|(reply, _)| answers::alive(reply)).and_then(|reply| match reply {
                Reply::Observed(seen) if !seen.messages.is_empty() => mistake(
                    "a chunk of an earlier request completed a message",
                    "begin each request with a new receiver",
                ),
                _ => Ok("no request sees the chunks of an earlier one".to_owned()),
            });
            self.tell("fresh state", result);
        }
        Ok(())
    }

    fn send(&mut self, of: &Description) -> Result<(), String> {
        let field = |name: &str, value: &str| (name.to_owned(), FieldValue::Text(value.to_owned()));
        let message = MessageText {
            host: Some("h".to_owned()),
            short_message: "m".to_owned(),
            fields: vec![field("user", "x")],
            ..MessageText::default()
        };
        for transport in of.sends.iter().filter(|_| of.can("send")) {
            let mut result = mistake(
                "it does not support the simplest request",
                "leave out the transport in 'sends', or support a message of host, text and a field",
            );
            for compression in ["none", "gzip", "zlib"] {
                let request = SendRequest {
                    transport: transport.clone(),
                    compression: Some(compression.to_owned()),
                    datagram_size: 1420,
                    message: message.clone(),
                };
                result = match self.ask(of, "check-send", Input::Send(&request))? {
                    Ok((Reply::Unsupported(_), _)) => continue,
                    Ok((reply, time)) => answers::observed(reply)
                        .and_then(|seen| answers::sent(&seen, compression, of))
                        .map(|bytes| {
                            let time = time.as_millis();
                            format!("{bytes} bytes, compression {compression}, {time} ms")
                        }),
                    Err(mistake) => Err(mistake),
                };
                break;
            }
            self.tell(&format!("send {transport}"), result);
        }
        if of.can("chunk") {
            let payload = Content::from(payload(&"m".repeat(3000)));
            let mut result = Ok("no supported size".to_owned());
            // Some libraries support only one datagram size.
            for datagram_size in [1420, 1432, 8192] {
                let request = ChunkRequest { datagram_size, payload: payload.clone() };
                result = match self.ask(of, "check-chunk", Input::Chunk(&request))? {
                    Ok((Reply::Unsupported(_), _)) => continue,
                    Ok((reply, _)) => answers::observed(reply)
                        .and_then(|seen| answers::chunks(&seen, &payload, datagram_size)),
                    Err(mistake) => Err(mistake),
                };
                break;
            }
            self.tell("chunk", result);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        if let Some(running) = self.running.take() {
            let result = if running.ends() {
                Ok("it ends when its input ends".to_owned())
            } else {
                mistake(
                    "it runs on after its input has ended",
                    "end when standard input ends; stop all threads",
                )
            };
            self.tell("end", result);
        }
        Ok(())
    }
}

/// Returns the input of the long request, or `None` if the subject receives neither payloads nor streams: a
/// datagram cannot be as long.
fn long_input<'i>(of: &Description, payload: &'i [u8], frame: &'i [Content]) -> Option<Input<'i>> {
    if of.can("payload") {
        Some(Input::Payload(payload))
    } else {
        of.can("stream").then_some(Input::Stream(frame))
    }
}

fn payload(text: &str) -> Vec<u8> {
    format!(r#"{{"version":"1.1","host":"h","short_message":"{text}","level":3,"_user":"x","_n":42}}"#)
        .into_bytes()
}

fn step(datagram: Vec<u8>) -> Step {
    Step { at: 0.0, from: "A".to_owned(), datagram: Some(datagram.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_line_is_never_a_datagram() {
        let frame = [Content::from(b"{}\0".to_vec())];
        let input = |can: &[&str]| long_input(&Description::new("a subject", "none", can, ""), b"{}", &frame);
        assert!(matches!(input(&["datagrams", "payload", "stream"]), Some(Input::Payload(_))));
        assert!(matches!(input(&["datagrams", "stream"]), Some(Input::Stream(_))));
        assert!(input(&["datagrams"]).is_none());
    }
}
