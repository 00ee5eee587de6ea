//! What is listed or shown, as a table, JSON or YAML on standard output.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use options::{clock, table};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

pub mod yaml;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; a narrow terminal shows fewer columns
    Table,
    /// A table with all its columns
    Wide,
    Json,
    Yaml,
}

/// Something that can be listed: its fields for programs, its cells for people.
pub trait Row: Serialize {
    const COLUMNS: &'static [&'static str];
    /// The columns that a narrow terminal can do without, the least important first.
    const SPARE: &'static [&'static str];

    fn cells(&self, now_ms: u64) -> Vec<String>;
}

impl<R: Row> Row for &R {
    const COLUMNS: &'static [&'static str] = R::COLUMNS;
    const SPARE: &'static [&'static str] = R::SPARE;

    fn cells(&self, now_ms: u64) -> Vec<String> {
        (*self).cells(now_ms)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub format: Format,
    pub now_ms: u64,
    /// What a line of a table may have room in; none: any length.
    pub width: Option<usize>,
    /// So many lines a screen has; none: it is no screen.
    pub height: Option<usize>,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            now_ms: clock::now_ms(),
            height: match format {
                Format::Table | Format::Wide => table::terminal_height(),
                Format::Json | Format::Yaml => None,
            },
            width: match format {
                Format::Table => table::terminal_width(),
                Format::Wide | Format::Json | Format::Yaml => None,
            },
        }
    }

    /// A listing. With nothing in it a person is told so by `none`.
    pub fn list<R: Row>(&self, rows: &[R], none: &str) -> Result<(), Failure> {
        if matches!(self.format, Format::Table | Format::Wide) && rows.is_empty() {
            note(none);
            return Ok(());
        }
        self.print(&rows, || table_of(rows, self.now_ms, self.width))
    }

    /// One object: for a person, a line for each of its fields.
    pub fn show<T: Serialize>(&self, shown: &T) -> Result<(), Failure> {
        self.print(shown, || described(shown))
    }

    /// `value` for programs, or the text for people.
    pub fn print<T: Serialize>(
        &self,
        shown: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        write(&match self.format {
            Format::Table | Format::Wide => text(),
            Format::Json => format!("{:#}\n", value(shown)),
            Format::Yaml => yaml::document(&value(shown)),
        })
    }

    /// One of a row of objects that has no end: a line of JSON, or a YAML document.
    pub fn event<T: Serialize>(
        &self,
        shown: &T,
        line: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        write(&match self.format {
            Format::Table | Format::Wide => line() + "\n",
            Format::Json => format!("{}\n", value(shown)),
            Format::Yaml => format!("---\n{}", yaml::document(&value(shown))),
        })
    }

    /// Is it read by people, and not by a program?
    pub fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// What was done, for a person. A program has the exit code.
    pub fn done(&self, sentence: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => write(&format!("{}\n", table::plain(sentence))),
            Format::Json | Format::Yaml => Ok(()),
        }
    }
}

/// The rows as a table with a header, without its spare columns where they have no room.
pub fn table_of<R: Row>(rows: &[R], now_ms: u64, width: Option<usize>) -> String {
    let rows = rows.iter().map(|row| row.cells(now_ms));
    table::fitted(R::COLUMNS, R::SPARE, rows, width)
}

/// A titled table, or nothing where there is nothing to say.
pub fn section<R: Row>(title: &str, rows: &[R], now_ms: u64, width: Option<usize>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{title}\n{}", table_of(rows, now_ms, width))
}

/// A line for each field of a flat object.
pub fn described<T: Serialize>(shown: &T) -> String {
    let object = value(shown);
    let fields = object.as_object().into_iter().flatten();
    table::aligned(fields.map(|(name, value)| vec![name.clone(), text(value)]))
}

/// `1 lease`, `2 leases`.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Several values in one cell.
pub fn joined(values: &[String]) -> String {
    values.join(",")
}

/// A value that may be missing in one cell.
pub fn or_dash(value: Option<&String>) -> String {
    value.map_or("-".into(), Clone::clone)
}

/// A text of the API, in which nothing is empty.
pub fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A line on standard error, where nobody may be there to read it.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", table::plain(line));
}

/// Something that is printed as it came.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let (line, end) = line
                .strip_suffix('\n')
                .map_or((line, ""), |line| (line, "\n"));
            out.write_all((table::plain(line) + end).as_bytes())?;
        }
    } else {
        out.write_all(bytes)?;
    }
    Ok(out.flush()?)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

fn value<T: Serialize>(shown: &T) -> Value {
    serde_json::to_value(shown).expect("a row is plain data with text keys")
}

fn write(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

#[cfg(test)]
mod tests;
