//! Prints the lines of all containers, like `docker logs --follow` for each of them: `tail [NAME_PATTERN]`.

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
        let mut line = format!("{}: ", record.container().name()).into_bytes();
        line.extend_from_slice(record.bytes());
        line.push(b'\n');
        match record.stream() {
            LogStream::Stdout => std::io::stdout().write_all(&line)?,
            LogStream::Stderr => std::io::stderr().write_all(&line)?,
        }
    }
    Ok(())
}
