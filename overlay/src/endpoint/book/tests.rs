use super::*;
use crate::{
    endpoint::{Bandwidth, Form, Sandbox, Who},
    subnet::Subnet,
};

const NOW: WallMs = WallMs(1_000_000);

fn network() -> NetworkName {
    "default".parse().expect("a name")
}

fn subnets(texts: &[&str]) -> Vec<Subnet> {
    texts
        .iter()
        .map(|text| text.parse().expect("a subnet"))
        .collect()
}

fn ask(key: &str) -> Ask {
    Ask {
        network: network(),
        key: key.parse().expect("a key"),
        addresses: Vec::new(),
        mac: None,
        form: Form::Routed,
        sandbox: Sandbox {
            path: format!("/run/netns/{key}"),
            inode: 1,
            born: 0,
            interface: "eth0".into(),
            handed: false,
        },
        who: Who::default(),
        publish: Vec::new(),
        bandwidth: Bandwidth::default(),
    }
}

fn attach(book: &mut Book, ask: &Ask, subnets: &[Subnet], now: WallMs) -> Endpoint {
    let endpoint = book.attach(ask, subnets, now).expect("there is room");
    let endpoint = endpoint.expect("it is new");
    book.apply(Line::Attached(endpoint.clone()));
    endpoint
}

