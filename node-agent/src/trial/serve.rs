//! The listening side of a trial: threads of their own, so that what is measured is not the
//! agent's other work, nor that this.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use overlay::{
    probe::packet::{LENGTH, answer},
    trial::{Target, TrialId},
};

use super::place::Place;

/// So often a thread that waits looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Whoever connects and says nothing keeps others waiting so long.
const PATIENCE: Duration = Duration::from_secs(2);
pub const BUFFER: usize = 256 << 10;
/// What a connection wants, after the trial's id.
pub const TAKE: u8 = b'T';
pub const COUNT: u8 = b'C';

pub struct Listeners {
    pub targets: Vec<Target>,
    until: Until,
}

#[derive(Clone)]
struct Until {
    end: Instant,
    stopped: Arc<AtomicBool>,
}

struct Sockets {
    echo: UdpSocket,
    sink: UdpSocket,
    stream: TcpListener,
}

impl Listeners {
    pub fn open(place: &Place, id: TrialId, life: Duration) -> io::Result<Self> {
        let addresses = place.addresses.clone();
        let opened: Vec<Sockets> = place.inside(move || {
            let sockets = addresses.into_iter().map(Sockets::at);
            sockets.collect()
        })?;
        let until = Until {
            end: Instant::now() + life,
            stopped: Arc::default(),
        };
        let mut listeners = Self {
            targets: Vec::new(),
            until,
        };
        for sockets in opened {
            listeners.targets.push(sockets.target(id)?);
            sockets.serve(id, &listeners.until)?;
        }
        Ok(listeners)
    }

    pub fn stop(&self) {
        self.until.stopped.store(true, Ordering::Relaxed);
    }
}

/// Whatever becomes of the trial, nobody listens on after it.
impl Drop for Listeners {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Until {
    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() > self.end
    }
}

impl Sockets {
    fn at(address: IpAddr) -> io::Result<Self> {
        let sockets = Self {
            echo: UdpSocket::bind((address, 0))?,
            sink: UdpSocket::bind((address, 0))?,
            stream: TcpListener::bind((address, 0))?,
        };
        sockets.echo.set_read_timeout(Some(LOOK_EVERY))?;
        sockets.sink.set_read_timeout(Some(LOOK_EVERY))?;
        sockets.stream.set_nonblocking(true)?;
        Ok(sockets)
    }

    fn target(&self, id: TrialId) -> io::Result<Target> {
        let echo = self.echo.local_addr()?;
        Ok(Target {
            id,
            address: echo.ip(),
            echo: echo.port(),
            sink: self.sink.local_addr()?.port(),
            stream: self.stream.local_addr()?.port(),
        })
    }

    fn serve(self, id: TrialId, until: &Until) -> io::Result<()> {
        let Self { echo, sink, stream } = self;
        let counted = Arc::new(AtomicU64::new(0));
        let over = until.clone();
        thread(move || answer_probes(&echo, &over))?;
        let (over, count) = (until.clone(), counted.clone());
        thread(move || take(&sink, &count, &over))?;
        let over = until.clone();
        thread(move || accept(&stream, id, &counted, &over))
    }
}

fn thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name("trial".into());
    builder.stack_size(256 << 10).spawn(work).map(drop)
}

/// As agents answer theirs, and never with more than was asked.
fn answer_probes(socket: &UdpSocket, until: &Until) {
    // What is longer is cut off, and only its length is not needed.
    let mut packet = [0; LENGTH];
    while !until.is_over() {
        if let Ok((length, from)) = socket.recv_from(&mut packet)
            && let Some(answer) = answer(&packet[..length])
        {
            // One that has no way is a lost one.
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn take(socket: &UdpSocket, counted: &AtomicU64, until: &Until) {
    let mut packet = [0; 2048];
    while !until.is_over() {
        if socket.recv(&mut packet).is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One connection after the other.
fn accept(listener: &TcpListener, id: TrialId, counted: &AtomicU64, until: &Until) {
    while !until.is_over() {
        match listener.accept() {
            // Whoever asked finds out that nothing comes.
            Ok((stream, _)) => drop(serve(stream, id, counted, until)),
            Err(_) => thread::sleep(LOOK_EVERY / 5),
        }
    }
}

fn serve(mut stream: TcpStream, id: TrialId, counted: &AtomicU64, until: &Until) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    if head[..8] != id.0.to_be_bytes() {
        return Ok(());
    }
    let number = match head[8] {
        TAKE => {
            let mut buffer = vec![0; BUFFER];
            let mut bytes = 0;
            loop {
                match stream.read(&mut buffer)? {
                    _ if until.is_over() => return Ok(()),
                    0 => break bytes,
                    read => bytes += read as u64,
                }
            }
        }
        COUNT => counted.load(Ordering::Relaxed),
        _ => return Ok(()),
    };
    stream.write_all(&number.to_be_bytes())
}
