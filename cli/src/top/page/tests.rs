use super::*;

fn view(lines: usize) -> View {
    let node = |number: usize| NodeLine {
        node: format!("web-{number}"),
        rx_bytes_per_second: 1_250_000,
        tx_bytes_per_second: 125,
        rx_packets_per_second: 1000,
        tx_packets_per_second: 1,
        containers: 3,
    };
    let pair = |number: usize| PairLine {
        from: format!("web-{number}"),
        to: "db".into(),
        bytes_per_second: 125_000_000,
        packets_per_second: 90_000,
    };
    View {
        nodes: 10_000,
        nodes_ready: 9_999,
        nodes_asked: 200,
        nodes_silent: 1,
        containers: 1,
        bytes_per_second: 125_000_000,
        packets_per_second: 90_000,
        networks: vec![NetworkLine {
            network: "default".into(),
            nodes: 2,
            bytes_per_second: 125_000_000,
            packets_per_second: 90_000,
            dropped_per_second: 0,
        }],
        busiest_nodes: (0..lines).map(node).collect(),
        busiest_pairs: (0..lines).map(pair).collect(),
        events: Vec::new(),
    }
}

#[test]
fn a_page_says_how_much_goes_where() {
    let expected = "\
9999 of 10000 nodes ready, 1 container, 1.0 Gbit/s (90000 packets/s); 200 nodes asked a round; no answer from 1

NETWORK   NODES   TRAFFIC      PACKETS/S   DROPPED/S
default   2       1.0 Gbit/s   90000       0

NODE    RECEIVES      SENDS        PACKETS/S IN   PACKETS/S OUT   CONTAINERS
web-0   10.0 Mbit/s   1.0 kbit/s   1000           1               3

FROM    TO   TRAFFIC      PACKETS/S
web-0   db   1.0 Gbit/s   90000
";
    assert_eq!(draw(&view(1), None, None), expected);
}

#[test]
fn it_fits_any_terminal() {
    for (width, height) in [(80, 24), (200, 50), (20, 5), (1, 1), (40, 12)] {
        let page = draw(&view(50), Some(width), Some(height));
        assert!(page.lines().count() <= height, "{width}x{height}:\n{page}");
        let widest = page.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{width}x{height}:\n{page}");
    }
}
