//! `redis://user:password@host:port`, with `rediss`, `valkey` and `valkeys`.

use crate::Credentials;
use secrecy::SecretString;

/// What a URI says of a connection. Which server to connect to is said elsewhere: host, port and database are not looked at.
#[derive(Clone, Debug, Default)]
pub struct Uri {
    /// User and password, with %xx decoded.
    pub credentials: Credentials,
    /// Whether the scheme ends in `s`.
    pub tls: bool,
}

/// A text that is no such URI. The text is left out: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URI is not of the form redis://user:password@host:port (or rediss, valkey, valkeys)")]
pub struct NotAUri;

impl Uri {
    /// Reads a URI. What stands before the `@` without a `:` in it is a password, as for redis-cli and valkey-cli.
    pub fn parse(text: &str) -> Result<Self, NotAUri> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAUri)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(NotAUri),
        };
        let (user, password) = match userinfo(rest) {
            Some(userinfo) => userinfo.split_once(':').map_or(("", userinfo), |parts| parts),
            None => ("", ""),
        };
        let credentials = Credentials { user: decoded(user)?, password: decoded(password)?.map(SecretString::from) };
        Ok(Self { credentials, tls })
    }
}

/// What stands before the `@` in front of the host; none without one. A password may hold a bare `/`, though it should not.
fn userinfo(rest: &str) -> Option<&str> {
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let userinfo = authority.rsplit_once('@').or_else(|| rest.split_once('@'));
    userinfo.map(|(userinfo, _)| userinfo)
}

/// The text with %xx decoded; none where it is empty.
fn decoded(text: &str) -> Result<Option<String>, NotAUri> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| NotAUri)?;
    Ok(Some(decoded.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn user_password_and_tls_are_read_from_every_form_that_the_tools_take() {
        for (text, user, password, tls) in [
            ("rediss://bob:p%40ss%25@db.example:7001/0", Some("bob"), Some("p@ss%"), true),
            ("valkey://:secret@[::1]", None, Some("secret"), false),
            ("REDIS://secret@host", None, Some("secret"), false),
            ("redis://bob:secret:more@host:1", Some("bob"), Some("secret:more"), false),
            ("redis://:p@ss@host/0", None, Some("p@ss"), false),
            ("redis://:p/w#d?@host", None, Some("p/w#d?"), false),
            ("redis://bob@host:7001", None, Some("bob"), false),
            ("valkeys://host:7001", None, None, true),
            ("redis://@host", None, None, false),
            ("redis://", None, None, false),
        ] {
            let uri = Uri::parse(text).unwrap();
            let Credentials { user: read_user, password: read_password } = uri.credentials;
            let read_password = read_password.as_ref().map(ExposeSecret::expose_secret);
            assert_eq!((read_user.as_deref(), read_password, uri.tls), (user, password, tls), "{text}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused_without_telling_the_password() {
        for text in ["http://a:secret@b", "secret", "redis:/", "redis://:secret%ff@b", ""] {
            let refusal = Uri::parse(text).map(|_| ()).unwrap_err();
            assert!(!refusal.to_string().contains("secret"), "{text}");
        }
    }
}
