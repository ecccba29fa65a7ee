//! Waits until the peer's kernel has received all written bytes, because a reset discards unreceived bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// Number of checks, a millisecond apart.
const TRIES: u32 = 1_000;

/// Waits until the peer's kernel has received all written bytes, for at most about a second.
///
/// Linux reports the unsent bytes in `/proc/net/tcp`. Without such a file, the function returns at once.
pub(crate) async fn settle(socket: &TcpStream) {
    let (Ok(local), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else { return };
    let table = if local.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" };
    for _ in 0..TRIES {
        let Ok(text) = std::fs::read_to_string(table) else { return };
        if matches!(unsent(&text, local, peer), None | Some(0)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Returns the number of unsent or unacknowledged bytes of a connection, from the kernel's table.
fn unsent(table: &str, local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let (local, peer) = (format!(":{:04X}", local.port()), format!(":{:04X}", peer.port()));
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let ends = (columns.next()?, columns.next()?);
        let queues = columns.nth(1)?;
        if !ends.0.ends_with(&local) || !ends.1.ends_with(&peer) {
            return None;
        }
        u64::from_str_radix(queues.split(':').next()?, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000010:00000002 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
";

    #[test]
    fn unsent_bytes_are_read_from_the_kernel_table() {
        let (server, client) = ("127.0.0.1:8080".parse().unwrap(), "127.0.0.1:50000".parse().unwrap());
        assert_eq!(unsent(TABLE, server, client), Some(16));
        assert_eq!(unsent(TABLE, client, server), Some(0));
        assert_eq!(unsent(TABLE, client, client), None);
        assert_eq!(unsent("", client, server), None);
        assert_eq!(unsent("a\nb\n c d e f\n", client, server), None);
    }
}
