//! Rules, in the words of this firewall. `nft list table inet weft` reads them back in
//! its own: each is encoded as nft would encode it.
//!
//! - [`redirect`]: what leads published ports on.

use std::net::IpAddr;

use overlay::subnet::{Family, Subnet};

use super::{
    abi::{
        LIST_ELEMENT, data,
        expression::{self, REGISTER, VERDICT_REGISTER},
        verdict,
    },
    message::Attributes,
};

mod redirect;

const UDP: u8 = 17;
/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `RTN_UNICAST`: neither an own address nor one that many hosts hear.
const UNICAST: u32 = 1;
/// `RTN_LOCAL`
const LOCAL: u32 = 2;
/// Device names are compared as the kernel keeps them.
const IFNAMSIZ: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Source,
    Destination,
}

/// Conditions, from left to right, and what to do if all are met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule(Attributes);

impl Rule {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn expressions(&self) -> &Attributes {
        &self.0
    }

    /// `udp dport 4789`. A packet of another protocol leaves after one comparison; the
    /// kernel finds the protocol behind the extension headers of IPv6 too.
    pub fn udp_to(self, port: u16) -> Self {
        self.meta(expression::meta::L4_PROTOCOL)
            .equals(&[UDP])
            .load(expression::payload::TRANSPORT, 2, 2)
            .equals(&port.to_be_bytes())
    }

    /// `iif`: this device and no later one of the same name.
    pub fn in_index(self, index: u32) -> Self {
        self.meta(expression::meta::IN_INDEX)
            .equals(&index.to_ne_bytes())
    }

    /// `iifname "eth0"`
    pub fn in_name(self, name: &str) -> Self {
        self.meta(expression::meta::IN_NAME)
            .equals(&whole_name(name))
    }

    /// `iifname "weft*"`
    pub fn in_prefix(self, prefix: &str) -> Self {
        self.meta(expression::meta::IN_NAME)
            .equals(prefix.as_bytes())
    }

    /// `oifname "eth0"`
    pub fn out_name(self, name: &str) -> Self {
        self.meta(expression::meta::OUT_NAME)
            .equals(&whole_name(name))
    }

    /// `oifname "weft*"`
    pub fn out_prefix(self, prefix: &str) -> Self {
        self.meta(expression::meta::OUT_NAME)
            .equals(prefix.as_bytes())
    }

    /// `ip saddr @peers4`
    pub fn address_in(self, family: Family, side: Side, set: &str) -> Self {
        let width = u32::from(family.bits() / 8);
        self.family(family)
            .load(expression::payload::NETWORK, offset(family, side), width)
            .expression("lookup", |lookup| {
                lookup.text(expression::lookup::SET, set);
                lookup.number(expression::lookup::FROM, REGISTER);
            })
    }

    /// `ip daddr 10.32.0.0/11`
    pub fn address_of(self, side: Side, subnet: Subnet) -> Self {
        let family = subnet.family();
        let address = match subnet.address() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let length = usize::from(subnet.length());
        let whole = length / 8;
        let rule = self.family(family);
        if length == 0 {
            return rule;
        }
        // Of a prefix of whole bytes only these are loaded: one expression less.
        let loaded = if length.is_multiple_of(8) {
            whole
        } else {
            address.len()
        };
        let width = u32::try_from(loaded).expect("an address has 16 bytes at most");
        let rule = rule.load(expression::payload::NETWORK, offset(family, side), width);
        let rule = if length.is_multiple_of(8) {
            rule
        } else {
            let mut mask = vec![0; loaded];
            mask[..whole].fill(0xff);
            mask[whole] = !(0xff >> (length % 8));
            rule.masked(&mask)
        };
        rule.equals(&address[..loaded])
    }

    /// `fib daddr type unicast`: the packet goes on to another host, and only there.
    pub fn for_another_host(self) -> Self {
        self.fib(
            expression::fib::OF_DESTINATION,
            expression::fib::ADDRESS_TYPE,
        )
        .equals(&UNICAST.to_ne_bytes())
    }

    /// `fib daddr type local`: an address of this host.
    pub fn for_this_host(self) -> Self {
        self.fib(
            expression::fib::OF_DESTINATION,
            expression::fib::ADDRESS_TYPE,
        )
        .equals(&LOCAL.to_ne_bytes())
    }

    /// `fib saddr . iif oif exists`: an answer would leave by the device at which this
    /// came in.
    pub fn answered_the_same_way(self) -> Self {
        let flags = expression::fib::OF_SOURCE | expression::fib::AT_INPUT;
        self.fib(flags | expression::fib::PRESENT, expression::fib::OUT_INDEX)
            .equals(&1u32.to_ne_bytes())
    }

