use credentials::Line;

use super::*;

#[test]
fn a_fleet_spreads_over_its_controllers() {
    for urls in 1..=5 {
        let mut nodes = vec![0_usize; urls];
        for n in 0..1000 {
            let node: NodeName = format!("web-{n}.example").parse().unwrap();
            let place = first(&node, urls);
            assert_eq!(place, first(&node, urls));
            nodes[place] += 1;
        }
        let fair = 1000 / urls;
        assert!(
            nodes
                .iter()
                .all(|count| count.abs_diff(fair) < fair / 4 + 1),
            "{nodes:?}"
        );
    }
    assert_eq!(first(&"a".parse().unwrap(), 0), 0);
}

#[tokio::test]
async fn who_does_not_answer_is_told_with_the_cause() {
    // Nobody listens where a listener has just been.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = connect(&url, &Line::plain()).await.unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
    assert!(error.contains("weft-controller"), "{error}");
}
