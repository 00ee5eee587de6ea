use clap::Parser;

use super::*;
use crate::{Command, Weft};

const WITHIN: Duration = Duration::from_secs(1);

fn attach(line: &str) -> Result<Attach, clap::Error> {
    let weft = Weft::try_parse_from(line.split_whitespace())?;
    match weft.command {
        Command::Attach(attach) => Ok(*attach),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_typed_is_what_is_asked() {
    // Whatever is there will do for a namespace until the agent looks at it.
    let words = attach(
        "weft attach --netns /proc/self/ns/mnt --network blue --interface eth1 \
         --ip 10.32.1.7 --ip fd00::7 --mac 02:00:00:00:00:01 --name web --alias a,b --alias c \
         --label tier=web --label note=a=b --publish 8080:80 --publish 127.0.0.1:53:53/udp \
         --bandwidth 100M/50M --told --socket /tmp/x.sock",
    )
    .unwrap()
    .words(WITHIN)
    .unwrap();
    assert_eq!(words.network.to_string(), "blue");
    assert_eq!(words.netns, "/proc/self/ns/mnt");
    assert_eq!(words.interface, "eth1");
    assert!(words.key.as_str().starts_with("attach/"), "{}", words.key);
    assert!(words.key.as_str().ends_with("/eth1"), "{}", words.key);
    assert_eq!(texts(&words.addresses), ["10.32.1.7", "fd00::7"]);
    assert_eq!(words.mac.unwrap().to_string(), "02:00:00:00:00:01");
    assert_eq!(words.who.name.as_deref(), Some("web"));
    assert_eq!(words.who.aliases, ["a", "b", "c"]);
    assert_eq!(words.who.labels["note"], "a=b");
    assert_eq!(
        texts(&words.publish),
        ["8080:80/tcp", "127.0.0.1:53:53/udp"]
    );
    assert_eq!(words.bandwidth.to_string(), "100M/50M");
    assert!(words.told && !words.hand);
}

#[test]
fn one_way_may_have_no_bound() {
    for (typed, meant) in [("-/50M", "-/50M"), ("1G/-", "1G/-"), ("8000", "8k/8k")] {
        let attach = attach(&format!("weft attach --netns a --bandwidth {typed}")).unwrap();
        assert_eq!(attach.bandwidth.unwrap().to_string(), meant);
    }
}

#[test]
fn one_namespace_has_one_key_whatever_names_it() {
    let key = |line: &str| attach(line).unwrap().words(WITHIN).unwrap().key;
    let pid = std::process::id();
    let one = key("weft attach --netns /proc/self/ns/mnt");
    assert_eq!(one, key(&format!("weft attach --netns /proc/{pid}/ns/mnt")));
    assert_ne!(one, key("weft attach --netns /proc/self/ns/uts"));
    assert_ne!(
        one,
        key("weft attach --netns /proc/self/ns/mnt --interface eth1")
    );
}

#[test]
fn what_makes_no_sense_is_not_asked() {
    for line in [
        "weft attach",
        "weft attach --netns a --pid 1",
        "weft attach --netns a --container b",
        "weft attach --pid 0",
        "weft attach --pid self",
        "weft attach --container ../../etc",
        "weft attach --container -",
        "weft attach --netns a --interface name-of-17-chars.",
        "weft attach --netns a --interface a/b",
        "weft attach --netns a --interface ..",
        "weft attach --netns a --network Blue",
        "weft attach --netns a --ip 10.0.0.1/24",
        "weft attach --netns a --mac 02:00",
        "weft attach --netns a --label novalue",
        "weft attach --netns a --label =x",
        "weft attach --netns a --publish 80",
        "weft attach --netns a --publish 0:80",
        "weft attach --netns a --bandwidth fast",
        "weft attach --netns a --bandwidth 7k",
        "weft detach",
        "weft detach --netns a --ip 10.0.0.1",
        "weft ipam",
        "weft ipam mend",
    ] {
        let parsed = Weft::try_parse_from(line.split_whitespace());
        assert!(parsed.is_err(), "{line}");
    }
}

#[test]
fn where_there_is_no_namespace_one_sentence_says_so() {
    for (line, sentence) in [
        (
            "weft attach --netns no-such-name",
            "there is no network namespace no-such-name: `ip netns list` shows those that have a name",
        ),
        (
            "weft attach --netns /no/such/place",
            "there is no network namespace at /no/such/place",
        ),
        (
            "weft attach --pid 4294967295",
            "there is no process 4294967295",
        ),
        (
            "weft attach --netns /proc/self/ns/net",
            "/proc/self/ns/net is in the host's own network namespace, which is no container's",
        ),
    ] {
        let failure = attach(line).unwrap().words(WITHIN).unwrap_err();
        assert_eq!(options::sentence(&failure), sentence);
        assert_eq!(failure.exit(), options::Exit::Failed);
    }
    let own = format!("weft attach --pid {}", std::process::id());
    let failure = attach(&own).unwrap().words(WITHIN).unwrap_err();
    assert!(failure.to_string().contains("the host's own"), "{failure}");
}

#[test]
fn a_name_that_no_record_could_hold_is_bad_usage() {
    let long = "n".repeat(254);
    let line = format!("weft attach --netns /proc/self/ns/mnt --name {long}");
    let failure = attach(&line).unwrap().words(WITHIN).unwrap_err();
    assert_eq!(failure.exit(), options::Exit::BadUsage);
    assert_eq!(failure.to_string(), "a name is longer than 253 characters");
}
