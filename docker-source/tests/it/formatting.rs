//! Tests of the conversion of records to messages.

use docker_source::gelf::{GelfFormat, GelfFormatter};
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};

use crate::support::{Logged, connect, next};

#[tokio::test]
async fn labels_that_are_left_out_are_logged_once_for_each_container_however_often_its_metadata_change() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let mut formatter = GelfFormatter::new(GelfFormat::default());
    for name in ["web", "db"] {
        let mut options = ContainerOptions::named(name);
        for number in 0..100 {
            options = options.label(&format!("gelf_{number}"), "value");
        }
        let container = engine.create(options);
        container.start();
        for renaming in 0..3 {
            container.line(Stream::Stdout, "line");
            formatter.message(&next(&mut source).await);
            // The next run has another name, so its metadata are different, too.
            container.rename(&format!("{name}-{renaming}"));
            container.die();
            container.start();
        }
    }
    let warnings = logged.matching("dropping the label");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}
