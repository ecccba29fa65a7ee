//! Runs as a command-line program that logs and then ends. The guard sends the queued events before `main`
//! returns, even if `main` returns an error.
//!
//! ```text
//! cargo run -p gelf-tracing --features http --example command -- gelf+tcp://127.0.0.1:12201
//! ```

use std::error::Error;
use std::{env, fs};

use gelf_tracing::GelfLayer;
use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let uri = env::args().nth(1).unwrap_or_else(|| "gelf://127.0.0.1:12201".to_owned());
    let (layer, _guard) =
        GelfLayer::builder(&uri)?.field("service", "word-count").panic_hook(true).build()?;
    tracing_subscriber::registry().with(layer).init();

    for path in ["Cargo.toml", "missing.toml"] {
        let _span = info_span!("count", path).entered();
        match fs::read_to_string(path) {
            Ok(text) => info!(words = text.split_whitespace().count(), bytes = text.len(), "counted"),
            Err(failure) => error!(error = &failure as &dyn Error, "the file cannot be read"),
        }
    }
    Ok(())
}
