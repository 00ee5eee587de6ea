use std::{fs, os::unix::fs::symlink};

use super::{Trust, drivers, trusted};

fn is_trusted(drivers: &[&str], release: &str) -> bool {
    trusted(drivers.iter().copied(), release) == Trust::Yes
}

#[test]
fn hardware_is_trusted_unless_it_is_known_to_be_wrong() {
    assert!(is_trusted(&["ixgbe"], "6.18.44"));
    assert!(is_trusted(&["virtio_net"], "5.7.0-rc1"));
    // A bridge or a veth has no driver.
    assert!(is_trusted(&[], "6.1.0-13-amd64"));
    assert!(!is_trusted(&["vmxnet3"], "6.18.44"));
    // Below a bond.
    assert!(!is_trusted(&["e1000", "vmxnet3"], "6.18.44"));
}

#[test]
fn old_kernels_are_not_trusted() {
    assert!(!is_trusted(&["ixgbe"], "5.6.19"));
    assert!(!is_trusted(&["ixgbe"], "4.18.0-553.el8.x86_64"));
    assert!(is_trusted(&["ixgbe"], "5.10.0"));
    assert!(is_trusted(&["ixgbe"], "10.0"));
    // Who cannot be understood is no reason for distrust.
    assert!(is_trusted(&["ixgbe"], "custom"));
}

#[test]
fn the_drivers_below_a_bond_count() {
    let sys = tempfile::tempdir().unwrap();
    let at = |path: &str| sys.path().join(path);
    for device in ["bond0", "ens1", "ens2"] {
        fs::create_dir_all(at(device)).unwrap();
    }
    for (device, driver) in [("ens1", "vmxnet3"), ("ens2", "ixgbe")] {
        fs::create_dir_all(at(device).join("device")).unwrap();
        let target = format!("../../bus/pci/drivers/{driver}");
        symlink(target, at(device).join("device/driver")).unwrap();
        symlink(at(device), at("bond0").join(format!("lower_{device}"))).unwrap();
    }
    // A device that is its own lower one ends all the same.
    symlink(at("ens1"), at("ens1").join("lower_ens1")).unwrap();
    let mut found = drivers(sys.path(), "bond0");
    found.sort();
    assert_eq!(found, ["ixgbe", "vmxnet3"]);
    assert_eq!(drivers(sys.path(), "gone"), Vec::<String>::new());
}
