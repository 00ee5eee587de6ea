//! A message that is encoded already, and the codec of the streams it goes to.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::v1;

/// A session's messages are small and ten thousand sessions are many: buffers begin
/// at this size instead of 8 KB each, and grow where a message needs it.
const BUFFER: usize = 512;
/// A stream hands on what it has encoded once it is this much.
const YIELD: usize = 32 * 1024;

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

/// tonic's own codec with smaller buffers.
pub struct SessionCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SessionCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SessionCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::new(BufferSettings::new(BUFFER, YIELD))
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstDecoder::new(BufferSettings::new(BUFFER, YIELD))
    }
}
