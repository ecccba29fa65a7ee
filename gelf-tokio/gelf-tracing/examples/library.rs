//! Tests a library that logs by `tracing` and knows nothing of GELF. The test sets a subscriber for one
//! thread only, so that tests can run at the same time. The subscriber sends the events to a receiver.
//!
//! If a URI is given, the events go to this URI. Without a URI, the example receives the events itself, as a
//! test would:
//!
//! ```text
//! cargo run -p gelf-tracing --example library
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use gelf_tracing::GelfLayer;
use gelf_tracing::gelf_tokio::UdpReceiver;
use gelf_tracing::gelf_tokio::gelf_core::Decoder;
use tracing_subscriber::prelude::*;

mod library {
    use tracing::{debug_span, warn};

    /// Divides the dividend by each divisor. Logs a warning for each divisor for which there is no quotient.
    pub(super) fn quotients(dividend: i64, divisors: &[i64]) -> Vec<i64> {
        let _span = debug_span!("quotients", dividend).entered();
        let quotient = |divisor: &i64| {
            let quotient = dividend.checked_div(*divisor);
            if quotient.is_none() {
                warn!(divisor, "left out");
            }
            quotient
        };
        divisors.iter().filter_map(quotient).collect()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(uri) = env::args().nth(1) {
        return test(&uri).await;
    }
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await?;
    test(&format!("gelf://{}", receiver.local_addr()?)).await?;
    let received = receiver.recv().await.ok_or("no message")??;
    let message = received.decode(&mut Decoder::strict())?.message;
    assert_eq!(message.short_message(), "left out");
    assert_eq!(message.field("dividend").and_then(|value| value.as_i64()), Some(7));
    assert_eq!(message.field("divisor").and_then(|value| value.as_i64()), Some(0));
    println!("{message}");
    Ok(())
}

async fn test(uri: &str) -> Result<(), Box<dyn Error>> {
    let (layer, guard) = GelfLayer::builder(uri)?.host("test").build()?;
    let subscriber = tracing_subscriber::registry().with(layer);
    let quotients = tracing::subscriber::with_default(subscriber, || library::quotients(7, &[2, 0, 7]));
    assert_eq!(quotients, [3, 1]);
    guard.close(Duration::from_secs(5)).await?;
    Ok(())
}
