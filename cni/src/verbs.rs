//! CNI's verbs.

use std::{collections::BTreeSet, env, fs, process::ExitCode, time::Duration};

use cni::{
    call::{Arguments, Attachment, Call, KEY_PREFIX},
    conf::{CONF_LABEL, Conf, Stdin, Wish},
    failure::{Code, Failure},
    outcome::Outcome,
    version::Version,
};
use overlay::endpoint::Key;
use serde_json::{Value, json};
use socket::{
    AskError, Client,
    words::{Attached, Check, Detach, Ground, Reason, Shown},
};

use crate::{say, stdin};

/// A kernel that is busy makes a device in a second or two, and a fleet hears as soon.
pub const ATTACH_WITHIN: Duration = Duration::from_secs(30);
const CHECK_WITHIN: Duration = Duration::from_secs(10);
/// Engines ask every few seconds.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

pub fn run() -> ExitCode {
    let bytes = stdin().unwrap_or_default();
    let variable = |name: &str| env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    let parsed = Stdin::read(&bytes);
    let version = parsed.as_ref().ok().and_then(|stdin| stdin.version().ok());
    let done = Call::read(variable).and_then(|call| match call {
        // Nothing at all is a question, too.
        Call::Version if bytes.is_empty() => Ok(Some(versions(Version::NEWEST.as_str()))),
        call => answer(call, &parsed?),
    });
    match done {
        Ok(Some(said)) => {
            say(&said.to_string());
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.json(version));
            ExitCode::FAILURE
        }
    }
}

fn answer(call: Call, stdin: &Stdin) -> Result<Option<Value>, Failure> {
    if call == Call::Version {
        let said = stdin.said_version();
        return Ok(Some(versions(said.unwrap_or(Version::NEWEST.as_str()))));
    }
    let conf = Conf::read(stdin)?;
    match call {
        Call::Add(attachment, arguments) => {
            let wish = Wish::read(stdin, &conf)?;
            add(&conf, wish, &attachment, &arguments).map(Some)
        }
        Call::Del(attachment) => del(&conf, &attachment).map(|()| None),
        Call::Check(attachment) => {
            since(conf.version, Version::V0_4_0, "CHECK")?;
            let previous = stdin.previous()?;
            let previous = previous.ok_or_else(|| Failure::config("prevResult: CHECK needs it"))?;
            check(&conf, &previous, &attachment).map(|()| None)
        }
        Call::Gc => {
            since(conf.version, Version::V1_1_0, "GC")?;
            gc(&conf, &stdin.valid()?).map(|()| None)
        }
        Call::Status => {
            since(conf.version, Version::V1_1_0, "STATUS")?;
            status(&conf).map(|()| None)
        }
        Call::Version => Ok(None),
    }
}

fn versions(said: &str) -> Value {
    let all = Version::ALL.map(Version::as_str);
    json!({ "cniVersion": said, "supportedVersions": all })
}

fn since(version: Version, first: Version, verb: &str) -> Result<(), Failure> {
    if version >= first {
        return Ok(());
    }
    let (version, first) = (version.as_str(), first.as_str());
    let details = format!("{verb} is there since {first}; cniVersion is {version}");
    let msg = "that version of CNI does not have this verb";
    Err(Failure::new(Code::Version, msg, details))
}

fn add(
    conf: &Conf,
    wish: Wish,
    attachment: &Attachment,
    arguments: &Arguments,
) -> Result<Value, Failure> {
    let attach = wish.attach(conf, attachment, arguments)?;
    let client = Client::new(&conf.socket, ATTACH_WITHIN);
    let attached: Attached = client.ask("POST", "/endpoints", Some(&attach))?;
    let outcome = Outcome::of(&attached, &attachment.netns, &wish.dns);
    let outcome = match wish.previous {
        Some(previous) => outcome.after(previous),
        None => outcome,
    };
    Ok(outcome.json(conf.version))
}

fn del(conf: &Conf, attachment: &Attachment) -> Result<(), Failure> {
    let detach = Detach {
        network: conf.network.clone(),
        key: attachment.key(),
        seq: None,
    };
    let client = Client::new(&conf.socket, ATTACH_WITHIN);
    Ok(detached(&client, &detach, &attachment.netns)?)
}

