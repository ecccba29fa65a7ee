//! `gelf-router tail`: prints the new lines of containers, without a destination.

use std::future::ready;
use std::io::{self, IsTerminal};

use docker_source::{Container, EngineAddress, LogStream, NamePattern, Record, Source, SourceError};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use crate::failure::Failure;
use crate::route;
use crate::stop::Stop;
use crate::terminal::{are_colors_wanted, color, push_safe};

/// Prints to stdout the lines that running and new containers write from now on. Ends when a signal arrives
/// or when stdout is closed. If the Engine does not answer, waits until it does. `patterns` select containers
/// by name. Without patterns, all containers except agents are selected. Containers with `LOGSPOUT=ignore` are never
/// read.
///
/// # Errors
/// Returns an error if the Engine refuses the connection, or if stdout cannot be written.
pub(crate) async fn run(address: EngineAddress, patterns: Vec<NamePattern>) -> Result<(), Failure> {
    let mut stop = Stop::new().map_err(Failure::refused)?;
    let has_colors = io::stdout().is_terminal() && are_colors_wanted(|name| std::env::var(name).ok());
    let mut lines = Lines { out: BufWriter::new(tokio::io::stdout()), has_colors };
    let connecting = Source::builder()
        .address(address)
        .select(move |container| is_selected(container, &patterns))
        .connect();
    let Some(connected) = stop.unless_asked(connecting).await else { return Ok(()) };
    let mut source = connected.map_err(Failure::refused)?;
    let printed = match stop.unless_asked(lines.print_all(&mut source)).await {
        Some(printed) => printed,
        // The signal can arrive while lines are written, so the buffer can have lines. The wait is limited, since
        // stdout can be blocked.
        None => stop.unless_over(lines.out.flush()).await.unwrap_or(Ok(())).map_err(Ended::Stdout),
    };
    match printed {
        Ok(()) => Ok(()),
        Err(Ended::Stdout(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Ended::Stdout(error)) => Err(Failure::refused(format!("printing failed: {error}"))),
        Err(Ended::Source(error)) => Err(Failure::refused(error)),
    }
}

/// Returns whether the lines of a container are printed. The lines of an agent are printed only if a pattern
/// matches the agent's name. Without this rule, two agents could print each other's lines for ever.
fn is_selected(container: &Container, patterns: &[NamePattern]) -> bool {
    match patterns {
        [] => !route::is_agent(container),
        patterns => patterns.iter().any(|pattern| pattern.matches(container.name())),
    }
}

/// The reason why printing ended early.
#[derive(Debug)]
enum Ended {
    Source(SourceError),
    Stdout(io::Error),
}

struct Lines<W> {
    out: BufWriter<W>,
    has_colors: bool,
}

impl<W: AsyncWrite + Unpin> Lines<W> {
    /// Prints records until the source ends.
    async fn print_all(&mut self, source: &mut Source) -> Result<(), Ended> {
        loop {
            // The buffer is flushed before waiting. So a single line appears on stdout immediately, and many
            // lines are written together.
            let at_once = tokio::select! {
                biased;
                next = source.next() => Some(next),
                () = ready(()) => None,
            };
            let next = match at_once {
                Some(next) => next,
                None => {
                    self.out.flush().await.map_err(Ended::Stdout)?;
                    source.next().await
                }
            };
            match next.map_err(Ended::Source)? {
                Some(record) => self.print(&record).await.map_err(Ended::Stdout)?,
                None => return self.out.flush().await.map_err(Ended::Stdout),
            }
        }
    }

    async fn print(&mut self, record: &Record) -> io::Result<()> {
        self.out.write_all(line(record, self.has_colors).as_bytes()).await
    }
}

/// Returns the line for a record: `NAME | text` for stdout, `NAME ! text` for stderr, and `NAME ~ text` for a
/// gap. Characters that control a terminal are escaped in the name and in the text. An incomplete line ends with
/// `…`.
fn line(record: &Record, has_colors: bool) -> String {
    let container = record.container();
    let mark = match (record.gap(), record.stream()) {
        (Some(_), _) => '~',
        (None, LogStream::Stdout) => '|',
        (None, LogStream::Stderr) => '!',
    };
    let mut line = String::new();
    if has_colors {
        line.push_str(color(container.name()));
    }
    push_safe(&mut line, container.name());
    line.push(' ');
    line.push(mark);
    line.push_str(if has_colors { "\u{1b}[0m " } else { " " });
    push_safe(&mut line, &String::from_utf8_lossy(record.bytes()));
    if !record.is_whole() && record.gap().is_none() {
        line.push('…');
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str) -> docker_source::ContainerBuilder {
        Container::builder(name)
    }

    #[test]
    fn a_line_has_the_name_and_stream_and_controls_no_terminal() {
        let raw = b"a\x1b[31m\tb\r\x9b\"\\ \xe2\x80\xae\xc2\x9b\xc3\xa9\x07".as_slice();
        let out = Record::builder(container("we\x1bb").build(), raw).build();
        assert_eq!(
            line(&out, false),
            "we\\u{1b}b | a\\u{1b}[31m\tb\\r\u{fffd}\"\\ \\u{202e}\\u{9b}é\\u{7}\n"
        );
        let error = Record::builder(container("web").build(), "no").stream(LogStream::Stderr).build();
        assert_eq!(line(&error, false), "web ! no\n");
        let gap = Record::builder(container("web").build(), "lines may be missing");
        let gap = gap.gap(None, None, docker_source::GapReason::Rotated).build();
        assert_eq!(line(&gap, false), "web ~ lines may be missing\n");
        let cut = Record::builder(container("web").build(), "begin").cut_from(9).build();
        assert_eq!(line(&cut, false), "web | begin…\n");
    }

    #[test]
    fn only_the_name_and_the_mark_are_coloured_unless_no_color_or_a_dumb_terminal_forbids_it() {
        let record = Record::builder(container("web").build(), "text").build();
        assert_eq!(line(&record, true), "\u{1b}[31mweb |\u{1b}[0m text\n");
        let wanted = |set: &[(&str, &str)]| {
            are_colors_wanted(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
            })
        };
        assert!(wanted(&[]) && wanted(&[("NO_COLOR", ""), ("TERM", "xterm")]));
        assert!(!wanted(&[("NO_COLOR", "1")]) && !wanted(&[("TERM", "dumb")]));
    }

    #[test]
    fn an_agent_is_printed_only_if_a_pattern_names_it() {
        let agent = container("agent").label("gelf-router.agent", "").build();
        let patterns = |text: &str| vec![NamePattern::new(text).unwrap()];
        assert!(!is_selected(&agent, &[]) && is_selected(&agent, &patterns("ag*")));
        let web = container("web").build();
        assert!(is_selected(&web, &[]) && !is_selected(&web, &patterns("ag*")));
    }
}
