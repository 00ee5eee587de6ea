//! What the breadth-first searches of the whole protocol look at.

use crate::{
    choice::Theme,
    names::{OWN, OWN_APART, Publish, SHARED, SHARED_APART, SILENT},
    starts::{
        API, BESIDE, DELETING, EMPTY, LAPSED, LEASED, NOTHING, REMOVED, RENAMED, RESERVED, UNSEEN,
    },
};

/// These decisions, from this start. Nothing is lost here: a
/// transaction that waits for ever is as good. The walks lose things.
#[derive(Debug, Clone, Copy)]
pub struct Breadth {
    pub from: &'static str,
    pub of: &'static [&'static str],
    pub say: &'static [Publish],
}

pub const BREADTHS: [Breadth; 14] = [
    breadth(EMPTY, &["open", "close", "acquire", "release"], OWN),
    breadth(LEASED, &["open", "close", "lapse", "reclaim"], OWN),
    breadth(LEASED, &["open", "join", "leave", "remove", "end"], SHARED),
    breadth(LAPSED, &["open", "close", "reclaim"], OWN),
    breadth(
        LAPSED,
        &["open", "reclaim", "release", "reserve"],
        OWN_APART,
    ),
    breadth(RESERVED, &["open", "leave", "reserve", "unreserve"], OWN),
    breadth(API, &["acquire", "renew", "release", "reclaim"], OWN),
    breadth(API, &["open", "renew", "reclaim"], SHARED_APART),
    breadth(REMOVED, &["open", "end", "reserve", "remove"], OWN),
    breadth(
        DELETING,
        &["end", "withdraw", "forget", "erase", "create"],
        OWN,
    ),
    breadth(RENAMED, &["open", "close", "remove", "end"], OWN),
    breadth(BESIDE, &["open", "join", "renew", "release"], SILENT),
    breadth(UNSEEN, &["open", "reserve", "forget", "erase", "end"], OWN),
    breadth(NOTHING, &["create", "grow", "delete", "erase"], OWN),
];

impl Breadth {
    pub fn theme(&self) -> Theme {
        Theme {
            published: self.say,
            machines: 2,
            renamed: self.from == RENAMED,
            faults: false,
            reinstalls: self.from == REMOVED,
            pending: 2,
            ticks: 3,
            begun: 3,
            ..Theme::of(self.of)
        }
    }
}

const fn breadth(
    from: &'static str,
    of: &'static [&'static str],
    say: &'static [Publish],
) -> Breadth {
    Breadth { from, of, say }
}
