//! The fleet's certificate authority.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use overlay::{
    record::{self, Sealed, V1},
    time::WallMs,
    trust::{Subject, subject::CONTROLLER, token::hex},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, pem::PemObject,
};
use thiserror::Error;
use x509_parser::time::ASN1Time;

use super::seal::{Seal, SealError, random};

/// Clocks may be this far apart: what is signed was good a while ago.
const EARLIER: Duration = Duration::from_secs(3600);
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Debug, Error)]
pub enum AuthorityError {
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("the authority's key or certificate is of no use: {0}")]
    Unusable(String),
    #[error("the key in {key} is not that of the certificate in {certificate}")]
    Apart { key: String, certificate: String },
    #[error("cannot read {path}: {source}")]
    Unread {
        path: String,
        source: std::io::Error,
    },
}

#[derive(Debug, Error)]
pub enum SignError {
    #[error("signing_request: it is no PKCS#10 request that proves its key: {0}")]
    BadRequest(String),
    #[error("cannot sign: {0}")]
    Failed(String),
}

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM.
    pub certificate: String,
    pub der: CertificateDer<'static>,
}

/// A signing request that proves its key. Of all that it says, only the key counts.
pub struct Asked(CertificateSigningRequestParams);

/// What was signed.
pub struct Signed {
    /// PEM.
    pub certificate: String,
    pub issued_at: WallMs,
    pub expires_at: WallMs,
}

impl Asked {
    /// PKCS#10.
    pub fn read(der: &[u8]) -> Result<Self, SignError> {
        let der = CertificateSigningRequestDer::from(der.to_vec());
        let read = CertificateSigningRequestParams::from_der(&der);
        read.map(Self)
            .map_err(|error| SignError::BadRequest(error.to_string()))
    }

    /// The SHA-256 of the public key, in hex.
    pub fn key(&self) -> String {
        hex(digest(&SHA256, self.0.public_key.der_bytes()).as_ref())
    }
}

impl Authority {
    /// A new one, and its key.
    pub fn made(now: WallMs) -> Result<(Self, String), AuthorityError> {
        let key = KeyPair::generate().map_err(unusable)?;
        let mut params = params(now, LIFE)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Weft fleet authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = params.self_signed(&key).map_err(unusable)?.pem();
        let text = key.serialize_pem();
        Ok((Self::of(certificate, key)?, text))
    }

    pub fn opened(record: &record::Authority, seal: &Seal) -> Result<Self, AuthorityError> {
        let outside = "its key is kept in files outside of the store: give --ca-cert and --ca-key";
        let sealed = record.key.as_ref().ok_or_else(|| unusable(outside))?;
        let key = KeyPair::from_pem(&seal.open(sealed)?).map_err(unusable)?;
        Self::of(record.certificate.clone(), key)
    }

    /// One of the operator's own, from files.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, AuthorityError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| AuthorityError::Unread {
                path: path.display().to_string(),
                source,
            })
        };
        let pair = KeyPair::from_pem(&read(key)?).map_err(unusable)?;
        let authority = Self::of(read(certificate)?, pair)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&authority.der).map_err(unusable)?;
        if parsed.public_key().subject_public_key.data.as_ref()
            != authority.issuer.key().public_key_raw()
        {
            return Err(AuthorityError::Apart {
                key: key.display().to_string(),
                certificate: certificate.display().to_string(),
            });
        }
        if !parsed.is_ca() {
            return Err(unusable("the certificate is not an authority's"));
        }
        Ok(authority)
    }

    pub fn record(&self, key: Option<Sealed>) -> record::Authority {
        record::Authority {
            v: V1,
            certificate: self.certificate.clone(),
            key,
        }
    }

    /// By which a token lets it be recognised.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, &self.der).as_ref());
        fingerprint
    }

    /// Signs that this key is this one's.
    pub fn sign(
        &self,
        Asked(mut request): Asked,
        subject: &Subject,
        now: WallMs,
        life: Duration,
    ) -> Result<Signed, SignError> {
        let failed = |error: &dyn ToString| SignError::Failed(error.to_string());
        let mut params = params(now, life).map_err(|error| failed(&error))?;
        let name = match subject {
            Subject::Node(name, _) => name.to_string(),
            Subject::Operator(name, _) => name.to_string(),
        };
        params.distinguished_name.push(DnType::CommonName, name);
        let uri = subject.to_string().try_into();
        let uri = uri.map_err(|error: rcgen::Error| failed(&error))?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.params = params;
        let signed = request
            .signed_by(&self.issuer)
            .map_err(|error| failed(&error))?;
        Ok(Signed {
            certificate: signed.pem(),
            issued_at: now,
            expires_at: now.after(life),
        })
    }

    /// What this controller shows of itself: the chain, and its key.
    pub fn controller(
        &self,
        addresses: &[IpAddr],
        now: WallMs,
        life: Duration,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
        let key = KeyPair::generate().map_err(unusable)?;
        let mut params = params(now, life)?;
        params
            .distinguished_name
            .push(DnType::CommonName, CONTROLLER);
        let name = CONTROLLER.try_into().map_err(unusable)?;
        params.subject_alt_names = vec![SanType::DnsName(name)];
        let addresses = addresses.iter().map(|address| SanType::IpAddress(*address));
        params.subject_alt_names.extend(addresses);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let signed = params.signed_by(&key, &self.issuer).map_err(unusable)?;
        let chain = vec![signed.der().clone(), self.der.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(unusable)?;
        Ok((chain, key))
    }

    fn of(certificate: String, key: KeyPair) -> Result<Self, AuthorityError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(unusable)?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(unusable)?;
        Ok(Self {
            issuer,
            certificate,
            der,
        })
    }
}

fn params(now: WallMs, life: Duration) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let date = |at: WallMs| {
        let seconds = i64::try_from(at.0 / 1000).map_err(unusable)?;
        let time = ASN1Time::from_timestamp(seconds).map_err(unusable)?;
        Ok::<_, AuthorityError>(time.to_datetime())
    };
    params.not_before = date(WallMs(now.0.saturating_sub(EARLIER.as_millis() as u64)))?;
    params.not_after = date(now.after(life))?;
    params.serial_number = Some(SerialNumber::from(random::<16>()?.to_vec()));
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unusable(error: impl ToString) -> AuthorityError {
    AuthorityError::Unusable(error.to_string())
}

#[cfg(test)]
mod tests;
