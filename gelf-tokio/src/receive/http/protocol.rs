//! The state that the connections of a receiver share.

use std::io;
use std::time::Duration;

use super::options::HttpReceiverOptions;
use super::rules::Rules;
use super::stats::Counters;
use crate::receive::IpNetwork;

/// The rules, limits and counters of a receiver.
#[derive(Debug)]
pub(super) struct HttpProtocol {
    pub(super) bulk: bool,
    pub(super) counters: Counters,
    pub(super) head_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_body_len: usize,
    pub(super) max_bulk_values: u64,
    pub(super) max_payload_len: usize,
    pub(super) reject_invalid: bool,
    pub(super) request_timeout: Duration,
    pub(super) rules: Rules,
    pub(super) x_forwarded_for_from: Vec<IpNetwork>,
}

impl HttpProtocol {
    /// Creates the state from the options of a receiver.
    ///
    /// # Errors
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for a path or header that no request can have.
    pub(super) fn new(options: &HttpReceiverOptions) -> io::Result<Self> {
        let required = options.required_header.as_ref().map(|(name, value)| (&name[..], &value[..]));
        Ok(Self {
            bulk: options.bulk,
            counters: Counters::default(),
            head_timeout: options.head_timeout,
            idle_timeout: options.idle_timeout,
            max_body_len: if options.bulk { options.max_bulk_len } else { options.max_payload_len },
            max_bulk_values: u64::try_from(options.max_bulk_values).unwrap_or(u64::MAX),
            max_payload_len: options.max_payload_len,
            reject_invalid: options.reject_invalid,
            request_timeout: options.request_timeout,
            rules: Rules::new(&options.path, required, options.cors)?,
            x_forwarded_for_from: options.x_forwarded_for_from.clone(),
        })
    }
}
