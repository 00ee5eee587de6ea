//! Who is at the other end of a connection.

use std::time::Duration;

use overlay::{
    time::{Span, WallMs},
    trust::{Caller, Subject},
};
use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Identity {
    /// Plain text, where that is served.
    Plain,
    /// Plain text, where it is not.
    #[default]
    Unencrypted,
    Stranger,
    Certified(Certified),
}

/// What a certificate of this fleet's authority says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    pub subject: Subject,
    pub from: WallMs,
    pub to: WallMs,
}

impl Identity {
    /// Who calls, at this time: a connection may outlive its certificate.
    pub fn caller(&self, now: WallMs) -> Caller {
        match self {
            Self::Plain => Caller::Plain,
            Self::Unencrypted => Caller::Unencrypted,
            Self::Stranger => Caller::Stranger,
            Self::Certified(certified) => match certified.untimely(now) {
                None => Caller::Known(certified.subject.clone()),
                Some(why) => Caller::Untimely(certified.subject.clone(), why),
            },
        }
    }

    /// Since when its certificate is over.
    pub fn expired_for(&self, now: WallMs) -> Option<Duration> {
        match self {
            Self::Certified(certified) if certified.to <= now => Some(now.since(certified.to)),
            _ => None,
        }
    }
}

impl Certified {
    /// What the certificate says, of which the chain was verified. None: it names nobody of
    /// a fleet.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let mut names = names.value.general_names.iter();
        let subject = names.find_map(|name| match name {
            GeneralName::URI(uri) => uri.parse().ok(),
            _ => None,
        })?;
        let time = certificate.validity();
        let ms = |at: i64| WallMs(u64::try_from(at).unwrap_or(0).saturating_mul(1000));
        Some(Self {
            subject,
            from: ms(time.not_before.timestamp()),
            to: ms(time.not_after.timestamp()),
        })
    }

    fn untimely(&self, now: WallMs) -> Option<String> {
        if now < self.from {
            let early = Span(self.from.since(now));
            return Some(format!(
                "this certificate begins in {early} by this controller's clock: set the clocks right, here or there"
            ));
        }
        (self.to <= now).then(|| {
            let late = Span(now.since(self.to));
            format!(
                "this certificate expired {late} ago by this controller's clock: renew it, or get another with a token"
            )
        })
    }
}
