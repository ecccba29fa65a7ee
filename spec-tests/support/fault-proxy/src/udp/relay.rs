//! Passes the datagrams: one task, with a socket for the clients and one towards the target for each client.

use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::flight::{Departure, Flight, Line};
use super::plan::UdpPlan;
use super::{UdpCounters, UdpOptions};
use crate::Direction;
use crate::remote::Command;

/// Maximum length of a datagram, in bytes.
const LONGEST: usize = 65_535;

/// Requested receive buffer of a socket; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Pause after a failed receive.
const AFTER_ERROR: Duration = Duration::from_millis(10);

pub(crate) struct Relay {
    address: SocketAddr,
    target: SocketAddr,
    options: UdpOptions,
    front: Option<UdpSocket>,
    _reservation: Socket,
    clients: Vec<Client>,
    numbers: HashMap<SocketAddr, usize>,
    flight: Flight,
    plan: watch::Receiver<UdpPlan>,
    counters: watch::Sender<UdpCounters>,
}

/// A known client.
struct Client {
    address: SocketAddr,
    /// Connected to the target, so that each client has its own port there.
    back: UdpSocket,
    /// Number of datagrams received from it.
    sent: u64,
    /// Number of datagrams received for it.
    answered: u64,
}

/// An event in the relay.
enum Event {
    Command(Option<Command>),
    FromClient(io::Result<(usize, SocketAddr)>),
    FromTarget(usize, io::Result<usize>),
    Due,
}

impl Relay {
    /// Creates a relay on a free port.
    pub(crate) fn new(
        target: SocketAddr,
        options: UdpOptions,
        plan: watch::Receiver<UdpPlan>,
        counters: watch::Sender<UdpCounters>,
    ) -> io::Result<Self> {
        let (_reservation, address) = reserve()?;
        let front = Some(bind(address)?);
        let flight = Flight::new(options.max_datagrams, options.max_bytes, options.reorder_hold);
        let (clients, numbers) = (Vec::new(), HashMap::new());
        Ok(Self { address, target, options, front, _reservation, clients, numbers, flight, plan, counters })
    }

