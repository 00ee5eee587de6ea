//! What `--example-config` prints: a config file with every option, each in comment
//! and as it is where nothing is said of it.

use clap::{Arg, Command};

use crate::{config_file, file::options, written};

/// A line of comment is no longer.
const WIDTH: usize = 96;

pub fn text(command: &Command) -> String {
    let name = command.get_name();
    let mut text = format!(
        "# {}: every option of {name}, as it is where nothing is said.\n\
         # A flag beats the environment, which beats this file; `{name} --print-config` shows\n\
         # what is in force, and where it comes from.\n",
        config_file(name).display()
    );
    for arg in options(command).filter(|arg| !arg.is_hide_set()) {
        if let Some(setting) = written::unsaid(arg) {
            text.push_str(&format!("\n{}#{setting}\n", comment(&about(arg))));
        }
    }
    text
}

fn about(arg: &Arg) -> String {
    let mut about = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| value.get_name().to_owned())
        .collect();
    if !values.is_empty() {
        about.push_str(&format!(" [{}]", values.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        about.push_str(&format!(" [environment: {}]", variable.to_string_lossy()));
    }
    about
}

fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        if width == 0 || width + 1 + word.len() > WIDTH {
            lines.push_str(if width == 0 { "# " } else { "\n# " });
            width = 2;
        } else {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += word.len();
    }
    lines + "\n"
}
