//! `weft top` shows what goes between containers, by the counters of both kernels, and leaves
//! the terminal as it was.

#[path = "top_shows_what_goes_where/terminal.rs"]
mod terminal;

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Attached, Lab, Pinger},
    process,
    wait::patiently,
};

use terminal::Terminal;

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
/// Nothing but what the test sends.
const SILENT: &[&str] = &["--probe-every", "off"];
const PAYLOAD: usize = 1000;
/// IPv4, UDP and the frame inside the tunnel; then VXLAN, UDP and IPv4 of the tunnel.
const INSIDE: u64 = 1000 + 20 + 8;
const TUNNELLED: u64 = INSIDE + 14 + 8 + 8 + 20;
/// Neighbours may be asked for, and answer.
const OTHERS: u64 = 10;

struct Scene {
    agents: Vec<Agent>,
    lab: Lab,
    one: Attached,
    other: Attached,
}

fn scene(hosts: u32) -> Result<Scene> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(SILENT)?;
    let (one, other) = (agents[0].attached("one")?, agents[1].attached("other")?);
    Ok(Scene {
        agents,
        lab,
        one,
        other,
    })
}

impl Scene {
    /// Sends so many datagrams from one container to the other.
    fn send(&self, datagrams: u64) -> Result<()> {
        let to = self.other.addresses()[0];
        self.one.inside(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for _ in 0..datagrams {
                // Nobody listens: a socket that was connected would be told so, and not send.
                socket.send_to(&[0; PAYLOAD], (to, 9))?;
                thread::sleep(Duration::from_micros(200));
            }
            Ok(())
        })
    }

    /// What the second host has counted, of the network and of the first host.
    fn counted(&self) -> Result<(Value, Value)> {
        let traffic = self.lab.weft(&["node", "ask", "h2", "/traffic"])?;
        let peers = traffic["peers"].as_array().context("peers")?;
        let peer = peers.iter().find(|peer| peer["node"] == "h1");
        Ok((
            traffic["networks"][0].clone(),
            peer.cloned().unwrap_or_default(),
        ))
    }

    /// Somebody sends meanwhile, about a datagram a millisecond; how many a second.
    fn meanwhile<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        let (ended, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    self.send(5)?;
                    sent.fetch_add(5, Ordering::Relaxed);
                }
                Ok::<(), anyhow::Error>(())
            });
            let began = Instant::now();
            let done = act();
            let rate = sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
            ended.store(true, Ordering::Relaxed);
            sender.join().expect("it does not panic")?;
            Ok((done?, rate))
        })
    }
}

fn number(value: &Value, field: &str) -> Result<u64> {
    let number = value[field].as_u64();
    number.with_context(|| format!("{field} in {value}"))
}

#[test]
fn every_packet_is_counted_once_by_network_and_by_peer() -> Result<()> {
    const DATAGRAMS: u64 = 500;
    let scene = scene(3)?;
    // Who is where is known.
    scene.send(1)?;
    let settled = |least: u64| {
        patiently("what was sent is counted", || {
            let (network, peer) = scene.counted()?;
            let there = number(&peer, "rx_packets")?;
            ensure!(there >= least, "{there} of {least}");
            Ok((network, peer))
        })
    };
    let (network_before, before) = settled(1)?;
    scene.send(DATAGRAMS)?;
    let (network, peer) = settled(number(&before, "rx_packets")? + DATAGRAMS)?;
    let more = |now: &Value, before: &Value, field| {
        Ok::<u64, anyhow::Error>(number(now, field)? - number(before, field)?)
    };
    for (now, before, size) in [
        (&peer, &before, TUNNELLED),
        (&network, &network_before, INSIDE),
    ] {
        let packets = more(now, before, "rx_packets")?;
        let bytes = more(now, before, "rx_bytes")?;
        println!("{packets} packets, {bytes} bytes");
        assert!(
            (DATAGRAMS..DATAGRAMS + OTHERS).contains(&packets),
            "{packets}"
        );
        let least = DATAGRAMS * size;
        // A device may count the frame's header as well.
        assert!(
            (least..least + packets * 14 + OTHERS * 200).contains(&bytes),
            "{bytes} of {least}"
        );
    }
    // nft says the same, and the metrics.
    let listed = scene
        .lab
        .host(2)
        .done(&["nft", "list", "set", "inet", "weft", "peers4"])?;
    let packets = number(&peer, "rx_packets")?;
    ensure!(
        listed.contains(&format!("counter packets {packets} ")),
        "{packets}: {listed}"
    );
    let labels = "network=\"default\",direction=\"received\"";
    let shown = scene.agents[1].metric(&format!("weft_agent_network_packets_total{{{labels}}}"))?;
    ensure!(shown >= number(&network, "rx_packets")? as f64, "{shown}");
    // Somebody who has no word of theirs to say is told what would be one.
    let said = scene
        .lab
        .weft_said(&["node", "ask", "h2", "/traffic?peers=all"])?;
    ensure!(
        said.code != 0 && said.stderr.contains("peers=100"),
        "{said:?}"
    );
    Ok(())
}

