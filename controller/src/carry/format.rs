//! The file of a backup: a head, a line for each record in the order they were written, and
//! the checksum of all lines before it. `head -n -1 FILE | sha256sum` says the same.

use std::fmt::Write as _;

use overlay::txn::Revision;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::store::whole::{Record, Whole};

const KIND: &str = "backup";
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub weft: String,
    pub v: u32,
    /// Where it was made, for people.
    pub store: String,
    pub made: String,
    pub cluster: String,
    pub revision: Revision,
    pub records: usize,
}

/// What is read of a file whose checksum is right.
#[derive(Debug)]
pub struct Backup {
    pub head: Head,
    pub whole: Whole,
    /// Names these very bytes.
    pub sum: String,
}

#[derive(Debug, Error)]
pub enum FormatError {
    #[error("it is no backup of Weft")]
    NotOne,
    #[error("it is a backup of version {found}, and this version of Weft reads only {VERSION}")]
    Version { found: u32 },
    #[error("it is cut short or was changed: its checksum is not that of what it holds")]
    Damaged,
    #[error("its line {line} makes no sense")]
    Line {
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error("its line {line} is no record")]
    Record { line: usize },
}

/// A key is text or hexadecimal; a value JSON as it is, text, or hexadecimal.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    revision: Revision,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    json: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sum {
    sha256: String,
}

pub fn write(store: &str, made: &str, whole: &Whole) -> String {
    let head = Head {
        weft: KIND.into(),
        v: VERSION,
        store: store.into(),
        made: made.into(),
        cluster: whole.cluster.clone(),
        revision: whole.revision,
        records: whole.records().len(),
    };
    let mut text = json(&head);
    for record in whole.records() {
        text.push_str(&json(&Line::of(record)));
    }
    let sha256 = sum(&text);
    text.push_str(&json(&Sum { sha256 }));
    text
}

pub fn read(bytes: &[u8]) -> Result<Backup, FormatError> {
    let text = str::from_utf8(bytes).map_err(|_| FormatError::NotOne)?;
    let first = text.lines().next().unwrap_or_default();
    #[derive(Deserialize)]
    struct Kind {
        weft: String,
        v: u32,
    }
    match serde_json::from_str::<Kind>(first) {
        Ok(kind) if kind.weft == KIND && kind.v == VERSION => {}
        Ok(kind) if kind.weft == KIND => return Err(FormatError::Version { found: kind.v }),
        _ => return Err(FormatError::NotOne),
    }
    let (body, said) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once('\n'))
        .map(|(body, last)| (&text[..=body.len()], last))
        .ok_or(FormatError::Damaged)?;
    let said: Sum = serde_json::from_str(said).map_err(|_| FormatError::Damaged)?;
    if said.sha256 != sum(body) {
        return Err(FormatError::Damaged);
    }
    let head: Head =
        serde_json::from_str(first).map_err(|source| FormatError::Line { line: 1, source })?;
    let lines = body.lines().enumerate().skip(1);
    let records = lines.map(|(index, text)| {
        let line = index + 1;
        let read: Line<'_> =
            serde_json::from_str(text).map_err(|source| FormatError::Line { line, source })?;
        read.record().ok_or(FormatError::Record { line })
    });
    let records: Vec<Record> = records.collect::<Result<_, _>>()?;
    if records.len() != head.records {
        return Err(FormatError::Damaged);
    }
    Ok(Backup {
        whole: Whole::new(head.cluster.clone(), head.revision, records),
        head,
        sum: said.sha256,
    })
}

impl<'a> Line<'a> {
    fn of(record: &'a Record) -> Self {
        let key = String::from_utf8(record.key.clone());
        let text = str::from_utf8(&record.value).ok();
        let json = text.and_then(as_it_is);
        Self {
            revision: record.revision,
            key_hex: key.as_ref().err().map(|error| hex(error.as_bytes())),
            key: key.ok(),
            text: text.filter(|_| json.is_none()).map(str::to_owned),
            hex: text.is_none().then(|| hex(&record.value)),
            json,
        }
    }

    fn record(self) -> Option<Record> {
        let key = match (self.key, self.key_hex) {
            (Some(key), None) => key.into_bytes(),
            (None, Some(hex)) => bytes(&hex)?,
            _ => return None,
        };
        let value = match (self.json, self.text, self.hex) {
            (Some(json), None, None) => json.get().as_bytes().to_vec(),
            (None, Some(text), None) => text.into_bytes(),
            (None, None, Some(hex)) => bytes(&hex)?,
            _ => return None,
        };
        Some(Record {
            key,
            value,
            revision: self.revision,
        })
    }
}

/// JSON that is read back from a line of its own as the very same bytes.
fn as_it_is(text: &str) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    // `null` would be read as no value at all.
    let same = raw.get() == text && !text.contains(['\n', '\r']) && text != "null";
    same.then_some(raw)
}

fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("it holds only strings, numbers and JSON");
    text + "\n"
}

fn sum(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes whatever it is given.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).ok());
    pairs
        .map(|pair| u8::from_str_radix(pair?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests;
