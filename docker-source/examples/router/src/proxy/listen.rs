//! Listens for agents on a unix socket or a TCP port.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use docker_source::EngineAddress;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::server::Socket;

/// The mode of the socket: only the owner and the group of the socket are allowed to use it.
const MODE: u32 = 0o660;

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens at an address. A new unix socket replaces an old socket at which no process listens any more.
    /// The new socket gets the group of the Engine's unix socket, so that the same group may use both sockets.
    /// If this fails, the new socket keeps its group, and a warning is logged.
    pub(super) async fn bind(address: &EngineAddress, engine: &EngineAddress) -> io::Result<Self> {
        match address {
            EngineAddress::Tcp { host, port } => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                TcpListener::bind((host, *port)).await.map(Self::Tcp)
            }
            EngineAddress::Unix(path) => {
                remove_unused(path).await?;
                let listener = UnixListener::bind(path)?;
                if let EngineAddress::Unix(engine) = engine {
                    give_to_group_of(engine, path);
                }
                std::fs::set_permissions(path, PermissionsExt::from_mode(MODE))?;
                Ok(Self::Unix(listener))
            }
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the proxy does not use TLS")),
        }
    }

    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Socket>> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Socket>)
            }
            Self::Unix(listener) => {
                listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Socket>)
            }
        }
    }
}

/// Removes a unix socket at which no process listens any more, such as the socket of an ended proxy.
async fn remove_unused(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn give_to_group_of(engine: &Path, path: &Path) {
    let given = std::fs::metadata(engine).and_then(|engine| {
        if std::fs::metadata(path)?.gid() == engine.gid() {
            Ok(())
        } else {
            chown(path, None, Some(engine.gid()))
        }
    });
    if let Err(error) = given {
        tracing::warn!("{} keeps its group: {error}", path.display());
    }
}
