use proptest::prelude::*;

use super::*;

fn claim(allocation: &mut Allocation, pool: &RangeInclusive<u128>) -> Option<u128> {
    let number = allocation.next(pool, *pool.start(), |_| false)?;
    allocation.set(number, true, None);
    Some(number)
}

#[test]
fn never_used_comes_before_returned() {
    let mut allocation = Allocation::default();
    let pool = 10..=13;
    assert_eq!(claim(&mut allocation, &pool), Some(10));
    assert_eq!(claim(&mut allocation, &pool), Some(11));
    allocation.set(10, false, Some(5));
    assert_eq!(claim(&mut allocation, &pool), Some(12));
    assert_eq!(claim(&mut allocation, &pool), Some(13));
    assert_eq!(claim(&mut allocation, &pool), Some(10));
    assert_eq!(claim(&mut allocation, &pool), None);
}

#[test]
fn the_longest_free_comes_first() {
    let mut allocation = Allocation::default();
    let pool = 0..=2;
    for number in 0..=2 {
        allocation.set(number, true, None);
    }
    allocation.set(1, false, Some(7));
    allocation.set(2, false, Some(8));
    allocation.set(0, false, Some(9));
    assert_eq!(claim(&mut allocation, &pool), Some(1));
    // Returned once more, it goes to the back.
    allocation.set(1, false, Some(10));
    for number in [2, 0, 1] {
        assert_eq!(claim(&mut allocation, &pool), Some(number));
    }
}

#[test]
fn what_is_being_taken_is_skipped() {
    let mut allocation = Allocation::default();
    let pool = 0..=3;
    assert_eq!(allocation.next(&pool, 0, |n| n < 2), Some(2));
    assert_eq!(allocation.next(&pool, 0, |_| true), None);
    allocation.set(3, false, Some(1));
    assert_eq!(allocation.next(&pool, 0, |n| n < 3), Some(3));
}

#[test]
fn the_search_starts_where_it_is_told_and_goes_round() {
    let mut allocation = Allocation::default();
    let pool = 0..=3;
    assert_eq!(allocation.next(&pool, 2, |_| false), Some(2));
    allocation.set(2, true, None);
    allocation.set(3, true, None);
    assert_eq!(allocation.next(&pool, 2, |_| false), Some(0));
    assert_eq!(allocation.next(&pool, 99, |_| false), Some(0));
    let upper = 4..=7;
    assert_eq!(allocation.next(&upper, 0, |_| false), Some(4));
}

#[test]
fn the_ends_of_the_numbers_are_numbers_too() {
    let mut allocation = Allocation::default();
    let all = 0..=u128::MAX;
    assert_eq!(allocation.next(&all, u128::MAX, |_| false), Some(u128::MAX));
    allocation.set(u128::MAX, true, None);
    allocation.set(0, true, None);
    assert_eq!(allocation.next(&all, u128::MAX, |_| false), Some(1));
    allocation.set(u128::MAX - 1, true, None);
    assert_eq!(allocation.used.len(), 2);
    allocation.set(u128::MAX, false, None);
    allocation.set(0, false, None);
    assert_eq!(allocation.used.len(), 1);
    let one = 5..=5;
    assert_eq!(allocation.next(&one, 5, |_| false), Some(5));
}

#[test]
fn saying_the_same_twice_changes_nothing() {
    let mut once = Allocation::default();
    once.set(1, true, Some(4));
    once.set(2, false, Some(5));
    let mut twice = once.clone();
    twice.set(2, false, Some(5));
    twice.set(1, true, Some(4));
    assert_eq!(once, twice);
    twice.set(1, false, None);
    twice.set(2, false, None);
    assert_eq!(twice, Allocation::default());
}

/// A hundred thousand subnets given one after the other are one run, and returning
/// every other one splits it without touching the rest.
#[test]
fn a_hundred_thousand_subnets_are_one_run() {
    const COUNT: u128 = 100_000;
    let pool = 0..=COUNT - 1;
    let mut allocation = Allocation::default();
    for expected in 0..COUNT {
        assert_eq!(claim(&mut allocation, &pool), Some(expected));
        assert_eq!(allocation.used.len(), 1);
    }
    assert_eq!(claim(&mut allocation, &pool), None);
    for number in (0..COUNT).step_by(2) {
        allocation.set(number, false, Some(number as Revision + 1));
    }
    assert_eq!(allocation.used.len(), 1, "a returned one was used");
    assert_eq!(allocation.queue.len(), 50_000);
    for expected in (0..COUNT).step_by(2) {
        assert_eq!(claim(&mut allocation, &pool), Some(expected));
    }
    assert!(allocation.queue.is_empty() && allocation.queued.is_empty());
    for number in (0..COUNT).step_by(2) {
        allocation.set(number, false, None);
    }
    assert_eq!(allocation.used.len(), 50_000, "a forgotten one is a gap");
    let wider = 0..=2 * COUNT;
    for number in (0..COUNT).step_by(2) {
        assert_eq!(claim(&mut allocation, &wider), Some(number));
    }
    assert_eq!(allocation.used, BTreeMap::from([(0, COUNT - 1)]));
}

