//! YAML, as much of it as JSON values need. A text that some reader of YAML might
//! take for anything else is quoted.

use serde_json::Value;

/// The value as one document.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes `value` as lines indented by `indent`, except where the line is begun already.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                begin(index, indent, text);
                text.push_str("- ");
                block(item, indent + 2, text);
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (name, value)) in fields.iter().enumerate() {
                begin(index, indent, text);
                text.push_str(&scalar(name));
                text.push(':');
                field(value, indent, text);
            }
        }
        Value::Array(_) => text.push_str("[]\n"),
        Value::Object(_) => text.push_str("{}\n"),
        Value::String(string) => text.push_str(&(scalar(string) + "\n")),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&format!("{value}\n")),
    }
}

/// The value of a field: beside its name, or in lines of its own below it.
fn field(value: &Value, indent: usize, text: &mut String) {
    let below = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if below {
        text.push('\n');
        text.push_str(&" ".repeat(indent + 2));
        block(value, indent + 2, text);
    } else {
        text.push(' ');
        block(value, indent, text);
    }
}

/// The first line of a block is begun by whatever holds it.
fn begin(index: usize, indent: usize, text: &mut String) {
    if index > 0 {
        text.push_str(&" ".repeat(indent));
    }
}

fn scalar(string: &str) -> String {
    if is_plain(string) {
        string.into()
    } else {
        // A JSON text is a YAML text, but for the one control that JSON leaves as it is.
        Value::from(string).to_string().replace('\u{7f}', "\\u007f")
    }
}

/// Beginning with a letter or slash, it is no number and no time; with these
/// characters only, it is no syntax; and it is none of the words.
fn is_plain(string: &str) -> bool {
    const WORDS: [&str; 10] = [
        "null", "true", "false", "yes", "no", "on", "off", "y", "n", "none",
    ];
    let within = |c: char| c.is_ascii_alphanumeric() || "_-./:@".contains(c);
    string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && string.chars().all(within)
        && !string.ends_with(':')
        && !WORDS.contains(&string.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests;
