//! The sending side of a trial.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use overlay::{
    probe::{
        packet::{LENGTH, answers, question},
        window::{Outcome, Size},
    },
    subnet::Family,
    trial::{Measured, Reached, Target, What},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    place::Place,
    serve::{BUFFER, COUNT, TAKE},
};
use crate::probe::Question;

/// Each takes two sockets.
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);
/// A packet that is not back by then is lost.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// What is still on its way when the last was sent has this long to arrive.
const SETTLE: Duration = Duration::from_millis(200);
/// What fits the shortest frame: 64 bytes with its headers.
const SMALL: [u8; 18] = [0; 18];

/// A packet that is lost is sent once more.
pub async fn reach(place: &Place, targets: &[Target]) -> io::Result<Vec<Reached>> {
    let mut all = Vec::with_capacity(targets.len());
    for some in targets.chunks(AT_ONCE) {
        let first = once(place, some).await?;
        let passed = |reached: &Reached| {
            let answered = |outcome| matches!(outcome, Outcome::Answered(_));
            answered(reached.small) && answered(reached.full)
        };
        let lost = first.iter().filter(|reached| !passed(reached));
        let lost: Vec<IpAddr> = lost.map(|reached| reached.to).collect();
        let again = some.iter().filter(|target| lost.contains(&target.address));
        let again: Vec<Target> = again.copied().collect();
        all.extend(first.into_iter().filter(passed));
        all.extend(once(place, &again).await?);
    }
    Ok(all)
}

/// Of a family that this place does not have none is tried.
async fn once(place: &Place, targets: &[Target]) -> io::Result<Vec<Reached>> {
    let questions = targets.iter().filter_map(|target| {
        let to = SocketAddr::new(target.address, target.echo);
        let mut own = place.addresses.iter().copied();
        let own = own.find(|own| own.is_ipv4() == to.is_ipv4())?;
        Some([Size::Small, Size::Full].map(|size| Question::between(own, to, size, place.mtu)))
    });
    let questions: Vec<[Question; 2]> = questions.collect();
    let sockets: Vec<[UdpSocket; 2]> = place.inside(|| {
        let sockets = questions.iter();
        let sockets = sockets.map(|[small, full]| Ok([small.socket()?, full.socket()?]));
        sockets.collect()
    })?;
    let mut asking = JoinSet::new();
    for ([small, full], [by_small, by_full]) in questions.into_iter().zip(sockets) {
        let (to, size) = (small.to.ip(), place.mtu);
        asking.spawn(async move {
            let nonce = || Uuid::new_v4().as_u64_pair().0;
            let (small, full) = tokio::join!(
                small.ask_by(by_small, nonce()),
                full.ask_by(by_full, nonce())
            );
            Reached {
                to,
                small,
                full,
                size,
            }
        });
    }
    Ok(asking.join_all().await)
}

pub fn measure(to: Target, what: What, time: Duration) -> io::Result<Measured> {
    match what {
        What::Throughput => throughput(to, time),
        What::Latency => latency(to, time),
        What::Packets => packets(to, time),
    }
}

fn throughput(to: Target, time: Duration) -> io::Result<Measured> {
    let mut stream = connect(to, TAKE)?;
    let buffer = vec![0; BUFFER];
    let began = Instant::now();
    while began.elapsed() < time {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(Shutdown::Write)?;
    // It has taken all of it when it says so.
    let bytes = number(&mut stream)?;
    Ok(Measured::Throughput {
        bytes,
        us: us(began.elapsed()),
    })
}

fn latency(to: Target, time: Duration) -> io::Result<Measured> {
    let socket = towards(to.address, to.echo)?;
    // One that is lost does not take the place of all the others.
    socket.set_read_timeout(Some(LOST_AFTER.min(time / 4)))?;
    let mut took = Vec::new();
    let mut lost = 0;
    let began = Instant::now();
    while began.elapsed() < time {
        let nonce = took.len() as u64 + lost;
        let sent = Instant::now();
        socket.send(&question(nonce, LENGTH))?;
        let mut packet = [0; LENGTH + 1];
        let mut back = None;
        // Somebody who sends something else does not hold it up.
        while back.is_none() && sent.elapsed() < LOST_AFTER {
            match socket.recv(&mut packet) {
                Ok(length) if answers(&packet[..length], nonce) => back = Some(sent.elapsed()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        match back {
            Some(after) => took.push(u32::try_from(us(after)).unwrap_or(u32::MAX)),
            None => lost += 1,
        }
    }
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).copied();
    let (Some(middle_us), Some(most_us)) = (at(50), at(99)) else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came back"));
    };
    Ok(Measured::Latency {
        rounds: took.len() as u64,
        lost,
        middle_us,
        most_us,
    })
}

fn packets(to: Target, time: Duration) -> io::Result<Measured> {
    let socket = towards(to.address, to.sink)?;
    let before = number(&mut connect(to, COUNT)?)?;
    let mut sent = 0;
    let began = Instant::now();
    while began.elapsed() < time {
        // What the kernel has no room for was not sent.
        if socket.send(&SMALL).is_ok() {
            sent += 1;
        }
    }
    let took = began.elapsed();
    thread::sleep(SETTLE);
    let after = number(&mut connect(to, COUNT)?)?;
    Ok(Measured::Packets {
        sent,
        received: after.saturating_sub(before),
        us: us(took),
    })
}

fn towards(to: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let any = match Family::of(to) {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((to, port))?;
    Ok(socket)
}

fn connect(to: Target, wish: u8) -> io::Result<TcpStream> {
    let at = SocketAddr::new(to.address, to.stream);
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&to.id.0.to_be_bytes())?;
    stream.write_all(&[wish])?;
    Ok(stream)
}

fn number(stream: &mut TcpStream) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
