//! Defines the options of the HTTP API.

use std::net::SocketAddr;

/// The options of the HTTP API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HttpOptions {
    pub(crate) address: SocketAddr,
    /// The host names by which clients may call the API, besides addresses and names without a dot.
    pub(crate) names: Vec<String>,
}

impl HttpOptions {
    /// Returns the options if there is an address.
    ///
    /// # Errors
    /// Returns a text of one line if there are names without an address, or if a name is not a host name.
    pub(crate) fn new(address: Option<SocketAddr>, names: Vec<String>) -> Result<Option<Self>, String> {
        let is_name = |name: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !name.is_empty() && name.bytes().all(is_plain)
        };
        if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
            return Err(format!("--http-names: {wrong:?} is not a host name; write it without a port"));
        }
        match address {
            None if !names.is_empty() => Err("--http-names needs an address of the API: --http".to_owned()),
            address => Ok(address.map(|address| Self { address, names })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_an_address_and_have_no_port() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let address = SocketAddr::from(([127, 0, 0, 1], 8000));
        let options = HttpOptions::new(Some(address), names(&["a.example"])).unwrap().unwrap();
        assert_eq!((options.address, options.names), (address, names(&["a.example"])));
        assert_eq!(HttpOptions::new(None, Vec::new()), Ok(None));
        assert!(HttpOptions::new(None, names(&["a.example"])).unwrap_err().contains("needs an address"));
        for wrong in ["", "a.example:80", "http://a.example", "*"] {
            let mistake = HttpOptions::new(Some(address), names(&[wrong])).unwrap_err();
            assert!(mistake.starts_with("--http-names: "), "{mistake}");
        }
    }
}
