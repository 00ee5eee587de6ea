use super::*;

fn port(publish: &str, addresses: &[&str]) -> Vec<String> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let ports = Published::of(&publish.parse().unwrap(), &addresses);
    ports
        .iter()
        .map(|port| format!("{} {port}", port.place().map()))
        .collect()
}

const BOTH: [&str; 2] = ["10.31.1.5", "fd77:1::5"];

#[test]
fn a_wish_is_one_element_for_each_port_and_family() {
    for (publish, expected) in [
        (
            "8080:80",
            vec![
                "pub4 tcp . 8080 : 10.31.1.5 . 80",
                "pub6 tcp . 8080 : fd77:1::5 . 80",
            ],
        ),
        (
            "192.0.2.1:53:5353/udp",
            vec!["pubat4 192.0.2.1 . udp . 53 : 10.31.1.5 . 5353"],
        ),
        (
            "[2001:db8::1]:53:5353/sctp",
            vec!["pubat6 2001:db8::1 . sctp . 53 : fd77:1::5 . 5353"],
        ),
        (
            "0.0.0.0:7-8:17-18",
            vec![
                "pub4 tcp . 7 : 10.31.1.5 . 17",
                "pub4 tcp . 8 : 10.31.1.5 . 18",
            ],
        ),
        ("[::]:7:17", vec!["pub6 tcp . 7 : fd77:1::5 . 17"]),
    ] {
        assert_eq!(port(publish, &BOTH), expected, "{publish}");
    }
    assert_eq!(port("[::]:7:17", &["10.31.1.5"]), Vec::<String>::new());
    assert_eq!(port("7:17", &[]), Vec::<String>::new());
}

#[test]
fn only_what_answers_at_127_0_0_1_takes_the_setting() {
    for (publish, expected) in [
        ("8080:80", [true, false].as_slice()),
        ("127.0.0.1:8080:80", &[true]),
        ("192.0.2.1:8080:80", &[false]),
        ("[::]:8080:80", &[false]),
    ] {
        let addresses = BOTH.map(|text| text.parse().unwrap());
        let ports = Published::of(&publish.parse().unwrap(), &addresses);
        let local: Vec<bool> = ports.iter().map(Published::is_local).collect();
        assert_eq!(local, expected, "{publish}");
    }
    assert_eq!(
        localnet("wv0", true).to_string(),
        "net/ipv4/conf/wv0/route_localnet=1"
    );
    assert_eq!(localnet("weftbr1", false).value, "0");
}

fn set(ports: &[(&str, &str)]) -> BTreeSet<Published> {
    ports
        .iter()
        .flat_map(|(publish, to)| Published::of(&publish.parse().unwrap(), &[to.parse().unwrap()]))
        .collect()
}

#[test]
fn of_one_place_one_target_is_wanted() {
    let good = set(&[
        ("8080:80", "10.31.1.5"),
        ("8080:80/udp", "10.31.1.6"),
        ("192.0.2.1:8080:80", "10.31.1.6"),
        ("8080:80", "fd77:1::6"),
    ]);
    assert_eq!(check(&good), Ok(()));
    let twice = set(&[("8080:80", "10.31.1.5"), ("8080:81", "10.31.1.6")]);
    assert_eq!(
        check(&twice).unwrap_err().to_string(),
        "tcp port 8080 cannot be published twice: for 10.31.1.5 and for 10.31.1.6"
    );
    let at = set(&[
        ("192.0.2.1:7:1", "10.31.1.5"),
        ("192.0.2.1:7:2", "10.31.1.6"),
    ]);
    assert_eq!(
        check(&at).unwrap_err().to_string(),
        "tcp port 7 at 192.0.2.1 cannot be published twice: for 10.31.1.5 and for 10.31.1.6"
    );
}

#[test]
fn a_port_that_leads_elsewhere_is_set_and_not_removed_before() {
    let seen = set(&[
        ("1:1", "10.31.1.5"),
        ("2:2", "10.31.1.5"),
        ("3:3", "10.31.1.5"),
    ]);
    let wanted = set(&[
        ("1:1", "10.31.1.5"),
        ("2:2", "10.31.1.6"),
        ("4:4", "10.31.1.5"),
    ]);
    let steps: Vec<String> = changes(&seen, &wanted)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        steps,
        [
            "nft delete element inet weft pub4 { tcp . 3 }",
            "nft add element inet weft pub4 { tcp . 2 : 10.31.1.6 . 2 }",
            "nft add element inet weft pub4 { tcp . 4 : 10.31.1.5 . 4 }",
        ]
    );
    assert_eq!(changes(&seen, &seen), []);
}
