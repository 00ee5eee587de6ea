use super::Ethtool;
use crate::kernel::tests::namespace::{json, run, with_underlay};

#[test]
fn the_checksums_of_one_device_are_switched() {
    with_underlay(|| {
        run("ip link add weft1 type vxlan id 1 local 192.0.2.1 dstport 4789 dev eth0");
        let index = |name: &str| {
            let link = json(&format!("ip -j link show {name}"));
            u32::try_from(link[0]["ifindex"].as_u64().unwrap()).unwrap()
        };
        let (weft, eth) = (index("weft1"), index("eth0"));
        let mut ethtool = Ethtool::open().unwrap().expect("this kernel can tell");
        assert_eq!(ethtool.offload(weft).unwrap(), Some(true));
        ethtool.set_offload(weft, false).unwrap();
        assert_eq!(ethtool.offload(weft).unwrap(), Some(false));
        assert_eq!(ethtool.offload(eth).unwrap(), Some(true));
        // Twice is once.
        ethtool.set_offload(weft, false).unwrap();
        assert_eq!(ethtool.offload(weft).unwrap(), Some(false));
        ethtool.set_offload(weft, true).unwrap();
        assert_eq!(ethtool.offload(weft).unwrap(), Some(true));
        assert_eq!(ethtool.offload(99).unwrap(), None);
        assert!(ethtool.set_offload(99, true).is_err());
    });
}
