//! Checks the HTTP requests of a sender.

use super::values::{Form, Values};
use super::{Inspection, Violation, inspect_payload};
use crate::http::{self, Fault, Request};
use crate::reader::{self, Encoding, encoding};
use crate::recipe::first_bytes;

/// Path of requests that send GELF messages.
const PATH: &str = "/gelf";

/// Maximum size of an inflated body that Graylog accepts, in bytes. It is the default of `max_chunk_size`.
pub const GRAYLOG_BODY_BYTES: usize = 65_536;

/// Number of bytes that an excerpt of compressed data shows.
const SHOWN_BYTES: usize = 16;

/// Result of inspecting a request.
#[derive(Clone, Debug, Default)]
pub struct HttpInspection {
    /// Violations of the request itself.
    pub violations: Vec<Violation>,
    /// Length of the inflated body, or `None` if it cannot be inflated.
    pub body_bytes: Option<usize>,
    /// True if the inflated body ends with a line feed.
    pub ends_with_line_feed: bool,
    /// The messages of the body. A value that is not a message is included, too. If the body cannot be
    /// inflated, there is one entry without a payload. The list is empty for an empty array.
    pub messages: Vec<Inspection>,
    /// Number of messages that were not inspected because the body has too many messages.
    pub not_judged: usize,
}

impl HttpInspection {
    fn add(&mut self, violation: Violation) {
        self.violations.push(violation);
    }
}

/// Inspects a request. `bulk` tells whether the intended receiver reads one message per line.
pub fn request(request: &Request, bulk: bool) -> HttpInspection {
    let mut inspection = HttpInspection::default();
    inspect_head(&mut inspection, request);
    let Some(body) = inflated(&mut inspection, request) else {
        inspection.messages.push(Inspection::default());
        return inspection;
    };
    inspection.body_bytes = Some(body.len());
    inspection.ends_with_line_feed = body.ends_with(b"\n");
    if body.len() > GRAYLOG_BODY_BYTES {
        let text = format!("{} bytes; Graylog answers 413 above {GRAYLOG_BODY_BYTES}", body.len());
        inspection.add(Violation::odd("R41", "BodyTooLong", text).at(http::excerpt(&body)));
    }
    inspect_values(&mut inspection, &body, bulk);
    inspection
}

/// Returns the violation of a request that cannot be parsed.
pub fn request_fault(fault: &Fault) -> Violation {
    let violation = match fault.status {
        413 => Violation::odd("R41", "BodyTooLong", &fault.text),
        _ => Violation::broken("R28", "HttpSyntax", &fault.text),
    };
    violation.at(&fault.excerpt)
}

fn inspect_head(inspection: &mut HttpInspection, request: &Request) {
    let line = || format!("{:?}", format!("{} {} {}", request.method, request.target, request.version));
    for fault in &request.faults {
        inspection.add(Violation::broken("R28", "HttpHeaders", &fault.text).at(fault.excerpt.clone()));
    }
    if request.method != "POST" {
        let text = "a method other than POST; Graylog answers 405";
        inspection.add(Violation::broken("R28", "Method", text).at(line()));
    }
    if request.target != PATH {
        let text = if request.target.strip_prefix(PATH).is_some_and(|rest| rest.starts_with('?')) {
            "a query after /gelf; Graylog answers 404"
        } else {
            "a path other than /gelf; Graylog answers 404"
        };
        inspection.add(Violation::broken("R28", "Path", text).at(line()));
    }
    let content_type = request.headers("content-type").next();
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let (text, excerpt) = match content_type {
            Some(value) => {
                ("a Content-Type other than application/json", format!("\"Content-Type: {value}\""))
            }
            None => ("no Content-Type", String::new()),
        };
        inspection.add(Violation::odd("R28", "ContentType", text).at(excerpt));
    }
    if !request.keeps_alive() {
        let text = "a connection for each request";
        let connection = request.headers("connection").next();
        let excerpt = connection.map_or_else(line, |value| format!("\"Connection: {value}\""));
        inspection.add(Violation::odd("R28", "NoKeepAlive", text).at(excerpt));
    }
}

