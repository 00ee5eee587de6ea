use overlay::{id::NodeId, record::Mac, subnet::Family};
use socket::words::Probe;

use super::*;
use crate::status::FailingStatus;

const NOW: u64 = 1_000_000_000;

fn status(networks: Vec<NetworkStatus>) -> Status {
    Status {
        node: "web-1".parse().unwrap(),
        id: NodeId("0192d3c0-5b1e-4c6e-9e0e-2f6f0a9a7d11".parse().unwrap()),
        version: "0.1.0".into(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        ready: true,
        reason: None,
        controller: Some("http://10.0.0.2:7440".into()),
        not_kept: None,
        repaired: 2,
        networks,
        failing: Vec::new(),
        in_the_way: Vec::new(),
        looked_ms_ago: 3_200,
        look_us: 1_240,
    }
}

fn network(peers: Vec<PeerStatus>) -> NetworkStatus {
    NetworkStatus {
        network: "default".parse().unwrap(),
        state: NetworkState::Programmed,
        reason: None,
        vni: Some(1),
        port: Some(4789),
        device: Some("weft1".into()),
        subnets: vec![
            "10.32.1.0/24".parse().unwrap(),
            "fd00:1::/64".parse().unwrap(),
        ],
        uplink: Some("eth0".into()),
        underlay: Some("10.0.0.11".parse().unwrap()),
        mtu: Some(1450),
        masquerade: Some(true),
        checksum_offload: Some(false),
        checksum_offload_reason: Some("as --checksum-offload says".into()),
        revision: 17,
        applied_revision: 17,
        peers,
    }
}

fn peer(node: &str, state: PeerState, reason: Option<&str>) -> PeerStatus {
    PeerStatus {
        node: node.parse().unwrap(),
        state,
        reason: reason.map(Into::into),
        via: "vxlan".into(),
        subnets: vec!["10.32.2.0/24".parse().unwrap()],
        underlay: "10.0.0.12".parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 2]),
        changed_at_ms: WallMs(NOW - 300_000),
        probe: None,
    }
}

#[test]
fn all_is_well_but_one_link() {
    let mut status = status(vec![network(vec![
        peer("web-2", PeerState::Programmed, None),
        peer("database-3", PeerState::Programmed, None),
    ])]);
    let probe = |family, verdict, loss| Probe {
        from: "web-1".parse().unwrap(),
        to: "web-2".parse().unwrap(),
        network: "default".parse().unwrap(),
        family,
        verdict,
        loss,
        probes: 20,
        rtt_us: Some(440),
        worst_us: Some(900),
    };
    status.probed(&[
        probe(Family::V6, Verdict::Lossy, 0.12),
        probe(Family::V4, Verdict::Ok, 0.05),
    ]);
    assert_eq!(
        page(&status, NOW, None),
        "\
state        ready
node         web-1, id 0192d3c0-5b1e-4c6e-9e0e-2f6f0a9a7d11
agent        version 0.1.0, MAC 02:00:00:00:00:01
controller   http://10.0.0.2:7440
kernel       compared 3s ago, read in 1.2ms, 2 put back

network default: programmed
device       weft1, VNI 1, UDP port 4789
subnets      10.32.1.0/24,fd00:1::/64
uplink       eth0, 10.0.0.11
MTU          1450
masquerade   yes
checksums    by the kernel: as --checksum-offload says
revision     17, applied
peers        2

NODE         STATE        SUBNETS        UNDERLAY    VIA     MTU    CHANGED   LOSS   RTT     REASON
web-2        programmed   10.32.2.0/24   10.0.0.12   vxlan   1450   5m ago    12%    440us   LOSSY (v6)
database-3   programmed   10.32.2.0/24   10.0.0.12   vxlan   1450   5m ago    -      -       -
"
    );
}

#[test]
fn what_is_wrong_comes_first_and_last() {
    let mut network = network(vec![
        peer("web-2", PeerState::Failing, Some("no space")),
        peer("web-3", PeerState::Held, Some("gone")),
        peer("web-4", PeerState::Programmed, None),
    ]);
    network.state = NetworkState::Failing;
    network.applied_revision = 12;
    let mut status = status(vec![network]);
    status.ready = false;
    status.reason = Some("ip route replace 10.32.2.0/24: no space".into());
    status.not_kept = Some("cannot write /x/state".into());
    status.failing = vec![FailingStatus {
        step: "ip route replace 10.32.2.0/24".into(),
        reason: "no space".into(),
        since_ms: WallMs(NOW - 7_200_000),
        times: 12,
    }];
    status.in_the_way = vec!["10.32.9.0/24 metric 77 proto 4".into()];
    let page = page(&status, NOW, None);
    for line in [
        "NOT ON DISK   cannot write /x/state",
        "network default: FAILING",
        "revision     17, the kernel holds 12",
        "peers        3 (1 FAILING, 1 HELD)",
        "SINCE    TIMES   STEP                            REASON",
        "2h ago   12      ip route replace 10.32.2.0/24   no space",
        "routes of others where ours should be",
    ] {
        assert!(page.lines().any(|known| known == line), "{line}\n{page}");
    }
    let first = page.lines().next().unwrap();
    assert_eq!(
        first,
        "state         NOT READY: ip route replace 10.32.2.0/24: no space"
    );
    assert!(page.ends_with("10.32.9.0/24 metric 77 proto 4\n"), "{page}");
}

#[test]
fn a_network_that_nobody_has_told_of() {
    let waiting = NetworkStatus {
        state: NetworkState::Waiting,
        reason: Some("there is no network blue".into()),
        network: "blue".parse().unwrap(),
        vni: None,
        port: None,
        device: None,
        subnets: Vec::new(),
        uplink: None,
        underlay: None,
        mtu: None,
        masquerade: None,
        checksum_offload: None,
        checksum_offload_reason: None,
        revision: 0,
        applied_revision: 0,
        peers: Vec::new(),
    };
    let page = page(&status(vec![waiting]), NOW, None);
    let expected = "\
network blue: no controller has told of it yet: there is no network blue
peers   0
";
    assert!(page.ends_with(expected), "{page}");
}

#[test]
fn a_narrow_terminal_shows_fewer_columns() {
    let narrow = status(vec![network(vec![peer(
        "web-2",
        PeerState::Programmed,
        None,
    )])]);
    let page = page(&narrow, NOW, Some(60));
    let last: Vec<&str> = page.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "web-2   programmed   10.32.2.0/24   10.0.0.12   -",
            "NODE    STATE        SUBNETS        UNDERLAY    REASON",
        ]
    );
}

#[test]
fn a_reason_cannot_break_the_page() {
    let mut status = status(Vec::new());
    status.reason = Some("a\nb\u{1b}[31m".into());
    assert!(page(&status, NOW, None).starts_with("state        ready; a b [31m\n"));
}
