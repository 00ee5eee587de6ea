//! Published ports, in a table that may have some of an earlier run.

use super::*;
use crate::{datapath::firewall::Published, endpoint::Protocol};

#[test]
fn what_is_published_stays_until_somebody_tells() {
    let port = Published {
        protocol: Protocol::Tcp,
        at: None,
        host_port: 8080,
        to: "10.31.1.5".parse().unwrap(),
        to_port: 80,
    };
    let other = Published {
        host_port: 8081,
        ..port
    };
    let mut seen = seen();
    let mut told = host();
    told.publish([port].into()).unwrap();
    let table = seen.firewall.as_mut().unwrap();
    table.frame = told.firewall().map(|firewall| firewall.frame);
    table.published = [port, other].into();
    assert_eq!(planned(&host(), &seen), [""; 0]);
    // Also when the table is made anew.
    seen.firewall.as_mut().unwrap().frame = None;
    let steps = planned(&host(), &seen);
    assert_eq!(steps.len(), 1);
    assert!(steps[0].ends_with("published: 2"), "{steps:?}");
    // And also while no network is up.
    let empty = Host::new(MAC);
    let table = seen.firewall.as_mut().unwrap();
    table.frame = told.firewall().map(|firewall| firewall.frame);
    assert!(!planned(&empty, &seen).contains(&"nft delete table inet weft".into()));

    assert_eq!(
        planned(&told, &seen),
        ["nft delete element inet weft pub4 { tcp . 8081 }"]
    );
    told.publish(BTreeSet::new()).unwrap();
    let steps = planned(&told, &seen);
    assert!(steps[0].starts_with("nft replace table"), "{steps:?}");
    assert!(!steps[0].contains("published"), "{steps:?}");
}
