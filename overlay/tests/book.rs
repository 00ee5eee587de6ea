//! Any sequence of what engines ask, on a small subnet: no address is anybody's twice,
//! none is refused while one is free, and a crash between any two lines forgets nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use overlay::{
    endpoint::{
        Bandwidth, Form, Key, Sandbox, Who,
        book::{Ask, Book, Line, Refused},
    },
    name::NetworkName,
    subnet::{Family, Subnet},
    time::WallMs,
};
use proptest::{collection::vec, prelude::*};

/// Thirteen addresses for containers: 2 to 14.
const SUBNET: &str = "10.31.1.0/28";
const USABLE: std::ops::RangeInclusive<u8> = 2..=14;

#[derive(Debug, Clone)]
enum Act {
    Attach {
        key: u8,
        name: Option<u8>,
        address: Option<u8>,
        inode: u64,
    },
    Detach {
        key: u8,
    },
    Hold {
        by: u8,
        address: Option<u8>,
    },
    Unhold {
        address: u8,
    },
    /// The book is read again from its lines.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let address = || proptest::option::weighted(0.3, 0u8..18);
    let attach = (0u8..20, proptest::option::of(0u8..5), address(), 1u64..3).prop_map(
        |(key, name, address, inode)| Act::Attach {
            key,
            name,
            address,
            inode,
        },
    );
    prop_oneof![
        6 => attach,
        4 => (0u8..20).prop_map(|key| Act::Detach { key }),
        1 => (0u8..3, address()).prop_map(|(by, address)| Act::Hold { by, address }),
        1 => (0u8..18).prop_map(|address| Act::Unhold { address }),
        1 => Just(Act::Restart),
    ]
}

/// What should be so, kept without any of the book's ideas.
#[derive(Default)]
struct Expected {
    /// By key: address and namespace.
    attached: BTreeMap<u8, (u8, u64)>,
    held: BTreeMap<u8, u8>,
    had: BTreeSet<u8>,
    seq: u64,
}

impl Expected {
    fn free(&self) -> BTreeSet<u8> {
        let taken: BTreeSet<u8> = self
            .attached
            .values()
            .map(|(address, _)| *address)
            .collect();
        let free = USABLE.filter(|n| !taken.contains(n) && !self.held.contains_key(n));
        free.collect()
    }

    fn owner(&self, address: u8) -> Option<u8> {
        let mut attached = self.attached.iter();
        attached
            .find(|(_, (has, _))| *has == address)
            .map(|(key, _)| *key)
    }
}

fn network() -> NetworkName {
    "default".parse().expect("a name")
}

fn subnets() -> Vec<Subnet> {
    vec![SUBNET.parse().expect("a subnet")]
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 31, 1, last).into()
}

fn last(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => unreachable!("the subnet is of IPv4"),
    }
}

fn key(maker: &str, number: u8) -> Key {
    format!("{maker}/{number}").parse().expect("a key")
}

fn ask(number: u8, name: Option<u8>, address: Option<u8>, inode: u64) -> Ask {
    Ask {
        network: network(),
        key: key("cni", number),
        addresses: address.map(ip).into_iter().collect(),
        mac: None,
        form: Form::Routed,
        sandbox: Sandbox {
            path: format!("/run/netns/{number}"),
            inode,
            born: 0,
            interface: "eth0".into(),
            handed: false,
        },
        who: Who {
            name: name.map(|name| format!("name-{name}")),
            ..Who::default()
        },
        publish: Vec::new(),
        bandwidth: Bandwidth::default(),
    }
}

