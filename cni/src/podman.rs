//! netavark's verbs.

use std::process::ExitCode;

use cni::{
    failure::Failure,
    netavark::{self, Setup},
};
use serde_json::{Value, json};
use socket::{Client, words::Attached};

use crate::{
    say, stdin,
    verbs::{ATTACH_WITHIN, detached},
};

pub const VERBS: [&str; 4] = ["info", "create", "setup", "teardown"];

pub fn run(words: &[String]) -> ExitCode {
    match answer(words) {
        Ok(Some(said)) => {
            say(&said.to_string());
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&json!({ "error": failure.to_string() }).to_string());
            ExitCode::FAILURE
        }
    }
}

fn answer(words: &[String]) -> Result<Option<Value>, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["info"] => Ok(Some(netavark::info())),
        ["create"] => {
            let network = netavark::read(&stdin().unwrap_or_default())?;
            netavark::create(network).map(|network| Some(Value::Object(network)))
        }
        ["setup", netns] => setup(netns).map(Some),
        ["teardown", netns] => teardown(netns).map(|()| None),
        _ => Err(Failure::environment(
            "netavark says info, create, setup NETNS or teardown NETNS",
        )),
    }
}

fn setup(netns: &str) -> Result<Value, Failure> {
    let words = netavark::read(&stdin().unwrap_or_default())?;
    let setup = Setup::read(&words, netns)?;
    let client = Client::new(&setup.socket, ATTACH_WITHIN);
    let attached: Attached = client.ask("POST", "/endpoints", Some(&setup.attach))?;
    Ok(setup.answer(&attached))
}

fn teardown(netns: &str) -> Result<(), Failure> {
    let words = netavark::read(&stdin().unwrap_or_default())?;
    let (detach, socket) = netavark::teardown(&words)?;
    let client = Client::new(&socket, ATTACH_WITHIN);
    Ok(detached(&client, &detach, netns)?)
}
