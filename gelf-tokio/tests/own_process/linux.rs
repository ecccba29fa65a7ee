//! The harness of the tests that need separate processes.
//!
//! The standard harness is not used, because this program also runs as the other process of a test. Tests run
//! one after another, so that the memory and time that a test measures belong to that test. An argument that
//! is not an option selects the tests whose names contain the argument.

mod client_half_open;
mod client_memory;
#[cfg(feature = "http")]
mod http_file_limit;
#[cfg(feature = "http")]
mod http_memory;
mod namespaces;
mod no_threads;
mod process;
mod tcp_file_limit;
mod tcp_hostile;
mod tcp_receiver;
mod udp_flood;
mod udp_namespaces;

use std::future::Future;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Creates the entry of a test, which may be asynchronous.
macro_rules! test {
    ($module:ident :: $name:ident) => {
        (concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn())
    };
    (async $module:ident :: $name:ident) => {
        (concat!(stringify!($module), "::", stringify!($name)), (|| block_on($module::$name())) as fn())
    };
}

const TESTS: &[(&str, fn())] = &[
    // This test is first, because it would otherwise reuse memory that earlier tests have freed.
    test!(async client_memory::an_outage_takes_no_more_memory_than_the_budget_and_32_mib),
    #[cfg(feature = "http")]
    test!(async http_memory::memory_depends_on_the_limits_and_not_on_the_input),
    #[cfg(all(feature = "http", feature = "tls"))]
    test!(async http_memory::incomplete_handshakes_take_little_memory),
    test!(client_half_open::a_connection_whose_packets_vanish_is_given_up_within_35_seconds),
    test!(no_threads::a_client_without_threads_tries_again_and_sends_when_there_are_some),
    test!(async tcp_file_limit::a_receiver_without_file_descriptors_serves_open_connections),
    test!(async tcp_hostile::a_thousand_slow_connections_are_closed_and_take_at_most_40_mib),
    test!(async tcp_hostile::unfinished_long_frames_cost_at_most_64_mib_more_than_their_budget),
    test!(async tcp_hostile::a_flood_of_connections_does_not_affect_open_ones),
    test!(udp_flood::a_flood_of_chunks_costs_at_most_16_mib_and_1_percent_of_messages_beyond_kernel_drops),
    test!(udp_namespaces::datagrams_of_1420_bytes_are_sent_by_segmentation),
    test!(udp_namespaces::datagrams_of_8192_bytes_are_sent_one_by_one_after_segmentation_was_refused_once),
    test!(udp_namespaces::sending_fails_without_the_local_address_and_continues_from_a_new_one),
    test!(udp_namespaces::a_client_keeps_messages_that_its_own_machine_does_not_send),
    // This test is last, because it lowers the file limit of this process.
    #[cfg(feature = "http")]
    test!(async http_file_limit::a_receiver_without_file_descriptors_waits_until_there_are_some),
];

pub(crate) fn main() -> ExitCode {
    if let Some((role, argument)) = process::role() {
        play(&role, &argument);
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| matches!(&argument[..], "--list" | "--ignored")) {
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_selected =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(&filter[..]));
    let mut failed = Vec::new();
    for (name, test) in TESTS.iter().filter(|(name, _)| is_selected(name)) {
        println!("test {name} ...");
        match catch_unwind(test) {
            Ok(()) => println!("test {name} ... ok"),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        println!("test result: ok");
        return ExitCode::SUCCESS;
    }
    println!("test result: FAILED: {failed:?}");
    ExitCode::FAILURE
}

/// Runs this process in a role of a test.
fn play(role: &str, argument: &str) {
    match role {
        no_threads::CLIENT => block_on(no_threads::send(argument)),
        client_half_open::INSIDE => block_on(client_half_open::lose_packets()),
        tcp_receiver::RECEIVER => block_on(tcp_receiver::receive(argument)),
        udp_flood::RECEIVER => udp_flood::receive(),
        udp_namespaces::RECEIVER => block_on(udp_namespaces::receive()),
        udp_namespaces::SENDER => block_on(udp_namespaces::send(argument)),
        udp_namespaces::SENDER_WITHOUT_ROUTE => block_on(udp_namespaces::send_without_route(argument)),
        udp_namespaces::SINK => block_on(udp_namespaces::listen()),
        udp_namespaces::CLIENT => block_on(udp_namespaces::run_client(argument)),
        _ => panic!("no role is called {role}"),
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}
