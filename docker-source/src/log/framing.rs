//! Detects the framing of a log response.

use super::error::LogFormatError;

const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// The framing of a log response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// Frames: the container has two streams and no terminal.
    Frames,
    /// Bare lines: the container has one stream and a terminal (`docker run -t`).
    Terminal,
}

impl Framing {
    /// Detects the framing by the response's `Content-Type`, by `Config.Tty` of the container, or by the
    /// first bytes of the body, in this order. Returns `Ok(None)` if more bytes are needed.
    ///
    /// The content type `application/vnd.docker.multiplexed-stream` always means frames. The content type
    /// `application/vnd.docker.raw-stream` does not show the framing: an Engine sends it with *every* log to
    /// a client that uses an API version below 1.42. Engines before 23.0 and Podman send no content type.
    ///
    /// The first byte distinguishes the framings because each line begins with a timestamp. A bare line
    /// begins with a digit of the year, and a frame begins with its stream type (0 to 3) and three zero
    /// bytes.
    pub(crate) fn detect(
        content_type: Option<&str>,
        has_terminal: Option<bool>,
        first_bytes: &[u8],
    ) -> Result<Option<Self>, LogFormatError> {
        let is_multiplexed = content_type.is_some_and(|value| {
            let media_type = value.split_once(';').map_or(value, |(media_type, _)| media_type);
            media_type.trim().eq_ignore_ascii_case(MULTIPLEXED)
        });
        if is_multiplexed {
            return Ok(Some(Self::Frames));
        }
        if let Some(has_terminal) = has_terminal {
            return Ok(Some(if has_terminal { Self::Terminal } else { Self::Frames }));
        }
        match first_bytes {
            [b'0'..=b'9', ..] => Ok(Some(Self::Terminal)),
            [0..=3, 0, 0, 0, ..] => Ok(Some(Self::Frames)),
            [] | [0..=3] | [0..=3, 0] | [0..=3, 0, 0] => Ok(None),
            [0..=3, ..] => Err(LogFormatError::Padding),
            [kind, ..] => Err(LogFormatError::UnknownStream { kind: *kind }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_multiplexed_content_type_settles_the_framing() {
        let multiplexed = Some("application/vnd.docker.multiplexed-stream");
        let raw = Some("application/vnd.docker.raw-stream");
        assert_eq!(Framing::detect(multiplexed, None, b""), Ok(Some(Framing::Frames)));
        assert_eq!(Framing::detect(multiplexed, Some(true), b"2026"), Ok(Some(Framing::Frames)));
        let with_parameter = Some("Application/vnd.docker.multiplexed-stream; charset=utf-8");
        assert_eq!(Framing::detect(with_parameter, None, b""), Ok(Some(Framing::Frames)));
        assert_eq!(Framing::detect(raw, None, b""), Ok(None));
        assert_eq!(Framing::detect(raw, None, &[1, 0, 0, 0]), Ok(Some(Framing::Frames)));
        assert_eq!(Framing::detect(raw, None, b"2026"), Ok(Some(Framing::Terminal)));
        assert_eq!(Framing::detect(raw, Some(true), b""), Ok(Some(Framing::Terminal)));
    }

    #[test]
    fn the_tty_setting_decides_if_the_content_type_does_not() {
        for content_type in [None, Some("text/plain"), Some("")] {
            assert_eq!(Framing::detect(content_type, Some(true), b""), Ok(Some(Framing::Terminal)));
            assert_eq!(Framing::detect(content_type, Some(false), b""), Ok(Some(Framing::Frames)));
        }
    }

    #[test]
    fn the_first_bytes_decide_if_nothing_else_does() {
        assert_eq!(Framing::detect(None, None, b"2"), Ok(Some(Framing::Terminal)));
        for kind in 0..=3 {
            for length in 0..4 {
                assert_eq!(Framing::detect(None, None, &[kind, 0, 0, 0][..length]), Ok(None));
            }
            assert_eq!(Framing::detect(None, None, &[kind, 0, 0, 0, 9]), Ok(Some(Framing::Frames)));
        }
        assert_eq!(Framing::detect(None, None, &[1, 0, 1]), Err(LogFormatError::Padding));
        assert_eq!(Framing::detect(None, None, b"{"), Err(LogFormatError::UnknownStream { kind: b'{' }));
    }
}
