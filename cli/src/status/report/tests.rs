use super::*;

fn looks(statuses: impl IntoIterator<Item = v1::Status>) -> Vec<Look> {
    let look = |(number, status)| Look {
        url: format!("http://c{number}:7440"),
        answer: Ok(status),
    };
    (1..).zip(statuses).map(look).collect()
}

fn report(status: v1::Status) -> Report {
    Report::of(looks([status]), 50).unwrap()
}

fn node(name: &str, ready: Option<bool>) -> v1::Node {
    v1::Node {
        name: name.into(),
        state: "connected".into(),
        ready,
        ..Default::default()
    }
}

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
    let well = v1::Node {
        repaired: 4,
        networks: vec![v1::NodeNetwork {
            mtu: 1450,
            lag_ms: Some(0),
            probes: Some(v1::Probes {
                probed: 3,
                troubled: 0,
                worst: vec![v1::ProbedPeer {
                    node: "b".into(),
                    family: "v4".into(),
                    verdict: "ok".into(),
                    loss_permille: 0,
                    rtt_us: 440,
                }],
            }),
            ..Default::default()
        }],
        ..node("a", Some(true))
    };
    let status = v1::Status {
        listed: vec![well],
        ..status()
    };
    let page = report(status).text(3_601_000, None, None);
    assert_eq!(
        page,
        "\
fleet     ready
store     embedded /var/lib/weft/store.redb: ok
cluster   k at revision 42
nodes     4 (3 connected, 1 disconnected), 1 IN TROUBLE
lag       p50 2ms, p99.9 15ms, max 1.2s

controllers
LISTEN          VERSION   STARTED   CLOCK   SESSIONS   ID   STATE
10.0.0.1:7440   0.1.0     1h ago    -3ms    3          c1   ready

networks
NAME      VNI   POOLS          UNDERLAY   ENCAP   LEASED            RESERVED   FREE   STATE
default   1     10.32.0.0/12   v4         vxlan   2048/4096 (50%)   0          2048   active

nodes
NODE   STATE   LAG   MTU    REPAIRED   WORST PROBE   LAST ERROR
a      ready   0ms   1450   4          b 0.44ms      -
and 3 more, 1 of them IN TROUBLE; --all lists them
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
        listed: vec![
            v1::Node {
                reason: "route 10.32.7.0/24: File exists".into(),
                failing_since_ms: 1_000,
                retry_ms: 10_000,
                ..node("web-2", Some(false))
            },
            v1::Node {
                state: "disconnected".into(),
                ..node("web-1", None)
            },
        ],
        ..Default::default()
    };
    let page = report(sick).text(181_000, None, None);
    for part in [
        "NOT READY: the store does not answer",
        "UPKEEP IS HELD",
        "the clock is 40 s off",
        "nodes     ",
        "web-1   DISCONNECTED   -     -     -",
        "web-2   NOT READY",
        "for 3m, again every 10.0s: route 10.32.7.0/24: File exists",
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
fn each_node_is_as_the_controller_with_its_session_says() {
    let counts = |count| {
        let state = "connected".into();
        vec![v1::NodeCount { state, count }]
    };
    let one = v1::Status {
        listed: vec![node("a", Some(true)), node("b", None), node("c", None)],
        sessions: 1,
        nodes: counts(3),
        ..status()
    };
    let other = v1::Status {
        controller: "c2".into(),
        listed: vec![node("b", Some(false)), node("a", None), node("c", None)],
        sessions: 1,
        troubled_here: 1,
        nodes: counts(3),
        ..status()
    };
    let mut asked = looks([one, other]);
    asked.push(Look {
        url: "http://c3:7440".into(),
        answer: Err(Failure::NotReady {
            url: "http://c3:7440".into(),
            reason: "starting".into(),
        }),
    });
    let report = Report::of(asked, 50).unwrap();
    let known = report.listed.iter();
    let known: Vec<_> = known
        .map(|line| (line.0.name.as_str(), line.0.ready))
        .collect();
    assert_eq!(known, [("b", Some(false)), ("a", Some(true)), ("c", None)]);
    assert_eq!(
        (report.unknown, report.troubled, report.sessions),
        (1, 1, 2)
    );
    let page = report.text(0, None, None);
    for part in ["NOT KNOWN", "NO ANSWER", "not known here"] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
}

#[test]
fn a_screen_is_not_left() {
    let mut many: Vec<v1::Node> = Vec::new();
    many.push(node("zz", Some(false)));
    many.extend((0..49).map(|number| node(&format!("n{number:02}"), Some(true))));
    let fleet = v1::Status {
        listed: many,
        troubled_here: 1,
        nodes: vec![v1::NodeCount {
            state: "connected".into(),
            count: 10_000,
        }],
        ..status()
    };
    let page = report(fleet).text(0, None, Some(30));
    assert!(page.lines().count() < 30, "{page}");
    let more = page.lines().last().unwrap_or_default();
    assert!(
        more.starts_with("and 99") && more.contains("none of them in trouble"),
        "{page}"
    );
}

#[test]
fn fields_for_programs() {
    let value = serde_json::to_value(report(status())).unwrap();
    assert_eq!(value["nodes"]["connected"], 3);
    assert_eq!(value["reason"], serde_json::Value::Null);
    assert_eq!(value["networks"][0]["leased"], 2048);
    assert_eq!(
        value["controllers"][0]["started_at"],
        "1970-01-01T00:00:01Z"
    );
    assert_eq!(value["controllers"][0]["state"], "ready");
}