/// Ends an attachment. Without an agent it cannot be known to have ended; but where its
/// namespace is gone nothing of it works any more, and the agent lets go of it by itself
/// when it is back.
pub fn detached(client: &Client, detach: &Detach, netns: &str) -> Result<(), AskError> {
    let error = match client.ask("DELETE", "/endpoints", Some(detach)) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let gone = match &error {
        AskError::Refused(refusal) => matches!(
            refusal.reason,
            Reason::NotJoined | Reason::NoSandbox | Reason::Stale
        ),
        AskError::Nobody { .. } => netns.is_empty() || fs::metadata(netns).is_err(),
        AskError::Forbidden { .. }
        | AskError::Silent { .. }
        | AskError::Broken { .. }
        | AskError::Nonsense { .. } => false,
    };
    if gone { Ok(()) } else { Err(error) }
}

fn check(conf: &Conf, previous: &Outcome, attachment: &Attachment) -> Result<(), Failure> {
    let client = Client::new(&conf.socket, CHECK_WITHIN);
    let key = attachment.key();
    let all = endpoints(&client)?;
    let ours = all.iter().map(|shown| &shown.endpoint);
    let mut ours = ours.filter(|endpoint| endpoint.network == conf.network && endpoint.key == key);
    let endpoint = ours.next().ok_or_else(|| {
        let details = format!("the agent has no {key} in network {}", conf.network);
        Failure::new(
            Code::UnknownContainer,
            "this container is not attached",
            details,
        )
    })?;
    let mac = endpoint.mac.to_string();
    let Attachment {
        interface, netns, ..
    } = attachment;
    let mut wrong = previous.differs(interface, netns, &mac, &endpoint.addresses);
    let asked = Check {
        network: conf.network.clone(),
        key,
    };
    let found: Vec<String> = client.ask("POST", "/endpoints/check", Some(&asked))?;
    wrong.extend(found);
    if wrong.is_empty() {
        return Ok(());
    }
    let msg = "the attachment is not as it should be";
    Err(Failure::new(Code::Wrong, msg, wrong.join("; ")))
}

/// Ends what came by this configuration and is known no more, all of it that can be.
fn gc(conf: &Conf, valid: &[Attachment]) -> Result<(), Failure> {
    let client = Client::new(&conf.socket, ATTACH_WITHIN);
    let valid: BTreeSet<Key> = valid.iter().map(Attachment::key).collect();
    let mut failed: Vec<(Key, Failure)> = Vec::new();
    for Shown { endpoint, .. } in endpoints(&client)? {
        let ours = endpoint.network == conf.network
            && endpoint.key.as_str().starts_with(KEY_PREFIX)
            && endpoint.who.labels.get(CONF_LABEL) == Some(&conf.name);
        if !ours || valid.contains(&endpoint.key) {
            continue;
        }
        let detach = Detach {
            network: endpoint.network,
            key: endpoint.key,
            // What is attached anew meanwhile is none of it.
            seq: Some(endpoint.seq),
        };
        if let Err(error) = detached(&client, &detach, &endpoint.sandbox.path) {
            failed.push((detach.key, error.into()));
        }
    }
    let Some((_, first)) = failed.first() else {
        return Ok(());
    };
    let code = first.code;
    let each = failed
        .iter()
        .map(|(key, failure)| format!("{key}: {}", failure.details));
    let details: Vec<String> = each.collect();
    let msg = format!("{} attachments could not be ended", failed.len());
    Err(Failure::new(code, msg, details.join("; ")))
}

/// Can containers come? A host without a controller goes on attaching them.
fn status(conf: &Conf) -> Result<(), Failure> {
    let client = Client::new(&conf.socket, STATUS_WITHIN);
    let grounds: Result<Vec<Ground>, AskError> = client.ask("GET", "/networks", None::<&()>);
    let grounds = grounds.map_err(|error| {
        let failure = Failure::from(error);
        Failure::new(Code::Unavailable, failure.msg, failure.details)
    })?;
    let network = &conf.network;
    let Some(ground) = grounds.iter().find(|ground| ground.network == *network) else {
        let msg = format!("this host is not in network {network}");
        return Err(Failure::new(Code::Unavailable, msg, why(&client)));
    };
    if ground.ready {
        return Ok(());
    }
    let msg = format!("network {network} is not in this host's kernel");
    Err(Failure::new(Code::Impaired, msg, why(&client)))
}

/// The agent's own reason.
fn why(client: &Client) -> String {
    let said = client.send("GET", "/readyz", &[]);
    let body = said.map(|reply| reply.body).unwrap_or_default();
    String::from_utf8_lossy(&body).trim().to_owned()
}

fn endpoints(client: &Client) -> Result<Vec<Shown>, AskError> {
    client.ask("GET", "/endpoints", None::<&()>)
}
