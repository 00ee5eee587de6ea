//! Ports of a host lead to its containers: from everywhere, while agents die, when
//! somebody deletes them, and under somebody else's FORWARD DROP.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tests::{
    lab::{Agent, Attached, Lab, Namespace, ping},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: [&str; 2] = ["--look-every", "1s"];
const FILTERS: [&str; 4] = [
    "iptables-legacy",
    "ip6tables-legacy",
    "iptables-nft",
    "ip6tables-nft",
];

struct Scene {
    outside: Namespace,
    one: Attached,
    two: Attached,
    far: Attached,
    agents: Vec<Agent>,
    lab: Lab,
}

/// Container `one` of host 1 answers at the host's port 8080, by TCP and UDP.
fn scene(form: &[&str]) -> Result<Scene> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&[form, &LOOK].concat())?;
    let one = agents[0].attached_with("one", |asked| {
        asked.publish = ["8080:80", "8080:80/udp"]
            .map(|publish| publish.parse().expect("a port"))
            .into();
    })?;
    let two = agents[0].attached("two")?;
    let far = agents[1].attached("far")?;
    let outside = lab.stranger(77)?;
    serve(&one)?;
    Ok(Scene {
        outside,
        one,
        two,
        far,
        agents,
        lab,
    })
}

fn serve(container: &Namespace) -> Result<()> {
    let (tcp, udp) = container.inside(|| {
        let all = "[::]:80";
        Ok((TcpListener::bind(all)?, UdpSocket::bind(all)?))
    })?;
    thread::spawn(move || {
        for client in tcp.incoming().flatten() {
            let whom = client.peer_addr().map(|whom| whom.ip().to_canonical());
            let _ = whom.map(|whom| write!(&client, "{whom}"));
        }
    });
    thread::spawn(move || {
        while let Ok((_, whom)) = udp.recv_from(&mut [0; 10]) {
            let text = whom.ip().to_canonical().to_string();
            let _ = udp.send_to(text.as_bytes(), whom);
        }
    });
    Ok(())
}

/// Whom it thinks it answers.
fn ask(from: &Namespace, at: IpAddr) -> Result<[IpAddr; 2]> {
    let place = SocketAddr::new(at, 8080);
    let said = from.inside(|| {
        let mut stream = TcpStream::connect_timeout(&place, PATIENCE).context("by TCP")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut by_tcp = String::new();
        stream.read_to_string(&mut by_tcp)?;
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(place)?;
        socket.send(b"hello")?;
        let mut by_udp = [0; 100];
        let length = socket.recv(&mut by_udp).context("by UDP")?;
        Ok([by_tcp, String::from_utf8_lossy(&by_udp[..length]).into()])
    });
    let said = said.with_context(|| format!("{} asks {place}", from.name()))?;
    let [tcp, udp] = &said;
    Ok([tcp.parse().context("an address")?, udp.parse()?])
}

impl Scene {
    fn uplinks(&self) -> [IpAddr; 2] {
        let host = self.lab.host(1);
        [host.v4().into(), host.v6().into()]
    }

    /// All ask at the port, and are answered.
    fn answers(&self) -> Result<()> {
        let (host, other) = (self.lab.host(1), self.lab.host(2));
        for at in self.uplinks() {
            let whom = ask(&self.outside, at)?;
            let own = self.outside.json(&["ip", "-j", "addr", "show", "eth0"])?;
            ensure!(
                whom.iter()
                    .all(|whom| own.to_string().contains(&whom.to_string())),
                "{whom:?} instead of one of {own}"
            );
            let all: [&Namespace; 5] = [host, other, &self.one, &self.two, &self.far];
            for from in all {
                ask(from, at)?;
            }
        }
        ask(host, "127.0.0.1".parse()?)?;
        Ok(())
    }

    fn containers_reach_each_other(&self) -> Result<()> {
        for (from, to) in [
            (&self.one, &self.two),
            (&self.one, &self.far),
            (&self.far, &self.two),
        ] {
            for &address in to.addresses() {
                let pings = ping(from, address, 1)?;
                ensure!(pings.lost() == 0, "{address}: {}", pings.said.stdout);
            }
        }
        Ok(())
    }

    /// An outsider who routes to the host.
    fn outsider_reaches(&self, expected: bool) -> Result<()> {
        let [via4, via6] = self.uplinks();
        for (&address, via) in self.one.addresses().iter().zip([via4, via6]) {
            self.outside
                .ip(&[format!("route replace {address} via {via}")])?;
            let pings = ping(&self.outside, address, 2)?;
            ensure!(
                (pings.lost() == 0) == expected,
                "{address}: {}",
                pings.said.stdout
            );
        }
        Ok(())
    }
}

