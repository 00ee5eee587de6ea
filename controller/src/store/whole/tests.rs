use super::*;

fn record(key: &str, revision: Revision) -> Record {
    Record {
        key: key.into(),
        value: Vec::new(),
        revision,
    }
}

fn keys(whole: &Whole) -> Vec<&str> {
    let keys = whole
        .records()
        .iter()
        .map(|record| str::from_utf8(&record.key));
    keys.map(|key| key.expect("text")).collect()
}

#[test]
fn of_one_revision_subnets_wait_by_their_numbers() {
    let (two, ten) = (
        "free/default/4/10.32.2.0-24",
        "free/default/4/10.32.10.0-24",
    );
    let whole = Whole::new(
        "c".into(),
        9,
        vec![record(ten, 5), record(two, 5), record("x", 4)],
    );
    assert_eq!(keys(&whole), ["x", two, ten]);
    let later = Whole::new("c".into(), 9, vec![record(ten, 5), record(two, 6)]);
    assert_eq!(keys(&later), [ten, two]);
}

#[test]
fn another_order_in_the_queue_is_another_store() {
    let of = |revisions: [Revision; 3]| {
        let keys = ["free/n/4/10.0.0.0-24", "free/n/4/10.0.1.0-24", "lease/n/a"];
        let records = keys.into_iter().zip(revisions);
        Whole::new(
            "c".into(),
            9,
            records.map(|(key, at)| record(key, at)).collect(),
        )
    };
    assert!(of([2, 3, 4]).is_like(&of([20, 30, 10])));
    assert!(!of([2, 3, 4]).is_like(&of([3, 2, 4])));
}
