//! Whatever an engine says by CNI: something to ask the agent for, or a failure in CNI's
//! words. What another plugin made is handed on as it was.

#![no_main]

use cni::{
    call::{Arguments, Attachment, Call},
    conf::{Conf, Stdin, Wish},
    failure::Failure,
    loose::Loose,
    outcome::Outcome,
    version::Version,
};
use json::{Input, Words};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use serde_json::{Value, json};

mod json;

const WORDS: Words = Words {
    keys: &[
        "cniVersion",
        "name",
        "network",
        "socket",
        "told",
        "dns",
        "ipam",
        "args",
        "cni",
        "runtimeConfig",
        "portMappings",
        "hostPort",
        "containerPort",
        "protocol",
        "hostIP",
        "bandwidth",
        "ingressRate",
        "ingressBurst",
        "egressRate",
        "ips",
        "mac",
        "aliases",
        "weft",
        "servers",
        "searches",
        "options",
        "nameservers",
        "domain",
        "prevResult",
        "interfaces",
        "routes",
        "address",
        "interface",
        "version",
        "mtu",
        "sandbox",
        "cni.dev/valid-attachments",
        "containerID",
        "ifname",
    ],
    texts: &[
        "0.3.1",
        "0.4.0",
        "1.0.0",
        "1.1.0",
        "default",
        "eth0",
        "tcp",
        "SCTP",
        "0.0.0.0",
        "10.32.0.2/24",
        "[::1]",
        "02:00:00:00:00:02",
        "a",
        "",
    ],
};

#[derive(Debug, Arbitrary)]
struct Asked<'a> {
    command: u8,
    container: &'a str,
    interface: &'a str,
    arguments: &'a str,
    stdin: Input<'a>,
}

const COMMANDS: [&str; 7] = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", ""];

fn is_said(failure: &Failure) {
    let said: Value = serde_json::from_str(&failure.json(None)).expect("a failure is JSON");
    assert!(said["code"].as_u64().is_some_and(|code| code > 0));
    assert!(said["msg"].as_str().is_some_and(|msg| !msg.is_empty()));
}

fn ask(stdin: &Stdin, attachment: &Attachment, arguments: &Arguments) -> Result<(), Failure> {
    let conf = Conf::read(stdin)?;
    let wish = Wish::read(stdin, &conf)?;
    let attach = wish.attach(&conf, attachment, arguments)?;
    assert!(attach.publish.iter().all(|publish| publish.check().is_ok()));
    assert_eq!(attach.key, attachment.key());
    if let Some(previous) = wish.previous {
        for version in Version::ALL {
            let said = previous.clone().json(version);
            let map = said.as_object().expect("a result is an object");
            let read = Outcome::read(&Loose::new(map)).expect("it is what we said");
            assert_eq!(read.json(version), said);
        }
        previous.differs("eth0", "/n", "02:00:00:00:00:02", &attach.addresses);
    }
    stdin.valid()?;
    Ok(())
}

fuzz_target!(|asked: Asked<'_>| {
    let command = COMMANDS[usize::from(asked.command) % COMMANDS.len()];
    let call = Call::read(|name| match name {
        "CNI_COMMAND" => Some(command.into()),
        "CNI_CONTAINERID" => Some(asked.container.into()),
        "CNI_IFNAME" => Some(asked.interface.into()),
        "CNI_ARGS" => Some(asked.arguments.into()),
        "CNI_NETNS" => Some("/run/netns/a".into()),
        _ => None,
    });
    let (attachment, arguments) = match call {
        Ok(Call::Add(attachment, arguments)) => (attachment, arguments),
        Ok(_) => return,
        Err(failure) => {
            is_said(&failure);
            let usual = Attachment::new("a", "eth0", "/run/netns/a").expect("good words");
            (usual, Arguments::default())
        }
    };
    let right = json!({ "cniVersion": "1.1.0", "name": "weft", "type": "weft" });
    let done = Stdin::read(&asked.stdin.bytes(right, &WORDS))
        .and_then(|stdin| ask(&stdin, &attachment, &arguments));
    if let Err(failure) = done {
        is_said(&failure);
    }
});
