//! Prints the new lines of all containers, as `docker logs --follow --tail 0` does for one container.
//!
//! Usage: `tail [NAME_PATTERN]`. With a pattern, only the containers whose names match it are read.

use std::error::Error;
use std::io::Write;

use docker_source::{LogStream, NamePattern, Source};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    let pattern: NamePattern = argument.as_deref().unwrap_or("*").parse()?;
    let mut source =
        Source::builder().select(move |container| pattern.matches(container.name())).connect().await?;
    while let Some(record) = source.next().await? {
        let text = String::from_utf8_lossy(record.bytes());
        // A container must not control the terminal.
        let text = text.replace(|character: char| character.is_control() && character != '\t', "\u{fffd}");
        let name = record.container().name();
        match record.stream() {
            LogStream::Stdout => writeln!(std::io::stdout(), "{name}: {text}")?,
            LogStream::Stderr => writeln!(std::io::stderr(), "{name}: {text}")?,
        }
    }
    Ok(())
}
