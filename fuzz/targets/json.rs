//! Objects that are nearly right: known keys in any case, and values of every kind.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use serde_json::{Map, Value, json};

#[derive(Debug, Arbitrary)]
pub enum Input<'a> {
    Nearly(Vec<Pair<'a>>),
    Any(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
pub struct Pair<'a> {
    key: Key<'a>,
    value: Word<'a>,
}

#[derive(Debug, Arbitrary)]
enum Key<'a> {
    Known(u8),
    Loud(u8),
    Any(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Word<'a> {
    Known(u8),
    Text(&'a str),
    Number(i64),
    Flag(bool),
    Nothing,
    List(Vec<Word<'a>>),
    Object(Vec<Pair<'a>>),
}

/// What is said where the target's own words begin.
pub struct Words {
    pub keys: &'static [&'static str],
    pub texts: &'static [&'static str],
}

impl Input<'_> {
    /// Over what is right.
    pub fn bytes(&self, right: Value, words: &Words) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Nearly(pairs) => {
                let Value::Object(mut right) = right else {
                    unreachable!("what is right is an object");
                };
                right.extend(object(pairs, words));
                Value::Object(right).to_string().into_bytes()
            }
        }
    }
}

fn object(pairs: &[Pair<'_>], words: &Words) -> Map<String, Value> {
    let known = |at: u8| words.keys[usize::from(at) % words.keys.len()];
    let pairs = pairs.iter().map(|pair| {
        let key = match pair.key {
            Key::Known(at) => known(at).to_owned(),
            Key::Loud(at) => known(at).to_uppercase(),
            Key::Any(text) => text.to_owned(),
        };
        (key, value(&pair.value, words))
    });
    pairs.collect()
}

fn value(word: &Word<'_>, words: &Words) -> Value {
    match word {
        Word::Known(at) => json!(words.texts[usize::from(*at) % words.texts.len()]),
        Word::Text(text) => json!(text),
        Word::Number(number) => json!(number),
        Word::Flag(flag) => json!(flag),
        Word::Nothing => Value::Null,
        Word::List(list) => list.iter().map(|word| value(word, words)).collect(),
        Word::Object(pairs) => Value::Object(object(pairs, words)),
    }
}
