//! The rows of the table.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gelf_core::{Compression, CompressionLevel, DatagramSize, Delimiter, Overflow};

use super::{Access, Field, MASK, Mistake, Row, Show};
use crate::endpoint::WhenFull;
use crate::endpoint::authority::{self, read_host};

const FAILOVER: &str = "Host that takes over when the ones before it fail; may be repeated";
const FAILOVER_HOSTS: &str = "HOST or HOST:PORT, in at most 7 options";
const LEVEL: &str = "a number from 1 to 9";
const LEVEL_DEFAULT: &str = "a level for messages, which has no number";
const LEVEL_HELP: &str = "Compression level: 1 is the fastest of the numbers, and 9 compresses most; the default is faster than 1, and compresses nearly as much as 2";
const PEM_FILE: &str = "the path of a PEM file";
const SECONDS: &str = "a number of seconds, from 1 to 3600";

/// All options, in the order in which they are read and displayed. `level` must follow `compression`, since a
/// level changes the compression that was read before.
pub(in crate::endpoint) static TABLE: [Row; 26] = [
    Row {
        name: "compression",
        values: "gzip, zlib or none",
        default: "gzip",
        help: "Compression of each message",
        field: Field::Udp(Access {
            read: |options, text| {
                options.compression = match text {
                    "gzip" => Compression::Gzip(CompressionLevel::DEFAULT),
                    "none" => Compression::None,
                    "zlib" => Compression::Zlib(CompressionLevel::DEFAULT),
                    _ => return Err(Mistake::Value),
                };
                Ok(())
            },
            show: Show::One(|options| {
                let kind = match options.compression {
                    Compression::Gzip(_) => "gzip",
                    Compression::None => "none",
                    Compression::Zlib(_) => "zlib",
                };
                Some(kind.to_owned())
            }),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "level",
        values: LEVEL,
        default: LEVEL_DEFAULT,
        help: LEVEL_HELP,
        field: Field::Udp(Access {
            read: |options, text| {
                let new = level(text)?;
                match &mut options.compression {
                    Compression::Gzip(level) | Compression::Zlib(level) => *level = new,
                    Compression::None => return Err(Mistake::LevelOfNothing),
                }
                Ok(())
            },
            show: Show::One(|options| match options.compression {
                Compression::Gzip(level) | Compression::Zlib(level) => show_level(level),
                Compression::None => None,
            }),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "datagram_size",
        values: "a number from 13 to 65507",
        default: "1420",
        help: "Bytes of the largest datagram, chunk header included; 8192 for networks without loss",
        field: Field::Udp(Access {
            read: |options, text| {
                options.datagram_size = DatagramSize::new(number(text)?).ok_or(Mistake::Value)?;
                Ok(())
            },
            show: Show::One(|options| Some(options.datagram_size.as_usize().to_string())),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "overflow",
        values: "error or truncate",
        default: "error",
        help: "Behaviour for a message that does not fit into 128 datagrams: dropped, or cut and marked with `_truncated`",
        field: Field::Udp(Access {
            read: |options, text| {
                options.overflow = match text {
                    "error" => Overflow::Error,
                    "truncate" => Overflow::Truncate,
                    _ => return Err(Mistake::Value),
                };
                Ok(())
            },
            show: Show::One(|options| match options.overflow {
                Overflow::Error => Some("error".to_owned()),
                Overflow::Truncate => Some("truncate".to_owned()),
                // No URI can express another behaviour.
                _ => None,
            }),
            is_valid: |options| matches!(options.overflow, Overflow::Error | Overflow::Truncate),
        }),
    },
    Row {
        name: "rate",
        values: "a number of datagrams a second, from 1 to 4294967295",
        default: "no limit",
        help: "Limit of the datagrams sent in a second",
        field: Field::Udp(Access {
            read: |options, text| {
                options.rate = Some(number(text)?);
                Ok(())
            },
            show: Show::One(|options| options.rate.map(|rate| rate.to_string())),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "compression",
        values: "none, GELF over TCP is not compressed",
        default: "none",
        help: "Has no effect; `none` is accepted for uniformity",
        field: Field::Tcp(Access {
            read: |_, text| if text == "none" { Ok(()) } else { Err(Mistake::Value) },
            show: Show::One(|_| None),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "connect_timeout",
        values: SECONDS,
        default: "10",
        help: "Time for one address to accept a connection, and again for the TLS handshake",
        field: Field::Tcp(Access {
            read: |options, text| {
                options.connect_timeout = seconds(text)?;
                Ok(())
            },
            show: Show::One(|options| Some(show_seconds(options.connect_timeout))),
            is_valid: |options| is_valid_time(options.connect_timeout),
        }),
    },
    Row {
        name: "delimiter",
        values: "nul or lf",
        default: "nul",
        help: "Byte at the end of each message: the null byte of GELF, or a line feed for inputs of lines",
        field: Field::Tcp(Access {
            read: |options, text| {
                options.delimiter = match text {
                    "lf" => Delimiter::Newline,
                    "nul" => Delimiter::Nul,
                    _ => return Err(Mistake::Value),
                };
                Ok(())
            },
            show: Show::One(|options| match options.delimiter {
                Delimiter::Newline => Some("lf".to_owned()),
                Delimiter::Nul => Some("nul".to_owned()),
                // No URI can express another delimiter.
                _ => None,
            }),
            is_valid: |options| matches!(options.delimiter, Delimiter::Newline | Delimiter::Nul),
        }),
    },
    Row {
        name: "failover",
        values: FAILOVER_HOSTS,
        default: "none",
        help: FAILOVER,
        field: Field::Tcp(Access {
            read: |options, text| read_failover(&mut options.failover, text),
            show: Show::All(|options| show_hosts(&options.failover)),
            is_valid: |options| are_hosts(&options.failover),
        }),
    },
    Row {
        name: "reconnect",
        values: SECONDS,
        default: "never",
        help: "Time after which a new connection replaces the old one, for load balancers; no message is lost by that",
        field: Field::Tcp(Access {
            read: |options, text| {
                options.reconnect = Some(seconds(text)?);
                Ok(())
            },
            show: Show::One(|options| options.reconnect.map(show_seconds)),
            is_valid: |options| options.reconnect.is_none_or(is_valid_time),
        }),
    },
    Row {
        name: "user_timeout",
        values: SECONDS,
        default: "30",
        help: "Time without an acknowledgement after which the connection is given up (Linux)",
        field: Field::Tcp(Access {
            read: |options, text| {
                options.user_timeout = seconds(text)?;
                Ok(())
            },
            show: Show::One(|options| Some(show_seconds(options.user_timeout))),
            is_valid: |options| is_valid_time(options.user_timeout),
        }),
    },
    Row {
        name: "bulk",
        values: "true or false",
        default: "false",
        help: "Several messages in one request; the receiver must be set up for it",
        field: Field::Http(Access {
            read: |options, text| {
                options.bulk = match text {
                    "false" => false,
                    "true" => true,
                    _ => return Err(Mistake::Value),
                };
                Ok(())
            },
            show: Show::One(|options| Some(options.bulk.to_string())),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "compression",
        values: "gzip or none",
        default: "none",
        help: "Compression of request bodies",
        field: Field::Http(Access {
            read: |options, text| {
                options.gzip = match text {
                    "gzip" => Some(CompressionLevel::DEFAULT),
                    "none" => None,
                    _ => return Err(Mistake::Value),
                };
                Ok(())
            },
            show: Show::One(|options| Some(if options.gzip.is_some() { "gzip" } else { "none" }.to_owned())),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "level",
        values: LEVEL,
        default: LEVEL_DEFAULT,
        help: LEVEL_HELP,
        field: Field::Http(Access {
            read: |options, text| {
                let new = level(text)?;
                *options.gzip.as_mut().ok_or(Mistake::LevelOfNothing)? = new;
                Ok(())
            },
            show: Show::One(|options| options.gzip.and_then(show_level)),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "connect_timeout",
        values: SECONDS,
        default: "a share of timeout",
        help: "Time for a connection to one address, the TLS handshake included; no more than its share of timeout",
        field: Field::Http(Access {
            read: |options, text| {
                options.connect_timeout = Some(seconds(text)?);
                Ok(())
            },
            show: Show::One(|options| options.connect_timeout.map(show_seconds)),
            is_valid: |options| options.connect_timeout.is_none_or(is_valid_time),
        }),
    },
    Row {
        name: "failover",
        values: FAILOVER_HOSTS,
        default: "none",
        help: FAILOVER,
        field: Field::Http(Access {
            read: |options, text| read_failover(&mut options.failover, text),
            show: Show::All(|options| show_hosts(&options.failover)),
            is_valid: |options| are_hosts(&options.failover),
        }),
    },
    Row {
        name: "header",
        values: "NAME:VALUE",
        default: "none",
        help: "Header sent with each request, such as a token; its value is never displayed; may be repeated",
        field: Field::Http(Access {
            read: |options, text| {
                // A header without a colon gets an empty value. `check` then refuses the header, and does not
                // show its text.
                let (name, value) = text.split_once(':').unwrap_or((text, ""));
                // Spaces around a value do not belong to the value (RFC 9110, section 5.5).
                options.headers.push((name.to_owned(), value.trim_matches(' ').to_owned()));
                Ok(())
            },
            show: Show::All(|options| {
                options.headers.iter().map(|(name, _)| format!("{name}:{MASK}")).collect()
            }),
            is_valid: |_| true,
        }),
    },
    Row {
        name: "timeout",
        values: SECONDS,
        default: "10",
        help: "Time for a request, from the lookup of the host to the answer",
        field: Field::Http(Access {
            read: |options, text| {
                options.timeout = seconds(text)?;
                Ok(())
            },
            show: Show::One(|options| Some(show_seconds(options.timeout))),
            is_valid: |options| is_valid_time(options.timeout),
        }),
    },
    Row {
        name: "ca",
        values: PEM_FILE,
        default: "the authorities of the system",
        help: "Authorities that may vouch for the receiver, or the receiver's own certificate; read again when the file changes",
        field: Field::Tls(Access {
            read: |options, text| {
                options.ca = Some(PathBuf::from(text));
                Ok(())
            },
            show: Show::One(|options| show_path(options.ca.as_deref())),
            is_valid: |options| is_file_path(options.ca.as_deref()),
        }),
    },
    Row {
        name: "cert",
        values: PEM_FILE,
        default: "none",
        help: "The sender's own certificate chain, for receivers that ask for one; needs key",
        field: Field::Tls(Access {
            read: |options, text| {
                options.cert = Some(PathBuf::from(text));
                Ok(())
            },
            show: Show::One(|options| show_path(options.cert.as_deref())),
            is_valid: |options| is_file_path(options.cert.as_deref()),
        }),
    },
    Row {
        name: "key",
        values: PEM_FILE,
        default: "none",
        help: "The private key of cert",
        field: Field::Tls(Access {
            read: |options, text| {
                options.key = Some(PathBuf::from(text));
                Ok(())
            },
            show: Show::One(|options| show_path(options.key.as_deref())),
            is_valid: |options| is_file_path(options.key.as_deref()),
        }),
    },
    Row {
        name: "server_name",
        values: "a name or an address",
        default: "the host",
        help: "Name that the receiver's certificate must have",
        field: Field::Tls(Access {
            read: |options, text| {
                let name = if text.starts_with('[') { read_host(text) } else { Some(text.to_owned()) };
                options.server_name = Some(name.ok_or(Mistake::Value)?);
                Ok(())
            },
            show: Show::One(|options| options.server_name.clone()),
            // The brackets around an address are part of the URI only, and a certificate names no zone.
            is_valid: |options| {
                let name = options.server_name.as_deref();
                name.is_none_or(|name| !name.contains(['[', '%']) && read_host(name).is_some())
            },
        }),
    },
    Row {
        name: "queue",
        values: "a number of messages, from 1 to 16777216",
        default: "65536",
        help: "Messages that may be queued, those in flight included",
        field: Field::Queue(Access {
            read: |options, text| {
                options.max_messages = size(text)?;
                Ok(())
            },
            show: Show::One(|options| Some(options.max_messages.to_string())),
            is_valid: |options| (1..=1 << 24).contains(&(options.max_messages as u64)),
        }),
    },
    Row {
        name: "queue_bytes",
        values: "a number of bytes, from 1024 to 17179869184",
        default: "67108864",
        help: "Bytes that may be queued, those in flight included",
        field: Field::Queue(Access {
            read: |options, text| {
                options.max_bytes = size(text)?;
                Ok(())
            },
            show: Show::One(|options| Some(options.max_bytes.to_string())),
            is_valid: |options| (1024..=1 << 34).contains(&(options.max_bytes as u64)),
        }),
    },
    Row {
        name: "max_value_bytes",
        values: "a number of bytes, from 3 to 16777216",
        default: "none",
        help: "Length at which the value of an additional field is cut off; Elasticsearch and OpenSearch index no more than 32766",
        field: Field::Queue(Access {
            read: |options, text| {
                options.max_value_bytes = Some(size(text)?);
                Ok(())
            },
            show: Show::One(|options| options.max_value_bytes.map(|bytes| bytes.to_string())),
            is_valid: |options| options.max_value_bytes.is_none_or(|bytes| (3..=1 << 24).contains(&bytes)),
        }),
    },
    Row {
        name: "when_full",
        values: "wait, drop_newest or drop_oldest",
        default: "wait",
        help: "Behaviour of a full queue: senders wait, or a message is dropped",
        field: Field::Queue(Access {
            read: |options, text| {
                options.when_full = match text {
                    "drop_newest" => WhenFull::DropNewest,
                    "drop_oldest" => WhenFull::DropOldest,
                    "wait" => WhenFull::Wait,
                    _ => return Err(Mistake::Value),
                };
                Ok(())
            },
            show: Show::One(|options| {
                let name = match options.when_full {
                    WhenFull::DropNewest => "drop_newest",
                    WhenFull::DropOldest => "drop_oldest",
                    WhenFull::Wait => "wait",
                };
                Some(name.to_owned())
            }),
            is_valid: |_| true,
        }),
    },
];

/// Parses a number that consists of digits only. The method `parse` alone would accept a plus sign.
fn number<T: FromStr>(text: &str) -> Result<T, Mistake> {
    let parsed = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
    parsed.ok_or(Mistake::Value)
}

fn show_level(level: CompressionLevel) -> Option<String> {
    level.number().map(|number| number.to_string())
}

fn level(text: &str) -> Result<CompressionLevel, Mistake> {
    CompressionLevel::new(number(text)?).ok_or(Mistake::Value)
}

/// Parses a size. A size beyond the address space becomes the largest possible size.
fn size(text: &str) -> Result<usize, Mistake> {
    number(text).map(|size: u64| usize::try_from(size).unwrap_or(usize::MAX))
}

fn seconds(text: &str) -> Result<Duration, Mistake> {
    number(text).map(Duration::from_secs)
}

fn show_seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// Returns whether a URI can express the time: a whole number of seconds from 1 to 3,600.
fn is_valid_time(time: Duration) -> bool {
    (1..=3600).contains(&time.as_secs()) && time.subsec_nanos() == 0
}

/// The maximum number of failover hosts, as stated in [`FAILOVER_HOSTS`].
const MAX_FAILOVER: usize = 7;

fn read_failover(hosts: &mut Vec<(String, u16)>, text: &str) -> Result<(), Mistake> {
    hosts.push(authority::read(text).map_err(|_| Mistake::Value)?);
    Ok(())
}

fn show_hosts(hosts: &[(String, u16)]) -> Vec<String> {
    hosts.iter().map(|(host, port)| authority::show(host, *port)).collect()
}

fn are_hosts(hosts: &[(String, u16)]) -> bool {
    let is_host = |(host, port): &(String, u16)| read_host(host).as_ref() == Some(host) && *port != 0;
    hosts.len() <= MAX_FAILOVER && hosts.iter().all(is_host)
}

fn show_path(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

/// Returns whether there is no path, or a path that a file can have and that a URI can express.
fn is_file_path(path: Option<&Path>) -> bool {
    path.is_none_or(|path| path.to_str().is_some_and(|path| !path.is_empty() && !path.contains('\0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_consists_only_of_digits() {
        for text in ["", "+1", "-1", " 1", "1 ", "1.0", "0x1", "٣", "18446744073709551616"] {
            assert!(number::<u64>(text).is_err(), "{text:?}");
        }
        assert_eq!(number::<u8>("007").unwrap(), 7);
    }
}
