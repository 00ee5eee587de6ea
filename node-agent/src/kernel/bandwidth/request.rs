//! What is asked of the kernel about queues, and what leads packets to them.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute},
    tc::{
        TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption,
        TcActionType, TcAttribute, TcFilterU32, TcFilterU32Option, TcHandle, TcMessage, TcMirror,
        TcMirrorActionType, TcOption, TcU32Key, TcU32Selector, TcU32SelectorFlags,
    },
};
use rtnetlink::{LinkIfb, LinkUnspec};

use super::bucket::Bucket;
use crate::kernel::message::RouteRequest;

/// Of our queues and filters, as of our routes.
pub const OURS: u16 = overlay::datapath::entry::PROTOCOL as u16;
/// `ETH_P_ALL`, as it is on the wire.
pub const EVERY_PROTOCOL: u16 = 3_u16.to_be();
const HANDLE: TcHandle = TcHandle {
    major: OURS,
    minor: 0,
};
/// Where packets come in.
pub const INCOMING: TcHandle = TcHandle {
    major: TcHandle::CLSACT.major,
    minor: TcHandle::MIN_INGRESS,
};
/// Where they go out.
pub const OUTGOING: TcHandle = TcHandle {
    major: TcHandle::CLSACT.major,
    minor: TcHandle::MIN_EGRESS,
};

/// Our bucket at the root, in the place of what is there.
pub fn bucket(index: u32, bucket: &Bucket) -> RouteRequest {
    let mut message = about(index, TcHandle::ROOT);
    message.header.handle = HANDLE;
    message.attributes = vec![
        TcAttribute::Kind("tbf".into()),
        TcAttribute::Options(bucket.options()),
    ];
    RouteRequest {
        payload: RouteNetlinkMessage::NewQueueDiscipline(message),
        flags: NLM_F_CREATE | NLM_F_REPLACE,
    }
}

pub fn no_bucket(index: u32) -> RouteRequest {
    let mut message = about(index, TcHandle::ROOT);
    message.header.handle = HANDLE;
    plain(RouteNetlinkMessage::DelQueueDiscipline(message))
}

/// Makes the hooks that filters are on.
pub fn hooks(index: u32) -> RouteRequest {
    let mut message = about(index, TcHandle::CLSACT);
    message.attributes = vec![TcAttribute::Kind("clsact".into())];
    RouteRequest {
        payload: RouteNetlinkMessage::NewQueueDiscipline(message),
        flags: NLM_F_CREATE | NLM_F_EXCL,
    }
}

pub fn no_hooks(index: u32) -> RouteRequest {
    let mut message = about(index, TcHandle::CLSACT);
    message.attributes = vec![TcAttribute::Kind("clsact".into())];
    plain(RouteNetlinkMessage::DelQueueDiscipline(message))
}

/// Everything that comes in goes out through another device, which hands it back.
pub fn redirect(index: u32, to: u32) -> RouteRequest {
    let mut everything = TcU32Selector::default();
    everything.flags = TcU32SelectorFlags::Terminal;
    everything.nkeys = 1;
    everything.keys = vec![TcU32Key::default()];

    let mut there = TcMirror::default();
    there.generic.action = TcActionType::Stolen;
    there.eaction = TcMirrorActionType::EgressRedir;
    there.ifindex = to;
    let there = TcActionOption::Mirror(TcActionMirrorOption::Parms(there));
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.into()),
        TcActionAttribute::Options(vec![there]),
    ];

    let mut message = filter(index);
    message.attributes = vec![
        TcAttribute::Kind(TcFilterU32::KIND.into()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(everything)),
            TcOption::U32(TcFilterU32Option::Action(vec![action])),
        ]),
    ];
    RouteRequest {
        payload: RouteNetlinkMessage::NewTrafficFilter(message),
        flags: NLM_F_CREATE | NLM_F_EXCL,
    }
}

/// Removes every filter of our preference.
pub fn no_redirect(index: u32) -> RouteRequest {
    let mut message = filter(index);
    // Whatever it is for.
    message.header.info = u32::from(OURS) << 16;
    plain(RouteNetlinkMessage::DelTrafficFilter(message))
}

/// A device that what comes from a container is led through.
pub fn detour(name: &str) -> RouteRequest {
    RouteRequest {
        payload: RouteNetlinkMessage::NewLink(LinkIfb::new(name).build()),
        flags: NLM_F_CREATE | NLM_F_EXCL,
    }
}

/// It has no address of its own making: it is no way to anywhere. A device has to be
/// there before it can be told so, and to be down.
pub fn detour_is_plain(index: u32) -> RouteRequest {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let families = vec![AfSpecUnspec::Inet6(vec![mode])];
    let link = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(families));
    plain(RouteNetlinkMessage::NewLink(link.build()))
}

pub fn detour_is_up(index: u32, mtu: u32) -> RouteRequest {
    let link = LinkUnspec::new_with_index(index).mtu(mtu).up().build();
    plain(RouteNetlinkMessage::NewLink(link))
}

pub fn about(index: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = parent;
    message
}

fn filter(index: u32) -> TcMessage {
    let mut message = about(index, INCOMING);
    message.header.info = u32::from(OURS) << 16 | u32::from(EVERY_PROTOCOL);
    message
}

fn plain(payload: RouteNetlinkMessage) -> RouteRequest {
    RouteRequest { payload, flags: 0 }
}
