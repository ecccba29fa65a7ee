//! Prints the mean number of allocations that a process makes to log an event. Each event has 8 fields and lies
//! within two spans. The destination accepts the connection, but does not read.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin layer_allocations SUBJECT`

#[path = "layers/receiver.rs"]
#[allow(dead_code)]
mod receiver;
#[path = "layers/subject.rs"]
mod subject;

use std::alloc::System;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const EVENTS: u64 = 10_000;

fn main() {
    let subject =
        std::env::args().nth(1).expect("usage: layer_allocations SUBJECT, such as gelf-tracing or json");
    // The receiver does not read, so nothing is sent any more once the buffers of the connection are full. Therefore
    // almost only the allocations of logging are counted, and not those of sending.
    let counts = Arc::new(receiver::Counts::default());
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let (_receiver, address) = receiver::Receiver::up(any, &counts, false, receiver::End::Reset);
    let _running = subject::start(&subject, address, true);
    thread::sleep(Duration::from_millis(300));
    // The first events let the buffers for one event grow to their final size.
    subject::log(0..100);
    let region = Region::new(ALLOCATOR);
    subject::log(100..100 + EVENTS);
    let change = region.change();
    println!(
        "{subject}: {:.1} allocations, {:.1} reallocations, {:.0} bytes an event",
        change.allocations as f64 / EVENTS as f64,
        change.reallocations as f64 / EVENTS as f64,
        change.bytes_allocated as f64 / EVENTS as f64
    );
    std::process::exit(0);
}