    /// Returns the listening address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes datagrams until it is dropped.
    pub(crate) async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut from_clients = vec![0; LONGEST];
        let mut from_target = vec![0; LONGEST];
        loop {
            let due = self.flight.due();
            let event = tokio::select! {
                command = commands.recv() => Event::Command(command),
                received = receive(self.front.as_ref(), &mut from_clients) => Event::FromClient(received),
                (client, received) = receive_any(&self.clients, &mut from_target) => Event::FromTarget(client, received),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Event::Due,
            };
            match event {
                Event::Command(None) => return,
                Event::Command(Some(Command::Refuse(done))) => {
                    if self.front.take().is_some() {
                        self.counters.send_modify(|counters| counters.refusals += 1);
                    }
                    // The caller may have stopped waiting.
                    let _ = done.send(());
                }
                Event::Command(Some(Command::Accept(done))) => {
                    let _ = done.send(self.listen());
                }
                Event::FromClient(Ok((length, client))) => {
                    self.ask(client, from_clients.split_at(length).0).await;
                }
                Event::FromClient(Err(_)) => tokio::time::sleep(AFTER_ERROR).await,
                Event::FromTarget(client, Ok(length)) => {
                    self.answer(client, from_target.split_at(length).0);
                }
                // An ICMP error for an earlier datagram.
                Event::FromTarget(_, Err(_)) => {
                    self.counters.send_modify(|counters| counters.target_errors += 1);
                }
                Event::Due => {}
            }
            self.depart().await;
        }
    }

    fn listen(&mut self) -> io::Result<()> {
        if self.front.is_none() {
            self.front = Some(bind(self.address)?);
        }
        Ok(())
    }

    /// Handles a datagram of a client.
    async fn ask(&mut self, address: SocketAddr, bytes: &[u8]) {
        let known = match self.numbers.get(&address) {
            Some(number) => Some(*number),
            None => self.new_client(address).await,
        };
        let plan = *self.plan.borrow();
        self.counters.send_modify(|counters| {
            counters.datagrams_from_clients += 1;
            counters.bytes_from_clients += bytes.len() as u64;
            let Some((client, number)) =
                known.and_then(|number| self.clients.get_mut(number).map(|client| (client, number)))
            else {
                counters.over_limit += 1;
                return;
            };
            let line = Line { client: number, direction: Direction::ToTarget };
            let fate = plan.fate(self.options.seed, number as u64, line.direction, client.sent, bytes.len());
            self.flight.arrive(line, client.sent, bytes, &fate, Instant::now(), counters);
            client.sent += 1;
            counters.clients = self.clients.len() as u64;
            counters.in_flight = self.flight.len() as u64;
        });
    }

    /// Registers a new client, if the limit allows it, and returns its number.
    async fn new_client(&mut self, address: SocketAddr) -> Option<usize> {
        if self.clients.len() >= self.options.max_clients {
            return None;
        }
        let any: SocketAddr = match self.target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let back = bind(any).ok()?;
        back.connect(self.target).await.ok()?;
        let number = self.clients.len();
        self.clients.push(Client { address, back, sent: 0, answered: 0 });
        self.numbers.insert(address, number);
        Some(number)
    }

    /// Handles a datagram of the target for this client.
    fn answer(&mut self, number: usize, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(number) else { return };
        let line = Line { client: number, direction: Direction::ToClient };
        let fate = self.plan.borrow().fate(
            self.options.seed,
            number as u64,
            line.direction,
            client.answered,
            bytes.len(),
        );
        self.counters.send_modify(|counters| {
            counters.datagrams_from_target += 1;
            counters.bytes_from_target += bytes.len() as u64;
            self.flight.arrive(line, client.answered, bytes, &fate, Instant::now(), counters);
            counters.in_flight = self.flight.len() as u64;
        });
        client.answered += 1;
    }

    /// Passes all datagrams that are due.
    async fn depart(&mut self) {
        loop {
            // Usually nothing is due, so the shared counters are not touched.
            let mut counters = *self.counters.borrow();
            let Some(departure) = self.flight.next(Instant::now(), &mut counters) else { return };
            let length = departure.bytes.len() as u64;
            let sent = self.send(&departure, &mut counters).await;
            counters.in_flight = self.flight.len() as u64;
            match (sent, departure.line.direction) {
                (Err(_), _) => counters.send_failed += 1,
                (Ok(_), Direction::ToTarget) => {
                    counters.datagrams_to_target += 1;
                    counters.bytes_to_target += length;
                }
                (Ok(_), Direction::ToClient) => {
                    counters.datagrams_to_clients += 1;
                    counters.bytes_to_clients += length;
                }
            }
            // No other task changes the counters.
            self.counters.send_replace(counters);
        }
    }

    async fn send(&self, departure: &Departure, counters: &mut UdpCounters) -> io::Result<usize> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let client = self.clients.get(departure.line.client).ok_or_else(gone)?;
        match departure.line.direction {
            Direction::ToTarget => match client.back.send(&departure.bytes).await {
                // The error refers to an earlier datagram, and this one was not sent.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    counters.target_errors += 1;
                    client.back.send(&departure.bytes).await
                }
                sent => sent,
            },
            Direction::ToClient => {
                let front = self.front.as_ref().ok_or_else(gone)?;
                front.send_to(&departure.bytes, client.address).await
            }
        }
    }
}

/// Reserves a port with a socket that keeps it while the front socket is closed. It is connected to itself,
/// so it receives nothing.
fn reserve() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?;
    socket.connect(&address)?;
    let unknown = || io::Error::from(io::ErrorKind::AddrNotAvailable);
    Ok((socket, address.as_socket().ok_or_else(unknown)?))
}

/// Binds a socket with a large buffer.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.port() != 0 {
        // The reservation uses the same port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    // A smaller buffer only loses datagrams sooner.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    UdpSocket::from_std(socket.into())
}

/// Receives a datagram of a client; pending without a socket.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => pending().await,
    }
}

/// Receives a datagram of the target, with the number of its client.
async fn receive_any(clients: &[Client], buffer: &mut [u8]) -> (usize, io::Result<usize>) {
    poll_fn(|context| {
        for (number, client) in clients.iter().enumerate() {
            let mut datagram = ReadBuf::new(buffer);
            if let Poll::Ready(result) = client.back.poll_recv(context, &mut datagram) {
                return Poll::Ready((number, result.map(|()| datagram.filled().len())));
            }
        }
        Poll::Pending
    })
    .await
}
