use super::*;

fn add(ring: &mut Ring, at: u64, what: &str) {
    ring.add(WallMs(at), Level::Info, what.into(), BTreeMap::new());
}

fn whats(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.what.as_str()).collect()
}

fn all(ring: &Ring) -> Vec<Event> {
    ring.wished(&Wish::default())
}

#[test]
fn a_wish_is_read_as_it_is_written() {
    let wish = Wish {
        since: WallMs(7),
        after: 8,
        least: Level::Warn,
        most: 9,
    };
    for wish in [wish, Wish::default()] {
        assert_eq!(wish.to_string().parse(), Ok(wish));
    }
    assert_eq!("".parse(), Ok(Wish::default()));
    for bad in [
        "since=yesterday",
        "level=loud",
        "limit=-1",
        "until=3",
        "=",
        "level",
    ] {
        assert!(bad.parse::<Wish>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_wished_is_the_newest_of_what_it_admits() {
    let mut ring = Ring::new(1 << 20);
    for at in 1..=9 {
        let level = if at % 2 == 0 {
            Level::Warn
        } else {
            Level::Info
        };
        ring.add(WallMs(at), level, at.to_string(), BTreeMap::new());
    }
    let wish = |text: &str| ring.wished(&text.parse().unwrap());
    assert_eq!(whats(&wish("since=8")), ["8", "9"]);
    assert_eq!(whats(&wish("after=8")), ["9"]);
    assert_eq!(whats(&wish("level=warn")), ["2", "4", "6", "8"]);
    assert_eq!(whats(&wish("level=warn&limit=2")), ["6", "8"]);
    assert_eq!(whats(&wish("level=error")), [""; 0]);
}

#[test]
fn the_oldest_make_way() {
    let one = Event {
        seq: 1,
        at: WallMs(1),
        level: Level::Info,
        what: "x".into(),
        fields: BTreeMap::new(),
    };
    let mut ring = Ring::new(3 * one.size());
    for what in ["a", "b", "c", "d", "e"] {
        add(&mut ring, 1, what);
    }
    assert_eq!(whats(&all(&ring)), ["c", "d", "e"]);
    // One that has no room at all takes everything with it, and itself.
    add(&mut ring, 1, &"x".repeat(4 * one.size()));
    assert_eq!(whats(&all(&ring)), [""; 0]);
    add(&mut ring, 1, "f");
    assert_eq!(whats(&all(&ring)), ["f"]);
}

#[test]
fn a_day_is_kept_whatever_the_clock_did_meanwhile() {
    let day = u64::try_from(KEPT.as_millis()).unwrap();
    let mut ring = Ring::new(1 << 20);
    add(&mut ring, 5, "old");
    // The clock was far ahead, and was set right.
    add(&mut ring, 9 * day, "ahead");
    add(&mut ring, 6, "new");
    ring.forget(WallMs(day + 6));
    assert_eq!(whats(&all(&ring)), ["ahead", "new"]);
    let seqs: Vec<u64> = all(&ring).iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [9 * day, 9 * day + 1]);
}

#[test]
fn numbers_grow_over_a_restart_with_and_without_what_was_kept() {
    let mut before = Ring::new(1 << 20);
    add(&mut before, 100, "one");
    add(&mut before, 100, "two");
    let mut after = Ring::new(1 << 20);
    add(&mut after, 100, "three");
    let mut kept = all(&before);
    // A file may hold a line twice, and in any order.
    kept.reverse();
    kept.extend(all(&before));
    after.restore(kept);
    assert_eq!(whats(&all(&after)), ["one", "two", "three"]);
    assert_eq!(after.last(), 102);
    assert_eq!(after.after(101).count(), 1);
    let mut alone = Ring::new(1 << 20);
    add(&mut alone, 200, "four");
    assert!(alone.last() > after.last());
}

#[test]
fn an_event_is_one_line_and_read_again() {
    let event = Event {
        seq: 3,
        at: WallMs(2),
        level: Level::Error,
        what: "a\nb".into(),
        fields: BTreeMap::from([("x".into(), "\"y\"\n".into())]),
    };
    let line = serde_json::to_string(&event).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
}
