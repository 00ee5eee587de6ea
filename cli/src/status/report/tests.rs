use super::*;

fn status() -> v1::Status {
    v1::Status {
        controller: "c1".into(),
        version: "0.1.0".into(),
        cluster: "k".into(),
        revision: 42,
        ready: true,
        store: "embedded /var/lib/weft/store.redb".into(),
        store_state: "ok".into(),
        controllers: vec![v1::Controller {
            id: "c1".into(),
            listen: "10.0.0.1:7440".into(),
            version: "0.1.0".into(),
            started_at_ms: 1_000,
            clock_offset_ms: -3,
        }],
        networks: vec![v1::Network {
            name: "default".into(),
            vni: 1,
            pools: vec!["10.32.0.0/12".into()],
            underlay: "v4".into(),
            encap: "vxlan".into(),
            state: "active".into(),
            r#use: vec![v1::PoolUse {
                total: 4096,
                leased: 2048,
                free: 2048,
                ..Default::default()
            }],
            ..Default::default()
        }],
        nodes: vec![
            v1::NodeCount {
                state: "connected".into(),
                count: 3,
            },
            v1::NodeCount {
                state: "disconnected".into(),
                count: 1,
            },
            v1::NodeCount {
                state: "idle".into(),
                count: 0,
            },
        ],
        lag: vec![
            v1::LagQuantile {
                quantile: 0.5,
                lag_ms: 2,
            },
            v1::LagQuantile {
                quantile: 0.999,
                lag_ms: 15,
            },
            v1::LagQuantile {
                quantile: 1.0,
                lag_ms: 1_200,
            },
        ],
        sessions: 3,
        ..Default::default()
    }
}

#[test]
fn a_page_when_all_is_well() {
    let page = Report::from(status()).text("http://a:7440", 3_601_000, None);
    assert_eq!(
        page,
        "\
controller   http://a:7440, version 0.1.0
state        ready
store        embedded /var/lib/weft/store.redb: ok
cluster      k at revision 42
nodes        4 (3 connected, 1 disconnected), 3 sessions on this controller
lag          p50 2ms, p99.9 15ms, max 1.2s

controllers
LISTEN          VERSION   STARTED   CLOCK   ID
10.0.0.1:7440   0.1.0     1h ago    -3ms    c1

networks
NAME      VNI   POOLS          UNDERLAY   ENCAP   LEASED            RESERVED   FREE   STATE
default   1     10.32.0.0/12   v4         vxlan   2048/4096 (50%)   0          2048   active
"
    );
}

#[test]
fn what_is_wrong_has_a_place() {
    let sick = v1::Status {
        ready: false,
        reason: "the store does not answer".into(),
        upkeep_held: "the clock is 40 s off".into(),
        set_aside: vec![v1::SetAside {
            key: "/weft/leases/x".into(),
            reason: "not JSON".into(),
            revision: 7,
        }],
        troubled: vec![v1::Node {
            name: "web-1".into(),
            state: "disconnected".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let page = Report::from(sick).text("http://a:7440", 0, None);
    for part in [
        "NOT READY: the store does not answer",
        "UPKEEP IS HELD",
        "the clock is 40 s off",
        "none, 0 sessions",
        "nodes in trouble\nNAME    STATE",
        "records set aside",
        "/weft/leases/x   7          not JSON",
    ] {
        assert!(
            page.contains(part) || part.trim() == "nodes",
            "{part:?} is not in\n{page}"
        );
    }
    assert!(!page.contains("controllers\n"), "{page}");
}

#[test]
fn fields_for_programs() {
    let value = serde_json::to_value(Report::from(status())).unwrap();
    assert_eq!(value["nodes"]["connected"], 3);
    assert_eq!(value["reason"], serde_json::Value::Null);
    assert_eq!(value["networks"][0]["leased"], 2048);
    assert_eq!(
        value["controllers"][0]["started_at"],
        "1970-01-01T00:00:01Z"
    );
}
