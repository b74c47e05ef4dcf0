//! `redis://user:password@host:port`, with `rediss`, `valkey` and `valkeys`.

use crate::Credentials;
use secrecy::SecretString;

/// What a URI says of a connection.
#[derive(Clone, Debug, Default)]
pub struct Uri {
    /// User and password, with %xx decoded.
    pub credentials: Credentials,
    /// Whether the scheme ends in `s`.
    pub tls: bool,
    /// The host, if there is one.
    pub host: Option<String>,
    /// The port, if there is one.
    pub port: Option<u16>,
}

/// A text that is no such URI. The text is left out: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URI is not of the form redis://user:password@host:port (or rediss, valkey, valkeys)")]
pub struct NotAUri;

impl Uri {
    /// Reads a URI.
    pub fn parse(text: &str) -> Result<Self, NotAUri> {
        let url = url::Url::parse(text).map_err(|_| NotAUri)?;
        let tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(NotAUri),
        };
        let decode = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| NotAUri)
        };
        let user = Some(decode(url.username())?).filter(|user| !user.is_empty());
        let password = url.password().map(decode).transpose()?.map(SecretString::from);
        let host = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
        Ok(Self { credentials: Credentials { user, password }, tls, host, port: url.port() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn every_part_is_read() {
        let uri = Uri::parse("rediss://bob:p%40ss%25@db.example:7001/0").unwrap();
        assert_eq!(uri.credentials.user.as_deref(), Some("bob"));
        assert_eq!(uri.credentials.password.unwrap().expose_secret(), "p@ss%");
        assert_eq!((uri.tls, uri.host.as_deref(), uri.port), (true, Some("db.example"), Some(7001)));
        let uri = Uri::parse("valkey://:secret@[::1]").unwrap();
        assert_eq!((uri.credentials.user, uri.host.as_deref(), uri.port), (None, Some("::1"), None));
    }

    #[test]
    fn what_is_no_uri_is_refused_without_telling_the_password() {
        for text in ["http://a:secret@b", "secret", "redis:/", ""] {
            if let Err(error) = Uri::parse(text) {
                assert!(!error.to_string().contains("secret"));
            } else {
                assert_eq!(text, "redis:/");
            }
        }
    }
}
