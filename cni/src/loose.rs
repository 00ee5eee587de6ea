//! JSON as engines write it: one writes `hostPort`, another `HostPort`, and null is what
//! was not said. A key is found as Go finds it: as it is written, or else in any case.

use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// A configuration with the longest of chains takes a hundredth of this.
pub const LONGEST: usize = 1 << 20;

/// An object, and where it is, for the sentence about what is wrong in it.
#[derive(Debug, Clone)]
pub struct Loose<'a> {
    map: Option<&'a Map<String, Value>>,
    place: String,
}

/// All of standard input; `otherwise` says what it is not.
pub fn read(bytes: &[u8], otherwise: &str) -> Result<Map<String, Value>, Failure> {
    let failed = |details| Failure::new(Code::Decode, otherwise, details);
    if bytes.len() > LONGEST {
        return Err(failed(format!("it is longer than {LONGEST} bytes")));
    }
    serde_json::from_slice(bytes).map_err(|error| failed(error.to_string()))
}

impl<'a> Loose<'a> {
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self {
            map: Some(map),
            place: String::new(),
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let map = self.map?;
        let in_any_case = || {
            let mut pairs = map.iter();
            pairs.find_map(|(name, value)| name.eq_ignore_ascii_case(key).then_some(value))
        };
        let found = map.get(key).or_else(in_any_case);
        found.filter(|value| !value.is_null())
    }

    /// Text that says something.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, Failure> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| self.wrong(key, "no text", value))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    pub fn flag(&self, key: &str) -> Result<bool, Failure> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.wrong(key, "neither true nor false", value)),
        }
    }

    /// A whole number; nothing is 0.
    pub fn number(&self, key: &str) -> Result<u64, Failure> {
        let Some(value) = self.get(key) else {
            return Ok(0);
        };
        value
            .as_u64()
            .ok_or_else(|| self.wrong(key, "no number of this kind", value))
    }

    pub fn port(&self, key: &str) -> Result<u16, Failure> {
        let number = self.number(key)?;
        let value = Value::from(number);
        u16::try_from(number).map_err(|_| self.wrong(key, "no port", &value))
    }

    pub fn list(&self, key: &str) -> Result<&'a [Value], Failure> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(value) => Err(self.wrong(key, "no list", value)),
        }
    }

    pub fn texts(&self, key: &str) -> Result<Vec<String>, Failure> {
        let list = self.list(key)?.iter();
        list.map(|value| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| self.wrong(key, "no list of texts", value))
        })
        .collect()
    }

    /// The object there; one without anything where there is none.
    pub fn object(&self, key: &str) -> Result<Self, Failure> {
        let place = self.path(key);
        match self.get(key) {
            None => Ok(Self { map: None, place }),
            Some(Value::Object(map)) => Ok(Self {
                map: Some(map),
                place,
            }),
            Some(value) => Err(self.wrong(key, "no object", value)),
        }
    }

    pub fn objects(&self, key: &str) -> Result<Vec<Self>, Failure> {
        let list = self.list(key)?.iter().enumerate();
        list.map(|(index, value)| {
            let place = format!("{}[{index}]", self.path(key));
            match value {
                Value::Object(map) => Ok(Self {
                    map: Some(map),
                    place,
                }),
                value => Err(self.wrong(key, "no list of objects", value)),
            }
        })
        .collect()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_none_or(Map::is_empty)
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let pairs = self.map.into_iter().flatten();
        pairs.map(|(key, value)| (key.as_str(), value))
    }

    /// The key with all that it is in, such as `runtimeConfig.portMappings[1].hostPort`.
    pub fn path(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place)
        }
    }

    pub fn wrong(&self, key: &str, what: &str, value: &Value) -> Failure {
        Failure::config(format!("{} is {what}: {}", self.path(key), short(value)))
    }
}

/// What was said, as far as it fits into a sentence.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
