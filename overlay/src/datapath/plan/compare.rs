//! What is wanted against what is seen, in one pass over both.

pub(super) struct Compared<K, V> {
    pub set: Vec<(K, V)>,
    pub drop: Vec<K>,
}

/// What is wanted, in order of its keys, against what is seen; a seen value that is
/// none is wrong whatever is wanted. Where it is `kept`, any other value will do.
pub(super) fn compare<'a, K, V>(
    wanted: &mut dyn Iterator<Item = (&'a K, &'a V)>,
    mut seen: Vec<(K, Option<V>)>,
    kept: bool,
) -> Compared<K, V>
where
    K: Ord + Copy + 'a,
    V: PartialEq + Copy + 'a,
{
    seen.sort_unstable_by_key(|(key, _)| *key);
    let mut compared = Compared {
        set: Vec::new(),
        drop: Vec::new(),
    };
    let mut seen = seen.into_iter().peekable();
    for (&key, &value) in wanted {
        while let Some((stale, _)) = seen.next_if(|(seen, _)| *seen < key) {
            compared.drop.push(stale);
        }
        let mut right = false;
        while let Some((_, seen)) = seen.next_if(|(seen, _)| *seen == key) {
            right = seen == Some(value) || kept && seen.is_some();
        }
        if !right {
            compared.set.push((key, value));
        }
    }
    compared.drop.extend(seen.map(|(key, _)| key));
    compared.drop.dedup();
    compared
}
