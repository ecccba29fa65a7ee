//! Sends the datagrams of one message through a socket, several by one system call where possible.

use std::io;

use gelf_core::wire::Datagrams;
use gelf_core::{DatagramSize, Fit};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::coop;
use tokio::time::{Instant, sleep_until};

use super::pacing::Pacing;
use super::stats::UdpSenderStats;
use crate::sys;

/// The maximum number of bytes for one system call. It equals the maximum size of a UDP datagram, although
/// each segment becomes a separate datagram.
const MAX_SEGMENTED_BYTES: usize = 65_507;

/// A socket for datagrams. Tests have sockets that fail on demand.
pub(super) trait Socket {
    /// Returns whether datagrams of one size may be sent together.
    fn can_segment(&self) -> bool;

    /// Sends datagrams by one system call, either all or none. Without a `size`, the bytes are one datagram.
    /// With a `size`, they are datagrams of `size` bytes each, of which the last may be shorter. Returns
    /// `WouldBlock` if there is no room.
    fn try_send(&self, datagrams: &[u8], size: Option<usize>) -> io::Result<()>;

    /// Waits until there may be room.
    async fn writable(&self) -> io::Result<()>;
}

impl Socket for UdpSocket {
    fn can_segment(&self) -> bool {
        sys::can_segment(self)
    }

    fn try_send(&self, datagrams: &[u8], size: Option<usize>) -> io::Result<()> {
        match size {
            None => Self::try_send(self, datagrams).map(|_| ()),
            Some(size) => self.try_io(Interest::WRITABLE, || sys::send_segments(self, datagrams, size)),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        Self::writable(self).await
    }
}

/// Sends the datagrams of messages, as many by one system call as the system, the route and the rate permit.
pub(super) struct SegmentedSocket {
    datagram_size: DatagramSize,
    pacing: Option<Pacing>,
    /// `true` if the caller permits several chunks by one system call.
    is_permitted: bool,
    /// `true` if the current socket and its route have permitted several chunks by one system call so far.
    is_supported: bool,
    /// The chunks of the next system call, each after its header. Copying the chunks is faster than a system
    /// call that gathers headers and payloads.
    buffer: Vec<u8>,
    stats: UdpSenderStats,
}

impl SegmentedSocket {
    pub(super) fn new(datagram_size: DatagramSize, pacing: Option<Pacing>, socket: &impl Socket) -> Self {
        Self {
            datagram_size,
            pacing,
            is_permitted: true,
            is_supported: socket.can_segment(),
            buffer: Vec::with_capacity(datagram_size.as_usize()),
            stats: UdpSenderStats::default(),
        }
    }

    /// Notes that the socket was replaced.
    pub(super) fn rerouted(&mut self, socket: &impl Socket) {
        self.is_supported = socket.can_segment();
        self.stats.reroutes += 1;
    }

    pub(super) fn set_segmentation(&mut self, allowed: bool) {
        self.is_permitted = allowed;
    }

    /// Counts a refusal that was received without sending another datagram.
    pub(super) fn heard_refusal(&mut self) {
        self.stats.refused += 1;
    }

    pub(super) fn stats(&self) -> UdpSenderStats {
        self.stats
    }

    /// Counts a message: as sent if all of its datagrams were taken, otherwise as failed.
    pub(super) fn concluded(&mut self, is_sent: bool, fit: Fit) {
        self.stats.messages += u64::from(is_sent);
        self.stats.failed += u64::from(!is_sent);
        self.stats.truncated += u64::from(is_sent && fit == Fit::Truncated);
    }

