//! The secret that agents of one cluster show each other.

use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use subtle::ConstantTimeEq;

/// How many random bytes a token is.
const BYTES: usize = 32;

/// A secret of 32 random bytes, as 64 hexadecimal digits. It is never shown.
#[derive(Clone, Debug)]
pub struct Token(SecretString);

/// There is no token that could be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("the token file {} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else; what that is stays unsaid.
    #[error("the token file {} does not hold 64 hexadecimal digits", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// The token in this file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = fs::read_to_string(path).map_err(|source| TokenError::File { path: path.to_owned(), source })?;
        let text = SecretString::from(text.trim());
        let whole = text.expose_secret().len() == BYTES * 2;
        if !whole || !text.expose_secret().bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TokenError::Content { path: path.to_owned() });
        }
        Ok(Self(text))
    }

    /// Writes a new token into this file, which only its owner can read, unless it holds one already.
    ///
    /// # Errors
    /// When the system gives no random bytes or the file cannot be written.
    pub fn ensure(path: &Path) -> Result<(), TokenError> {
        if Self::read(path).is_ok() {
            return Ok(());
        }
        write_new(path).map_err(|source| TokenError::File { path: path.to_owned(), source })
    }

    /// Whether this is what a request gives under `Authorization`; takes as long for any text of this length.
    pub(crate) fn is_in(&self, authorization: Option<&HeaderValue>) -> bool {
        let given = authorization.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|given| given.ct_eq(self.0.expose_secret().as_bytes()).into())
    }

    /// What a request gives under `Authorization`.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Under another name first, so that nobody reads half of one.
fn write_new(path: &Path) -> io::Result<()> {
    let mut bytes = [0; BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    let mut text = String::with_capacity(BYTES * 2 + 1);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.token");
        Token::ensure(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        Token::ensure(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let shown = format!("{:?}", Token::read(&path).unwrap());
        assert!(!shown.contains(text.trim()), "{shown}");
    }

    #[test]
    fn only_the_whole_token_fits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.token");
        Token::ensure(&path).unwrap();
        let token = Token::read(&path).unwrap();
        let right = token.authorization().unwrap();
        assert!(right.is_sensitive() && token.is_in(Some(&right)));
        let text = right.to_str().unwrap().to_owned();
        for wrong in
            ["", "Bearer", "Bearer ", &text[7..], &text[..60], &text.replace("Bearer", "Basic"), &format!("{text}0")]
        {
            assert!(!token.is_in(Some(&HeaderValue::from_str(wrong).unwrap())), "{wrong}");
        }
        assert!(!token.is_in(None));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_told_and_replaced_when_one_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.token");
        assert!(matches!(Token::read(&path), Err(TokenError::File { .. })));
        fs::write(&path, "hunter2").unwrap();
        let error = Token::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("does not hold 64 hexadecimal digits") && !error.contains("hunter2"), "{error}");
        Token::ensure(&path).unwrap();
        assert!(Token::read(&path).is_ok());
    }
}
