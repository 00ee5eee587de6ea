//! Takes what is logged for an event.

use std::{collections::BTreeMap, fmt};

use overlay::{event::Level, time::WallMs};
use tracing::{
    Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{Events, Happened};
use crate::clock;

/// Whatever somebody else says may be in a field, of any length; so many characters stay.
const LONGEST: usize = 1024;

pub struct Recorder(pub Events);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        self.0.hand(Happened {
            at: WallMs(clock::now_ms()),
            level: if level == tracing::Level::ERROR {
                Level::Error
            } else if level == tracing::Level::WARN {
                Level::Warn
            } else {
                Level::Info
            },
            what: said.what,
            fields: said.fields,
        });
    }
}

#[derive(Default)]
struct Said {
    what: String,
    fields: BTreeMap<String, String>,
}

impl Said {
    fn add(&mut self, field: &Field, mut value: String) {
        if let Some((end, _)) = value.char_indices().nth(LONGEST) {
            value.truncate(end);
            value.push('…');
        }
        match field.name() {
            "message" => self.what = value,
            // Where in its source another crate says it.
            name if name.starts_with("log.") => {}
            name => drop(self.fields.insert(name.into(), value)),
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}
