use super::*;

fn publish(text: &str) -> Publish {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn ports_are_read_and_printed_alike() {
    for text in [
        "8080:80/tcp",
        "127.0.0.1:8080:80/udp",
        "[::1]:5:6/sctp",
        "8000-8009:9000-9009/tcp",
    ] {
        assert_eq!(publish(text).to_string(), text);
    }
    assert_eq!(publish("8080:80"), publish("8080:80/TCP"));
}

#[test]
fn what_is_no_port_is_refused() {
    for text in [
        "", "80", "0:80", "80:0", "1-2:3", "70000:1", "1:2/icmp", "x:1:2", "2-1:2-1",
    ] {
        assert!(text.parse::<Publish>().is_err(), "{text}");
    }
}

#[test]
fn a_range_is_pairs() {
    let pairs: Vec<_> = publish("10-12:20-22").pairs().collect();
    assert_eq!(pairs, [(10, 20), (11, 21), (12, 22)]);
    assert_eq!(publish("65535:1").pairs().count(), 1);
}

#[test]
fn two_collide_where_both_would_answer() {
    let collide = |one: &str, other: &str| publish(one).collides(&publish(other));
    assert!(collide("80:1", "80:2"));
    assert!(collide("10.0.0.1:80:1", "80:2"));
    assert!(collide("80-90:1-11", "85:2"));
    assert!(!collide("10.0.0.1:80:1", "10.0.0.2:80:2"));
    assert!(!collide("80:1", "80:1/udp"));
    assert!(!collide("80-84:1-5", "85:2"));
}
