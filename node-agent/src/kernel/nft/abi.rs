//! The kernel's numbers, as far as they are spoken here: `linux/netfilter/nf_tables.h`,
//! `nfnetlink.h` and `linux/netlink.h`.

pub mod netlink {
    pub const NETFILTER: isize = 12;
    /// The multicast group that tells of every change to nftables.
    pub const GROUP_NFTABLES: u32 = 7;

    pub const REQUEST: u16 = 0x001;
    pub const ACK: u16 = 0x004;
    /// On an answer: the rules changed while they were listed.
    pub const DUMP_INTERRUPTED: u16 = 0x010;
    /// On an error: attributes follow the header of the refused message.
    pub const ACK_ATTRIBUTES: u16 = 0x200;
    pub const DUMP: u16 = 0x300;
    pub const CREATE: u16 = 0x400;
    pub const APPEND: u16 = 0x800;

    pub const ERROR: u16 = 2;
    pub const DONE: u16 = 3;
    pub const BATCH_BEGIN: u16 = 0x10;
    pub const BATCH_END: u16 = 0x11;

    pub const ERROR_TEXT: u16 = 1;

    pub const NESTED: u16 = 0x8000;
    pub const TYPE_MASK: u16 = 0x3fff;
}

pub const SUBSYSTEM: u16 = 10;
pub const FAMILY_ANY: u8 = 0;
pub const FAMILY_INET: u8 = 1;
pub const FAMILY_IPV4: u8 = 2;
pub const FAMILY_IPV6: u8 = 10;

pub mod message {
    pub const NEW_TABLE: u8 = 0;
    pub const GET_TABLE: u8 = 1;
    pub const DEL_TABLE: u8 = 2;
    pub const NEW_CHAIN: u8 = 3;
    pub const GET_CHAIN: u8 = 4;
    pub const NEW_RULE: u8 = 6;
    pub const GET_RULE: u8 = 7;
    pub const NEW_SET: u8 = 9;
    pub const GET_SET: u8 = 10;
    pub const NEW_ELEMENT: u8 = 12;
    pub const GET_ELEMENT: u8 = 13;
    pub const DEL_ELEMENT: u8 = 14;
    pub const NEW_GENERATION: u8 = 15;
    pub const GET_GENERATION: u8 = 16;
}

pub const LIST_ELEMENT: u16 = 1;
pub const GENERATION_ID: u16 = 1;

pub mod table {
    pub const NAME: u16 = 1;
    pub const FLAGS: u16 = 2;
    /// Of the flags: none of its hooks is called.
    pub const DORMANT: u32 = 1;
    pub const USERDATA: u16 = 6;
    pub const OWNER: u16 = 7;
}

pub mod chain {
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 3;
    pub const HOOK: u16 = 4;
    pub const POLICY: u16 = 5;
    /// How many rules it has, and how many lead there.
    pub const USERS: u16 = 6;
    pub const TYPE: u16 = 7;
    pub const FLAGS: u16 = 10;
    pub const USERDATA: u16 = 12;
}

pub mod hook {
    pub const NUMBER: u16 = 1;
    pub const PRIORITY: u16 = 2;
    pub const DEVICES: u16 = 4;
    pub const DEVICE_NAME: u16 = 1;

    pub const PREROUTING: u32 = 0;
    pub const OUTPUT: u32 = 3;
    pub const POSTROUTING: u32 = 4;
    pub const INGRESS: u32 = 5;
}

pub mod rule {
    pub const TABLE: u16 = 1;
    pub const CHAIN: u16 = 2;
    pub const EXPRESSIONS: u16 = 4;
    pub const USERDATA: u16 = 7;
}

pub mod set {
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const KEY_TYPE: u16 = 4;
    pub const KEY_LENGTH: u16 = 5;
    pub const DATA_TYPE: u16 = 6;
    pub const DATA_LENGTH: u16 = 7;
    pub const POLICY: u16 = 8;
    pub const DESCRIPTION: u16 = 9;
    pub const ID: u16 = 10;
    pub const TIMEOUT: u16 = 11;
    pub const USERDATA: u16 = 13;
    pub const EXPRESSION: u16 = 17;
    pub const EXPRESSIONS: u16 = 18;

