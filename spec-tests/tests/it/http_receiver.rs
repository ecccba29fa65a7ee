//! Sends the HTTP vectors to gelf-tokio's receiver, and payloads of the other vectors as HTTP requests.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc;

use gelf_spec_tests::{Live, LiveHttp, LiveOptions, Verdict, embedded, embedded_http};
use gelf_tokio::HttpReceiver;
use gelf_tokio::options::HttpReceiverOptions;
use tokio::runtime::Runtime;

use crate::support::{results, unexpected};

/// Starts a receiver with this setup, and returns a subject that sends requests to this receiver.
fn live(runtime: &Runtime, setup: &LiveHttp) -> Live {
    let mut options = HttpReceiverOptions::default();
    options.bulk = setup.bulk;
    options.required_header.clone_from(&setup.header);
    options.path.clone_from(&setup.path);
    options.max_bulk_len = setup.max_body.unwrap();
    options.max_payload_len = setup.max_message.unwrap_or(options.max_bulk_len);
    let mut receiver = runtime.block_on(HttpReceiver::bind_with_options("127.0.0.1:0", options)).unwrap();
    let address = receiver.local_addr().unwrap();
    let (sender, payloads) = mpsc::channel();
    runtime.spawn(async move {
        while let Some(received) = receiver.recv().await {
            // Errors are skipped, because the output of a receiver has only messages.
            let Ok(received) = received else { continue };
            if sender.send(received.payload.to_vec()).is_err() {
                return;
            }
        }
    });
    let mut http = setup.clone();
    (http.address, http.host) = (address, address.to_string());
    let options = LiveOptions { http: Some(http), ..Default::default() };
    Live::within(options, move |within| payloads.recv_timeout(within).ok()).unwrap()
}

fn setups() -> Vec<LiveHttp> {
    LiveHttp::setups(SocketAddr::from(([127, 0, 0, 1], 1)))
}

#[test]
fn gelf_tokio_passes_the_http_vectors_in_every_setup() {
    let runtime = Runtime::new().unwrap();
    let mut passed = BTreeSet::new();
    for (at, setup) in setups().iter().enumerate() {
        let mut live = live(&runtime, setup);
        let results = results(&embedded_http().unwrap(), &mut live, None);
        assert_eq!(unexpected(&results), [""; 0], "setup {at}");
        let passes = results.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Passes);
        passed.extend(passes.map(|outcome| outcome.id.clone()));
    }
    // Each vector is sent in at least one setup, and passes there.
    let topics = embedded_http().unwrap();
    let all: BTreeSet<_> =
        topics.iter().flat_map(|topic| &topic.vectors).map(|vector| vector.id.clone()).collect();
    assert_eq!(all.difference(&passed).collect::<Vec<_>>(), [""; 0]);
    println!("{} HTTP vectors pass in {} setups", passed.len(), setups().len());
}

#[test]
fn gelf_tokio_passes_the_payload_vectors_over_http() {
    let runtime = Runtime::new().unwrap();
    let mut live = live(&runtime, &setups()[0]);
    let results = results(&embedded().unwrap(), &mut live, None);
    assert_eq!(unexpected(&results), [""; 0]);
    assert_eq!(live.late(), 0);
    assert!(results.count(Verdict::Passes) >= 270, "{}", results.count(Verdict::Passes));
}
