//! `gelf-router audit`: receives the messages of other routers, and counts the missing messages.
//!
//! Routers number the messages of each container. The audit notes the numbers that it receives, and reports
//! the missing ranges at its end. It does not notice a lost message if no later message of the container
//! arrives.

mod ranges;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gelf_tokio::gelf_core::{Decoder, Message};
use gelf_tokio::{ReceiveError, Received, TcpReceiver, UdpReceiver};
use tokio::time::sleep;

use self::ranges::Account;
use crate::failure::Failure;
use crate::stop::Stop;

/// The maximum number of accounts. Each run of an agent has an account for each of its containers. Messages
/// that would need a further account are only counted.
const ACCOUNTS_AT_MOST: usize = 100_000;
/// The maximum number of missing ranges that all accounts store. These ranges take about 50 MiB. The numbers of
/// further missing ranges are only counted.
const RANGES_AT_MOST: usize = 1_000_000;
/// The maximum length of a host name and of a container id, in bytes. Messages with a longer one are only counted.
/// The name of a container is cut to this length. The texts of all accounts take at most 75 MiB.
const TEXT_AT_MOST: usize = 255;
/// The maximum number of ports that are tried if the port is 0.
const ATTEMPTS: usize = 16;

/// Receives over UDP and TCP on `address` until a signal arrives, or until no message arrives for `idle`. Then
/// prints the accounts of the containers to stdout.
///
/// # Errors
/// Returns an error with status 1 if messages are missing, or if the address cannot be used.
pub(crate) async fn run(address: SocketAddr, idle: Option<Duration>) -> Result<(), Failure> {
    let mut audit = Audit::starting_at(SystemTime::now());
    let bound = bind(address).await.map_err(|error| Failure::refused(format!("{address}: {error}")))?;
    let (address, mut udp, mut tcp) = bound;
    // From the log line below on, a signal ends the audit, which then prints its accounts.
    let mut stop = Stop::new().map_err(Failure::refused)?;
    tracing::info!("receiving on {address} over UDP and TCP");
    let mut decoder = Decoder::lenient();
    loop {
        let received = tokio::select! {
            received = udp.recv() => received,
            received = tcp.recv() => received,
            () = sleep(idle.unwrap_or_default()), if idle.is_some() => break,
            () = stop.asked() => break,
        };
        match received {
            Some(received) => audit.take(received, &mut decoder),
            None => break,
        }
    }
    print_all(&audit);
    match audit.missing() {
        0 => Ok(()),
        missing => Err(Failure::refused(format!("{missing} messages are missing"))),
    }
}

/// Binds both receivers to one address. Port 0 stands for any free port.
async fn bind(address: SocketAddr) -> io::Result<(SocketAddr, UdpReceiver, TcpReceiver)> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let udp = UdpReceiver::bind(address).await?;
        let bound = udp.local_addr()?;
        match TcpReceiver::bind(bound).await {
            // The system chose a port that is free over UDP. Another program may use the port over TCP.
            Err(error)
                if error.kind() == ErrorKind::AddrInUse && address.port() == 0 && attempts < ATTEMPTS => {}
            tcp => return Ok((bound, udp, tcp?)),
        }
    }
}

/// Writes the accounts to stdout. Ignores errors, such as that the reader of stdout has ended.
fn print_all(audit: &Audit) {
    let _ = write!(io::stdout().lock(), "{audit}");
}

/// The accounts of all containers.
struct Audit {
    /// The start of the audit in milliseconds since 1970. Each run of an agent has an epoch: the time at
    /// which the run started, in the same unit. A run that started before the audit may have sent messages
    /// that the audit did not receive, so the account of such a run starts at the first received number.
    start: u64,
    /// The name of the container, and the account.
    accounts: BTreeMap<Key, (String, Account)>,
    /// The number of missing ranges that the accounts store.
    ranges: usize,
    received: u64,
    /// The number of messages in no account: messages without numbers or without a container id, messages that
    /// could not be received or decoded, messages with a long host name or container id, and messages beyond the
    /// maximum number of accounts.
    others: u64,
}

/// The key of an account: a container, and the run of an agent that numbered the container's messages.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    host: String,
    epoch: u64,
    container: String,
}

impl Audit {
    fn starting_at(start: SystemTime) -> Self {
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let start = u64::try_from(start).unwrap_or(u64::MAX);
        Self { start, accounts: BTreeMap::new(), ranges: 0, received: 0, others: 0 }
    }

    fn take(&mut self, received: Result<Received, ReceiveError>, decoder: &mut Decoder) {
        self.received += 1;
        let numbered = match &received {
            Ok(received) => {
                received.decode(decoder).ok().and_then(|decoded| self.take_message(&decoded.message))
            }
            Err(_) => None,
        };
        self.others += u64::from(numbered.is_none());
    }