/// The same, without a thought about speed: what is known of each number.
#[derive(Default)]
struct Naive(BTreeMap<u128, (bool, Option<Revision>)>);

impl Naive {
    fn next(&self, pool: &RangeInclusive<u128>, start: u128, skip: &[u128]) -> Option<u128> {
        let start = start.clamp(*pool.start(), *pool.end());
        let all = || (start..=*pool.end()).chain(*pool.start()..start);
        let unknown = |n: &u128| matches!(self.0.get(n), None | Some((false, None)));
        let mut returned: Vec<(Revision, u128)> = all()
            .filter_map(|n| match self.0.get(&n) {
                Some((false, Some(revision))) => Some((*revision, n)),
                _ => None,
            })
            .collect();
        returned.sort_unstable();
        all()
            .filter(unknown)
            .chain(returned.into_iter().map(|(_, n)| n))
            .find(|n| !skip.contains(n))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Claim { start: u128, skip: Vec<u128> },
    Return(u128),
    Set(u128, bool, Option<Revision>),
    Grow,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..40u128;
    prop_oneof![
        4 => (number(), prop::collection::vec(number(), 0..4))
            .prop_map(|(start, skip)| Step::Claim { start, skip }),
        3 => number().prop_map(Step::Return),
        2 => (number(), any::<bool>(), prop::option::of(1..50u64))
            .prop_map(|(number, claimed, freed)| Step::Set(number, claimed, freed)),
        1 => Just(Step::Grow),
    ]
}

proptest! {
    #[test]
    fn gives_what_the_naive_one_gives(
        base in prop_oneof![Just(0u128), Just(u128::MAX - 31)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut allocation = Allocation::default();
        let mut naive = Naive::default();
        let mut revision = 100;
        let mut pool = base + 8..=base + 15;
        for step in steps {
            revision += 1;
            let at = |n: u128| base + n % 32;
            match step {
                Step::Claim { start, skip } => {
                    let skip: Vec<u128> = skip.into_iter().map(at).collect();
                    let given = allocation.next(&pool, at(start), |n| skip.contains(&n));
                    prop_assert_eq!(given, naive.next(&pool, at(start), &skip));
                    if let Some(number) = given {
                        allocation.set(number, true, None);
                        naive.0.insert(number, (true, None));
                    }
                }
                Step::Return(number) => {
                    allocation.set(at(number), false, Some(revision));
                    naive.0.insert(at(number), (false, Some(revision)));
                }
                Step::Set(number, claimed, freed) => {
                    allocation.set(at(number), claimed, freed);
                    naive.0.insert(at(number), (claimed, freed));
                }
                Step::Grow if *pool.start() == base + 8 => pool = base..=base + 15,
                Step::Grow => pool = base..=base + 31,
            }
            // The runs are exactly the used numbers, disjoint and never adjacent.
            let used: Vec<u128> = allocation.used.iter().flat_map(|(&a, &b)| a..=b).collect();
            let known: Vec<u128> = naive.0.iter()
                .filter(|(_, (claimed, freed))| *claimed || freed.is_some())
                .map(|(number, _)| *number)
                .collect();
            prop_assert_eq!(used, known);
            let runs: Vec<(u128, u128)> = allocation.used.iter().map(|(&a, &b)| (a, b)).collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", runs);
        }
    }

    /// What is known depends on what is known, not on the order it was said in.
    #[test]
    fn the_order_does_not_matter(
        (said, shuffled) in prop::collection::btree_map(
            0..40u128,
            (any::<bool>(), prop::option::of(1..9u64)),
            0..30,
        ).prop_flat_map(|said| {
            let said: Vec<_> = said.into_iter().collect();
            (Just(said.clone()), Just(said).prop_shuffle())
        }),
    ) {
        let build = |said: &[(u128, (bool, Option<Revision>))]| {
            let mut allocation = Allocation::default();
            for &(number, (claimed, freed)) in said {
                allocation.set(number, claimed, freed);
            }
            allocation
        };
        prop_assert_eq!(build(&said), build(&shuffled));
    }
}
