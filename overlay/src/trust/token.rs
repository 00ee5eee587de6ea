//! Tokens. What is handed over names the record in the store, proves that it was made
//! there, and says which authority to believe: `weft1-ID-SECRET-AUTHORITY`, in hex.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

const KIND: &str = "weft1";

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("it is no token: one begins with {KIND}- and is what `weft token create` printed")]
    Other,
    #[error("it is cut short or mistyped: copy all of what `weft token create` printed")]
    Torn,
}

/// Names a token; no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(pub u64);

/// A secret that is shown to nobody: not by a log, not by a panic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub secret: Secret,
    /// The SHA-256 of the authority's certificate.
    pub authority: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

impl Token {
    /// The whole of it, secret and all. It has no `Display`, so that it is printed nowhere
    /// by chance.
    pub fn reveal(&self) -> String {
        let (secret, authority) = (hex(&self.secret.0), hex(&self.authority));
        format!("{KIND}-{}-{secret}-{authority}", self.id)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('-');
        if parts.next() != Some(KIND) {
            return Err(TokenError::Other);
        }
        let mut part = || parts.next().ok_or(TokenError::Torn);
        let (id, secret, authority) = (part()?, part()?, part()?);
        if part().is_ok() {
            return Err(TokenError::Torn);
        }
        Ok(Self {
            id: id.parse()?,
            secret: Secret(unhex(secret).ok_or(TokenError::Torn)?),
            authority: unhex(authority).ok_or(TokenError::Torn)?,
        })
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:016x}", self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenId {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let bytes = unhex(text).ok_or(TokenError::Torn)?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

impl TryFrom<String> for TokenId {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.to_string()
    }
}

/// As people and records write bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly so many bytes, in lower case.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let right = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 2 * N || !digits.iter().all(right) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}
