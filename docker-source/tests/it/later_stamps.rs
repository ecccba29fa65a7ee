//! Tests that no line is lost after a line whose stamp is in the future, such as a forged stamp.

use simulated_engine::{ContainerOptions, PIECE, SimulatedEngine, Stream};

use crate::support::{assert_nothing_left, connect, texts};

#[tokio::test]
async fn a_forged_stamp_of_a_terminal_loses_no_line_after_a_restart() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let shell = engine.create(ContainerOptions::named("shell").tty());
    shell.start();
    let forged = format!("{}rest\r2099-01-01T00:00:00.000000000Z forged", "x".repeat(PIECE));
    shell.line(Stream::Stdout, &forged);
    shell.line(Stream::Stdout, "before");
    assert_eq!(texts(&mut source, 2).await, [forged.as_str(), "before"]);
    shell.die();
    shell.start();
    shell.line(Stream::Stdout, "after");
    assert_eq!(texts(&mut source, 1).await, ["after"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_record_stamped_later_than_the_engines_clock_loses_no_line_after_a_restart() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    // A line has this stamp if the Engine's clock is temporarily an hour ahead.
    web.piece(Stream::Stdout, simulated_engine::START + 3_600_000_000_000, "ahead\n");
    web.line(Stream::Stdout, "two");
    assert_eq!(texts(&mut source, 3).await, ["one", "ahead", "two"]);
    web.die();
    web.start();
    web.line(Stream::Stdout, "three");
    assert_eq!(texts(&mut source, 1).await, ["three"]);
    assert_nothing_left(&mut source).await;
}
