//! A message that is encoded already.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

use crate::v1;

/// A [`v1::ControllerMessage`] in its encoded form: a clone is a reference to
/// the same bytes, so one change costs one encoding, however many streams it goes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded(Bytes);

impl Encoded {
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl From<v1::controller_message::Message> for Encoded {
    fn from(message: v1::controller_message::Message) -> Self {
        let message = v1::ControllerMessage {
            message: Some(message),
        };
        Self(message.encode_to_vec().into())
    }
}

impl Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    /// Only ever sent: whoever receives one decodes a `ControllerMessage`.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
