//! A subject with known bugs, for tests of `gelf-conformance fuzz`.
//!
//! The argument selects the bug:
//!
//! - `panic`: exits with status 101 on a message with a field whose name contains `q`.
//! - `lose`: drops messages whose host ends with an exclamation mark.
//! - `invent`: in lenient mode, delivers an extra message if the payload, a datagram or a piece of the stream
//!   ends with two closing braces.
//! - `hang`: sleeps for a minute on a chunk with a count of 0.
//!
//! The subject answers all other requests as gelf-core does.

use std::time::Duration;

use gelf_spec_tests::{Builtin, Description, MessageText, Mode, Reply, Request, Subject, serve};

struct Broken {
    bug: String,
    sound: Builtin,
}

impl Subject for Broken {
    fn description(&self) -> &Description {
        self.sound.description()
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
        let reply = self.sound.ask(request)?;
        let Reply::Named(mut answer) = reply else { return Ok(reply) };
        let parts = request.input.parts();
        match self.bug.as_str() {
            "panic" => {
                let has_q = |(name, _): &(String, _)| name.contains('q');
                if answer.messages.iter().any(|message| message.fields.iter().any(has_q)) {
                    eprintln!("a name with q");
                    std::process::exit(101);
                }
            }
            "lose" => {
                let ends_so =
                    |message: &MessageText| message.host.as_ref().is_some_and(|host| host.ends_with('!'));
                answer.messages.retain(|message| !ends_so(message));
            }
            "invent" if parts.iter().any(|part| part.ends_with(b"}}")) && request.mode == Mode::Lenient => {
                answer.messages.push(MessageText::default());
            }
            "hang"
                if parts.iter().any(|part| part.starts_with(&[0x1e, 0x0f]) && part.get(11) == Some(&0)) =>
            {
                std::thread::sleep(Duration::from_secs(60));
            }
            _ => {}
        }
        Ok(Reply::Named(answer))
    }
}

fn main() -> Result<(), String> {
    let bug = std::env::args().nth(1).ok_or("usage: broken_subject panic|lose|invent|hang")?;
    let mut broken = Broken { bug, sound: Builtin::default() };
    serve(&mut broken, std::io::stdin().lock(), std::io::stdout().lock())
}
