//! Whatever strangers do at the door, the others are served.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tests::{dice::Dice, lab::Agent};

use super::{fleet, refused};

const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that say nothing.
const IDLE: usize = 10_000;

#[test]
fn garbage_and_ten_thousand_who_say_nothing() -> Result<()> {
    let lab = fleet(1, &[])?;
    let agent = lab.agent(1, &[])?;
    let controller = &lab.controllers[0];
    let address: SocketAddr = controller.url()?.trim_start_matches("https://").parse()?;
    let place = controller.place();
    let served = || -> Result<()> {
        let began = Instant::now();
        let said = controller.weft(&["lease", "list"])?;
        ensure!(said.code == 0, "{said:?}");
        ensure!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        ensure!(agent.status()?["ready"] == true);
        Ok(())
    };
    served()?;
    place.inside(|| {
        let mut dice = Dice::new(7);
        for hello in openings(&mut dice) {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            // It may be closed before all is said, and need not be answered.
            let _ = stream.write_all(&hello);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        Ok(())
    })?;
    served()?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let idle = scope.spawn(|| {
            place.inside(|| {
                // A handshake that never goes on is one of them, too.
                let halves: [&[u8]; 3] = [b"", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n"];
                let mut open = Vec::with_capacity(IDLE);
                for index in 0..IDLE {
                    let mut stream = TcpStream::connect(address)?;
                    stream.write_all(halves[index % halves.len()])?;
                    open.push(stream);
                }
                while !done.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(20));
                }
                Ok(open.len())
            })
        });
        let began = Instant::now();
        let served = (|| {
            for _ in 0..5 {
                served()?;
                thread::sleep(Duration::from_millis(300));
            }
            Ok::<_, anyhow::Error>(())
        })();
        done.store(true, Ordering::Relaxed);
        let open = idle.join().ok().context("it died")??;
        ensure!(open == IDLE, "{open} after {:?}", began.elapsed());
        served
    })?;
    served()?;
    ensure!(controller.metric("weft_failed_handshakes_total")? > 0.0);
    Ok(())
}

#[test]
fn who_tries_too_often_waits_and_the_others_do_not() -> Result<()> {
    let lab = fleet(2, &[])?;
    let urls = lab.controller_urls()?;
    let good = lab.token(&[])?;
    let (head, authority) = good.rsplit_once('-').context("an authority")?;
    let guess = format!("{}-{}-{authority}", &head[..22], "0".repeat(32));
    let guesser = Agent::new(lab.host(1), &urls, &[])?;
    let mut last = None;
    for _ in 0..60 {
        let said = guesser.join(&guess)?;
        ensure!(said.code != 0, "{said:?}");
        last = Some(said.clone());
        if said.stderr.contains("too many attempts") {
            break;
        }
    }
    refused(&last.context("it was said")?, "too many attempts to join")?;
    let other = Agent::new(lab.host(2), &urls, &[])?;
    let joined = other.join(&good)?;
    ensure!(joined.code == 0, "{joined:?}");
    Ok(())
}

/// What no honest program begins with.
fn openings(dice: &mut Dice) -> Vec<Vec<u8>> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut openings = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16; 70_000],
        [&preface[..], &[0xff; 9_000]].concat(),
        // A frame that says that it is of 16 MB.
        [&preface[..], b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat(),
        // Headers that are never over.
        [
            &preface[..],
            &b"\x00\x00\x04\x01\x00\x00\x00\x00\x01abcd".repeat(1000),
        ]
        .concat(),
        // Settings without an end.
        [
            &preface[..],
            &b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00".repeat(5000),
        ]
        .concat(),
    ];
    for _ in 0..200 {
        let length = 1 + dice.below(3000);
        let mut bytes: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
        if dice.below(2) == 0 {
            bytes[0] = 0x16;
        } else if dice.below(2) == 0 {
            bytes = [&preface[..], &bytes].concat();
        }
        openings.push(bytes);
    }
    openings
}
