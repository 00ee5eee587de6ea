//! The events of the last while, in bounded room: the oldest make way.

use std::collections::{BTreeMap, VecDeque};

use super::{Event, KEPT, Level, Wish};
use crate::time::WallMs;

#[derive(Debug)]
pub struct Ring {
    events: VecDeque<Event>,
    /// Of all of them, and what they may take.
    size: usize,
    room: usize,
    /// The number of the last one that there has been.
    last: u64,
}

impl Ring {
    pub fn new(room: usize) -> Self {
        Self {
            events: VecDeque::new(),
            size: 0,
            room,
            last: 0,
        }
    }

    /// Numbers begin at the time: so a daemon that kept nothing of its earlier events gives
    /// none of their numbers again.
    pub fn add(
        &mut self,
        at: WallMs,
        level: Level,
        what: String,
        fields: BTreeMap<String, String>,
    ) {
        let seq = at.0.max(self.last.saturating_add(1));
        self.put(Event {
            seq,
            at,
            level,
            what,
            fields,
        });
    }

    /// What was kept from before comes first; what happened since then is numbered after it.
    pub fn restore(&mut self, mut before: Vec<Event>) {
        let since = std::mem::take(&mut self.events);
        (self.size, self.last) = (0, 0);
        before.sort_by_key(|event| event.seq);
        before.dedup_by_key(|event| event.seq);
        for event in before {
            self.put(event);
        }
        for event in since {
            self.add(event.at, event.level, event.what, event.fields);
        }
    }

    /// Drops what is older than events are kept. A clock that was wrong for a while hides
    /// nothing behind what it dated.
    pub fn forget(&mut self, now: WallMs) {
        let kept = |event: &Event| now.since(event.at) <= KEPT;
        self.events.retain(kept);
        self.size = self.events.iter().map(Event::size).sum();
    }

    /// In the order in which they happened.
    pub fn wished(&self, wish: &Wish) -> Vec<Event> {
        let newest = self.events.iter().rev();
        let wished = newest.filter(|event| wish.admits(event)).take(wish.most);
        let mut events: Vec<Event> = wished.cloned().collect();
        events.reverse();
        events
    }

    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Event> {
        let first = self.events.partition_point(|event| event.seq <= seq);
        self.events.range(first..)
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    fn put(&mut self, event: Event) {
        self.last = event.seq;
        self.size += event.size();
        self.events.push_back(event);
        while self.size > self.room
            && let Some(oldest) = self.events.pop_front()
        {
            self.size -= oldest.size();
        }
    }
}
