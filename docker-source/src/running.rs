//! Sends single requests without a source: lists the running containers with their metadata, and pings the
//! Engine.

use std::sync::Arc;
use std::time::Duration;

use crate::container::Container;
use crate::engine::{EngineAddress, EngineClient, EngineError, Limits, LogRefusal};
use crate::identity::Identity;
use crate::outage::with_cause;
use crate::source::MOUNTINFO;
use crate::timing::Timing;

/// Returns the running containers with their metadata, in the order of the Engine's list, without following
/// them. Containers that are removed meanwhile are left out.
///
/// Programs use the list to show which containers a [`select`](crate::SourceBuilder::select) would follow.
///
/// # Errors
/// Returns the first error of the requests. Unlike [`connect`](crate::SourceBuilder::connect), the function
/// does not wait for an Engine that does not answer.
pub async fn running_containers(address: EngineAddress) -> Result<Vec<Container>, EngineError> {
    let timing = Timing::default();
    let limits = Limits { headers: timing.headers, log: timing.catch_up, body: timing.answer };
    let client = EngineClient::new(address, limits);
    client.negotiate().await.map_err(|error| with_cause(error, MOUNTINFO.as_ref()))?;
    let engine_host: Arc<str> = Identity::of(&client).await?.host.into();
    let list = client.containers().await?;
    if let Some(error) = list.error {
        return Err(error);
    }
    let mut containers = Vec::new();
    for summary in list.containers.iter().filter(|summary| summary.is_running()) {
        match client.inspect(&summary.id).await {
            Ok(inspect) => {
                containers.push(Container::from_inspect(&summary.id, inspect, engine_host.clone()));
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => {}
            Err(error) => return Err(error),
        }
    }
    Ok(containers)
}

/// Asks the Engine whether it answers, on a new connection. Returns the version of the API that requests to
/// this Engine use, such as `1.47`: the newest version that both sides support.
///
/// # Errors
/// Returns the error of the request. The connection and the answer together may take the time `within`. The
/// error is [`EngineError::TooOld`] for an Engine that is not supported, [`EngineError::Answer`] for another
/// server, and [`EngineError::StaleSocket`] for a stale socket file that is mounted by itself.
pub async fn ping(address: EngineAddress, within: Duration) -> Result<String, EngineError> {
    let limits = Limits { headers: within, log: within, body: within };
    let version = EngineClient::new(address, limits).negotiate().await;
    version.map(|version| version.to_string()).map_err(|error| with_cause(error, MOUNTINFO.as_ref()))
}

#[cfg(test)]
mod tests {
    use simulated_engine::{ContainerOptions, Fault, Options, SimulatedEngine};

    use super::*;

    #[tokio::test]
    async fn running_containers_are_listed_without_those_that_are_gone() {
        let engine = SimulatedEngine::start().await;
        engine.create(ContainerOptions::named("created"));
        let web = engine.create(ContainerOptions::named("web").label("team", "shop"));
        let gone = engine.create(ContainerOptions::named("gone"));
        web.start();
        gone.start();
        gone.fail_inspect(Fault::Status(404, "no such container".into()));
        let containers = running_containers(engine.docker_host().parse().unwrap()).await.unwrap();
        let names: Vec<_> = containers.iter().map(Container::name).collect();
        assert_eq!(names, ["web"]);
        assert_eq!(containers[0].labels()["team"], "shop");
    }

    #[tokio::test]
    async fn the_version_of_the_api_is_returned_or_the_reason_why_there_is_none() {
        for (offered, expected) in [("1.41", Some("1.41")), ("1.54", Some("1.47")), ("1.39", None)] {
            let options = Options { api_version: offered.into(), ..Options::default() };
            let engine = SimulatedEngine::start_with(options).await;
            let version = ping(engine.docker_host().parse().unwrap(), Duration::from_secs(60)).await;
            match expected {
                Some(expected) => assert_eq!(version.unwrap(), expected),
                None => assert!(matches!(version, Err(EngineError::TooOld { .. })), "{version:?}"),
            }
        }
    }
}
