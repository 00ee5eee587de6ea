//! Rules that lead packets to another address.

use overlay::subnet::Family;

use super::{IPV4, IPV6, Rule, Side, offset};
use crate::kernel::nft::abi::expression::{
    self, REGISTER, SHORT_REGISTER, compare, connection, lookup, nat,
};

/// Of an address, a protocol and a port each begins where the one before has filled
/// whole registers of 4 bytes.
const REGISTER_WIDTH: u32 = 4;

impl Rule {
    /// `dnat ip to meta l4proto . th dport map @pub4`; with the address of the host, `ip
    /// daddr .` comes first.
    pub fn led_on(self, family: Family, of_one_address: bool, map: &str) -> Self {
        let width = u32::from(family.bits() / 8);
        let mut rule = self.family(family);
        let mut next = SHORT_REGISTER;
        if of_one_address {
            let at = offset(family, Side::Destination);
            rule = rule.load(expression::payload::NETWORK, at, width);
            next += width / REGISTER_WIDTH;
        }
        rule.meta_to(named(next), expression::meta::L4_PROTOCOL)
            .load_to(named(next + 1), expression::payload::TRANSPORT, 2, 2)
            .expression("lookup", |look| {
                look.text(lookup::SET, map);
                look.number(lookup::FROM, REGISTER);
                look.number(lookup::TO, REGISTER);
            })
            .expression("nat", |to| {
                to.number(nat::KIND, nat::DESTINATION);
                let number = match family {
                    Family::V4 => IPV4,
                    Family::V6 => IPV6,
                };
                to.number(nat::FAMILY, number.into());
                to.number(nat::ADDRESS, REGISTER);
                to.number(nat::PORT, named(SHORT_REGISTER + width / REGISTER_WIDTH));
            })
    }

    /// `ct status dnat`: a packet of what was led on.
    pub fn of_what_is_led_on(self) -> Self {
        self.expression("ct", |state| {
            state.number(connection::TO, REGISTER);
            state.number(connection::KEY, connection::STATUS);
        })
        .masked(&connection::LED_ON.to_ne_bytes())
        .compared(compare::NOT_EQUAL, &0u32.to_ne_bytes())
    }
}

/// The kernel has two names for the registers at which 16 bytes begin, and tells the
/// shorter.
fn named(register: u32) -> u32 {
    let behind = register - SHORT_REGISTER;
    if behind.is_multiple_of(4) {
        REGISTER + behind / 4
    } else {
        register
    }
}
