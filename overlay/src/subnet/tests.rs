use proptest::prelude::*;

use super::*;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

#[test]
fn what_is_not_a_subnet_says_how_to_write_one() {
    for text in [
        "",
        "/",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0/8",
        "010.0.0.0/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/256",
        "fd00::/129",
        "fd00::%eth0/64",
        "[fd00::]/64",
        "host/24",
    ] {
        assert_eq!(
            text.parse::<Subnet>().unwrap_err().to_string(),
            format!("{text:?} is not a subnet; write one as 10.32.1.0/24 or fd00:1::/64")
        );
    }
}

#[test]
fn host_bits_are_shown_with_the_right_address() {
    for (text, right) in [
        ("10.32.1.5/24", "10.32.1.0/24"),
        ("10.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.1/31", "10.0.0.0/31"),
        ("fd00:1::1/64", "fd00:1::/64"),
        ("fd00::/0", "::/0"),
    ] {
        assert_eq!(
            text.parse::<Subnet>().unwrap_err().to_string(),
            format!("{text} has host bits set; its network address is {right}")
        );
    }
}

#[test]
fn another_spelling_is_the_same_subnet() {
    assert_eq!(subnet("fd00:0001:0::/64"), subnet("fd00:1::/64"));
    assert_eq!(subnet("FD00:1::/64").to_string(), "fd00:1::/64");
    assert_eq!(Subnet::from_key_form("FD00:1::-64"), None);
    assert_eq!(Subnet::from_key_form("10.0.0.0-08"), None);
    assert_eq!(Subnet::from_key_form("10.0.0.1-8"), None);
    assert_eq!(
        Subnet::from_key_form("10.0.0.0-8"),
        Some(subnet("10.0.0.0/8"))
    );
}

#[test]
fn pads_like_text() {
    assert_eq!(format!("{:<12}|", subnet("10.0.0.0/8")), "10.0.0.0/8  |");
}

#[test]
fn blocks_of_a_pool_are_numbered_among_all_of_their_length() {
    assert_eq!(subnet("10.32.0.0/12").numbers(24), Some(0xa2000..=0xa2fff));
    assert_eq!(subnet("10.99.0.0/18").numbers(24).unwrap().count(), 64);
    assert_eq!(subnet("fd99::/58").numbers(64).unwrap().count(), 64);
    assert_eq!(subnet("10.0.0.0/24").numbers(24).unwrap().count(), 1);
    assert_eq!(
        subnet("0.0.0.0/0").numbers(32),
        Some(0..=u128::from(u32::MAX))
    );
    assert_eq!(subnet("::/0").numbers(128), Some(0..=u128::MAX));
    assert_eq!(subnet("::/0").numbers(0), Some(0..=0));
    assert_eq!(subnet("::/0").number(), 0);
    assert_eq!(subnet("ffff::/16").number(), 0xffff);
}

#[test]
fn lengths_that_cannot_be_have_no_numbers() {
    assert_eq!(subnet("10.0.0.0/24").numbers(23), None);
    assert_eq!(subnet("10.0.0.0/24").numbers(33), None);
    assert_eq!(subnet("10.0.0.0/24").numbers(255), None);
    assert_eq!(subnet("fd00::/48").numbers(129), None);
}

#[test]
fn a_number_past_the_last_is_no_subnet() {
    assert_eq!(Subnet::numbered(Family::V4, 24, 1 << 24), None);
    assert_eq!(Subnet::numbered(Family::V4, 33, 0), None);
    assert_eq!(Subnet::numbered(Family::V4, 0, 1), None);
    assert_eq!(Subnet::numbered(Family::V4, 24, 1 << 120), None);
    assert_eq!(Subnet::numbered(Family::V6, 64, 1 << 64), None);
    assert_eq!(Subnet::numbered(Family::V6, 0, 1), None);
    let last = Subnet::numbered(Family::V6, 128, u128::MAX).unwrap();
    assert_eq!(
        last.to_string(),
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"
    );
}

