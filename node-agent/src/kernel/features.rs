//! What this kernel can do, asked without anything being made.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::{
    netlink::{NetlinkError, Request, Socket},
    nft::Table,
};

pub type Feature = (&'static str, Result<(), String>);

/// What a network needs, and what the links of containers do.
pub fn features() -> Vec<Feature> {
    let kinds = [
        ("vxlan", InfoKind::Vxlan),
        ("veth", InfoKind::Veth),
        ("bridge", InfoKind::Bridge),
    ];
    let kinds = kinds.map(|(name, kind)| (name, has(kind)));
    let nftables = Table::open().and_then(|mut table| table.generation_of_all());
    let nftables = nftables.map(|_| ()).map_err(|error| error.to_string());
    kinds.into_iter().chain([("nf_tables", nftables)]).collect()
}

/// Asks for a device whose address is too short: a kernel that has the kind refuses the
/// address, and any other the kind.
fn has(kind: InfoKind) -> Result<(), String> {
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::Address(vec![0]),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]),
    ];
    let request = Request {
        payload: RouteNetlinkMessage::NewLink(link),
        flags: NLM_F_CREATE | NLM_F_EXCL,
    };
    let asked = Socket::open(NETLINK_ROUTE).and_then(|mut socket| socket.ask(request, &mut |_| {}));
    match asked {
        Err(NetlinkError::Refused(refusal)) if refusal.errno == Errno::INVAL => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(()) => Err("it made a device of an address too short".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_nothing_is_made() {
        let devices = || std::fs::read_dir("/sys/class/net").unwrap().count();
        let before = devices();
        for (name, can) in features() {
            assert_eq!(can, Ok(()), "{name}");
        }
        let none = has(InfoKind::Other("warp".into())).unwrap_err();
        assert!(none.contains("Unknown device type"), "{none}");
        assert_eq!(devices(), before);
    }
}
