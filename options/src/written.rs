//! How an option is written in a config file.

use clap::{Arg, ArgAction, ArgMatches};
use toml::Value;

/// Last words of the names of options whose values are nobody's business.
const SECRETS: [&str; 4] = ["token", "password", "passphrase", "secret"];

/// `key = value` for the values that `arg` has in `matches`; none: it is not set.
pub fn setting(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let (key, id) = (arg.get_long()?, arg.get_id().as_str());
    let value = match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Value::Boolean(matches.get_flag(id)),
        ArgAction::Count => Value::Integer(matches.get_count(id).into()),
        _ => {
            let values = matches.get_raw(id)?;
            let values = values.map(|value| value.to_string_lossy());
            if is_secret(key) {
                return Some(format!("#{key} is set and not shown"));
            }
            value(arg, values.map(|value| without_password(&value)))
        }
    };
    Some(format!("{key} = {value}"))
}

/// The same for an option of which nothing is said.
pub fn unsaid(arg: &Arg) -> Option<String> {
    let key = arg.get_long()?;
    let value = match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Value::Boolean(false),
        ArgAction::Count => Value::Integer(0),
        _ => match arg.get_default_values() {
            [] => value(arg, [placeholder(arg)].into_iter()),
            values => value(arg, values.iter().map(|v| v.to_string_lossy().into())),
        },
    };
    Some(format!("{key} = {value}"))
}

fn placeholder(arg: &Arg) -> String {
    let name = arg.get_value_names().and_then(|names| names.first());
    name.map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

fn value(arg: &Arg, values: impl Iterator<Item = String>) -> Value {
    let mut values = values.map(scalar);
    match arg.get_action() {
        ArgAction::Append => Value::Array(values.collect()),
        _ => values.next().unwrap_or(Value::Array(Vec::new())),
    }
}

fn scalar(text: String) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Integer(number),
        _ => Value::String(text),
    }
}

fn is_secret(key: &str) -> bool {
    key.rsplit('-')
        .next()
        .is_some_and(|last| SECRETS.contains(&last))
}

/// A URL may have one in it.
fn without_password(value: &str) -> String {
    let hidden = value.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{place}"))
    });
    hidden.unwrap_or_else(|| value.to_owned())
}
