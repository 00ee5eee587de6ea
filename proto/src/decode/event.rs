//! What happened, and what is asked about it.

use overlay::{
    event::{Event, Level, Wish},
    time::WallMs,
};

use super::{BadField, parse_optional};
use crate::v1;

pub fn wish(ask: &v1::EventsRequest) -> Result<Wish, BadField> {
    Ok(Wish {
        since: WallMs(ask.since_ms),
        after: ask.after,
        least: parse_optional("level", &ask.level)?.unwrap_or_default(),
        most: match ask.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        },
    })
}

/// A level of a later release is at least an error.
pub fn event(event: v1::Event) -> Event {
    Event {
        seq: event.seq,
        at: WallMs(event.at_ms),
        level: event.level.parse().unwrap_or(Level::Error),
        what: event.what,
        fields: event.fields,
    }
}
