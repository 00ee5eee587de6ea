use super::*;

fn uplink(address: &str, mtu: u32) -> Uplink {
    Uplink {
        index: 2,
        name: "eth0".into(),
        mtu,
        address: address.parse().unwrap(),
        on_link: vec!["192.0.2.0/24".parse().unwrap()],
        offload: true,
    }
}

#[test]
fn vxlan_costs_50_bytes_over_ipv4_and_70_over_ipv6() {
    assert_eq!(uplink("192.0.2.1", 1500).overlay_mtu(), Ok(1450));
    assert_eq!(uplink("2001:db8::1", 1500).overlay_mtu(), Ok(1430));
    assert_eq!(uplink("192.0.2.1", 9000).overlay_mtu(), Ok(8950));
}

#[test]
fn an_uplink_into_which_nothing_fits_is_refused() {
    let refused = uplink("192.0.2.1", 100).overlay_mtu().unwrap_err();
    assert!(refused.to_string().contains("eth0 is 100"), "{refused}");
}

#[test]
fn a_link_reaches_what_is_on_it() {
    assert!(uplink("192.0.2.1", 1500).reaches("192.0.2.77".parse().unwrap()));
    assert!(!uplink("192.0.2.1", 1500).reaches("192.0.3.77".parse().unwrap()));
    assert!(!uplink("192.0.2.1", 1500).reaches("::ffff:192.0.2.77".parse().unwrap()));
}
