//! Whatever stands in a config file: options, or one line that says where and why not.

#![no_main]

use std::time::Duration;

use clap::Parser;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use options::{Common, Stop, parse_duration, parse_from, sentence};

/// One option of each kind that the binaries have.
#[derive(Debug, PartialEq, Parser)]
#[command(name = "weft-fuzz")]
struct Options {
    #[command(flatten)]
    common: Common,
    #[arg(long, value_delimiter = ',')]
    controller: Vec<String>,
    #[arg(long, default_value_t = 7440)]
    port: u16,
    #[arg(long, value_parser = parse_duration, default_value = "1h")]
    lapse: Duration,
    #[arg(long)]
    insecure: bool,
    #[arg(long, conflicts_with = "node_ip")]
    iface: Option<String>,
    #[arg(long)]
    node_ip: Option<std::net::IpAddr>,
    #[arg(long, requires = "key")]
    cert: Option<String>,
    #[arg(long)]
    key: Option<String>,
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

const KEYS: [&str; 14] = [
    "controller",
    "port",
    "lapse",
    "insecure",
    "iface",
    "node-ip",
    "cert",
    "key",
    "verbose",
    "log-format",
    "config",
    "help",
    "node_ip",
    "prot",
];

const VALUES: [&str; 16] = [
    "true",
    "1",
    "0x1f",
    "-1",
    "1e400",
    "99999999999999999999",
    "\"\"",
    "\"1h\"",
    "\"json\"",
    "\"192.0.2.1\"",
    "\"--help\"",
    "[]",
    "[\"a\", \"b,c\"]",
    "[[1]]",
    "{ a = 1 }",
    "2026-01-01",
];

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Lines(Vec<Line<'a>>),
    Any(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Line<'a> {
    Known(u8, u8),
    Value(u8, &'a str),
    Text(u8, &'a str),
    Any(&'a str),
}

impl Line<'_> {
    fn text(&self) -> String {
        let key = |at: u8| KEYS[usize::from(at) % KEYS.len()];
        match *self {
            Self::Known(at, value) => {
                format!(
                    "{} = {}",
                    key(at),
                    VALUES[usize::from(value) % VALUES.len()]
                )
            }
            Self::Value(at, value) => format!("{} = {value}", key(at)),
            Self::Text(at, value) => format!("{} = {value:?}", key(at)),
            Self::Any(text) => text.into(),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let text = match input {
        Input::Lines(lines) => lines.iter().map(|line| line.text() + "\n").collect(),
        Input::Any(text) => text.to_string(),
    };
    let read = |args: &[&str]| {
        let args = ["weft-fuzz", "--config", "weft.toml"].iter().chain(args);
        parse_from::<Options>(args, |_| Ok(text.clone()))
    };
    match read(&[]) {
        Ok(options) => {
            let options = Options { port: 1, ..options };
            let flag = read(&["--port", "1"]).expect("a flag beats the file");
            assert_eq!(flag, options);
        }
        Err(Stop::File(error)) => {
            let line = sentence(&error);
            assert!(line.starts_with("weft.toml:"), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        Err(Stop::Usage(error)) => {
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(time) = parse_duration(&text) {
        assert_eq!(parse_duration(&options::format_duration(time)), Ok(time));
    }
});