#[test]
fn rates_are_near_what_is_sent() -> Result<()> {
    let mut scene = scene(3)?;
    let top = ["top", "--once", "--interval", "2s"];
    let (shown, rate) = scene.meanwhile(|| scene.lab.weft(&top))?;
    println!("{rate} datagrams a second were sent: {shown:#}");
    for (field, count) in [("nodes", 3), ("nodes_ready", 3), ("nodes_asked", 3)] {
        assert_eq!(shown[field], count, "{shown}");
    }
    assert_eq!(
        (&shown["containers"], &shown["nodes_silent"]),
        (&2.into(), &0.into())
    );
    let pair = &shown["busiest_pairs"][0];
    assert_eq!((&pair["from"], &pair["to"]), (&"h1".into(), &"h2".into()));
    let packets = number(pair, "packets_per_second")?;
    // Its sender does not keep its pace on a busy machine.
    assert!((0.5..2.0).contains(&(packets as f64 / rate)), "{packets}");
    let size = number(pair, "bytes_per_second")? as f64 / packets as f64;
    assert!((size - TUNNELLED as f64).abs() < 20.0, "{size}");
    assert_eq!(shown["networks"][0]["network"], "default");
    let nodes = shown["busiest_nodes"].as_array().context("nodes")?;
    let busy: BTreeMap<&str, &Value> = nodes
        .iter()
        .filter_map(|node| Some((node["node"].as_str()?, node)))
        .collect();
    let (sends, receives) = (
        number(busy["h1"], "tx_packets_per_second")?,
        number(busy["h2"], "rx_packets_per_second")?,
    );
    assert!((0.7..1.4).contains(&(sends as f64 / receives as f64)));
    assert!(number(busy["h3"], "rx_packets_per_second")? < 5);
    let told = shown["events"].as_array().context("events")?;
    assert!(told.iter().any(|event| event["from"] == "h1"), "{shown}");
    // Only some nodes are asked.
    let some = scene.lab.weft(&[&top[..], &["--node", "h3"]].concat())?;
    assert_eq!(
        (&some["nodes"], &some["containers"]),
        (&1.into(), &0.into())
    );
    let said = scene
        .lab
        .weft_said(&[&top[..], &["--node", "h9"]].concat())?;
    ensure!(
        said.code == 2 && said.stderr.contains("no node h9"),
        "{said:?}"
    );
    // What is no terminal gets one page.
    let controller = &scene.lab.controllers[0];
    let said = controller.weft(&["top", "--interval", "200ms"])?;
    ensure!(
        said.code == 0 && said.stdout.contains("3 of 3 nodes ready"),
        "{said:?}"
    );
    ensure!(!said.stdout.contains('\u{1b}'), "{said:?}");
    // One whose agent is away is a node all the same.
    drop(scene.agents.pop());
    patiently("a node is away", || {
        let shown = scene.lab.weft(&["top", "--once", "--interval", "200ms"])?;
        let counts = ["nodes", "nodes_ready", "nodes_asked", "nodes_silent"];
        let counts = counts.map(|field| shown[field].as_u64());
        ensure!(counts == [Some(3), Some(2), Some(2), Some(0)], "{shown}");
        Ok(())
    })
}