/// The first and the last address of a block, by hand.
fn range(family: Family, bits: u128, len: u8) -> (u128, u128) {
    let host = u32::from(family.bits() - len);
    let mut first = bits;
    let mut last = bits;
    for bit in 0..host {
        first &= !(1 << bit);
        last |= 1 << bit;
    }
    (first, last)
}

fn text(family: Family, bits: u128, len: u8) -> String {
    match family {
        Family::V4 => format!("{}/{len}", Ipv4Addr::from_bits(bits as u32)),
        Family::V6 => format!("{}/{len}", Ipv6Addr::from_bits(bits)),
    }
}

/// A family, the bits of an address and a length.
fn block() -> impl Strategy<Value = (Family, u128, u8)> {
    prop_oneof![
        (any::<u32>(), 0..=32u8).prop_map(|(bits, len)| (Family::V4, bits.into(), len)),
        (any::<u128>(), 0..=128u8).prop_map(|(bits, len)| (Family::V6, bits, len)),
    ]
}

proptest! {
    #[test]
    fn subnets_come_back((family, bits, len) in block()) {
        let (first, last) = range(family, bits, len);
        let text = text(family, first, len);
        let block = subnet(&text);
        prop_assert_eq!(block.to_string(), &*text);
        prop_assert_eq!(block.family(), family);
        prop_assert_eq!(block.length(), len);
        prop_assert_eq!(Subnet::from_key_form(&block.key_form()), Some(block));
        prop_assert_eq!(Subnet::numbered(family, len, block.number()), Some(block));
        prop_assert_eq!(block.numbers(family.bits()), Some(first..=last));
        let json = serde_json::to_string(&block).unwrap();
        prop_assert_eq!(serde_json::from_str::<Subnet>(&json).unwrap(), block);
    }

    #[test]
    fn host_bits_are_refused((family, bits, len) in block()) {
        let (first, _) = range(family, bits, len);
        let parsed = text(family, bits, len).parse::<Subnet>();
        if bits == first {
            prop_assert!(parsed.is_ok());
        } else {
            let right = text(family, first, len);
            let error = parsed.unwrap_err().to_string();
            prop_assert!(error.ends_with(&format!("its network address is {right}")), "{}", error);
        }
    }

    #[test]
    fn contains_and_overlaps_are_about_addresses(
        (family, bits, len) in block(),
        flip in 0..128u8,
        other in 0..=128u8,
    ) {
        let other = other.min(family.bits());
        let near = bits ^ (1 << (flip % family.bits()));
        let (first, last) = range(family, bits, len);
        let (near_first, near_last) = range(family, near, other);
        let a = subnet(&text(family, first, len));
        let b = subnet(&text(family, near_first, other));
        prop_assert_eq!(a.contains(b), first <= near_first && near_last <= last);
        prop_assert_eq!(a.overlaps(b), first <= near_last && near_first <= last);
        prop_assert_eq!(a.overlaps(b), b.overlaps(a));
    }

    #[test]
    fn numbers_are_the_blocks_inside((family, bits, len) in block(), more in 0..6u8) {
        let inner = (len + more).min(family.bits());
        let (first, last) = range(family, bits, len);
        let pool = subnet(&text(family, first, len));
        let numbers = pool.numbers(inner).unwrap();
        let mut next = Some(first);
        for number in numbers {
            let block = Subnet::numbered(family, inner, number).unwrap();
            let (block_first, block_last) = range(family, next.unwrap(), inner);
            prop_assert_eq!(block.to_string(), text(family, block_first, inner));
            next = block_last.checked_add(1);
        }
        prop_assert_eq!(next, last.checked_add(1));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = text.parse::<Subnet>();
        let _ = Subnet::from_key_form(&text);
    }

    #[test]
    fn families_do_not_mix(a in any::<u32>(), b in any::<u128>()) {
        let v4 = subnet(&text(Family::V4, a.into(), 32));
        let v6 = subnet(&text(Family::V6, b, 128));
        let all = subnet("::/0");
        prop_assert!(!v4.overlaps(v6) && !all.contains(v4) && all.contains(v6));
    }
}
