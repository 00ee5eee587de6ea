use std::{fs, os::unix::fs::PermissionsExt};

use tracing_subscriber::layer::SubscriberExt;

use super::*;

const ROOM: usize = 1 << 20;

fn said(say: impl FnOnce()) -> Events {
    let events = Events::new(ROOM).unwrap();
    said_to(&events, say);
    events
}

fn said_to(events: &Events, say: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(events.layer());
    tracing::subscriber::with_default(subscriber, say);
}

/// All of them, in the order in which they happened.
fn all(events: &Events) -> Vec<Event> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let asked = events.wished(Wish::default());
    runtime.unwrap().block_on(asked).unwrap()
}

fn whats(events: &Events) -> Vec<String> {
    all(events).into_iter().map(|event| event.what).collect()
}

fn saying(what: &'static str) -> impl FnOnce() {
    move || info!("{what}")
}

#[test]
fn what_is_logged_at_info_and_above_is_an_event() {
    let events = said(|| {
        let error = io::Error::other("why");
        info!(node = %"h1", count = 3, ?error, "one");
        tracing::debug!("none");
        warn!(reason = "it is\nso", "two");
        tracing::error!("{} and more", "three");
        info!(long = "ä".repeat(2000));
    });
    let all = all(&events);
    let levels = all.iter().map(|event| event.level);
    let levels: Vec<Level> = levels.collect();
    use Level::{Error, Info, Warn};
    assert_eq!(levels, [Info, Warn, Error, Info]);
    assert_eq!(whats(&events), ["one", "two", "three and more", ""]);
    let fields = all[0].fields.iter();
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(fields.len(), 3);
    assert_eq!((&*fields[0], &*fields[2]), ("count=3", "node=h1"));
    assert_eq!(all[1].fields["reason"], "it is\nso");
    assert_eq!(all[3].fields["long"].chars().count(), 1025);
    assert!(all.windows(2).all(|two| two[0].seq < two[1].seq));
}

#[test]
fn a_start_finds_what_was_kept_before_whatever_is_torn() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.jsonl");
    let first = said(saying("one"));
    first.keep_in(directory.path());
    said_to(&first, saying("two"));
    first.end();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let good = fs::read(&file).unwrap();
    for (torn, before) in [
        (good.clone(), &["one", "two"][..]),
        (good[..good.len() - 1].to_vec(), &["one", "two"]),
        (good[..good.len() - 9].to_vec(), &["one"]),
        (
            [b"{\"seq\":\n\0\xff\n", &good[..]].concat(),
            &["one", "two"],
        ),
        (vec![0; good.len()], &[]),
        (Vec::new(), &[]),
    ] {
        fs::write(&file, torn).unwrap();
        for more in ["three", "four"] {
            let events = said(saying(more));
            events.keep_in(directory.path());
            events.end();
        }
        let last = Events::new(ROOM).unwrap();
        last.keep_in(directory.path());
        assert_eq!(whats(&last), [before, &["three", "four"]].concat());
        last.end();
    }
}

#[test]
fn two_files_have_bounded_room_and_what_is_newest() {
    const SMALL: usize = 8 << 10;
    let directory = tempfile::tempdir().unwrap();
    let events = Events::new(SMALL).unwrap();
    events.keep_in(directory.path());
    for number in 0..1000 {
        said_to(&events, || info!(number, "again"));
        if number % 50 == 0 {
            // It has written so far.
            all(&events);
        }
    }
    events.end();
    let files: Vec<u64> = ["events.jsonl", "events.old.jsonl"]
        .iter()
        .map(|name| fs::metadata(directory.path().join(name)).unwrap().len())
        .collect();
    assert!(files.iter().all(|size| *size <= SMALL as u64), "{files:?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);

    let again = Events::new(SMALL).unwrap();
    again.keep_in(directory.path());
    let found = all(&again);
    let size: usize = found.iter().map(Event::size).sum();
    assert!(size <= SMALL && found.len() > 20, "{size} {}", found.len());
    assert_eq!(found.last().unwrap().fields["number"], "999");
}

#[test]
fn a_place_where_no_file_can_be_costs_the_file_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, used) = (directory.path(), directory.path().join("used"));
    fs::create_dir(path.join("events.jsonl")).unwrap();
    fs::write(path.join("file"), "precious").unwrap();
    let other = Events::new(ROOM).unwrap();
    other.keep_in(&used);
    all(&other);
    for place in [path, &path.join("file"), &used] {
        let events = said(saying("one"));
        events.keep_in(place);
        said_to(&events, saying("two"));
        assert_eq!(whats(&events), ["one", "two"]);
        events.end();
    }
}

#[test]
fn what_is_more_than_can_be_taken_is_counted() {
    let (words, heard) = mpsc::sync_channel(2);
    let lost = Arc::new(AtomicU64::new(0));
    let events = Events {
        words,
        lost: lost.clone(),
    };
    said_to(&events, || (0..7).for_each(|number| info!(number)));
    let mut keeper = Keeper {
        ring: Ring::new(ROOM),
        room: ROOM,
        lost,
        file: None,
    };
    for word in heard.try_iter() {
        assert!(keeper.hear(word).is_none());
    }
    let kept = keeper.ring.wished(&Wish::default());
    let told = kept.iter().find(|event| event.level == Level::Warn);
    assert_eq!((kept.len(), &*told.unwrap().fields["lost"]), (3, "5"));
}