fn under_forward_drop(form: &[&str]) -> Result<()> {
    let mut scene = scene(form)?;
    scene.answers()?;
    scene.outsider_reaches(true)?;
    for host in scene.lab.hosts() {
        for filter in FILTERS {
            host.done(&[filter, "-P", "FORWARD", "DROP"])?;
            host.done(&[filter, "-N", "DOCKER-USER"])?;
            host.done(&[filter, "-I", "FORWARD", "-j", "DOCKER-USER"])?;
        }
        host.sysctl("net/bridge/bridge-nf-call-iptables", "1")?;
        host.sysctl("net/bridge/bridge-nf-call-ip6tables", "1")?;
    }
    let passes = |scene: &Scene| {
        patiently("packets of the overlay pass", || {
            scene.containers_reach_each_other()?;
            scene.answers()
        })
    };
    passes(&scene)?;
    scene.outsider_reaches(false)?;
    // Somebody else's chains begin anew: Docker, say.
    for filter in FILTERS {
        for act in ["-F", "-X"] {
            scene.lab.host(1).done(&[filter, act])?;
        }
    }
    passes(&scene)?;
    scene.outsider_reaches(false)?;
    scene.agents[0].kill()?;
    passes(&scene)?;
    let said = scene.agents[0].run(&[
        "cleanup",
        "--state-dir",
        scene
            .lab
            .host(1)
            .directory()
            .join("state")
            .to_str()
            .context("a path")?,
    ])?;
    ensure!(said.code == 0, "{said:?}");
    for filter in FILTERS {
        let left = scene.lab.host(1).done(&[filter, "-S"])?;
        ensure!(!left.contains("WEFT"), "{filter}: {left}");
        ensure!(left.contains("-P FORWARD DROP"), "{filter}: {left}");
    }
    Ok(())
}

#[test]
fn routed_containers_under_forward_drop() -> Result<()> {
    under_forward_drop(&[])
}

#[test]
fn bridged_containers_under_forward_drop() -> Result<()> {
    under_forward_drop(&["--bridge", "default"])
}

#[test]
fn ports_stay_while_the_agent_is_away_and_go_with_their_container() -> Result<()> {
    let mut scene = scene(&[])?;
    scene.answers()?;
    let host = scene.lab.host(1);
    let table = "nft --stateless list table inet weft";
    let listed = || host.done(&table.split(' ').collect::<Vec<_>>());
    let before = listed()?;
    let [at, _] = scene.uplinks();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut times = 0;
            while !over.load(Ordering::Relaxed) {
                ask(&scene.outside, at).context(times)?;
                times += 1;
            }
            anyhow::Ok(times)
        });
        for _ in 0..3 {
            scene.agents[0].kill()?;
            scene.agents[0].start()?;
        }
        over.store(true, Ordering::Relaxed);
        let times = asking.join().expect("no panic")?;
        ensure!(times > 10, "asked {times} times");
        anyhow::Ok(())
    })?;
    assert_eq!(listed()?, before);
    for act in [
        "delete element inet weft pub4 { tcp . 8080 }",
        "flush map inet weft pub6",
        "add element inet weft pub4 { tcp . 9999 : 10.40.0.9 . 9 }",
        "delete table inet weft",
    ] {
        host.nft(act)?;
        patiently(&format!("as before {act}"), || {
            ensure!(listed()? == before, "{}", listed()?);
            Ok(())
        })?;
    }
    scene.agents[0].detach(&scene.one)?;
    let listed = listed()?;
    ensure!(
        !listed.contains("pub4") && !listed.contains("8080"),
        "{listed}"
    );
    for at in scene.uplinks() {
        let refused = ask(&scene.outside, at).err().context("nobody answers")?;
        ensure!(format!("{refused:#}").contains("refused"), "{refused:#}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_published_is_one_sentence() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&[])?;
    let _there = agents[0].attached_with("there", |asked| {
        asked.publish = vec!["8000-8010:80-90".parse().expect("ports")];
    })?;
    for (publish, expected) in [
        (
            "4000-5000:4000-5000/udp",
            "network default is carried by UDP port 4789",
        ),
        ("8010:80", "8010"),
    ] {
        let refused = agents[0].attached_with("refused", |asked| {
            asked.publish = vec![publish.parse().expect("a port")];
        });
        let refused = refused.err().context("it is refused")?;
        let text = refused.root_cause().to_string();
        ensure!(text.contains(expected) && !text.contains('\n'), "{text}");
    }
    assert_eq!(agents[0].endpoints()?.len(), 1);
    Ok(())
}
