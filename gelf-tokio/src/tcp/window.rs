//! The resend window of a TCP connection.

use std::collections::VecDeque;

/// The resend window of a connection: the frames that were written and are not acknowledged. For each of them,
/// the window holds the end of the frame, as a position in the stream of bytes. The oldest frame comes first.
/// The window does not hold the frames themselves.
///
/// Bytes that the sender's operating system has taken may be lost if the connection breaks. Bytes that the
/// receiver's operating system has acknowledged arrive, as long as the receiver reads on. Therefore the frames
/// of the window are written again, whole, to the next connection.
#[derive(Debug, Default)]
pub(crate) struct Window {
    ends: VecDeque<u64>,
    written: u64,
}

impl Window {
    /// Returns how many frames are written and not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Notes that a frame of `bytes` bytes, with its delimiter, was written.
    pub(crate) fn write(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.ends.push_back(self.written);
    }

    /// Notes how many of the bytes written on this connection are acknowledged. Returns the number of frames
    /// that leave the window, because their last byte is acknowledged.
    pub(crate) fn acknowledge(&mut self, bytes: u64) -> usize {
        let frames = self.ends.partition_point(|end| *end <= bytes);
        self.ends.drain(..frames);
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_acknowledged_with_its_last_byte() {
        let mut window = Window::default();
        for bytes in [10, 20, 30] {
            window.write(bytes);
        }
        assert_eq!(window.acknowledge(9), 0);
        assert_eq!(window.acknowledge(10), 1);
        assert_eq!(window.acknowledge(29), 0);
        assert_eq!(window.len(), 2);
        window.write(1);
        assert_eq!(window.acknowledge(60), 2);
        assert_eq!(window.acknowledge(61), 1);
        assert_eq!(window.len(), 0);
    }

    proptest! {
        /// After each acknowledgement, the frames that have left are as many as the frames whose last byte is
        /// acknowledged.
        #[test]
        fn as_many_frames_leave_as_are_wholly_acknowledged(
            steps in proptest::collection::vec((1usize..100, 0u64..200), 1..100),
        ) {
            let mut window = Window::default();
            let mut ends = Vec::new();
            let (mut written, mut acknowledged, mut left) = (0, 0, 0);
            for (bytes, more) in steps {
                window.write(bytes);
                written += bytes as u64;
                ends.push(written);
                acknowledged = (acknowledged + more).min(written);
                left += window.acknowledge(acknowledged);
                prop_assert_eq!(left, ends.iter().filter(|end| **end <= acknowledged).count());
                prop_assert_eq!(window.len(), ends.len() - left);
            }
        }
    }
}