    /// Of the flags: its elements have data.
    pub const MAP: u32 = 8;
}

pub mod element {
    pub const TABLE: u16 = 1;
    pub const SET: u16 = 2;
    pub const LIST: u16 = 3;
    pub const KEY: u16 = 1;
    pub const DATA: u16 = 2;
    pub const EXPRESSION: u16 = 7;
}

pub mod data {
    pub const VALUE: u16 = 1;
    pub const VERDICT: u16 = 2;
    pub const VERDICT_CODE: u16 = 1;
    pub const VERDICT_CHAIN: u16 = 2;
}

pub mod verdict {
    pub const DROP: i32 = 0;
    pub const ACCEPT: i32 = 1;
    pub const GOTO: i32 = -4;
    pub const RETURN: i32 = -5;
}

pub mod expression {
    pub const NAME: u16 = 1;
    pub const DATA: u16 = 2;

    pub const VERDICT_REGISTER: u32 = 0;
    pub const REGISTER: u32 = 1;
    /// The first 4 bytes of `REGISTER`, under the name by which those behind it go on.
    pub const SHORT_REGISTER: u32 = 8;

    pub mod immediate {
        pub const TO: u16 = 1;
        pub const DATA: u16 = 2;
    }
    pub mod bitwise {
        pub const FROM: u16 = 1;
        pub const TO: u16 = 2;
        pub const LENGTH: u16 = 3;
        pub const MASK: u16 = 4;
        pub const XOR: u16 = 5;
    }
    pub mod compare {
        pub const FROM: u16 = 1;
        pub const OPERATOR: u16 = 2;
        pub const DATA: u16 = 3;

        pub const EQUAL: u32 = 0;
        pub const NOT_EQUAL: u32 = 1;
    }
    pub mod counter {
        pub const BYTES: u16 = 1;
        pub const PACKETS: u16 = 2;
    }
    pub mod lookup {
        pub const SET: u16 = 1;
        pub const FROM: u16 = 2;
        pub const TO: u16 = 3;
    }
    pub mod nat {
        pub const KIND: u16 = 1;
        pub const FAMILY: u16 = 2;
        pub const ADDRESS: u16 = 3;
        pub const PORT: u16 = 5;

        pub const DESTINATION: u32 = 1;
    }
    pub mod connection {
        pub const TO: u16 = 1;
        pub const KEY: u16 = 2;

        pub const STATUS: u32 = 2;
        /// Of the status: packets of it go to another address than they are sent to.
        pub const LED_ON: u32 = 1 << 5;
    }
    pub mod payload {
        pub const TO: u16 = 1;
        pub const BASE: u16 = 2;
        pub const OFFSET: u16 = 3;
        pub const LENGTH: u16 = 4;

        pub const NETWORK: u32 = 1;
        pub const TRANSPORT: u32 = 2;
    }
    pub mod meta {
        pub const TO: u16 = 1;
        pub const KEY: u16 = 2;

        pub const IN_INDEX: u32 = 4;
        pub const IN_NAME: u32 = 6;
        pub const OUT_NAME: u32 = 7;
        pub const FAMILY: u32 = 15;
        pub const L4_PROTOCOL: u32 = 16;
    }
    pub mod fib {
        pub const TO: u16 = 1;
        pub const RESULT: u16 = 2;
        pub const FLAGS: u16 = 3;

        pub const OUT_INDEX: u32 = 1;
        pub const ADDRESS_TYPE: u32 = 3;

        pub const OF_SOURCE: u32 = 1;
        pub const OF_DESTINATION: u32 = 2;
        pub const AT_INPUT: u32 = 8;
        pub const PRESENT: u32 = 32;
    }
}