fn detach(book: &mut Book, key: &str, at: WallMs) {
    book.apply(Line::Detached {
        network: network(),
        key: key.parse().expect("a key"),
        at,
    });
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn both_families_are_given_from_the_third_address() {
    let subnets = subnets(&["10.31.1.0/24", "fd77:1:1::/64"]);
    let mut book = Book::default();
    let one = attach(&mut book, &ask("cni/1/eth0"), &subnets, NOW);
    let two = attach(&mut book, &ask("cni/2/eth0"), &subnets, NOW);
    assert_eq!(
        one.addresses,
        [address("10.31.1.2"), address("fd77:1:1::2")]
    );
    assert_eq!(
        two.addresses,
        [address("10.31.1.3"), address("fd77:1:1::3")]
    );
    assert_ne!(one.mac, two.mac);
    assert_eq!((one.seq, two.seq), (1, 2));
}

#[test]
fn the_same_again_is_the_same() {
    let subnets = subnets(&["10.31.1.0/24"]);
    let mut book = Book::default();
    let asked = ask("cni/1/eth0");
    attach(&mut book, &asked, &subnets, NOW);
    assert_eq!(book.attach(&asked, &subnets, NOW), Ok(None));
    let other = Ask {
        addresses: vec![address("10.31.1.9")],
        ..asked
    };
    assert!(matches!(
        book.attach(&other, &subnets, NOW),
        Err(Refused::Otherwise { .. })
    ));
}

#[test]
fn a_container_that_comes_back_gets_what_it_had() {
    let subnets = subnets(&["10.31.1.0/24"]);
    let mut book = Book::default();
    let named = |key: &str| {
        let mut asked = ask(key);
        asked.who.name = Some("db".into());
        asked
    };
    let first = attach(&mut book, &ask("cni/0/eth0"), &subnets, NOW);
    let db = attach(&mut book, &named("cni/1/eth0"), &subnets, NOW);
    detach(&mut book, "cni/0/eth0", NOW);
    detach(&mut book, "cni/1/eth0", NOW);
    let again = attach(&mut book, &named("cni/7/eth0"), &subnets, NOW);
    assert_eq!(again.addresses, db.addresses);
    assert_eq!(again.mac, db.mac);
    let same_key = attach(&mut book, &ask("cni/0/eth0"), &subnets, NOW);
    assert_eq!(same_key.addresses, first.addresses);
}

#[test]
fn what_was_given_back_the_longest_ago_is_given_first_and_fresh_ones_before() {
    let subnets = subnets(&["10.31.1.0/29"]);
    let mut book = Book::default();
    for n in 1..=4 {
        attach(&mut book, &ask(&format!("k/{n}")), &subnets, NOW);
        detach(&mut book, &format!("k/{n}"), WallMs(NOW.0 + 10 - n));
    }
    let later = WallMs(NOW.0 + 100);
    let fresh = attach(&mut book, &ask("new/1"), &subnets, later);
    assert_eq!(fresh.addresses, [address("10.31.1.6")]);
    let oldest = attach(&mut book, &ask("new/2"), &subnets, later);
    assert_eq!(oldest.addresses, [address("10.31.1.5")], "k/4 left first");
}

#[test]
fn an_exhausted_subnet_says_so_and_nothing_is_given_twice() {
    let subnets = subnets(&["10.31.1.0/29"]);
    let mut book = Book::default();
    let mut given = BTreeSet::new();
    for n in 0..5 {
        let endpoint = attach(&mut book, &ask(&format!("k/{n}")), &subnets, NOW);
        assert!(given.insert(endpoint.addresses[0]));
    }
    let refused = book.attach(&ask("k/9"), &subnets, NOW).expect_err("full");
    assert_eq!(
        refused.to_string(),
        "no address is left in 10.31.1.0/29: 5 are taken and 0 held"
    );
}

#[test]
fn what_is_asked_for_by_name_must_be_free_and_ours() {
    let subnets = subnets(&["10.31.1.0/24"]);
    let mut book = Book::default();
    let wants = |key: &str, text: &str| Ask {
        addresses: vec![address(text)],
        ..ask(key)
    };
    let mine = attach(&mut book, &wants("a/1", "10.31.1.77"), &subnets, NOW);
    assert_eq!(mine.addresses, [address("10.31.1.77")]);
    let refused = |text: &str| {
        let refused = book.attach(&wants("b/1", text), &subnets, NOW);
        refused.expect_err("refused").to_string()
    };
    assert_eq!(refused("10.31.1.77"), "a/1 has 10.31.1.77 already");
    assert_eq!(
        refused("10.31.2.1"),
        "10.31.2.1 is not in this node's subnet 10.31.1.0/24"
    );
    for (text, what) in [
        ("10.31.1.0", "the host's own address"),
        ("10.31.1.1", "the gateway"),
        ("10.31.1.255", "the broadcast address"),
    ] {
        assert!(refused(text).contains(what), "{text}");
    }
    assert!(refused("fd00::1").contains("no v6 subnet"));
}

#[test]
fn a_held_address_is_its_makers() {
    let subnets = subnets(&["10.31.1.0/24"]);
    let mut book = Book::default();
    let by: Key = "docker/pool".parse().expect("a key");
    let (held, line) = book
        .hold(&network(), &subnets, Family::V4, None, &by, NOW)
        .expect("there is room");
    book.apply(line.expect("it is new"));
    let next = attach(&mut book, &ask("cni/1/eth0"), &subnets, NOW);
    assert_ne!(next.addresses, [held]);
    let wants = |key: &str| Ask {
        addresses: vec![held],
        ..ask(key)
    };
    assert!(matches!(
        book.attach(&wants("cni/2/eth0"), &subnets, NOW),
        Err(Refused::Held(..))
    ));
    let docker = attach(&mut book, &wants("docker/4f2a"), &subnets, NOW);
    assert_eq!(docker.addresses, [held]);
    // It stays held when the container goes.
    detach(&mut book, "docker/4f2a", NOW);
    let lot = book.lot(&network(), subnets[0], NOW);
    assert_eq!((lot.used, lot.held, lot.free), (1, 1, 251));
}

#[test]
fn a_port_is_published_once() {
    let subnets = subnets(&["10.31.1.0/24"]);
    let mut book = Book::default();
    let publishes = |key: &str, port: &str| Ask {
        publish: vec![port.parse().expect("a port")],
        ..ask(key)
    };
    attach(&mut book, &publishes("a/1", "8080:80"), &subnets, NOW);
    let refused = book.attach(&publishes("b/1", "8080:81"), &subnets, NOW);
    assert!(matches!(refused, Err(Refused::PortTaken(..))));
    attach(&mut book, &publishes("b/1", "8081:80"), &subnets, NOW);
}

#[test]
fn its_lines_make_the_same_book_again() {
    let subnets = subnets(&["10.31.1.0/24", "fd77:1:1::/64"]);
    let mut book = Book::default();
    for n in 0..20 {
        attach(&mut book, &ask(&format!("k/{n}")), &subnets, NOW);
    }
    for n in (0..20).step_by(3) {
        detach(&mut book, &format!("k/{n}"), WallMs(NOW.0 + n));
    }
    let by: Key = "docker/pool".parse().expect("a key");
    let (_, line) = book
        .hold(&network(), &subnets, Family::V6, None, &by, NOW)
        .expect("there is room");
    book.apply(line.expect("it is new"));
    // Nobody forgets that something was not read, but by a word.
    book.apply(Line::Torn(true));
    let mut again = Book::default();
    for line in book.lines() {
        let text = serde_json::to_vec(&line).expect("JSON");
        again.apply(serde_json::from_slice(&text).expect("a line"));
    }
    assert_eq!(again, book);
    assert!(again.is_torn());
    again.apply(Line::Torn(false));
    assert!(!again.is_torn());
}
