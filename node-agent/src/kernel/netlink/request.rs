//! What is asked of the kernel.

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};

pub struct Request<I> {
    pub payload: I,
    /// Beside those of every request.
    pub flags: u16,
}

impl<I> Request<I> {
    /// With its header; the number is given where it is sent.
    pub fn message(self) -> NetlinkMessage<I> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | self.flags;
        NetlinkMessage::new(header, NetlinkPayload::InnerMessage(self.payload))
    }
}
