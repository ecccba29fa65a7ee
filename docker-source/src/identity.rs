//! Finds the Engine's host name and clock, or uses the host name and clock of this machine.

use std::time::SystemTime;
use std::{env, fs};

use gelf_core::Timestamp;

use crate::clock::EngineClock;
use crate::engine::{EngineClient, EngineError, Info};

/// The file with the kernel's host name. Inside of a container, this is the container's host name.
const KERNEL_HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The Engine's host name and clock.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) host: String,
    /// The clock that stamps the lines.
    pub(crate) clock: EngineClock,
}

impl Identity {
    /// Requests the host name and the clock. If a proxy refuses the request, this machine's host name and
    /// clock are used instead. If the Engine reports an invalid value, only this value is replaced by the
    /// value of this machine. In both cases, a warning is logged.
    ///
    /// # Errors
    /// Returns the error if the request failed for a reason other than a refusal. A later request may
    /// succeed.
    pub(crate) async fn of(client: &EngineClient) -> Result<Self, EngineError> {
        match client.info().await {
            Ok(info) => Ok(Self::reported(&info)),
            Err(error) if error.is_refusal() => {
                let own =
                    Self { host: own_host(), clock: EngineClock::starting_at(SystemTime::now().into()) };
                tracing::warn!("{error}; using the clock and the host name of this machine, {:?}", own.host);
                Ok(own)
            }
            Err(error) => Err(error),
        }
    }

    fn reported(info: &Info) -> Self {
        let host = match info.name.as_str() {
            name if is_host(name) => name.to_owned(),
            name => {
                let own = own_host();
                tracing::warn!(
                    "the Engine reports the host name {name:?}; using the host name of this machine, {own:?}"
                );
                own
            }
        };
        let time = Timestamp::from_rfc3339(&info.system_time).unwrap_or_else(|error| {
            tracing::warn!(
                "the Engine reports the time {:?} ({error}); using the clock of this machine",
                info.system_time
            );
            SystemTime::now().into()
        });
        Self { host, clock: EngineClock::starting_at(time) }
    }
}

/// Returns whether the text is a host name that is fit for logs: not blank, and without control characters.
fn is_host(name: &str) -> bool {
    !name.trim().is_empty() && !name.contains(char::is_control)
}

/// Returns the host name of this machine, or `localhost` if the system does not provide the name.
fn own_host() -> String {
    let kernel = fs::read_to_string(KERNEL_HOST_NAME).ok();
    [kernel, env::var("HOSTNAME").ok()]
        .into_iter()
        .flatten()
        .map(|name| name.trim().to_owned())
        .find(|name| is_host(name))
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_reported_name_or_time_is_replaced_by_the_value_of_this_machine() {
        let reported = |name: &str, system_time: &str| {
            Identity::reported(&Info { name: name.into(), system_time: system_time.into() })
        };
        let good = reported("web-1", "2026-11-22T22:44:18.000000001Z");
        assert_eq!((good.host.as_str(), good.clock.start().as_unix()), ("web-1", (1_795_387_458, 1)));
        for name in ["", " ", "a\n2026-11-22 ERROR forged"] {
            assert_eq!(reported(name, "2026-11-22T22:44:18Z").host, own_host(), "{name:?}");
        }
        let before = Timestamp::from(SystemTime::now());
        assert!(reported("web-1", "noon").clock.start() >= before);
    }
}
