//! What a server answers, as data.

/// A server's reply to one command, in the shapes that RESP2 and RESP3 share.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// No value.
    Nil,
    /// A number.
    Integer(i64),
    /// A simple or bulk string, any bytes.
    Bytes(Vec<u8>),
    /// A list; RESP3 maps and sets are flattened into lists, as RESP2 sends them.
    List(Vec<Self>),
    /// The server refused the command: the whole line, such as `ERR Unknown node`.
    Error(String),
}

impl Reply {
    /// A string reply.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }

    /// The reply as text: a string that is UTF-8, or a number.
    pub fn as_text(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Into::into),
            Self::Integer(number) => Some(number.to_string().into()),
            _ => None,
        }
    }

    /// The reply as a number: an integer, or a string of digits.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            other => other.as_text()?.parse().ok(),
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value that follows this name in a list of names and values.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let pairs = self.as_list()?.chunks_exact(2);
        pairs.into_iter().find_map(|pair| match pair {
            [key, value] if key.as_text().is_some_and(|key| key == name) => Some(value),
            _ => None,
        })
    }
}
