//! What `--print-config` prints: a config file that says the same, and beside each
//! setting where it comes from.

use std::path::Path;

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use crate::{
    file::{Setting, options},
    written,
};

/// `used` are the settings of the file at `path` that nothing overruled.
pub fn text(
    command: &Command,
    matches: &ArgMatches,
    path: Option<&Path>,
    used: &[Setting],
) -> String {
    let origin = |arg: &Arg| {
        let set_at = used.iter().find(|setting| setting.id == *arg.get_id());
        if let (Some(setting), Some(path)) = (set_at, path) {
            return format!("{}:{}", path.display(), setting.line);
        }
        let long = arg.get_long().unwrap_or_default();
        match matches.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => format!("--{long}"),
            Some(ValueSource::EnvVariable) => {
                let variable = arg.get_env().unwrap_or_default();
                format!("${}", variable.to_string_lossy())
            }
            Some(_) => "default".into(),
            None => "not set".into(),
        }
    };
    let rows: Vec<(String, String)> = options(command)
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| {
            let unset = || format!("#{}", arg.get_long().unwrap_or_default());
            arg.get_long()?;
            let setting = written::setting(arg, matches).unwrap_or_else(unset);
            Some((setting, origin(arg)))
        })
        .collect();
    let widest = rows.iter().map(|(setting, _)| setting.chars().count());
    let width = widest.max().unwrap_or_default();
    let file = path.map_or("no config file".into(), |path| path.display().to_string());
    let mut text = format!("# {}, with {file}\n", command.get_name());
    for (setting, origin) in rows {
        text.push_str(&format!("{setting:<width$}  # {origin}\n"));
    }
    text
}