/// Inflates the body. The first bytes of the body decide its encoding, not the header `Content-Encoding`.
/// Records a violation if the header does not state this encoding.
fn inflated(inspection: &mut HttpInspection, request: &Request) -> Option<Vec<u8>> {
    let codings: Vec<_> = request.headers("content-encoding").collect();
    let coding = codings.join(",");
    let body = &request.body;
    let found = encoding(body);
    let shown = || {
        let header =
            if coding.is_empty() { String::new() } else { format!("\"Content-Encoding: {coding}\" ") };
        format!("{header}before {}", first_bytes(body, SHOWN_BYTES))
    };
    let is_compressed = matches!(found, Encoding::Gzip | Encoding::Zlib | Encoding::SmallZlib);
    // True if the header agrees with the body, or its violation has been recorded.
    let is_header_judged = match coding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" if is_compressed => {
            let text = "compressed without a header; Graylog recognises the first bytes";
            inspection.add(Violation::odd("R28", "UndeclaredEncoding", text).at(shown()));
            true
        }
        "" | "identity" => true,
        "gzip" | "x-gzip" => found == Encoding::Gzip,
        "deflate" | "x-deflate" => matches!(found, Encoding::Zlib | Encoding::SmallZlib),
        _ if is_compressed => {
            let text = "not the encoding of the body, which Graylog inflates by its first bytes";
            inspection.add(Violation::odd("R28", "ContentEncoding", text).at(shown()));
            true
        }
        _ => {
            let text = "an encoding that Graylog does not know";
            inspection.add(Violation::broken("R28", "ContentEncoding", text).at(shown()));
            true
        }
    };
    if !is_header_judged {
        let text = "the body has another encoding than the header";
        inspection.add(Violation::broken("R28", "EncodingMismatch", text).at(shown()));
    }
    if found == Encoding::SmallZlib {
        let text = "zlib with a window below 32 KiB; some receivers take it as plain text";
        inspection.add(Violation::broken("R24", "SmallWindow", text).at(shown()));
    }
    match found {
        Encoding::Plain => Some(body.clone()),
        Encoding::Gzip | Encoding::Zlib | Encoding::SmallZlib => match reader::inflated(body) {
            Ok((inflated, trailing)) => {
                if trailing > 0 {
                    let text = format!("{trailing} bytes after the compressed data");
                    inspection.add(Violation::broken("R13", "TrailingAfterCompressed", text).at(shown()));
                }
                Some(inflated)
            }
            Err(fault) => {
                let violation = if fault.name == "CompressionLimit" {
                    Violation::odd("R41", fault.name, format!("more than {} bytes", fault.at))
                } else {
                    Violation::broken("R28", fault.name, "a body that cannot be inflated")
                };
                inspection.add(violation.at(shown()));
                None
            }
        },
        // A mismatch between header and body has been recorded above, and is not recorded again.
        _ => {
            if is_header_judged {
                let text = "neither JSON nor a known encoding";
                inspection.add(Violation::broken("R28", "UnknownMagic", text).at(shown()));
            }
            None
        }
    }
}

