//! Looks up host names.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::{fmt, io};

use crate::blocking;

/// The future that [`Resolve::resolve`] returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Looks up host names. By default, senders use the operating system's resolver. Another implementation can
/// use service discovery, or return fixed addresses in a test.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Returns the addresses of a host, in the order in which they are to be tried. An empty list is an error
    /// for the sender.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The operating system's resolver, with `/etc/hosts` and its other sources. Nothing is cached here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        let literal = host.parse::<IpAddr>();
        let host = host.to_owned();
        Box::pin(async move {
            match literal {
                Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
                Err(_) => blocking::spawn(move || Ok((host, port).to_socket_addrs()?.collect()))?.await?,
            }
        })
    }
}

/// Returns the addresses of a host. Returns an error if the host has no address.
pub(crate) async fn addresses(resolver: &dyn Resolve, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses = resolver.resolve(host, port).await?;
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_is_looked_up_with_its_port() {
        let found = addresses(&SystemResolver, "::1", 99).await.unwrap();
        assert_eq!(found, ["[::1]:99".parse().unwrap()]);
        let found = addresses(&SystemResolver, "localhost", 99).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 99));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_zone_of_an_address_is_its_scope() {
        for host in ["fe80::1%lo", "fe80::1%1"] {
            let found = addresses(&SystemResolver, host, 99).await.unwrap();
            assert_eq!(found, ["[fe80::1%1]:99".parse().unwrap()], "{host}");
        }
    }
}
