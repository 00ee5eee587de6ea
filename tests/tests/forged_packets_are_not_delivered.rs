//! VXLAN has no authentication: packets from who is no peer, and packets that a
//! container sends to a VTEP, do not reach any container.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tests::{
    lab::{Agent, Container, Host, Lab, Namespace, forged::Forged, icmp::requests_seen, ping},
    wait::patiently,
};

const PORT: u16 = 4789;
const PACKETS: u16 = 3;

struct Scene {
    lab: Lab,
    _agents: Vec<Agent>,
    one: Container,
    other: Container,
}

impl Scene {
    fn new(network: &[&str]) -> Result<Self> {
        let mut lab = Lab::new(2)?;
        lab.start_controller(&["--default-network", "10.40.0.0/16,fd77:40::/48"])?;
        let name = if network.is_empty() { "default" } else { "six" };
        if !network.is_empty() {
            lab.weft(&[&["network", "create", name], network].concat())?;
        }
        let agents = lab.agents(&["--networks", name])?;
        let (one, other) = (lab.container_of(1, name)?, lab.container_of(2, name)?);
        Ok(Self {
            lab,
            _agents: agents,
            one,
            other,
        })
    }

    fn host(&self) -> &Host {
        self.lab.host(1)
    }

    /// What seems to come from the other container, for the one on host 1.
    fn forged(&self) -> Result<Forged> {
        let link = self
            .host()
            .json(&["ip", "-j", "-d", "link", "show", "type", "vxlan"])?;
        let mac = link[0]["address"].as_str().context("a MAC")?;
        let mut bytes = [0; 6];
        for (byte, text) in bytes.iter_mut().zip(mac.split(':')) {
            *byte = u8::from_str_radix(text, 16)?;
        }
        let vni = link[0]["linkinfo"]["info_data"]["id"]
            .as_u64()
            .context("a VNI")?;
        Ok(Forged {
            vni: u32::try_from(vni)?,
            mac: bytes,
            source: self.other.v4().into(),
            target: self.one.v4().into(),
        })
    }

    /// Packets from there, and whether they arrived.
    fn arrive(&self, from: &Namespace, to: IpAddr) -> Result<u64> {
        let before = requests_seen(&self.one, self.one.v4())?;
        self.forged()?
            .send(from, SocketAddr::new(to, PORT), PACKETS)?;
        // What gets through is there by the time that a ping is back.
        std::thread::sleep(Duration::from_millis(50));
        let pings = ping(&self.other, self.one.v4(), 2)?;
        ensure!(
            pings.lost() == 0,
            "the real peer is heard: {}",
            pings.said.stdout
        );
        Ok(requests_seen(&self.one, self.one.v4())? - before - u64::from(pings.received))
    }
}

#[test]
fn from_a_host_that_is_no_peer() -> Result<()> {
    let scene = Scene::new(&[])?;
    let stranger = scene.lab.stranger(77)?;
    assert_eq!(scene.arrive(&stranger, scene.host().v4().into())?, 0);
    // Without the guard they would have come: it is the guard that is tested.
    let held = scene._agents.iter().try_for_each(|agent| agent.pause());
    held?;
    scene.host().nft("delete table inet weft")?;
    assert_eq!(
        scene.arrive(&stranger, scene.host().v4().into())?,
        u64::from(PACKETS)
    );
    Ok(())
}

#[test]
fn over_ipv6() -> Result<()> {
    let six = ["--pool", "10.50.0.0/16", "--underlay", "v6"];
    let scene = Scene::new(&six)?;
    let stranger = scene.lab.stranger(77)?;
    assert_eq!(scene.arrive(&stranger, scene.host().v6().into())?, 0);
    Ok(())
}

/// Also not to the host's IPv6 address, when the underlay is IPv4, nor to an address on
/// another device.
#[test]
fn from_elsewhere() -> Result<()> {
    let scene = Scene::new(&[])?;
    let stranger = scene.lab.stranger(77)?;
    assert_eq!(scene.arrive(&stranger, scene.host().v6().into())?, 0);
    let host = scene.host();
    let (own, theirs) = (host.pid(), stranger.pid());
    let ip = |line: String| host.ip(&[line]);
    ip(format!(
        "link add eth1 netns {own} type veth peer name eth1 netns {theirs}"
    ))?;
    host.ip(&["addr add 198.51.100.1/24 dev eth1", "link set eth1 up"])?;
    stranger.ip(&["addr add 198.51.100.2/24 dev eth1", "link set eth1 up"])?;
    assert_eq!(scene.arrive(&stranger, "198.51.100.1".parse()?)?, 0);
    Ok(())
}

#[test]
fn from_a_container() -> Result<()> {
    let scene = Scene::new(&[])?;
    let mean = scene.lab.container_on(2)?;
    // To the peer's underlay address, where masquerade would make it the host's own;
    // to the peer's overlay address; to its own host.
    let base = format!(
        "{}.0",
        scene
            .one
            .v4()
            .to_string()
            .rsplit_once('.')
            .context("a subnet")?
            .0
    );
    for to in [
        scene.host().v4().into(),
        base.parse()?,
        scene.lab.host(2).v4().into(),
    ] {
        assert_eq!(scene.arrive(&mean, to)?, 0, "to {to}");
    }
    Ok(())
}

/// A container may have a VXLAN of its own, inside.
#[test]
fn a_container_may_speak_vxlan_with_another() -> Result<()> {
    let scene = Scene::new(&[])?;
    let to: IpAddr = scene.one.v4().into();
    let heard = scene
        .one
        .inside(|| Ok(std::net::UdpSocket::bind((to, PORT))?))?;
    heard.set_read_timeout(Some(Duration::from_millis(200)))?;
    let forged = scene.forged()?;
    patiently("it is heard", || {
        forged.send(&scene.other, SocketAddr::new(to, PORT), 1)?;
        let mut bytes = [0; 200];
        let (length, _) = heard.recv_from(&mut bytes)?;
        ensure!(length > 8);
        Ok(())
    })
}