fn attach(book: &mut Book, expected: &mut Expected, asked: &Ask, number: u8, now: WallMs) {
    let wish = asked.addresses.first().map(|address| last(*address));
    let before = expected.attached.get(&number).copied();
    let same = before.filter(|(_, inode)| *inode == asked.sandbox.inode);
    match (book.attach(asked, &subnets(), now), same) {
        (Ok(None), Some((has, _))) => assert!(wish.is_none_or(|wish| wish == has)),
        (Ok(None), None) => panic!("{number} was not there"),
        (Err(Refused::Otherwise { .. }), Some((has, _))) => {
            assert!(wish.is_some_and(|wish| wish != has));
        }
        (Ok(Some(endpoint)), None) => {
            assert!(endpoint.seq > expected.seq, "numbers grow");
            expected.seq = endpoint.seq;
            let given = last(endpoint.addresses[0]);
            assert!(USABLE.contains(&given), "{given} is no container's");
            assert!(!expected.held.contains_key(&given), "{given} is held");
            let owner = expected.owner(given);
            assert!(
                owner.is_none() || owner == Some(number),
                "{given} is another's"
            );
            match (wish, before) {
                (Some(wish), _) => assert_eq!(given, wish),
                (None, Some((had, _))) => assert_eq!(given, had, "it keeps what it has"),
                (None, None) => {}
            }
            book.apply(Line::Attached(endpoint));
            expected.had.insert(given);
            expected
                .attached
                .insert(number, (given, asked.sandbox.inode));
        }
        (Err(refused), None) => {
            let can_be = match wish {
                Some(wish) => {
                    let owner = expected.owner(wish);
                    USABLE.contains(&wish)
                        && !expected.held.contains_key(&wish)
                        && (owner.is_none() || owner == Some(number))
                }
                None => before.is_some() || !expected.free().is_empty(),
            };
            assert!(!can_be, "refused without a reason: {refused}");
        }
        (other, Some(_)) => panic!("{number} is there, and the answer is {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_sequence(acts in vec(act(), 1..120)) {
        let mut book = Book::default();
        let mut expected = Expected::default();
        for (now, act) in (1_000_000u64..).step_by(700).zip(acts) {
            let now = WallMs(now);
            match act {
                Act::Attach { key: number, name, address, inode } => {
                    let asked = ask(number, name, address, inode);
                    attach(&mut book, &mut expected, &asked, number, now);
                }
                Act::Detach { key: number } => {
                    book.apply(Line::Detached { network: network(), key: key("cni", number), at: now });
                    expected.attached.remove(&number);
                }
                Act::Hold { by, address } => {
                    let by_key = key("docker", by);
                    let wish = address.map(ip);
                    let held = book.hold(&network(), &subnets(), Family::V4, wish, &by_key, now);
                    match held {
                        Ok((given, line)) => {
                            let given = last(given);
                            let mine = expected.held.get(&given) == Some(&by);
                            prop_assert!(mine || expected.free().contains(&given));
                            prop_assert_eq!(line.is_none(), mine);
                            if let Some(line) = line {
                                book.apply(line);
                                expected.held.insert(given, by);
                            }
                        }
                        Err(_) => {
                            let free = expected.free();
                            let could = address.map_or(!free.is_empty(), |n| free.contains(&n));
                            prop_assert!(!could);
                        }
                    }
                }
                Act::Unhold { address } => {
                    book.apply(Line::Released { network: network(), address: ip(address), at: now });
                    expected.held.remove(&address);
                }
                Act::Restart => {
                    let mut again = Book::default();
                    for line in book.lines() {
                        let text = serde_json::to_vec(&line).expect("JSON");
                        again.apply(serde_json::from_slice(&text).expect("a line"));
                    }
                    prop_assert_eq!(&again, &book);
                    book = again;
                }
            }
            let there: BTreeMap<String, u8> = book
                .endpoints()
                .map(|one| (one.key.to_string(), last(one.addresses[0])))
                .collect();
            let should: BTreeMap<String, u8> = expected
                .attached
                .iter()
                .map(|(number, (address, _))| (format!("cni/{number}"), *address))
                .collect();
            prop_assert_eq!(there, should);
            let lot = book.lot(&network(), subnets()[0], now);
            prop_assert_eq!(lot.free, expected.free().len() as u64);
        }
    }

    /// What nobody had yet is given before what somebody just gave back.
    #[test]
    fn an_address_rests(rounds in 1u8..60) {
        let mut book = Book::default();
        let mut had: Vec<u8> = Vec::new();
        for round in 0..rounds {
            let now = WallMs(1_000_000 + u64::from(round));
            // Nobody comes back: each is somebody new.
            let asked = ask(round + 100, None, None, 1);
            let endpoint = book.attach(&asked, &subnets(), now).expect("room").expect("new");
            let given = last(endpoint.addresses[0]);
            if had.len() < 13 {
                prop_assert!(!had.contains(&given));
            } else {
                prop_assert_eq!(given, had[0]);
            }
            had.retain(|other| *other != given);
            had.push(given);
            let key = endpoint.key.clone();
            book.apply(Line::Attached(endpoint));
            book.apply(Line::Detached { network: network(), key, at: now });
        }
    }
}
