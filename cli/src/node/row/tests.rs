use super::*;

fn network(name: &str, applied_revision: u64, lag_ms: Option<u64>) -> v1::NodeNetwork {
    v1::NodeNetwork {
        network: name.into(),
        subnets: vec![format!("{name}-subnet")],
        applied_revision,
        lag_ms,
        ..Default::default()
    }
}

#[test]
fn a_node_lags_as_its_slowest_network() {
    let node = v1::Node {
        name: "a".into(),
        state: "connected".into(),
        ready: Some(false),
        networks: vec![
            network("x", 5, Some(20)),
            network("y", 6, Some(1_230)),
            network("z", 0, None),
        ],
        ..Default::default()
    };
    let row = NodeRow::from(node.clone());
    assert_eq!(row.lag_ms, Some(1_230));
    assert_eq!(row.networks, ["x", "y", "z"]);
    assert_eq!(
        row.cells(0),
        [
            "a",
            "connected",
            "no",
            "x,y,z",
            "x-subnet,y-subnet,z-subnet",
            "-",
            "1.2s",
            "-"
        ]
    );
    let detail = NodeDetail::from(node);
    assert_eq!(detail.attachments[2].applied_revision, None);
    assert_eq!(detail.attachments[2].lag_ms, None);
}

#[test]
fn an_agents_word_about_its_kernel() {
    let told = |network: v1::NodeNetwork| AttachmentRow::from(network);
    let whole = told(v1::NodeNetwork {
        mtu: 1450,
        peers: 3,
        troubled: vec![v1::PeerTrouble {
            node: "b".into(),
            reason: "No space left on device".into(),
        }],
        reported_at_ms: 1_709_164_800_000,
        ..network("x", 5, None)
    });
    assert_eq!((whole.mtu, whole.peers), (Some(1450), Some(3)));
    assert_eq!(whole.reported_at.as_deref(), Some("2024-02-29T00:00:00Z"));
    assert_eq!(
        whole.troubled[0].cells(0),
        ["x", "b", "No space left on device"]
    );
    let lonely = told(v1::NodeNetwork {
        mtu: 1450,
        ..network("x", 5, None)
    });
    assert_eq!(lonely.peers, Some(0));
    let of_an_older_agent = told(network("x", 5, None));
    assert_eq!(
        (of_an_older_agent.mtu, of_an_older_agent.peers),
        (None, None)
    );
    assert!(of_an_older_agent.troubled.is_empty());
}

#[test]
fn readiness_of_the_absent_is_unknown() {
    let node = v1::Node {
        state: "disconnected".into(),
        ..Default::default()
    };
    let row = NodeRow::from(node);
    assert_eq!((row.cells(0)[2].as_str(), row.lag_ms), ("-", None));
}

#[test]
fn lags() {
    for (ms, text) in [
        (0, "0ms"),
        (999, "999ms"),
        (1_000, "1.0s"),
        (59_999, "59.9s"),
        (61_000, "1m"),
    ] {
        assert_eq!(lag(ms), text);
    }
}
