//! An authority and what it signs, made by openssl.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

pub struct Authority {
    directory: TempDir,
}

pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let authority = Self {
            directory: TempDir::new()?,
        };
        let mut make = openssl(
            "req",
            &["-x509", "-days", "2", "-subj", "/CN=test authority"],
        );
        make.args(new_key(&authority.ca_key()));
        run(make.arg("-out").arg(authority.ca()))?;
        Ok(authority)
    }

    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub fn ca_key(&self) -> PathBuf {
        self.path("ca-key.pem")
    }

    /// For 127.0.0.1, good for a server and for a client.
    pub fn sign(&self, name: &str) -> Result<Certificate> {
        self.sign_for(name, Ipv4Addr::LOCALHOST)
    }

    /// The same for another address.
    pub fn sign_for(&self, name: &str, address: Ipv4Addr) -> Result<Certificate> {
        let (cert, key) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}-key.pem")),
        );
        let (request, extensions) = (self.path("request.pem"), self.path("extensions"));
        let subject = format!("/CN={name}");
        let mut ask = openssl("req", &["-subj", &subject]);
        ask.args(new_key(&key));
        run(ask.arg("-out").arg(&request))?;
        let usage =
            format!("subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth,clientAuth\n");
        fs::write(&extensions, usage)?;
        let mut sign = openssl("x509", &["-req", "-days", "2", "-CAcreateserial"]);
        sign.arg("-in")
            .arg(&request)
            .arg("-extfile")
            .arg(&extensions);
        sign.arg("-CA")
            .arg(self.ca())
            .arg("-CAkey")
            .arg(self.ca_key());
        run(sign.arg("-out").arg(&cert))?;
        Ok(Certificate { cert, key })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn openssl(command: &str, arguments: &[&str]) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.arg(command).args(arguments);
    openssl
}

fn new_key(path: &Path) -> Vec<String> {
    let kind = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
    ];
    let kind = kind.map(str::to_owned).into_iter();
    kind.chain([path.display().to_string()]).collect()
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .context("openssl is not installed: run `make setup`")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
