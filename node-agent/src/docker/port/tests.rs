use super::*;

fn maps(json: &str) -> Vec<PortMap> {
    serde_json::from_str(json).unwrap()
}

fn text(publish: &[Publish]) -> Vec<String> {
    publish.iter().map(Publish::to_string).collect()
}

/// As dockerd 20.10 says `-p 127.0.0.1:9000-9010:91/udp -p 90 -p 8080:80`.
const SAID: &str = r#"[
    {"Proto":17,"IP":"","Port":91,"HostIP":"127.0.0.1","HostPort":9000,"HostPortEnd":9010},
    {"Proto":6,"IP":"","Port":90,"HostIP":"","HostPort":0,"HostPortEnd":0},
    {"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8080}]"#;

#[test]
fn what_docker_leaves_open_is_chosen() {
    let said = maps(SAID);
    assert!(open(&said));
    let free = publish(&said, &[]).unwrap();
    assert_eq!(
        text(&free),
        ["127.0.0.1:9000:91/udp", "49153:90/tcp", "8080:80/tcp"]
    );
    let taken: Vec<Publish> = ["9000-9004:1-5/udp", "49153-49154:1-2/tcp", "8080:1/tcp"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let beside = publish(&said, &taken).unwrap();
    // Whoever has a port that is asked for, the owner says.
    assert_eq!(
        text(&beside),
        ["127.0.0.1:9005:91/udp", "49155:90/tcp", "8080:80/tcp"]
    );
    let all = ["9000-9010:1-11/udp".parse().unwrap()];
    let none = publish(&said, &all).unwrap_err();
    let sentence = "every port from 9000 to 9010 is published already";
    assert_eq!(none.to_string(), sentence);
}

#[test]
fn all_addresses_of_a_host_are_one_port() {
    let both = maps(
        r#"[{"Proto":6,"Port":80,"HostIP":"0.0.0.0","HostPort":8080,"HostPortEnd":8080},
            {"Proto":6,"Port":80,"HostIP":"::","HostPort":8080,"HostPortEnd":8080}]"#,
    );
    assert!(!open(&both));
    assert_eq!(text(&publish(&both, &[]).unwrap()), ["8080:80/tcp"]);
}

#[test]
fn what_cannot_be_published_is_one_sentence() {
    for (json, sentence) in [
        (
            r#"[{"Proto":1,"Port":80,"HostPort":80}]"#,
            "1 is no protocol whose ports can be published; those are tcp, udp and sctp",
        ),
        (
            r#"[{"Proto":6,"Port":80,"HostPort":80,"HostIP":"all"}]"#,
            "\"all\" is no address of a host to publish a port at",
        ),
        (
            r#"[{"Proto":6,"Port":80,"HostPort":90,"HostPortEnd":80}]"#,
            "port 80 cannot be published as 90-80",
        ),
        (
            r#"[{"Proto":6,"Port":0,"HostPort":80}]"#,
            "port 0 cannot be published as 80-80",
        ),
    ] {
        assert_eq!(publish(&maps(json), &[]).unwrap_err().to_string(), sentence);
    }
}

#[test]
fn docker_is_told_what_was_chosen() {
    let chosen: Publish = "127.0.0.1:8000-8001:80-81/udp".parse().unwrap();
    let told: Vec<PortMap> = map(&chosen).collect();
    let expected = maps(
        r#"[{"Proto":17,"Port":80,"HostIP":"127.0.0.1","HostPort":8000,"HostPortEnd":8000},
            {"Proto":17,"Port":81,"HostIP":"127.0.0.1","HostPort":8001,"HostPortEnd":8001}]"#,
    );
    assert_eq!(told, expected);
}
