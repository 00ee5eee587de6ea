use proptest::prelude::*;

use super::*;
use crate::trust::TokenId;

const ID: &str = "6f3c1b52-8d0f-4c57-9a55-0a1b2c3d4e5f";

#[test]
fn keys_look_like_this() {
    for text in [
        "nets",
        "net/default",
        "node/Host-1.example",
        "removed/6f3c1b52-8d0f-4c57-9a55-0a1b2c3d4e5f",
        "lease/default/host-1",
        "claim/default/4/10.32.1.0-24",
        "claim/default/6/fd00:1::-64",
        "free/default/4/10.32.1.0-24",
        "resv/default/host-1",
        "under/default/192.0.2.1",
        "under/default/2001:db8::1",
        "endpoint/default/host-1/00f3a9c1d2e4b",
        "sess/host-1",
        "ctl/6f3c1b52-8d0f-4c57-9a55-0a1b2c3d4e5f",
    ] {
        let key: Key = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.kind(), text.split('/').next().unwrap());
    }
}

#[test]
fn anything_else_is_no_key() {
    for text in [
        "",
        "/",
        "nets/",
        "/nets",
        "net",
        "net/",
        "net/Default",
        "net/default/",
        "net//default",
        "node/a/b",
        "node/.a",
        "lease/default",
        "lease/default/",
        "lease/default/a/b",
        "claim/default/10.32.1.0-24",
        "claim/default/4/10.32.1.0",
        "claim/default/4/10.32.1.0/24",
        "claim/default/4/10.32.1.1-24",
        "removed/host-1",
        "ctl/1",
        "under/default/host",
        "endpoint/default/host-1",
        "endpoint/default/host-1/00f3a9c1d2e4",
        "endpoint/default/host-1/00f3a9c1d2e4b/x",
        "tok/abc",
        "NETS",
    ] {
        let error = text.parse::<Key>().expect_err(text);
        assert_eq!(
            error.to_string(),
            "not a key that this version of Weft knows"
        );
    }
}

#[test]
fn another_spelling_of_a_key_is_refused() {
    let id = ID.to_uppercase();
    let simple = ID.replace('-', "");
    for text in [
        "claim/default/6/10.32.1.0-24",
        "claim/default/4/fd00:1::-64",
        "claim/default/04/10.32.1.0-24",
        "claim/default//10.32.1.0-24",
        "claim/default/4/10.32.1.0-024",
        "claim/default/4/10.32.1.0-+24",
        "claim/default/6/FD00:1::-64",
        "claim/default/6/fd00:1:0::-64",
        "free/default/6/10.32.1.0-24",
        "under/default/2001:DB8::1",
        "endpoint/default/host-1/00F3A9C1D2E4B",
        "under/default/2001:db8:0::1",
        &format!("removed/{id}"),
        &format!("removed/{simple}"),
        &format!("removed/{{{ID}}}"),
        &format!("ctl/urn:uuid:{ID}"),
    ] {
        assert_eq!(text.parse::<Key>(), Err(UnknownKey), "{text}");
    }
}

fn keys() -> impl Strategy<Value = Key> {
    let network = || "[a-z0-9][a-z0-9-]{0,8}".prop_map(|name| name.parse::<NetworkName>().unwrap());
    let node =
        || "[A-Za-z0-9]([a-z.-]{0,8}[a-z])?".prop_map(|name| name.parse::<NodeName>().unwrap());
    let id = || any::<u128>().prop_map(uuid::Uuid::from_u128);
    let v4 = (any::<u32>(), 0..=32u8).prop_map(|(number, len)| {
        (
            Family::V4,
            len,
            u64::from(number).unbounded_shr(32 - u32::from(len)).into(),
        )
    });
    let v6 = (any::<u128>(), 0..=128u8)
        .prop_map(|(number, len)| (Family::V6, len, number.unbounded_shr(128 - u32::from(len))));
    let subnet = prop_oneof![v4, v6]
        .prop_map(|(family, len, number)| Subnet::numbered(family, len, number).unwrap())
        .boxed();
    let address = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(IpAddr::V4),
        any::<std::net::Ipv6Addr>().prop_map(IpAddr::V6),
    ];
    prop_oneof![
        Just(Key::Networks),
        network().prop_map(Key::Network),
        node().prop_map(Key::Node),
        id().prop_map(|id| Key::Removed(NodeId(id))),
        (network(), node()).prop_map(|(network, node)| Key::Lease(network, node)),
        (network(), subnet.clone()).prop_map(|(network, subnet)| Key::Claim(network, subnet)),
        (network(), subnet).prop_map(|(network, subnet)| Key::Free(network, subnet)),
        (network(), node()).prop_map(|(network, node)| Key::Reservation(network, node)),
        (network(), address).prop_map(|(network, address)| Key::Underlay(network, address)),
        (network(), node(), any::<u64>()).prop_map(|(network, node, id)| {
            let id = format!("{:013x}", id >> 12).parse().unwrap();
            Key::Endpoint(network, node, id)
        }),
        node().prop_map(Key::Session),
        id().prop_map(|id| Key::Controller(ControllerId(id))),
        Just(Key::Authority),
        any::<u64>().prop_map(|id| Key::Token(TokenId(id))),
        node().prop_map(|name| Key::Operator(name.as_str().parse().unwrap())),
    ]
}

proptest! {
    #[test]
    fn keys_come_back(key in keys()) {
        prop_assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn two_keys_never_share_a_text(a in keys(), b in keys()) {
        prop_assert_eq!(a == b, a.to_string() == b.to_string());
    }

    /// A key with one byte changed is another key or none, never the same.
    #[test]
    fn one_text_one_key(key in keys(), at in any::<prop::sample::Index>(), byte in b' '..=b'~') {
        let mut text = key.to_string().into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != byte);
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Ok(other) = text.parse::<Key>() {
            prop_assert_ne!(&other, &key);
            prop_assert_eq!(other.to_string(), text);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = text.parse::<Key>();
    }
}
