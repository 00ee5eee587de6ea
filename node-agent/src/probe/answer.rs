//! Answers the probes of peers.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket as StdSocket},
    time::Duration,
};

use overlay::{
    probe::{
        PORT,
        packet::{Budget, LENGTH, answer, may_ask},
    },
    subnet::Subnet,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep},
};
use tracing::{debug, warn};

use crate::{endpoints::ground::Ground, metrics::Metrics};

const AGAIN: Duration = Duration::from_secs(1);
/// What goes on failing is worth a word.
const SAID_AFTER: u32 = 5;

/// An address of this host, and the device at which the overlay's packets to it arrive.
/// What comes in anywhere else, the kernel does not give to this socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    index: u32,
    device: String,
    address: IpAddr,
    own: Vec<Subnet>,
    pools: Vec<Subnet>,
}

impl Seat {
    pub fn of(ground: &Ground) -> Vec<Self> {
        let devices = ground.devices.iter();
        let seats = devices.flat_map(|(index, device)| {
            ground.subnets.iter().map(|subnet| Self {
                index: *index,
                device: device.clone(),
                address: subnet.address(),
                own: ground.subnets.clone(),
                pools: ground.pools.clone(),
            })
        });
        seats.collect()
    }

    fn open(&self) -> io::Result<UdpSocket> {
        let family = match self.address {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        let socket = UdpSocket::from_std(StdSocket::from(socket))?;
        // Before it has a port, so that nothing from elsewhere is waiting at it.
        socket.bind_device(Some(self.device.as_bytes()))?;
        bind(&socket, &SocketAddr::from((self.address, PORT)))?;
        Ok(socket)
    }
}

/// For ever. The address may not be there yet, nor the device any more.
pub async fn keep(seat: Seat, metrics: Metrics) {
    let began = Instant::now();
    let mut budget = Budget::new(Duration::ZERO);
    let mut failures = 0;
    loop {
        let error = match seat.open() {
            Ok(socket) => {
                failures = 0;
                serve(&socket, &seat, &metrics, began, &mut budget).await
            }
            Err(error) => error,
        };
        failures += 1;
        debug!(address = %seat.address, %error, "cannot answer probes");
        if failures == SAID_AFTER {
            warn!(address = %seat.address, port = PORT, %error, "cannot answer probes: peers see no agent here");
        }
        sleep(AGAIN).await;
    }
}

/// Until the socket fails.
async fn serve(
    socket: &UdpSocket,
    seat: &Seat,
    metrics: &Metrics,
    began: Instant,
    budget: &mut Budget,
) -> io::Error {
    // What is longer is cut off, and only its length is not needed.
    let mut packet = [0; LENGTH];
    loop {
        // What waits meanwhile, waits in the kernel, and what has no room there is lost.
        while let Err(pause) = budget.take(began.elapsed()) {
            sleep(pause).await;
        }
        let from = match socket.recv_from(&mut packet).await {
            Ok((LENGTH, from)) => from,
            Ok(_) => continue,
            Err(error) => return error,
        };
        let answer = answer(&packet).filter(|_| may_ask(from.ip(), &seat.own, &seat.pools));
        let Some(answer) = answer else {
            metrics.probes.ignored.inc();
            continue;
        };
        // An answer that has no way is a lost one.
        if socket.try_send_to(&answer, from).is_ok() {
            metrics.probes.answers.inc();
        }
    }
}
