//! Many requests in one call, and whose answer is whose.

use super::{
    NetlinkError,
    answer::{Answer, Messages, Refusal},
};

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Answers {
    /// By number in the batch. All others were done, unless answers were lost.
    pub refused: Vec<(usize, Refusal)>,
    /// Answers were lost: which requests failed is not known, and the kernel is to be
    /// looked at again.
    pub lost: Option<NetlinkError>,
}

/// The messages that go with one call.
#[derive(Default)]
pub struct Batch {
    /// Its first one's number among all.
    pub first: usize,
    pub length: usize,
    /// The first one's on the socket.
    pub sequence: Option<u32>,
    /// Where the last one is.
    pub last: usize,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Notes what is refused. True: the last one is answered.
    pub fn note(&self, datagram: &[u8], refused: &mut Vec<(usize, Refusal)>) -> bool {
        let mut answered = false;
        for message in Messages::of(datagram) {
            let number = message.sequence.wrapping_sub(self.sequence.unwrap_or(0));
            let Some(number) = usize::try_from(number)
                .ok()
                .filter(|number| *number < self.length)
            else {
                continue;
            };
            match message.answer() {
                Answer::Told => continue,
                Answer::Done => {}
                Answer::Refused(refusal) => refused.push((self.first + number, refusal)),
            }
            answered |= number + 1 == self.length;
        }
        answered
    }
}