    /// Notes the number of a message. Returns `None` if the message lacks a number, an epoch or a container id, has
    /// a long host name or container id, or would need an account beyond the maximum.
    fn take_message(&mut self, message: &Message<'_>) -> Option<()> {
        let number = |name| message.field(name)?.as_u64();
        let text = |name| message.field(name)?.as_str();
        let (seq, epoch) = (number("seq")?, number("seq_epoch")?);
        let (host, container) = (message.host().unwrap_or_default(), text("container_id")?);
        if host.len().max(container.len()) > TEXT_AT_MOST {
            return None;
        }
        let key = Key { host: host.to_owned(), epoch, container: container.to_owned() };
        if self.accounts.len() >= ACCOUNTS_AT_MOST && !self.accounts.contains_key(&key) {
            return None;
        }
        let is_whole = epoch >= self.start;
        let new = || {
            let account = if is_whole { Account::from_one() } else { Account::from_first(seq) };
            (cut(text("container_name").unwrap_or_default()).to_owned(), account)
        };
        let (_, account) = self.accounts.entry(key).or_insert_with(new);
        let before = account.ranges();
        account.take(seq, self.ranges < RANGES_AT_MOST);
        self.ranges = self.ranges - before + account.ranges();
        Some(())
    }

    fn missing(&self) -> u64 {
        self.accounts.values().fold(0, |sum, (_, account)| sum.saturating_add(account.missing()))
    }
}

/// Returns the beginning of a text, at most [`TEXT_AT_MOST`] bytes.
fn cut(text: &str) -> &str {
    let end = (0..=TEXT_AT_MOST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Writes one line for each account, and one line with the sums.
impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (Key { host, epoch, container }, (name, account)) in &self.accounts {
            let id = container.get(..12).unwrap_or(container);
            // The texts come from the senders. They are escaped, so that they cannot control a terminal.
            let [host, id, name] = [host, id, name].map(str::escape_debug);
            writeln!(f, "{host} epoch {epoch} {id} {name}: {account}")?;
        }
        // Each run of an agent has an account of its own for a container.
        let containers: BTreeSet<_> =
            self.accounts.keys().map(|Key { host, container, .. }| (host, container)).collect();
        let containers = containers.len();
        let (missing, others) = (self.missing(), self.others);
        writeln!(
            f,
            "{containers} containers: {} received, {missing} missing, {others} not numbered",
            self.received
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(epoch: u64, seq: u64) -> Message<'static> {
        Message::new("host", "x")
            .try_field("seq", seq)
            .and_then(|message| message.try_field("seq_epoch", epoch))
            .and_then(|message| message.try_field("container_id", "0123456789abcdef"))
            .and_then(|message| message.try_field("container_name", "we\x1b\u{202e}b"))
            .unwrap()
    }

    #[test]
    fn each_epoch_has_an_account_and_one_from_before_the_audit_counts_from_its_first_received_number() {
        let mut audit = Audit::starting_at(UNIX_EPOCH + Duration::from_millis(1000));
        for (epoch, seq) in [(999, 7), (999, 9), (1000, 2), (1000, 3)] {
            audit.take_message(&message(epoch, seq)).unwrap();
        }
        assert_eq!(audit.take_message(&Message::new("host", "x")), None);
        assert_eq!(
            audit.to_string(),
            "host epoch 999 0123456789ab we\\u{1b}\\u{202e}b: 2 received, 1 missing (8), 0 repeated, 0 out of order\n\
             host epoch 1000 0123456789ab we\\u{1b}\\u{202e}b: 2 received, 1 missing (1), 0 repeated, 0 out of order\n\
             1 containers: 0 received, 2 missing, 0 not numbered\n"
        );
    }

    #[test]
    fn the_sum_of_the_missing_messages_does_not_overflow() {
        let mut audit = Audit::starting_at(UNIX_EPOCH);
        for container in ["a", "b"] {
            let message = message(1, (1 << 63) + 1).try_field("container_id", container).unwrap();
            audit.take_message(&message).unwrap();
        }
        assert_eq!(audit.missing(), u64::MAX);
    }

    #[test]
    fn the_texts_of_an_account_are_bounded() {
        let mut audit = Audit::starting_at(UNIX_EPOCH);
        let long = "é".repeat(200);
        let long_id = message(1, 1).try_field("container_id", long.as_str()).unwrap();
        assert_eq!(audit.take_message(&long_id), None);
        let long_name = message(1, 1).try_field("container_name", long.as_str()).unwrap();
        audit.take_message(&long_name).unwrap();
        let (name, _) = audit.accounts.values().next().unwrap();
        assert_eq!((audit.accounts.len(), name.as_str()), (1, "é".repeat(127).as_str()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_audit_without_a_message_ends_after_the_idle_time() {
        let address = "127.0.0.1:0".parse().unwrap();
        let audit = run(address, Some(Duration::from_secs(60)));
        tokio::time::timeout(Duration::from_secs(61), audit).await.unwrap().unwrap();
    }

    #[test]
    fn a_container_whose_agent_restarts_counts_once() {
        let mut audit = Audit::starting_at(UNIX_EPOCH);
        for (epoch, container) in [(1, "a"), (1, "b"), (2, "a"), (3, "a")] {
            let message = message(epoch, 1).try_field("container_id", container).unwrap();
            audit.take_message(&message).unwrap();
        }
        let text = audit.to_string();
        assert!(text.contains("\n2 containers: "), "{text}");
    }
}