    /// Sends the datagrams of one message. If the system does not take a datagram, the rest is not sent,
    /// since the message can no longer become complete.
    pub(super) async fn send(
        &mut self,
        socket: &impl Socket,
        mut datagrams: Datagrams<'_>,
    ) -> io::Result<()> {
        // Sending through a socket with room never waits, so the task would never yield without this call.
        coop::consume_budget().await;
        loop {
            let mut permitted = self.at_once(datagrams.len());
            if let Some(pacing) = &mut self.pacing {
                permitted = permission(pacing, permitted).await;
            }
            if permitted > 1 {
                self.buffer.clear();
                for datagram in datagrams.by_ref().take(permitted) {
                    datagram.write_to(&mut self.buffer);
                }
                self.send_buffer(socket, permitted).await?;
            } else if let Some(datagram) = datagrams.next() {
                let bytes = if datagram.header().is_none() {
                    datagram.payload()
                } else {
                    self.buffer.clear();
                    datagram.write_to(&mut self.buffer);
                    &self.buffer
                };
                deliver(socket, bytes, None, 1, &mut self.stats).await?;
            }
            if datagrams.len() == 0 {
                return Ok(());
            }
        }
    }

    #[cfg(test)]
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Returns the number of the datagrams that may be sent by one system call.
    fn at_once(&self, left: usize) -> usize {
        if left <= 1 || !(self.is_permitted && self.is_supported) {
            return 1;
        }
        let fit = MAX_SEGMENTED_BYTES / self.datagram_size.as_usize();
        left.min(fit).min(sys::MAX_SEGMENTS)
    }