#[test]
fn a_terminal_shows_it_and_is_as_it_was_afterwards() -> Result<()> {
    let scene = scene(2)?;
    let session = || {
        let mut terminal = Terminal::start(&scene.lab)?;
        let page = patiently("it shows who sends to whom", || {
            let page = terminal.page()?;
            let pair = page
                .iter()
                .find(|line| line.starts_with("h1") && line.contains("h2"));
            let pair = pair.with_context(|| format!("{page:#?}"))?;
            ensure!(pair.contains("bit/s"), "{pair}");
            Ok(page)
        })?;
        println!("{}", page.join("\n"));
        ensure!(
            page[0].starts_with("2 of 2 nodes ready, 2 containers"),
            "{page:?}"
        );
        let device = terminal.said("/dev/pts/")?;
        let device = format!("/dev/pts/{}", device.first().context("a terminal")?);
        let resize = ["stty", "-F", &device, "rows", "12", "cols", "40"];
        scene.lab.controllers[0]
            .place()
            .namespace()?
            .done(&resize)?;
        patiently("it fits the smaller terminal", || {
            let page = terminal.page()?;
            let widest = page.iter().map(|line| line.chars().count()).max();
            ensure!(page.len() < 12 && widest <= Some(40), "{page:#?}");
            Ok(())
        })?;
        // Other keys are nothing.
        terminal.press(b"xyz\x1b[A")?;
        terminal.press(b"q")?;
        terminal.ends()
    };
    scene.meanwhile(session)?;
    let mut terminal = Terminal::start(&scene.lab)?;
    patiently("it is there", || terminal.page())?;
    terminal.press(&[3])?;
    terminal.ends()?;
    let terminal = Terminal::start(&scene.lab)?;
    patiently("it is there", || terminal.page())?;
    let process = terminal.said("pid ")?;
    process::signal_to(process.first().context("a process")?.parse()?, "-TERM")?;
    terminal.ends()
}

#[test]
fn a_controller_that_dies_is_done_without() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controllers(2, &["--default-network", POOLS])?;
    let _agents = lab.agents(SILENT)?;
    let mut terminal = Terminal::start(&lab)?;
    let all_answer = |terminal: &Terminal| {
        let page = terminal.page()?;
        ensure!(page[0].starts_with("2 of 2 nodes ready"), "{page:#?}");
        ensure!(!page[0].contains("no answer"), "{page:#?}");
        Ok(())
    };
    patiently("both hosts are there", || all_answer(&terminal))?;
    // The first that is asked.
    lab.controllers[0].kill()?;
    let pages = |terminal: &Terminal| terminal.sent().matches("\u{1b}[J").count();
    let before = pages(&terminal);
    patiently("both are there again", || {
        ensure!(pages(&terminal) > before + 5, "no page more");
        all_answer(&terminal)
    })?;
    terminal.press(b"q")?;
    terminal.ends()
}

/// As a release left it that did not count by peer.
const UNCOUNTED: &str = "nft list table inet weft > $0
    sed -i '/^\t\tcounter$/d; /elements/s/ counter packets [0-9]* bytes [0-9]*//g' $0
    (echo 'delete table inet weft'; cat $0) | nft -f -";

#[test]
fn a_table_that_does_not_count_is_replaced_under_traffic() -> Result<()> {
    let mut scene = scene(2)?;
    let pingers: Result<Vec<Pinger>> = scene
        .other
        .addresses()
        .iter()
        .map(|to| Pinger::start(&scene.one, *to))
        .collect();
    for round in 0..5 {
        scene.agents[1].kill()?;
        let host = scene.lab.host(2);
        let file = scene.lab.directory().join("table");
        let file = file.to_str().context("a path")?;
        host.done(&["bash", "-ec", UNCOUNTED, file])?;
        let listed = host.done(&["nft", "list", "set", "inet", "weft", "peers4"])?;
        ensure!(!listed.contains("counter"), "{round}: {listed}");
        scene.agents[1].start()?;
        patiently("it counts", || {
            let listed = host.done(&["nft", "list", "set", "inet", "weft", "peers4"])?;
            ensure!(listed.contains("counter packets"), "{listed}");
            Ok(())
        })?;
    }
    for pinger in pingers? {
        let pinged = pinger.finish()?;
        println!("{pinged:?}");
        assert_eq!(pinged.lost(), 0, "{pinged:?}");
    }
    Ok(())
}
