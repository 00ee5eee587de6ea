use proptest::prelude::*;

use super::*;

#[test]
fn the_least_claim_counts_and_the_next_takes_its_place() {
    let mut claimed = Claimed::default();
    claimed.claim(1, 'b');
    claimed.claim(1, 'a');
    claimed.claim(1, 'a');
    assert_eq!(claimed.get(&1), Some(&'a'));
    claimed.give_up(1, 'a');
    assert_eq!(claimed.get(&1), Some(&'a'));
    claimed.give_up(1, 'a');
    assert_eq!(claimed.get(&1), Some(&'b'));
    assert!(!claimed.is_contested(&1));
    claimed.give_up(1, 'x');
    claimed.give_up(1, 'b');
    assert!(claimed.is_empty());
}

proptest! {
    /// However the claims came and went, the map is that of the claims that are left.
    #[test]
    fn the_order_does_not_matter(acts in prop::collection::vec((any::<bool>(), 0..4u8, 0..4u8), 0..60)) {
        let mut claimed = Claimed::default();
        let mut left: Vec<(u8, u8)> = Vec::new();
        for (claim, key, value) in acts {
            if claim {
                claimed.claim(key, value);
                left.push((key, value));
            } else {
                claimed.give_up(key, value);
                if let Some(place) = left.iter().position(|one| *one == (key, value)) {
                    left.remove(place);
                }
            }
        }
        let mut fresh = Claimed::default();
        for (key, value) in left.into_iter().rev() {
            fresh.claim(key, value);
        }
        prop_assert_eq!(claimed, fresh);
    }
}
