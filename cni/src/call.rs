//! What an engine wants: CNI says it by the environment.

use std::collections::BTreeMap;

use overlay::endpoint::Key;

use crate::failure::Failure;

/// An attachment names itself by these; with the network it is unique on its host.
pub const KEY_PREFIX: &str = "cni/";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Add(Attachment, Arguments),
    Del(Attachment),
    Check(Attachment),
    Gc,
    Status,
    Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub container: String,
    pub interface: String,
    /// Empty: the namespace is gone, and only DEL does not mind.
    pub netns: String,
}

/// `CNI_ARGS`, `KEY=VALUE;KEY=VALUE`: what an engine tells beside the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments(BTreeMap<String, String>);

/// What we know to use, or know to be of no use to us.
const KNOWN: [&str; 7] = [
    "IgnoreUnknown",
    "IP",
    "MAC",
    "K8S_POD_NAME",
    "K8S_POD_NAMESPACE",
    "K8S_POD_UID",
    "K8S_POD_INFRA_CONTAINER_ID",
];
/// With its prefix and the interface an id has to fit into a key.
const ID_MOST: usize = 200;
/// Of the kernel.
const INTERFACE_MOST: usize = 15;

impl Call {
    /// `variable` tells the environment's variables.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let attachment = |netns_needed| Attachment::read(&variable, netns_needed);
        match variable("CNI_COMMAND").unwrap_or_default().as_str() {
            "ADD" => {
                let attachment = attachment(true)?;
                let arguments = variable("CNI_ARGS").unwrap_or_default();
                Ok(Self::Add(attachment, Arguments::read(&arguments)?))
            }
            "DEL" => Ok(Self::Del(attachment(false)?)),
            "CHECK" => Ok(Self::Check(attachment(true)?)),
            "GC" => Ok(Self::Gc),
            "STATUS" => Ok(Self::Status),
            "VERSION" => Ok(Self::Version),
            other => Err(Failure::environment(format!(
                "CNI_COMMAND is {other:?}; it is ADD, DEL, CHECK, GC, STATUS or VERSION"
            ))),
        }
    }
}

impl Attachment {
    pub fn new(container: &str, interface: &str, netns: &str) -> Result<Self, Failure> {
        is_container(container)?;
        is_interface(interface)?;
        Ok(Self {
            container: container.into(),
            interface: interface.into(),
            netns: netns.into(),
        })
    }

    fn read(
        variable: impl Fn(&str) -> Option<String>,
        netns_needed: bool,
    ) -> Result<Self, Failure> {
        let said = |name| variable(name).unwrap_or_default();
        let (container, interface, netns) = (
            said("CNI_CONTAINERID"),
            said("CNI_IFNAME"),
            said("CNI_NETNS"),
        );
        let missing: Vec<&str> = [
            ("CNI_CONTAINERID", container.is_empty()),
            ("CNI_IFNAME", interface.is_empty()),
            ("CNI_NETNS", netns_needed && netns.is_empty()),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Failure::environment(format!("{missing}: not set")));
        }
        Self::new(&container, &interface, &netns)
    }

    pub fn key(&self) -> Key {
        let key = format!("{KEY_PREFIX}{}/{}", self.container, self.interface);
        key.parse()
            .expect("an id and an interface are short and printable")
    }
}

/// Of containers and of networks, as the specification has them.
pub fn is_plain(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    let first = name.bytes().next();
    first.is_some_and(|c| c.is_ascii_alphanumeric()) && name.bytes().all(allowed)
}

fn is_container(id: &str) -> Result<(), Failure> {
    if is_plain(id) && id.len() <= ID_MOST {
        return Ok(());
    }
    Err(Failure::environment(format!(
        "CNI_CONTAINERID is {id:?}; it begins with a letter or digit and goes on with \
         up to {ID_MOST} of letters, digits, '_', '.' and '-'"
    )))
}

fn is_interface(name: &str) -> Result<(), Failure> {
    let strange = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    let good = !name.is_empty() && name.len() <= INTERFACE_MOST && !name.contains(strange);
    if good && name != "." && name != ".." {
        return Ok(());
    }
    Err(Failure::environment(format!(
        "CNI_IFNAME is {name:?}; an interface's name has up to {INTERFACE_MOST} characters, \
         none of them '/', ':' or a space"
    )))
}

impl Arguments {
    pub fn read(text: &str) -> Result<Self, Failure> {
        let mut pairs = BTreeMap::new();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Failure::environment(format!("CNI_ARGS has {pair:?}, which is not KEY=VALUE"))
            })?;
            pairs.insert(key.to_owned(), value.to_owned());
        }
        let arguments = Self(pairs);
        let ignored = arguments
            .get("IgnoreUnknown")
            .is_some_and(|said| said == "1" || said.eq_ignore_ascii_case("true"));
        let unknown = |key: &&String| !KNOWN.contains(&key.as_str());
        match arguments.0.keys().find(unknown) {
            Some(key) if !ignored => Err(Failure::environment(format!(
                "CNI_ARGS has {key:?}, which is not known here; IgnoreUnknown=1 would pass over it"
            ))),
            _ => Ok(arguments),
        }
    }

    /// What says something.
    pub fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests;