    /// Sends the chunks in the buffer.
    async fn send_buffer(&mut self, socket: &impl Socket, count: usize) -> io::Result<()> {
        let size = self.datagram_size.as_usize();
        match deliver(socket, &self.buffer, Some(size), count, &mut self.stats).await {
            Err(error) if sys::is_segmentation_refused(&error) => {
                tracing::debug!(%error, "one system call for several datagrams was refused; they are sent one by one");
                self.is_supported = false;
                self.stats.fallbacks += 1;
            }
            result => return result,
        }
        for datagram in self.buffer.chunks(size) {
            deliver(socket, datagram, None, 1, &mut self.stats).await?;
        }
        Ok(())
    }
}

/// Waits until the rate permits at least one datagram. Returns the permitted number of datagrams.
async fn permission(pacing: &mut Pacing, wanted: usize) -> usize {
    loop {
        match pacing.take(wanted, Instant::now().into_std()) {
            Ok(permitted) => return permitted,
            Err(when) => sleep_until(when.into()).await,
        }
    }
}

/// Hands datagrams to the operating system, and counts them when the system has taken them.
///
/// Some errors may belong to an earlier datagram. The system call has then cleared the error, and has not sent
/// the datagrams of this call. After such an error, the function tries once more. A second error counts as an
/// error of these datagrams.
async fn deliver(
    socket: &impl Socket,
    bytes: &[u8],
    size: Option<usize>,
    count: usize,
    stats: &mut UdpSenderStats,
) -> io::Result<()> {
    let mut is_second = false;
    while let Err(error) = socket.try_send(bytes, size) {
        stats.refused += u64::from(error.kind() == io::ErrorKind::ConnectionRefused);
        if error.kind() == io::ErrorKind::WouldBlock {
            socket.writable().await?;
        } else if !is_second && sys::may_be_of_an_earlier_datagram(&error) {
            is_second = true;
        } else {
            return Err(error);
        }
    }
    stats.datagrams += count as u64;
    stats.bytes += bytes.len() as u64;
    if size.is_some() {
        stats.segmented += count as u64;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use gelf_core::{DatagramReader, wire::Chunker};

    use super::*;

    const REFUSED: i32 = 111;
    const NO_BUFFERS: i32 = 105;
    const NO_ROOM: i32 = 11;
    const TOO_LONG: i32 = 90;
    const NOT_PERMITTED: i32 = 1;
    const UNREACHABLE: i32 = 101;
    const INVALID: i32 = 22;
    const IO: i32 = 5;

    /// Takes datagrams, and fails at predefined calls.
    #[derive(Debug, Default)]
    struct Faulty {
        no_segments: bool,
        /// The numbers of the failing calls, from 0, and their errors.
        errors: Mutex<VecDeque<(usize, i32)>>,
        /// The number of datagrams of each call. A failed call has 0.
        calls: Mutex<Vec<usize>>,
        taken: Mutex<Vec<Vec<u8>>>,
    }

    impl Faulty {
        fn failing(errors: impl IntoIterator<Item = (usize, i32)>) -> Self {
            Self { errors: Mutex::new(errors.into_iter().collect()), ..Self::default() }
        }

        fn without_segments(self) -> Self {
            Self { no_segments: true, ..self }
        }

        fn calls(&self) -> Vec<usize> {
            self.calls.lock().unwrap().clone()
        }

        /// Returns the messages that a receiver reads from the datagrams taken since the last call.
        fn arrived(&self) -> Vec<Vec<u8>> {
            let mut reader = DatagramReader::default();
            let taken = std::mem::take(&mut *self.taken.lock().unwrap());
            taken
                .iter()
                .filter_map(|datagram| {
                    reader.read(std::time::Instant::now(), (), datagram).unwrap().map(<[u8]>::to_vec)
                })
                .collect()
        }
    }

    impl Socket for Faulty {
        fn can_segment(&self) -> bool {
            !self.no_segments
        }

        async fn writable(&self) -> io::Result<()> {
            Ok(())
        }

        fn try_send(&self, datagrams: &[u8], size: Option<usize>) -> io::Result<()> {
            let mut calls = self.calls.lock().unwrap();
            let mut errors = self.errors.lock().unwrap();
            if errors.front().is_some_and(|(call, _)| *call == calls.len()) {
                calls.push(0);
                return Err(io::Error::from_raw_os_error(errors.pop_front().unwrap().1));
            }
            let parts: Vec<_> = datagrams.chunks(size.unwrap_or(usize::MAX)).collect();
            calls.push(parts.len());
            self.taken.lock().unwrap().extend(parts.into_iter().map(<[u8]>::to_vec));
            Ok(())
        }
    }

    const SIZE: u16 = 100;

    /// The payload bytes of a chunk: `SIZE` without the chunk header of 12 bytes.
    const SHARE: usize = 88;

    fn size(bytes: u16) -> DatagramSize {
        DatagramSize::new(bytes).unwrap()
    }

    fn payload(chunks: usize) -> Vec<u8> {
        let mut payload = b"{".to_vec();
        payload.extend((1..chunks * SHARE - 1).map(|at| b'a' + (at % 23) as u8));
        payload
    }

    fn segmented(socket: &Faulty) -> SegmentedSocket {
        SegmentedSocket::new(size(SIZE), None, socket)
    }

    /// Sends a payload. Returns the numbers of its datagrams, bytes and refusals.
    async fn send(
        segmented: &mut SegmentedSocket,
        socket: &Faulty,
        payload: &[u8],
    ) -> io::Result<(usize, usize, usize)> {
        let before = segmented.stats();
        segmented.send(socket, Chunker::new(size(SIZE)).split(payload).unwrap()).await?;
        let after = segmented.stats();
        Ok((
            (after.datagrams - before.datagrams) as usize,
            (after.bytes - before.bytes) as usize,
            (after.refused - before.refused) as usize,
        ))
    }

    #[tokio::test]
    async fn one_system_call_sends_up_to_64_chunks_of_a_message() {
        for (chunks, calls) in
            [(1, vec![1]), (2, vec![2]), (8, vec![8]), (64, vec![64]), (65, vec![64, 1]), (128, vec![64, 64])]
        {
            let socket = Faulty::default();
            let mut segmented = segmented(&socket);
            let payload = payload(chunks);
            let sent = send(&mut segmented, &socket, &payload).await.unwrap();
            let headers = if chunks == 1 { 0 } else { chunks * 12 };
            assert_eq!(sent, (chunks, payload.len() + headers, 0));
            assert_eq!(socket.calls(), calls);
            assert_eq!(socket.arrived(), [payload]);
            let together: usize = calls.iter().filter(|count| **count > 1).sum();
            assert_eq!((segmented.stats.segmented, segmented.stats.fallbacks), (together as u64, 0));
        }
    }

    #[tokio::test]
    async fn a_call_takes_no_more_bytes_than_a_datagram_can_hold() {
        for (size, calls) in [(1420, vec![46, 46, 36]), (8192, vec![7; 18]), (32_753, vec![2; 64])] {
            let socket = Faulty::default();
            let mut segmented = SegmentedSocket::new(self::size(size), None, &socket);
            let mut chunker = Chunker::new(self::size(size));
            let payload = vec![b'{'; chunker.datagram_size().max_payload()];
            segmented.send(&socket, chunker.split(&payload).unwrap()).await.unwrap();
            assert_eq!(segmented.stats().datagrams, 128);
            let mut expected = calls;
            expected.extend((expected.iter().sum::<usize>() < 128).then_some(2));
            assert_eq!(socket.calls(), expected);
            assert_eq!(socket.arrived(), [payload]);
        }
        let socket = Faulty::default();
        let mut segmented = SegmentedSocket::new(size(32_754), None, &socket);
        let mut chunker = Chunker::new(size(32_754));
        segmented.send(&socket, chunker.split(&[b'{'; 65_000]).unwrap()).await.unwrap();
        assert_eq!(socket.calls(), [1, 1]);
    }

    #[tokio::test]
    async fn after_a_failed_chunk_the_message_stays_incomplete_and_the_next_message_is_whole() {
        const CHUNKS: usize = 8;
        for error in [NO_BUFFERS, TOO_LONG, NOT_PERMITTED, UNREACHABLE, REFUSED, INVALID, IO] {
            let again = sys::may_be_of_an_earlier_datagram(&io::Error::from_raw_os_error(error));
            for failing in 0..CHUNKS {
                let socket = Faulty::failing([(failing, error)].into_iter().chain(
                    // The second attempt fails too.
                    again.then_some((failing + 1, error)),
                ))
                .without_segments();
                let mut segmented = segmented(&socket);
                let result = send(&mut segmented, &socket, &payload(CHUNKS)).await;
                assert_eq!(result.unwrap_err().raw_os_error(), Some(error));
                assert_eq!(socket.calls().len(), failing + 1 + usize::from(again));
                assert_eq!(segmented.stats.datagrams, failing as u64);
                assert_eq!(segmented.stats.bytes, failing as u64 * u64::from(SIZE));
                assert_eq!(segmented.stats.refused, if error == REFUSED { 2 } else { 0 });
                let next = payload(CHUNKS);
                assert_eq!(send(&mut segmented, &socket, &next).await.unwrap().0, CHUNKS);
                assert_eq!(socket.arrived(), [next]);
            }
        }
    }

    #[tokio::test]
    async fn an_error_of_an_earlier_datagram_loses_nothing_of_this_message() {
        for error in [REFUSED, TOO_LONG, UNREACHABLE] {
            for failing in 0..8 {
                let socket = Faulty::failing([(failing, error)]).without_segments();
                let mut segmented = segmented(&socket);
                let (datagrams, _, refused) = send(&mut segmented, &socket, &payload(8)).await.unwrap();
                assert_eq!((datagrams, refused), (8, usize::from(error == REFUSED)));
                assert_eq!(socket.arrived(), [payload(8)]);
            }
            let socket = Faulty::failing([(0, error)]);
            let mut segmented = segmented(&socket);
            let (datagrams, _, refused) = send(&mut segmented, &socket, &payload(8)).await.unwrap();
            assert_eq!((datagrams, refused), (8, usize::from(error == REFUSED)));
            assert_eq!((socket.calls(), segmented.stats.fallbacks), (vec![0, 8], 0));
        }
    }

    #[tokio::test]
    async fn a_full_socket_delays_a_message_and_is_no_failure() {
        let errors = [(0, NO_ROOM), (1, REFUSED), (2, NO_ROOM), (3, NO_ROOM)];
        for (socket, calls) in [
            (Faulty::failing(errors), vec![0, 0, 0, 0, 8]),
            (Faulty::failing(errors).without_segments(), [vec![0; 4], vec![1; 8]].concat()),
        ] {
            let mut segmented = segmented(&socket);
            let (datagrams, _, refused) = send(&mut segmented, &socket, &payload(8)).await.unwrap();
            assert_eq!((datagrams, refused), (8, 1));
            assert_eq!((socket.calls(), segmented.stats.fallbacks), (calls, 0));
            assert_eq!(socket.arrived(), [payload(8)]);
        }
    }

    #[tokio::test]
    async fn after_segments_are_refused_chunks_are_sent_one_by_one() {
        for errors in [vec![(0, INVALID)], vec![(0, IO)], vec![(0, TOO_LONG), (1, TOO_LONG)]] {
            let failed = errors.len();
            let socket = Faulty::failing(errors);
            let mut segmented = segmented(&socket);
            for _ in 0..3 {
                assert_eq!(send(&mut segmented, &socket, &payload(8)).await.unwrap().0, 8);
                assert_eq!(socket.arrived(), [payload(8)]);
            }
            assert_eq!(
                (segmented.stats.fallbacks, segmented.stats.segmented, segmented.stats.datagrams),
                (1, 0, 24)
            );
            let mut calls = vec![0; failed];
            calls.extend([1; 24]);
            assert_eq!(socket.calls(), calls);

            // A new route is tried with segments again.
            segmented.rerouted(&socket);
            send(&mut segmented, &socket, &payload(8)).await.unwrap();
            assert_eq!(socket.calls().last(), Some(&8));
        }
    }

    #[tokio::test]
    async fn after_an_error_that_is_not_about_segmentation_the_next_message_is_sent_in_segments() {
        for (errors, calls) in [
            (vec![(1, NO_BUFFERS)], vec![64, 0, 64, 16]),
            (vec![(1, REFUSED), (2, REFUSED)], vec![64, 0, 0, 64, 16]),
        ] {
            let error = errors[0].1;
            let socket = Faulty::failing(errors);
            let mut segmented = segmented(&socket);
            let result = send(&mut segmented, &socket, &payload(80)).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(error));
            assert_eq!((segmented.stats.datagrams, segmented.stats.fallbacks), (64, 0));
            send(&mut segmented, &socket, &payload(80)).await.unwrap();
            assert_eq!(socket.arrived(), [payload(80)]);
            assert_eq!(socket.calls(), calls);
        }
    }

    #[tokio::test]
    async fn a_chunk_that_fails_after_segments_were_refused_ends_the_message_too() {
        for failing in 0..8 {
            let socket = Faulty::failing([(0, INVALID), (1 + failing, NO_BUFFERS)]);
            let mut segmented = segmented(&socket);
            let result = send(&mut segmented, &socket, &payload(8)).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(NO_BUFFERS));
            assert_eq!((segmented.stats.datagrams, segmented.stats.fallbacks), (failing as u64, 1));
            assert_eq!(socket.arrived(), Vec::<Vec<u8>>::new());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_takes_no_more_chunks_than_the_rate_permits() {
        let socket = Faulty::default();
        let pacing = Pacing::new(std::num::NonZeroU32::new(1000).unwrap(), Instant::now().into_std());
        let mut segmented = SegmentedSocket::new(size(SIZE), Some(pacing), &socket);
        let started = Instant::now();
        send(&mut segmented, &socket, &payload(16)).await.unwrap();
        send(&mut segmented, &socket, &payload(16)).await.unwrap();
        assert_eq!(socket.arrived(), [payload(16), payload(16)]);
        assert_eq!(socket.calls(), [16, 6, 10]);
        assert_eq!(started.elapsed().as_millis(), 16);
    }
}
