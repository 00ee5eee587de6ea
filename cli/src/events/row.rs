//! An event as it is listed.

use std::{cmp::Ordering, collections::BTreeMap};

use options::clock;
use overlay::event::{Event, Level};
use serde::Serialize;

use crate::output::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Controller,
    Node,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    at: String,
    /// The node's name, or where the controller listens.
    from: String,
    kind: Kind,
    level: Level,
    what: String,
    fields: BTreeMap<String, String>,
    #[serde(skip)]
    order: (u64, u64),
}

impl EventRow {
    pub fn new(kind: Kind, from: String, event: Event) -> Self {
        Self {
            at: clock::utc_ms(event.at.0),
            from,
            kind,
            level: event.level,
            what: event.what,
            fields: event.fields,
            order: (event.at.0, event.seq),
        }
    }

    pub fn in_time(&self, other: &Self) -> Ordering {
        let place = |row: &Self| (row.order.0, row.kind, row.from.clone(), row.order.1);
        place(self).cmp(&place(other))
    }

    /// One of a row that has no end, about as wide as in a table.
    pub fn line(&self) -> String {
        let [at, from, level, what] = self.texts();
        format!("{at}   {from:<16}   {level:<5}   {what}")
    }

    fn texts(&self) -> [String; 4] {
        let mut what = self.what.clone();
        for (name, value) in &self.fields {
            let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
            let is_plain = !value.is_empty() && value.chars().all(plain);
            match is_plain {
                true => what.push_str(&format!(" {name}={value}")),
                false => what.push_str(&format!(" {name}={value:?}")),
            }
        }
        let level = match self.level {
            Level::Info => "info".into(),
            // What is not well is seen from afar.
            loud @ (Level::Warn | Level::Error) => loud.as_str().to_uppercase(),
        };
        let what = what.trim_start().replace(char::is_control, " ");
        [self.at.clone(), self.from.clone(), level, what]
    }
}

impl Row for EventRow {
    const COLUMNS: &'static [&'static str] = &["TIME", "FROM", "LEVEL", "WHAT"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, _: u64) -> Vec<String> {
        self.texts().into()
    }
}

#[cfg(test)]
mod tests {
    use overlay::time::WallMs;

    use super::*;

    fn row(at: u64, seq: u64, kind: Kind, from: &str) -> EventRow {
        let event = Event {
            seq,
            at: WallMs(at),
            level: Level::Warn,
            what: "two\nlines".into(),
            fields: BTreeMap::from([
                ("a".into(), "plain".into()),
                ("b".into(), "with \"marks\"\n\u{1b}[2J".into()),
                ("c".into(), String::new()),
            ]),
        };
        EventRow::new(kind, from.into(), event)
    }

    #[test]
    fn an_event_is_one_line_whatever_it_says() {
        let row = row(1_000_042, 1, Kind::Node, "h1");
        let line = row.line();
        assert!(!line.contains(char::is_control), "{line:?}");
        let what = r#"two lines a=plain b="with \"marks\"\n\u{1b}[2J" c="""#;
        let cells = ["1970-01-01T00:16:40.042Z", "h1", "WARN", what];
        assert_eq!(row.cells(0), cells);
    }

    #[test]
    fn they_are_in_the_order_of_time_and_of_each_one_of_its_numbers() {
        let rows = [
            row(1, 9, Kind::Node, "h1"),
            row(2, 5, Kind::Controller, "c"),
            row(2, 1, Kind::Node, "a"),
            row(2, 2, Kind::Node, "a"),
            row(2, 1, Kind::Node, "b"),
        ];
        assert!(rows.is_sorted_by(|a, b| a.in_time(b) == Ordering::Less));
    }
}
