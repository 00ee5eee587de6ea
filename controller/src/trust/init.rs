//! `weft-controller init`: the fleet's authority, and a token for its first operator.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use overlay::{
    decide::trust::make_token,
    name::OperatorName,
    record::{Grant, Token},
    trust::Role,
};
use tokio::time::timeout;

use super::{
    Authority, Mode, TrustError, recorded,
    seal::{Seal, SealError},
    write,
};
use crate::{config::Options, keeper::Keeper, services::trust::made};

/// A store that says nothing by then is not there.
const STORE_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Args)]
pub struct Init {
    /// The name of the operator that the token is for
    #[arg(long, value_name = "NAME", default_value = "admin")]
    operator: OperatorName,
    /// How long the token is good
    #[arg(long, default_value = "1h", value_parser = options::parse_duration, value_name = "TIME")]
    token_ttl: Duration,
}

/// Makes the authority where there is none, and always a token.
pub async fn run(init: &Init, options: &Options, keeper: &Keeper) -> anyhow::Result<()> {
    if options.seal_file.is_none() && options.ca_cert.is_none() {
        let problem = "say with --seal-file FILE where the key is that seals the authority's; a new one is made there if there is none";
        return Err(options::BadUsage(problem.into()).into());
    }
    let known = timeout(STORE_WITHIN, recorded(keeper)).await;
    let known = known.context("the store does not answer")??;
    let made_seal = match &options.seal_file {
        Some(file) if known.is_none() => make_seal(file)?,
        _ => false,
    };
    let authority = match (options.trust()?, &known) {
        (Mode::Sealed(seal), None) => {
            let (authority, key) = Authority::made(keeper.clock.now())?;
            write(keeper, authority.record(Some(seal.seal(&key)?))).await?;
            authority
        }
        (mode, _) => match super::establish(mode, keeper).await? {
            Some(authority) => authority,
            None => bail!(TrustError::NoAuthority),
        },
    };
    let grant = Grant::Operator {
        name: init.operator.clone(),
        role: Role::Admin,
    };
    let (token, record): (_, Token) =
        made(&authority, grant, 1, init.token_ttl, keeper.clock.now())?;
    let id = token.id;
    keeper
        .write(move |view| make_token(view, id, &record))
        .await?;
    print(init, options, known.is_some(), made_seal, &token.reveal())?;
    Ok(())
}

/// A new key where there is no file yet. True: it was made.
fn make_seal(file: &Path) -> anyhow::Result<bool> {
    let make = || {
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut new = OpenOptions::new();
        let mut new = new.write(true).create_new(true).mode(0o600).open(file)?;
        new.write_all(Seal::made().map_err(io::Error::other)?.as_bytes())?;
        new.sync_all()
    };
    match make() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("cannot make --seal-file {}", file.display()))
        }
    }
}

fn print(
    init: &Init,
    options: &Options,
    known: bool,
    made_seal: bool,
    token: &str,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let found = if known { "has" } else { "has now" };
    writeln!(out, "The fleet {found} a certificate authority.")?;
    let mut flags = String::new();
    if let Some(seal) = &options.seal_file {
        let seal = seal.display();
        let made = if made_seal { ", made just now" } else { "" };
        writeln!(
            out,
            "Its key is sealed with {seal}{made}: copy that file to every controller, and keep\na copy apart; without it no certificate is signed any more."
        )?;
        flags = format!(" --seal-file {seal}");
    }
    if let (Some(certificate), Some(key)) = (&options.ca_cert, &options.ca_key) {
        let (certificate, key) = (certificate.display(), key.display());
        flags = format!(" --ca-cert {certificate} --ca-key {key}");
    }
    let ttl = options::format_duration(init.token_ttl);
    writeln!(
        out,
        "
1. Start every controller so that hosts reach it by TLS:
     weft-controller{flags} --listen ADDRESS:7440 ...
2. Log in as operator {operator}, within {ttl}:
     weft login --controller https://ADDRESS:7440 --token {token}
3. For each host make a token, and on the host join with it:
     weft token create
     weft-agent join --controller https://ADDRESS:7440 --token TOKEN",
        operator = init.operator,
    )
}

impl From<SealError> for TrustError {
    fn from(error: SealError) -> Self {
        Self::Authority(error.into())
    }
}
