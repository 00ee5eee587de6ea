//! Certificates: the fleet's authority, and TLS at the door.
//!
//! - [`authority`]: signs; its key is sealed in the store, or in files of its own.
//! - [`seal`]: how a key is sealed.
//! - [`door`]: what this controller shows and asks for in a handshake.
//! - [`identity`]: who is at the other end.
//! - [`gate`]: what of the table of `overlay::trust` each may call.
//! - [`rate`]: how often strangers may ask.
//! - [`init`]: `weft-controller init`.

pub mod authority;
pub mod door;
pub mod gate;
pub mod identity;
pub mod init;
pub mod places;
pub mod rate;
pub mod seal;

use std::{sync::Arc, time::Duration};

use overlay::{
    decide::{Refusal, trust::found},
    record,
};
use thiserror::Error;
use tokio::{task::spawn_blocking, time::sleep};
use tracing::warn;

pub use authority::Authority;
pub use door::Door;
pub use identity::Identity;

use authority::AuthorityError;
use seal::Seal;

use crate::keeper::{Failure, Keeper, Link};

/// How often the store is looked at until it says what there is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a controller that speaks plain text looks whether the fleet still does.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How callers are trusted.
pub enum Mode {
    /// Whoever comes is.
    Plain,
    Sealed(Seal),
    Files(Box<Authority>),
}

#[derive(Debug, Error)]
pub enum TrustError {
    #[error(
        "this fleet has no certificate authority yet: run `weft-controller init` first, with the same options"
    )]
    NoAuthority,
    #[error(
        "this fleet has a certificate authority: give --seal-file (or --ca-cert and --ca-key), or everybody could come in"
    )]
    Needed,
    #[error("the fleet's certificate authority is another than the one of --ca-cert")]
    Another,
    #[error("--seal-file: {0}")]
    Authority(#[from] AuthorityError),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("this controller is stopping")]
    Stopping,
}

/// The authority that this controller signs by, once the store has said what there is. One of
/// files is made known to the fleet.
pub async fn establish(mode: Mode, keeper: &Keeper) -> Result<Option<Authority>, TrustError> {
    if !matches!(mode, Mode::Plain) {
        let why = "its certificates are not there yet";
        keeper.tell(move |state| state.shut(Some(why))).await;
    }
    let known = recorded(keeper).await?;
    match (mode, known) {
        (Mode::Plain, None) => Ok(None),
        (Mode::Plain, Some(_)) => Err(TrustError::Needed),
        (Mode::Sealed(_), None) => Err(TrustError::NoAuthority),
        (Mode::Sealed(seal), Some(known)) => {
            // Guessing a passphrase is slow, and so is knowing it.
            let opened = spawn_blocking(move || Authority::opened(&known, &seal)).await;
            Ok(Some(opened.map_err(|_| TrustError::Stopping)??))
        }
        (Mode::Files(authority), None) => {
            let record = authority.record(None);
            write(keeper, record).await?;
            Ok(Some(*authority))
        }
        (Mode::Files(authority), Some(known)) if known.certificate == authority.certificate => {
            Ok(Some(*authority))
        }
        (Mode::Files(_), Some(_)) => Err(TrustError::Another),
    }
}

/// Says so when a fleet whose controller speaks plain text gets an authority.
pub async fn beware(keeper: &Keeper) {
    loop {
        sleep(LOOK_AGAIN).await;
        if let Ok(Some(_)) = recorded(keeper).await {
            warn!(
                "the fleet has a certificate authority now: restart this controller with --seal-file"
            );
            sleep(LOOK_AGAIN * 12).await;
        }
    }
}

async fn recorded(keeper: &Keeper) -> Result<Option<record::Authority>, TrustError> {
    loop {
        let known = keeper.with(|state| {
            let authority = state.registry().authority();
            let known = authority.map(|known| known.value.clone());
            matches!(state.link, Link::Live).then_some(known)
        });
        match known.await {
            Ok(Some(known)) => return Ok(known),
            Ok(None) => sleep(LOOK_EVERY).await,
            Err(_) => return Err(TrustError::Stopping),
        }
    }
}

/// Writes the fleet's authority, if there is none.
pub(crate) async fn write(keeper: &Keeper, record: record::Authority) -> Result<(), TrustError> {
    let record = Arc::new(record);
    loop {
        let record = record.clone();
        match keeper.write(move |view| found(view, &record)).await {
            Ok(_) => return Ok(()),
            Err(Failure::Refused(refusal)) => return Err(refusal.into()),
            Err(Failure::Unavailable(_)) => sleep(LOOK_EVERY).await,
        }
    }
}
