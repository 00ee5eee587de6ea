//! `weft login`: a certificate of one's own, by a token.

use std::{fs, path::PathBuf};

use clap::Args;
use credentials::{Line, Trust};
use options::clock;
use overlay::trust::{Subject, Token};

use crate::{
    connect::{Connection, Reach},
    failure::Failure,
    output::Output,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  weft login --controller https://10.0.0.2:7440 --token TOKEN

The certificate is renewed by use; after 30 days without any, a new token is needed.")]
pub struct Login {
    /// What `weft operator create` or `weft-controller init` printed
    #[arg(long, required_unless_present = "token_file")]
    token: Option<String>,
    /// A file that holds it: on the command line others of this host may see it
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
}

pub async fn run(login: Login, reach: &Reach, output: &Output) -> Result<(), Failure> {
    let text = match (login.token, login.token_file) {
        (Some(text), _) => text,
        (None, Some(file)) => fs::read_to_string(&file).map_err(|error| {
            Failure::BadRequest(format!("--token-file {}: {error}", file.display()))
        })?,
        (None, None) => String::new(),
    };
    let token: Token = text
        .parse()
        .map_err(|error| Failure::BadRequest(format!("--token: {error}")))?;
    if let Some(plain) = reach.addresses.iter().find(|address| !address.is_tls()) {
        return Err(Failure::BadRequest(format!(
            "a token is shown to nobody in plain text: say --controller https:// and not {plain}"
        )));
    }
    let line = Line::tls(&Trust::Pinned(token.authority))?;
    let connection = Connection::over(reach, &line).await?;
    let held = connection
        .answer_of(credentials::login(
            connection.channel(),
            &token,
            &reach.credentials,
        ))
        .await?;
    let Subject::Operator(name, _) = &held.subject else {
        return Err(Failure::Refused("the controller named a node".into()));
    };
    let until = clock::utc_or_none(held.expires_at.0).unwrap_or_default();
    output.done(&format!(
        "logged in as {name}; the certificate in {} is good until {until}",
        reach.credentials.display()
    ))
}
