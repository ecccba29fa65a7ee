//! Sends single requests without a source: lists the running containers with their metadata, finds the
//! container of this process, and pings the Engine.

use std::sync::Arc;
use std::time::Duration;

use crate::container::Container;
use crate::engine::{EngineAddress, EngineClient, EngineError, Limits, LogRefusal};
use crate::identity::Identity;
use crate::outage::with_cause;
use crate::own_container::OwnContainer;
use crate::source::MOUNTINFO;
use crate::timing::Timing;

/// Returns the running containers with their metadata, in the order of the Engine's list, without following
/// them. Containers that are removed meanwhile are left out.
///
/// With this list, a program can show which containers its filter for
/// [`select`](crate::SourceBuilder::select) would select.
///
/// # Errors
/// Returns the first error of the requests. Unlike [`connect`](crate::SourceBuilder::connect), the function
/// does not try again if the Engine does not answer.
pub async fn running_containers(address: EngineAddress) -> Result<Vec<Container>, EngineError> {
    let (client, engine_host) = connect(address).await?;
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

/// Returns the container that this process runs in. Returns `None` if this process does not run in a
/// container, or runs in a container of another Engine.
///
/// If the container shares the network of another container, the function also returns `None`. However, an
/// Engine with the image store of containerd does not tell the two apart, and the function returns the other
/// container.
///
/// # Errors
/// Returns the first error of the requests.
pub async fn own_container(address: EngineAddress) -> Result<Option<Container>, EngineError> {
    // An error is ignored here, since each source logs a warning if the file cannot be read.
    let own = OwnContainer::read(MOUNTINFO.as_ref()).unwrap_or_default();
    find_own(address, &own).await
}

async fn find_own(address: EngineAddress, own: &OwnContainer) -> Result<Option<Container>, EngineError> {
    let Some(id) = own.of_files() else { return Ok(None) };
    let (client, engine_host) = connect(address).await?;
    match client.inspect(id).await {
        Ok(inspect) if own.is(id, Some(&inspect)) => {
            Ok(Some(Container::from_inspect(id, inspect, engine_host)))
        }
        Ok(_) => Ok(None),
        Err(error) if error.log_refusal() == LogRefusal::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns a client whose version of the API is negotiated, and the host name of the Engine.
async fn connect(address: EngineAddress) -> Result<(EngineClient, Arc<str>), EngineError> {
    let timing = Timing::default();
    let limits = Limits { headers: timing.headers, log: timing.catch_up, body: timing.answer };
    let client = EngineClient::new(address, limits);
    client.negotiate().await.map_err(|error| with_cause(error, MOUNTINFO.as_ref()))?;
    let engine_host = Identity::of(&client).await?.host.into();
    Ok((client, engine_host))
}

/// Checks that the Engine answers on a new connection. Returns the API version that requests to this Engine
/// use, such as `1.47`: the newest version that both sides support.
///
/// # Errors
/// Returns the error of the request. The function waits for the connection and the answer together, at most
/// for the time `within`. The error is [`EngineError::TooOld`] for an Engine that is not supported,
/// [`EngineError::Answer`] for a server that is not an Engine, and [`EngineError::StaleSocket`] for a stale
/// socket file that is mounted without its folder.
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
    async fn running_containers_are_listed_without_removed_containers() {
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
    async fn the_container_of_this_process_is_found_unless_it_belongs_to_another_engine() {
        let engine = SimulatedEngine::start().await;
        let agent = engine.create(ContainerOptions::named("agent"));
        agent.start();
        let find = async |id: &str| {
            let mount =
                format!("615 600 254:1 /var/lib/docker/containers/{id}/hosts /etc/hosts rw - ext4 / rw");
            let own = OwnContainer::from_mountinfo(&mount);
            let found = find_own(engine.docker_host().parse().unwrap(), &own).await.unwrap();
            found.map(|container| container.name().to_owned())
        };
        assert_eq!(find(agent.id()).await.as_deref(), Some("agent"));
        assert_eq!(find(&"0".repeat(64)).await, None);
        assert_eq!(find("no id").await, None);
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
