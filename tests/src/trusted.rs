//! What a fleet with certificates has beside its controllers: the file that seals its
//! authority's key, the operators' credentials, and the certificates of its etcd.

use std::{
    ffi::OsString,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    certificates::{Authority, Certificate},
    etcd::ServerTls,
    lab::Place,
    process::{self, said},
};

/// Who logs in first.
const ADMIN: &str = "admin";
const SEAL: &str = "seal.key";

pub struct Trusted {
    directory: TempDir,
    /// Options that say by what controllers sign.
    flags: Vec<OsString>,
    /// Of etcd; the fleet has another.
    authority: Authority,
    controllers: Certificate,
}

impl Trusted {
    /// With an authority of its own, or by these options.
    pub fn new(flags: Option<&[&str]>) -> Result<Self> {
        let authority = Authority::new()?;
        let directory = tempfile::Builder::new().prefix("weft-trusted-").tempdir()?;
        let flags = match flags {
            Some(flags) => flags.iter().map(OsString::from).collect(),
            None => vec!["--seal-file".into(), directory.path().join(SEAL).into()],
        };
        Ok(Self {
            directory,
            flags,
            controllers: authority.sign("controllers")?,
            authority,
        })
    }

    pub fn seal(&self) -> PathBuf {
        self.directory.path().join(SEAL)
    }

    pub fn flags(&self) -> &[OsString] {
        &self.flags
    }

    /// Where this operator's are, once logged in.
    pub fn credentials(&self, operator: &str) -> PathBuf {
        self.directory.path().join(format!("{operator}.json"))
    }

    pub fn admin(&self) -> PathBuf {
        self.credentials(ADMIN)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What an etcd at this address shows, and asks for.
    pub fn etcd(&self, address: Ipv4Addr) -> Result<ServerTls> {
        let certificate = self.authority.sign_for("etcd", address)?;
        Ok(ServerTls {
            ca: self.authority.ca(),
            cert: certificate.cert,
            key: certificate.key,
        })
    }

    /// How a controller speaks to that etcd.
    pub fn to_etcd(&self) -> Vec<OsString> {
        let files = [
            ("--etcd-ca", self.authority.ca()),
            ("--etcd-cert", self.controllers.cert.clone()),
            ("--etcd-key", self.controllers.key.clone()),
        ];
        let files = files.into_iter();
        files
            .flat_map(|(flag, file)| [flag.into(), file.into()])
            .collect()
    }

    /// Makes the authority, where there is none; the token of the first operator.
    pub fn init(&self, place: &Place, store: &[OsString]) -> Result<String> {
        let mut command = place.command(process::weft("weft-controller")?);
        command.arg("init").args(&self.flags).args(store);
        let said = said(command)?;
        ensure!(said.code == 0, "{said:?}");
        token(&said.stdout)
    }
}

/// The token that was printed among other things.
pub fn token(text: &str) -> Result<String> {
    let mut words = text.split_whitespace();
    let token = words.find(|word| word.starts_with("weft1-"));
    Ok(token
        .with_context(|| format!("no token in {text}"))?
        .to_owned())
}