    /// For people to look at: nothing here reads it.
    pub fn counted(self) -> Self {
        self.expression("counter", |_| {})
    }

    /// The packet stays out of the connection tracking.
    pub fn notrack(mut self) -> Self {
        // The only expression without any data, not even an empty list.
        self.0.nest(LIST_ELEMENT, |one| {
            one.text(expression::NAME, "notrack");
        });
        self
    }

    pub fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    pub fn accept(self) -> Self {
        self.verdict(verdict::ACCEPT, None)
    }

    pub fn drop(self) -> Self {
        self.verdict(verdict::DROP, None)
    }

    pub fn leave(self) -> Self {
        self.verdict(verdict::RETURN, None)
    }

    pub fn goto(self, chain: &str) -> Self {
        self.verdict(verdict::GOTO, Some(chain))
    }

    fn family(self, family: Family) -> Self {
        self.meta(expression::meta::FAMILY).equals(&[match family {
            Family::V4 => IPV4,
            Family::V6 => IPV6,
        }])
    }

    fn meta(self, key: u32) -> Self {
        self.meta_to(REGISTER, key)
    }

    fn meta_to(self, register: u32, key: u32) -> Self {
        self.expression("meta", |meta| {
            meta.number(expression::meta::KEY, key);
            meta.number(expression::meta::TO, register);
        })
    }

    fn load(self, base: u32, offset: u32, width: u32) -> Self {
        self.load_to(REGISTER, base, offset, width)
    }

    fn load_to(self, register: u32, base: u32, offset: u32, width: u32) -> Self {
        self.expression("payload", |payload| {
            payload.number(expression::payload::TO, register);
            payload.number(expression::payload::BASE, base);
            payload.number(expression::payload::OFFSET, offset);
            payload.number(expression::payload::LENGTH, width);
        })
    }

    fn masked(self, mask: &[u8]) -> Self {
        let width = u32::try_from(mask.len()).expect("an address has 16 bytes at most");
        let nothing = vec![0; mask.len()];
        self.expression("bitwise", |bitwise| {
            bitwise.number(expression::bitwise::FROM, REGISTER);
            bitwise.number(expression::bitwise::TO, REGISTER);
            bitwise.number(expression::bitwise::LENGTH, width);
            bitwise.nest(expression::bitwise::MASK, |data| {
                data.bytes(data::VALUE, mask);
            });
            bitwise.nest(expression::bitwise::XOR, |data| {
                data.bytes(data::VALUE, &nothing);
            });
        })
    }

    fn fib(self, flags: u32, result: u32) -> Self {
        self.expression("fib", |fib| {
            fib.number(expression::fib::FLAGS, flags);
            fib.number(expression::fib::RESULT, result);
            fib.number(expression::fib::TO, REGISTER);
        })
    }

    fn equals(self, value: &[u8]) -> Self {
        self.compared(expression::compare::EQUAL, value)
    }

    fn compared(self, operator: u32, value: &[u8]) -> Self {
        self.expression("cmp", |compare| {
            compare.number(expression::compare::FROM, REGISTER);
            compare.number(expression::compare::OPERATOR, operator);
            compare.nest(expression::compare::DATA, |data| {
                data.bytes(data::VALUE, value);
            });
        })
    }

    fn verdict(self, code: i32, chain: Option<&str>) -> Self {
        self.expression("immediate", |immediate| {
            immediate.number(expression::immediate::TO, VERDICT_REGISTER);
            immediate.nest(expression::immediate::DATA, |data| {
                data.nest(data::VERDICT, |verdict| {
                    verdict.bytes(data::VERDICT_CODE, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.text(data::VERDICT_CHAIN, chain);
                    }
                });
            });
        })
    }

    fn expression(mut self, name: &str, fill: impl FnOnce(&mut Attributes)) -> Self {
        self.0.nest(LIST_ELEMENT, |one| {
            one.text(expression::NAME, name);
            one.nest(expression::DATA, fill);
        });
        self
    }
}

/// Where in the header of its family the address is.
fn offset(family: Family, side: Side) -> u32 {
    match (family, side) {
        (Family::V4, Side::Source) => 12,
        (Family::V4, Side::Destination) => 16,
        (Family::V6, Side::Source) => 8,
        (Family::V6, Side::Destination) => 24,
    }
}

/// With the NULs behind it, so that it is no prefix of a longer one.
fn whole_name(name: &str) -> [u8; IFNAMSIZ] {
    let mut whole = [0; IFNAMSIZ];
    for (place, byte) in whole.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    whole
}
