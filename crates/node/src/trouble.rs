//! What the layers below report, as what went wrong between us and the server.

use operations::port::{TlsTrouble, Trouble};
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};
use std::io::{self, ErrorKind};

/// What an error of a socket means; TLS errors are looked for inside.
pub(crate) fn of_io(error: &io::Error, server_name: &str) -> Trouble {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return Trouble::Tls(of_tls(tls, server_name));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Trouble::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => Trouble::Closed,
        ErrorKind::NetworkUnreachable => Trouble::Unreachable("no route to the network".to_owned()),
        ErrorKind::HostUnreachable => Trouble::Unreachable("no route to the host".to_owned()),
        _ => Trouble::Unreachable(error.to_string()),
    }
}

fn of_tls(error: &TlsError, server_name: &str) -> TlsTrouble {
    match error {
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::MessageTooLarge) => {
            TlsTrouble::ServerSpeaksPlain
        }
        TlsError::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsTrouble::UnknownAuthority,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsTrouble::OutOfTime,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsTrouble::OtherName(server_name.to_owned())
            }
            // The library has no variant for it, and its words are not ours.
            other if other.to_string().contains("UnsupportedCertVersion") => TlsTrouble::OldCertificate,
            other => TlsTrouble::Other(other.to_string()),
        },
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::HandshakeFailure,
        ) => TlsTrouble::ClientCertificateNeeded,
        other => TlsTrouble::Other(other.to_string()),
    }
}