fn inspect_values(inspection: &mut HttpInspection, body: &[u8], bulk: bool) {
    let values = Values::of(body, bulk);
    inspection.not_judged = values.more;
    let count = values.values.len() + values.more;
    match values.form {
        Form::Array { is_closed, trailing } => {
            let text =
                format!("an array of {count}; Graylog accepts arrays since 7.1, and only in bulk mode");
            inspection.add(Violation::odd("R29", "ArrayBody", text).at(http::excerpt(body)));
            if !is_closed {
                let text = "an unclosed array";
                inspection.add(Violation::broken("R1", "JsonSyntax", text).at(http::excerpt(body)));
            }
            if trailing > 0 {
                let text = format!("{trailing} bytes after the array");
                inspection.add(Violation::broken("R1", "TrailingData", text).at(http::excerpt(body)));
            }
        }
        Form::Lines { is_terminated: false } => {
            let text = "no line feed at the end; Graylog holds back the last line until the connection ends";
            let (_, end) = body.split_at(body.len().saturating_sub(SHOWN_BYTES * 2));
            let end = format!("ends with {}", http::excerpt(end));
            inspection.add(Violation::odd("R29", "UnterminatedLine", text).at(end));
        }
        _ => {}
    }
    for (at, value) in values.values.into_iter().enumerate() {
        let mut message = Inspection { payload: Some(value.to_vec()), violations: Vec::new() };
        inspect_payload(&mut message);
        if values.form == Form::Several && at > 0 {
            let text = format!("message {} of {count} in one body; Graylog accepts only the first", at + 1);
            let several = Violation::broken("R28", "SeveralMessages", text);
            message.violations.push(several.at(http::excerpt(value)));
        }
        inspection.messages.push(message);
    }
    if inspection.messages.is_empty() && !matches!(values.form, Form::Array { .. }) {
        let mut message = Inspection { payload: Some(Vec::new()), violations: Vec::new() };
        inspect_payload(&mut message);
        inspection.messages.push(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestReader;
    use crate::reader::deflated;

    const MESSAGE: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn posted(first: &str, headers: &str, body: &[u8], bulk: bool) -> HttpInspection {
        let mut reader = RequestReader::new(1 << 20);
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        reader.push(format!("{first}\r\nHost: a\r\n{headers}{length}").as_bytes());
        reader.push(body);
        request(&reader.next().unwrap().unwrap(), bulk)
    }

    fn names(inspection: &HttpInspection) -> Vec<String> {
        let messages = inspection.messages.iter().flat_map(|message| &message.violations);
        let all = inspection.violations.iter().chain(messages);
        all.map(|violation| format!("{:?} {} {}", violation.severity, violation.rule, violation.name))
            .collect()
    }

    const LINE: &str = "POST /gelf HTTP/1.1";
    const JSON: &str = "Content-Type: application/json\r\n";

    fn of_line(first: &str) -> Vec<String> {
        names(&posted(first, JSON, MESSAGE.as_bytes(), false))
    }

    fn of_headers(headers: &str, body: &[u8]) -> Vec<String> {
        names(&posted(LINE, headers, body, false))
    }

    fn of_body(body: &str, bulk: bool) -> Vec<String> {
        names(&posted(LINE, JSON, body.as_bytes(), bulk))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        deflated(bytes, true)
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        deflated(bytes, false)
    }

    #[test]
    fn the_method_is_post() {
        assert_eq!(of_line(LINE), [""; 0]);
        assert_eq!(of_line("PUT /gelf HTTP/1.1"), ["Broken R28 Method"]);
        assert_eq!(of_line("post /gelf HTTP/1.1"), ["Broken R28 Method"]);
    }

    #[test]
    fn the_path_is_exactly_gelf() {
        for target in ["/", "/gelf/", "/GELF", "/gelf?a=b", "http://a/gelf"] {
            assert_eq!(of_line(&format!("POST {target} HTTP/1.1")), ["Broken R28 Path"], "{target}");
        }
    }

    #[test]
    fn a_malformed_header_breaks_a_rule() {
        let headers = format!("{JSON}A : b\r\n");
        assert_eq!(of_headers(&headers, MESSAGE.as_bytes()), ["Broken R28 HttpHeaders"]);
        let inspection = posted(LINE, &headers, MESSAGE.as_bytes(), false);
        assert_eq!(inspection.violations[0].excerpt, "\"A : b\"");
    }

    #[test]
    fn the_body_is_declared_as_json() {
        let of = |value: &str| of_headers(&format!("content-type: {value}\r\n"), MESSAGE.as_bytes());
        assert_eq!(of("application/json"), [""; 0]);
        assert_eq!(of("Application/JSON; charset=utf-8"), [""; 0]);
        assert_eq!(of("text/plain"), ["Odd R28 ContentType"]);
        assert_eq!(of_headers("", MESSAGE.as_bytes()), ["Odd R28 ContentType"]);
    }

    #[test]
    fn connections_are_kept_alive() {
        let of = |value: &str| of_headers(&format!("{JSON}Connection: {value}\r\n"), MESSAGE.as_bytes());
        assert_eq!(of("keep-alive"), [""; 0]);
        assert_eq!(of("close"), ["Odd R28 NoKeepAlive"]);
        assert_eq!(of_line("POST /gelf HTTP/1.0"), ["Odd R28 NoKeepAlive"]);
    }

    #[test]
    fn a_body_matches_its_content_encoding() {
        let of =
            |coding: &str, body: &[u8]| of_headers(&format!("{JSON}Content-Encoding: {coding}\r\n"), body);
        let (plain, gzip, zlib) = (MESSAGE.as_bytes(), gzip(MESSAGE.as_bytes()), zlib(MESSAGE.as_bytes()));
        for (coding, body) in [
            ("gzip", &gzip),
            ("x-gzip", &gzip),
            ("GZIP", &gzip),
            ("deflate", &zlib),
            ("identity", &plain.to_vec()),
        ] {
            assert_eq!(of(coding, body), [""; 0], "{coding}");
        }
        assert_eq!(of_headers(JSON, &gzip), ["Odd R28 UndeclaredEncoding"]);
        assert_eq!(of_headers(JSON, &zlib), ["Odd R28 UndeclaredEncoding"]);
        assert_eq!(of("gzip,deflate", &zlib), ["Odd R28 ContentEncoding"]);
        assert_eq!(of("br", &gzip), ["Odd R28 ContentEncoding"]);
        for (coding, body) in [("gzip", &zlib), ("deflate", &gzip), ("gzip", &plain.to_vec())] {
            assert_eq!(of(coding, body), ["Broken R28 EncodingMismatch"], "{coding}");
        }
        assert_eq!(of("br", plain), ["Broken R28 ContentEncoding"]);
        let zstd = of("zstd", b"\x28\xb5\x2f\xfd");
        assert_eq!(zstd, ["Broken R28 ContentEncoding", "Broken R28 UnknownMagic"]);
        assert_eq!(of("gzip", &gzip[..gzip.len() - 10]), ["Broken R28 CompressionTruncated"]);
        assert_eq!(of("gzip", &[&gzip[..], b"abc"].concat()), ["Broken R13 TrailingAfterCompressed"]);
        assert_eq!(of_headers(JSON, b"\x1e\x0f0123456789"), ["Broken R28 UnknownMagic"]);
        let wrong = posted(LINE, &format!("{JSON}Content-Encoding: gzip,deflate\r\n"), &zlib, false);
        let excerpt = &wrong.violations[0].excerpt;
        assert!(excerpt.starts_with("\"Content-Encoding: gzip,deflate\" before 78 9c "), "{excerpt}");
    }

    #[test]
    fn zlib_data_with_a_small_window_is_inflated() {
        // A window of 4 KiB. The data do not depend on the header.
        let mut small = zlib(MESSAGE.as_bytes());
        small.splice(..2, [0x48, 0x89]);
        let headers = format!("{JSON}Content-Encoding: deflate\r\n");
        assert_eq!(of_headers(&headers, &small), ["Broken R24 SmallWindow"]);
        assert_eq!(of_headers(JSON, &small), ["Odd R28 UndeclaredEncoding", "Broken R24 SmallWindow"]);
        let mismatch = of_headers(&headers.replace("deflate", "gzip"), &small);
        assert_eq!(mismatch, ["Broken R28 EncodingMismatch", "Broken R24 SmallWindow"]);
    }

    #[test]
    fn an_inflated_body_has_at_most_64_kib() {
        let long = |len: usize| {
            let text = "a".repeat(len - MESSAGE.len());
            MESSAGE.replace("\"m\"", &format!("\"m{text}\""))
        };
        let (most, more) = (long(65_536), long(65_537));
        assert_eq!((most.len(), more.len()), (65_536, 65_537));
        assert_eq!(of_body(&most, false), [""; 0]);
        assert_eq!(of_body(&more, false), ["Odd R41 BodyTooLong"]);
        let headers = format!("{JSON}Content-Encoding: gzip\r\n");
        assert_eq!(of_headers(&headers, &gzip(most.as_bytes())), [""; 0]);
        assert_eq!(of_headers(&headers, &gzip(more.as_bytes())), ["Odd R41 BodyTooLong"]);
        let bomb = gzip(&vec![b' '; 9 << 20]);
        assert_eq!(of_headers(&headers, &bomb), ["Odd R41 CompressionLimit"]);
    }

    #[test]
    fn without_bulk_mode_a_body_has_one_message() {
        assert_eq!(of_body(&format!("{MESSAGE}\r\n"), false), [""; 0]);
        assert_eq!(of_body(&MESSAGE.replace(',', ",\n"), false), [""; 0]);
        let several = of_body(&format!("{MESSAGE}\n{MESSAGE}\n{MESSAGE}"), false);
        assert_eq!(several, ["Broken R28 SeveralMessages", "Broken R28 SeveralMessages"]);
    }

    #[test]
    fn in_bulk_mode_each_line_ends_with_a_line_feed() {
        assert_eq!(of_body(&format!("{MESSAGE}\n{MESSAGE}\r\n"), true), [""; 0]);
        assert_eq!(of_body(&format!("{MESSAGE}\n{MESSAGE}"), true), ["Odd R29 UnterminatedLine"]);
        assert_eq!(of_body(MESSAGE, true), ["Odd R29 UnterminatedLine"]);
        assert_eq!(of_body("{\"version\":\"1.1\",\n", true), ["Broken R1 JsonSyntax"]);
    }

    #[test]
    fn a_body_with_an_array_is_odd() {
        let array = format!("[{MESSAGE},{MESSAGE}]");
        for bulk in [false, true] {
            assert_eq!(of_body(&array, bulk), ["Odd R29 ArrayBody"]);
            assert_eq!(of_body("[]", bulk), ["Odd R29 ArrayBody"]);
            assert_eq!(posted(LINE, JSON, b"[]", bulk).messages.len(), 0);
        }
        let bad = format!("[{MESSAGE},{{]");
        assert_eq!(
            of_body(&bad, true),
            ["Odd R29 ArrayBody", "Broken R1 JsonSyntax", "Broken R1 JsonSyntax"]
        );
        let more = format!("[{MESSAGE}] \n{MESSAGE}\n");
        assert_eq!(of_body(&more, true), ["Odd R29 ArrayBody", "Broken R1 TrailingData"]);
        assert_eq!(of_body(&format!("[{MESSAGE}]\r\n"), true), ["Odd R29 ArrayBody"]);
    }

    #[test]
    fn each_payload_is_inspected() {
        let level = MESSAGE.replace('}', ",\"level\":\"3\"}");
        assert_eq!(of_body(&level, false), ["Broken R7 WrongType level"]);
        assert_eq!(of_body(&format!("{MESSAGE}\n{level}\n"), true), ["Broken R7 WrongType level"]);
        assert_eq!(of_body("", false), ["Broken R1 EmptyPayload"]);
        assert_eq!(of_body("\n", true), ["Broken R1 EmptyPayload"]);
    }

    #[test]
    fn invalid_requests_are_judged() {
        let mut reader = RequestReader::new(10);
        reader.push(b"{\"version\":\"1.1\"}\n\n");
        let fault = reader.next().unwrap().unwrap_err();
        let violation = request_fault(&fault);
        assert_eq!((violation.rule, violation.name.as_str()), ("R28", "HttpSyntax"));
        assert_eq!(violation.excerpt, "\"{\\\"version\\\":\\\"1.1\\\"}\"");
        let mut reader = RequestReader::new(10);
        reader.push(b"POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
        assert_eq!(request_fault(&reader.next().unwrap().unwrap_err()).name, "BodyTooLong");
    }
}
