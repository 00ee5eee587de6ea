//! Sealing a key with what is in a file: a key made at random, or a passphrase.

use std::num::NonZeroU32;

use overlay::{
    record::Sealed,
    trust::token::{hex, unhex},
};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    pbkdf2,
    rand::{SecureRandom, SystemRandom},
};
use thiserror::Error;

/// Guessing a passphrase has to be slow; a key made at random cannot be guessed.
const ROUNDS_OF_PASSPHRASE: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");
const ROUNDS_OF_KEY: NonZeroU32 = NonZeroU32::MIN;
const KEY_LEN: usize = 32;
const SALT_LEN: usize = 16;
/// No passphrase worth the name is shorter.
const SHORTEST: usize = 12;

#[derive(Debug, Error)]
pub enum SealError {
    #[error("it holds {0} bytes; a key or passphrase of {SHORTEST} or more is needed")]
    Short(usize),
    #[error("it does not open the authority's key: it is another fleet's, or another passphrase")]
    Wrong,
    #[error("the store's record of the authority's key is damaged")]
    Damaged,
    #[error("this machine gives no randomness")]
    NoRandomness,
}

/// What opens what it has sealed.
pub struct Seal(Vec<u8>);

impl Seal {
    pub fn new(content: &[u8]) -> Result<Self, SealError> {
        let content = content.trim_ascii();
        if content.len() < SHORTEST {
            return Err(SealError::Short(content.len()));
        }
        Ok(Self(content.to_vec()))
    }

    /// The content of a file for a new one.
    pub fn made() -> Result<String, SealError> {
        Ok(hex(&random::<KEY_LEN>()?) + "\n")
    }

    pub fn seal(&self, text: &str) -> Result<Sealed, SealError> {
        let (salt, nonce) = (random::<SALT_LEN>()?, random::<NONCE_LEN>()?);
        let mut bytes = text.as_bytes().to_vec();
        self.key(&salt)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut bytes,
            )
            .map_err(|_| SealError::NoRandomness)?;
        Ok(Sealed {
            salt: hex(&salt),
            nonce: hex(&nonce),
            text: hex(&bytes),
        })
    }

    pub fn open(&self, sealed: &Sealed) -> Result<String, SealError> {
        let salt = unhex::<SALT_LEN>(&sealed.salt).ok_or(SealError::Damaged)?;
        let nonce = unhex::<NONCE_LEN>(&sealed.nonce).ok_or(SealError::Damaged)?;
        let mut bytes = sealed_bytes(&sealed.text).ok_or(SealError::Damaged)?;
        let text = self
            .key(&salt)
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut bytes,
            )
            .map_err(|_| SealError::Wrong)?;
        String::from_utf8(text.to_vec()).map_err(|_| SealError::Damaged)
    }

    fn key(&self, salt: &[u8]) -> LessSafeKey {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        let rounds = match unhex::<KEY_LEN>(text) {
            Some(_) => ROUNDS_OF_KEY,
            None => ROUNDS_OF_PASSPHRASE,
        };
        let mut key = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, &self.0, &mut key);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("a key of 32 bytes");
        LessSafeKey::new(key)
    }
}

fn sealed_bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| Some(unhex::<1>(std::str::from_utf8(pair).ok()?)?[0]);
    pairs.map(byte).collect()
}

pub fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| SealError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
