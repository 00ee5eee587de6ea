use std::{fs, path::Path};

use overlay::network::Vni;

use super::SubnetEnv;
use crate::endpoints::ground::Ground;

fn ground(pools: &[&str], subnets: &[&str]) -> Ground {
    let parse = |text: &&str| text.parse().unwrap();
    Ground {
        vni: Vni::FIRST,
        port: 4789,
        subnets: subnets.iter().map(parse).collect(),
        pools: pools.iter().map(parse).collect(),
        mtu: 1450,
        masquerade: false,
        up: true,
        devices: Default::default(),
    }
}

fn both() -> Ground {
    ground(
        &["10.32.0.0/16", "fd77:32::/48"],
        &["10.32.1.0/24", "fd77:32:0:1::/64"],
    )
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn it_holds_what_flannels_plugin_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flannel/subnet.env");
    let mut file = SubnetEnv::new(path.clone());
    file.follow(Some(&Some(both())));
    let expected = "\
FLANNEL_NETWORK=10.32.0.0/16
FLANNEL_SUBNET=10.32.1.1/24
FLANNEL_IPV6_NETWORK=fd77:32::/48
FLANNEL_IPV6_SUBNET=fd77:32:0:1::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
";
    assert_eq!(read(&path), expected);
    let only = ground(&["10.32.0.0/16"], &["10.32.1.0/24"]);
    file.follow(Some(&Some(only)));
    assert!(!read(&path).contains("IPV6"));
    let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");
}

#[test]
fn it_stays_until_the_network_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("subnet.env");
    fs::write(&path, "of the last run").unwrap();
    let mut file = SubnetEnv::new(path.clone());
    for nothing_known in [None, Some(&None)] {
        file.follow(nothing_known);
        assert_eq!(read(&path), "of the last run");
    }
    file.follow(Some(&Some(both())));
    assert!(read(&path).starts_with("FLANNEL_NETWORK"));
    file.follow(Some(&None));
    assert!(path.exists());
    file.follow(None);
    assert!(!path.exists());
    file.follow(Some(&Some(both())));
    assert!(path.exists());
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("place");
    fs::write(&place, "no directory").unwrap();
    let mut file = SubnetEnv::new(place.join("subnet.env"));
    file.follow(Some(&Some(both())));
    assert!(file.failed);
    fs::remove_file(&place).unwrap();
    file.follow(Some(&Some(both())));
    assert!(place.join("subnet.env").exists() && !file.failed);
}
