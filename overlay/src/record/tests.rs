use proptest::prelude::*;
use serde_json::json;

use super::*;

fn reason<T: DeserializeOwned + fmt::Debug>(value: &serde_json::Value) -> String {
    read::<T>(value.to_string().as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn records_are_json_that_an_operator_can_read() {
    let lease = Lease {
        v: V1,
        node_id: NodeId(uuid::Uuid::from_u128(1)),
        life: Life(uuid::Uuid::from_u128(2)),
        kind: LeaseKind::Agent,
        v4: Some("10.32.1.0/24".parse().unwrap()),
        v6: None,
        underlay: Some("192.0.2.1".parse().unwrap()),
        mac: Some("02:00:5e:10:00:01".parse().unwrap()),
        gone_at: None,
        expires_at: Some(WallMs(5)),
        by: ControllerId(uuid::Uuid::from_u128(3)),
    };
    let value: serde_json::Value = serde_json::from_slice(&encode(&lease)).unwrap();
    let expected = json!({
        "v": 1,
        "node_id": "00000000-0000-0000-0000-000000000001",
        "life": "00000000-0000-0000-0000-000000000002",
        "kind": "agent",
        "v4": "10.32.1.0/24",
        "v6": null,
        "underlay": "192.0.2.1",
        "mac": "02:00:5e:10:00:01",
        "gone_at": null,
        "expires_at": 5,
        "by": "00000000-0000-0000-0000-000000000003",
    });
    assert_eq!(value, expected);
    assert_eq!(read::<Lease>(&encode(&lease)).unwrap(), lease);
}

#[test]
fn a_field_of_a_later_version_is_ignored_and_its_version_is_not() {
    let claim = json!({"v": 1, "node": "a", "life": null, "reserved": true, "colour": "red"});
    assert!(read::<Claim>(claim.to_string().as_bytes()).is_ok());
    let claim = json!({"v": 2, "node": "a", "life": null, "reserved": true});
    assert!(
        reason::<Claim>(&claim)
            .starts_with("written by another version of Weft (v2, this one reads v1)")
    );
    let claim = json!({"node": "a", "life": null, "reserved": true});
    assert!(reason::<Claim>(&claim).starts_with("missing field `v`"));
}

#[test]
fn a_subnet_of_the_other_family_is_not_a_record() {
    let lease = json!({
        "v": 1,
        "node_id": "00000000-0000-0000-0000-000000000001",
        "life": "00000000-0000-0000-0000-000000000002",
        "kind": "agent",
        "v4": "fd00::/64",
        "by": "00000000-0000-0000-0000-000000000003",
    });
    assert!(reason::<Lease>(&lease).starts_with("fd00::/64 is not v4"));
    let reservation = json!({"v": 1, "v4": null, "v6": "10.32.1.0/24"});
    assert!(reason::<Reservation>(&reservation).starts_with("10.32.1.0/24 is not v6"));
}

#[test]
fn what_is_not_the_mac_address_of_a_host_is_refused() {
    for text in [
        "",
        "02:00:5e:10:00",
        "02:00:5e:10:00:01:02",
        "02:00:5e:10:00:1",
        "02-00-5e-10-00-01",
        "02005e100001",
        "02:00:5e:10:00:0g",
        "02:00:5e:10:00:+1",
        "+2:00:5e:10:00:01",
        "02:00:5e:10:00:01 ",
        "02:00:5e:10:00:é",
        "00:00:00:00:00:00",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
    ] {
        assert_eq!(
            text.parse::<Mac>().unwrap_err().to_string(),
            format!("{text:?} is not the MAC address of a host; write it as 02:00:5e:10:00:01")
        );
    }
}

#[test]
fn a_lease_lapses_at_its_time() {
    let mut lease = Lease {
        v: V1,
        node_id: NodeId(uuid::Uuid::from_u128(1)),
        life: Life(uuid::Uuid::from_u128(2)),
        kind: LeaseKind::Api,
        v4: None,
        v6: None,
        underlay: None,
        mac: None,
        gone_at: None,
        expires_at: Some(WallMs(10)),
        by: ControllerId(uuid::Uuid::from_u128(3)),
    };
    assert!(!lease.lapsed(WallMs(9)));
    assert!(lease.lapsed(WallMs(10)));
    lease.expires_at = None;
    assert!(!lease.lapsed(WallMs(u64::MAX)));
    lease.gone_at = Some(WallMs(20));
    assert!(lease.lapsed(WallMs(0)));
}

proptest! {
    #[test]
    fn macs_come_back(mut bytes in any::<[u8; 6]>()) {
        bytes[0] &= 0xfe;
        bytes[5] |= 1;
        let mac = Mac(bytes);
        let text = bytes.map(|byte| format!("{byte:02x}")).join(":");
        prop_assert_eq!(mac.to_string(), &*text);
        prop_assert_eq!(text.parse(), Ok(mac));
        prop_assert_eq!(text.to_uppercase().parse(), Ok(mac));
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = read::<Lease>(&bytes);
        let _ = read::<Claim>(text.as_bytes());
        let _ = text.parse::<Mac>();
    }
}
